"""What operators and flows have in common: `|`, `&`, and what can be said of a node.

Pure: no I/O, no clock. Source: US1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.composition.flow import Flow


class Composable:
    """Something that can stand in a pipeline. Nothing here changes it: each method gives a flow."""

    def flow(self) -> Flow:
        """It as a flow; for an operator, one new node each time."""
        raise NotImplementedError

    def __or__(self, following: Any) -> Flow:
        """In sequence: every open output of this feeds every open input of what follows.

        Args:
            following: an operator, a flow, a pipeline, or a reactivex operator.

        Raises:
            UsageError: it is none of these, or there is nothing to connect.
        """
        return self.flow().followed_by(following)

    def __and__(self, other: Any) -> Flow:
        """Side by side: branches that get the same input, and whose outputs come together.

        Raises:
            UsageError: it is nothing that can stand in a pipeline.
        """
        return self.flow().beside(other)

    def __ror__(self, before: Any) -> Flow:
        """What comes before is no operator or flow itself: a reactivex operator, or an error."""
        from engine.composition.flow import flow_of

        return flow_of(before).followed_by(self)

    def on(
        self,
        executor: str,
        *,
        group: str | None = None,
        timeout_ms: int | None = None,
        restart: Mapping[str, int] | None = None,
    ) -> Flow:
        """Place its nodes on an executor: "local" or "process".

        Args:
            executor: where they run.
            group: the name of a process that they share with all nodes of that group; None: each
                node in a process has one of its own.
            timeout_ms: bound on one turn of a node in a process, at least 1.
            restart: start a node's process again when it fails: `{"max": 3, "backoff_ms": 100}`,
                how often in all (at least 1) and the pause before the first time, which is doubled
                while no packet succeeds. Only for nodes that keep no state. None: the session
                fails.

        Raises:
            UsageError: a group of nodes that run in no process.
        """
        if group is not None and executor != "process":
            raise UsageError(
                f"the nodes of a group share a process: say .on('process', group={group!r}) instead"
                f" of .on({executor!r}, …)"
            )
        fields: dict[str, Any] = {"executor": executor if group is None else {executor: group}}
        if timeout_ms is not None:
            fields["process_timeout_ms"] = timeout_ms
        if restart is not None:
            fields["restart"] = dict(restart)
        return self.flow().with_fields(fields)

    def named(self, node_id: str) -> Flow:
        """Give its node an id: letters, digits, `_` and `-`.

        Raises:
            UsageError: it has several nodes.
        """
        return self.flow().with_id(node_id)

    def as_output(self) -> Flow:
        """Let its outputs leave the session although other nodes take them, too."""
        return self.flow().with_tails_as_outputs()

    def out(self, port: str) -> Flow:
        """Go on from this output port: `Split().out("left") | Gain()`."""
        return self.flow().with_tail_port(port)

    def taking(self, port: str) -> Flow:
        """Be fed by this output port: `Split() | Gain().taking("left") & Mute().taking("hum")`."""
        return self.flow().with_head_source(port)

    def into(
        self,
        port: str | None = None,
        *,
        capacity: int | None = None,
        overflow: str | None = None,
        max_age_ms: int | None = None,
    ) -> Flow:
        """Say how its outputs enter what follows: `Microphone().into("audio_input") | Sync()`.

        Args:
            port: the input port; None: the only one, or `in`.
            capacity: packets the link may hold; None: the session's channel_capacity.
            overflow: what a full link does: "block", "drop_oldest", "drop_newest", "latest" or
                "error"; None: it blocks.
            max_age_ms: how long a packet may wait on the link before it is dropped.
        """
        options = {"capacity": capacity, "overflow": overflow, "max_age_ms": max_age_ms}
        return self.flow().with_tail_target(
            port, {name: value for name, value in options.items() if value is not None}
        )
