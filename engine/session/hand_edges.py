"""Makes the edges of a hand between the session and a stage that runs already. Source: FR-007."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from engine.edges.counters import read_counts
from engine.edges.doorbell import make_pair
from engine.edges.local import LocalEdge
from engine.edges.segment import CountersPage, Segment, create_segment
from engine.edges.shared_memory import ArenaWriter, SharedMemoryReceiver, SharedMemorySender
from engine.errors import EdgeError
from engine.packet import Source
from engine.plan import EdgePlan
from engine.session.wiring import INGRESS
from engine.stage_steering import HandEnds
from engine.workers.stage_spec import EdgeSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.clock import Clock
    from engine.edges.contract import EdgeReceiver, EdgeSender
    from engine.executors.contract import RunningStage

#: The window of each such edge.
HAND_CAPACITY: Final = 64
#: What it is where it crosses to a process, see `EdgePlan.kind`.
KIND: Final = "shared_memory"


class HandEdges:
    """The edges of one hand, see `engine.executors.contract.Hand`.

    Attributes:
        receiver: the session's end of the one that shows, or None.
        sender: the session's end of the one that gives, or None.
    """

    def __init__(
        self, stage: RunningStage, session_id: str, now_ns: Clock, segment_bytes: int
    ) -> None:
        """Make none yet.

        Args:
            stage: where the hand is.
            session_id: whose it is.
            now_ns: the session's clock.
            segment_bytes: size of each edge's arena, where it crosses to a process.
        """
        self.receiver: EdgeReceiver | None = None
        self.sender: EdgeSender | None = None
        self._stage = stage
        self._session_id = session_id
        self._now_ns = now_ns
        self._segment_bytes = segment_bytes
        self._local: dict[str, LocalEdge] = {}
        self._shared: list[_SharedEdge] = []

    def show(self, edge_id: str, node_id: str, port: str) -> None:
        """Make the edge that brings a port's outputs here.

        Raises:
            EdgeError: the system gives no shared memory, or no socket.
        """
        if self._stage.local:
            self.receiver = self._local["shows"] = LocalEdge(edge_id, HAND_CAPACITY, self._now_ns)
            return
        plan = EdgePlan(
            edge_id, self._stage.plan.id, None, node_id, port, node_id, "", KIND, HAND_CAPACITY
        )
        edge = _SharedEdge("shows", plan, ("",), Source(node_id, port), self._segment_bytes)
        self._shared.append(edge)
        self.receiver = edge.open_receiver(self._session_id)

    def give(self, edge_id: str, node_id: str, ports: Sequence[str]) -> None:
        """Make the edge that brings something from here to a node.

        Raises:
            EdgeError: the system gives no shared memory, or no socket.
        """
        if self._stage.local:
            self.sender = self._local["gives"] = LocalEdge(edge_id, HAND_CAPACITY, self._now_ns)
            return
        plan = EdgePlan(
            edge_id, None, self._stage.plan.id, node_id, "", node_id, "", KIND, HAND_CAPACITY
        )
        edge = _SharedEdge("gives", plan, tuple(ports), INGRESS, self._segment_bytes)
        self._shared.append(edge)
        self.sender = edge.open_sender()

    @property
    def refused(self) -> int:
        """How many packets found no room on the edge that shows."""
        if "shows" in self._local:
            return self._local["shows"].statistics().refused
        return sum(edge.refused for edge in self._shared if edge.side == "shows")

    def ends(self) -> HandEnds:
        """See `Hand`."""
        return HandEnds(self._local.get("shows"), self._local.get("gives"))

    def specs(self) -> tuple[dict[str, Any], tuple[int, ...]]:
        """See `Hand`; the descriptors are the caller's from now on."""
        fds: list[int] = []
        specs: dict[str, Any] = {}
        for edge in self._shared:
            specs[edge.side] = asdict(edge.spec(len(fds)))
            fds += edge.hand_over()
        return specs, tuple(fds)

    def close(self) -> None:
        """Close the session's ends. A second call does nothing."""
        if self.receiver is not None:
            self.receiver.close()
            self.receiver.flush()
        if self.sender is not None:
            self.sender.finish()
            self.sender.flush()
        for edge in self._shared:
            edge.close()


class _SharedEdge:
    """One edge in shared memory; owns all of it but what has been handed over."""

    def __init__(
        self, side: str, plan: EdgePlan, ports: tuple[str, ...], source: Source, segment_bytes: int
    ) -> None:
        self.side = side
        self._plan = plan
        self._ports = ports
        self._source = source
        self._end: SharedMemoryReceiver | SharedMemorySender | None = None
        self._segment: Segment | None = None
        self._page: CountersPage | None = None
        self._arena = create_segment(f"remotemedia-{plan.id}", segment_bytes)
        try:
            self._sockets = list(make_pair())  # the producer's side, the consumer's
        except OSError as error:
            os.close(self._arena)
            raise EdgeError(
                f"cannot make a socket for {plan.id!r}: {error.strerror}; raise the limit of open"
                " files (ulimit -n), or close what is not needed any more",
                edge=plan.id,
            ) from error

    def open_receiver(self, session_id: str) -> SharedMemoryReceiver:
        self._page = CountersPage(self._arena)
        self._segment = Segment(self._arena, writable=False)
        self._end = SharedMemoryReceiver(
            self._plan.id,
            self._plan.window,
            self._segment,
            self._sockets.pop(1),
            self._ports,
            self._source,
            session_id,
        )
        return self._end

    def open_sender(self) -> SharedMemorySender:
        self._segment = Segment(self._arena, writable=True)
        writer = ArenaWriter(self._segment, checksums=False)
        sock = self._sockets.pop(0)
        self._end = SharedMemorySender(
            self._plan.id, self._plan.window, writer, sock, self._ports, 0
        )
        return self._end

    def spec(self, first_fd: int) -> EdgeSpec:
        return EdgeSpec(self._plan, self._ports, self._source, first_fd, first_fd + 1, 1, 0)

    def hand_over(self) -> list[int]:
        """The descriptors of the other side: its socket and the arena; not ours any more."""
        arena, self._arena = self._arena, -1
        return [self._sockets.pop().detach(), arena]

    @property
    def refused(self) -> int:
        return 0 if self._page is None else read_counts(self._page.view, 0).refused

    def close(self) -> None:
        if self._arena >= 0:
            os.close(self._arena)
            self._arena = -1
        for sock in self._sockets:
            sock.close()
        if self._end is not None:
            self._end.dispose()
        if self._segment is not None:
            self._segment.close()
        if self._page is not None:
            self._page.close()
