"""What a node hands out: stamped with its lineage, counted, and pushed downstream.

Pure: no asyncio, no clock, no thread. Source: FR-012, NFR-003.

A single output is pushed at once, a list item by item; an iterator is pulled while every out edge
has credit, and suspended otherwise. What an operator raises meanwhile is the node's error.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import NodeError, UsageError
from engine.operator import Emission, process_kind
from engine.outlet import Outlet
from engine.packet import Origin, Packet, Source
from engine.payloads import PAYLOAD_TYPES, not_an_output

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.context import NodeContext
    from engine.operator import Operator, Output
    from engine.stage import Stage
    from engine.stage_ends import Ticket

#: What can be iterated over but is no sequence of outputs.
NOT_OUTPUTS = (str, bytes, bytearray, memoryview, dict, np.ndarray)


class Emitter:
    """The side of an adapter that hands out; `OperatorAdapter` adds what comes in, and the end.

    Attributes:
        context: what its operator sees of the stage.
        outlets: output port → outlet.
        origin: that of the last packet taken; timers and flush inherit it.
        stale_below: packets of an older generation are stale here, see `engine.interruption`.
    """

    __slots__ = (  # measured: 7 % of a packet's time, with the stage's
        "_busy_ns",
        "_clock",
        "_counted",
        "_counts",
        "_emitted",
        "_flushing",
        "_index",
        "_open",
        "_outlet",
        "_sequence",
        "_stage",
        "context",
        "node_id",
        "operator",
        "origin",
        "outlets",
        "stale_below",
    )

    context: NodeContext

    def __init__(
        self, node_id: str, operator: Operator, stage: Stage, outlet_ports: Mapping[str, str]
    ) -> None:
        """Hand out what an operator makes; see `OperatorAdapter`."""
        self.node_id = node_id
        self.operator = operator
        self.outlets = {
            port: Outlet(Source(node_id, port), outlet_ports.get(port, ""))
            for port in operator.outputs
        }
        self.origin: Origin | None = None
        self.stale_below = 0
        self._stage = stage
        self._clock = stage.host.now_ns
        self._outlet = next(iter(self.outlets.values()), None) or Outlet(Source(node_id, ""), "")
        #: Sequence whose outputs `_index` counts; stays -1 where several sources merge.
        self._sequence = -1
        self._index = 0
        #: Where sources merge: (source, port) → (sequence, index) it was left at.
        self._counts: dict[tuple[Source, str], tuple[int, int]] | None = None
        self._counted: tuple[tuple[Source, str], int] | None = None
        self._flushing = False
        #: The suspended iterator, whether it is pulled, and the ticket it holds.
        self._open: tuple[Iterator[Any], bool, Ticket] | None = None
        self._emitted = 0
        self._busy_ns = 0

    # --- lineage ------------------------------------------------------------------------------

    def _follow(self, packet: Packet | Mapping[str, Packet]) -> None:
        """What is emitted from now on descends from this."""
        first = packet if isinstance(packet, Packet) else next(iter(packet.values()))
        origin = first.origin
        if origin.generation < self._stage.generation:  # of a call that an interrupt let go on
            origin = origin.with_generation(self._stage.generation)
        self.origin = origin
        if origin.sequence != self._sequence:
            self._begin_count(first)

    def _begin_count(self, packet: Packet) -> None:
        """Count the outputs of another input.

        Where sources merge, each has a count of its own, so that an output's index does not depend
        on which of them was quicker.
        """
        sequence = packet.origin.sequence
        counts = self._counts
        if counts is None:
            self._sequence = sequence
            self._index = 0
            return
        if self._counted is not None:
            left, left_sequence = self._counted
            counts[left] = (left_sequence, self._index)
        # A client's packets for several ports come by one edge, in one order.
        source = (packet.source, packet.port if packet.source.port else "")
        counted, index = counts.get(source, (-1, 0))
        self._index = index if counted == sequence else 0
        self._counted = (source, sequence)

    def _first_origin(self) -> Origin:
        """Lineage of what is emitted before any input was taken."""
        now = self._clock()
        self.origin = Origin(self._stage.session_id, 0, 0, now, self._stage.generation)
        self._sequence = 0 if self._counts is None else -1
        return self.origin

    # --- one output ---------------------------------------------------------------------------

    def emit(self, output: Output) -> None:
        """Stamp one output and push it downstream."""
        origin = self.origin
        if origin is None:
            origin = self._first_origin()
        outlet = self._outlet
        payload: Any = output
        if type(payload) is Emission:
            port, payload, timestamp_ns = payload
            if timestamp_ns is not None:
                origin = origin.with_timestamp(timestamp_ns)
            if port not in self.outlets:  # not made by this node's ctx.to
                self._fail(UsageError(f"there is no output port {port!r}"), self._doing)
                return
            outlet = self.outlets[port]
        if type(payload) is Packet:
            if payload.origin.metadata is not origin.metadata:
                origin = origin.with_metadata(payload.origin.metadata)
            payload = payload.payload
        if type(payload) not in PAYLOAD_TYPES:
            self._fail(TypeError(not_an_output(payload)), self._doing)
            return
        index = self._index
        self._index = index + 1
        self._emitted += 1
        outlet.push(Packet(payload, outlet.source, outlet.port, index, origin))

    # --- whatever process or flush returned ---------------------------------------------------

    def _emit_result(self, result: Any) -> None:
        """Emit whatever process or flush returned."""
        if result is None:
            return
        kind = type(result)
        if kind in PAYLOAD_TYPES or kind is Packet or kind is Emission:
            self.emit(result)
        elif kind is list or kind is tuple:
            self._drain(iter(result), pulled=False)
        elif isinstance(result, Awaitable | AsyncIterator):
            if inspect.iscoroutine(result):
                result.close()
            self._fail(TypeError(self._not_awaited()), self._doing)
        elif not isinstance(result, Iterable) or isinstance(result, NOT_OUTPUTS):
            self._fail(TypeError(not_an_output(result)), self._doing)
        else:
            try:
                iterator = iter(result)
            except BaseException as error:
                self._raised(error, self._doing)
                return
            self._drain(iterator, pulled=True)

    def _not_awaited(self) -> str:
        name = f"{type(self.operator).__name__}.{self._doing}"
        if process_kind(type(self.operator)) != "sync":
            return f"{name} returned an awaitable: await it inside"
        return (
            f"{name} is not `async def` but returned an awaitable:"
            " declare it `async def`, so that the plan knows that it waits"
        )

    def _drain(self, iterator: Iterator[Any], *, pulled: bool) -> None:
        """Emit an iterator's items; suspend it where it must wait.

        Args:
            iterator: what is left.
            pulled: a lazy iterator, asked for an item only while every out edge has credit; a list
                is not, and waits for a full interception only.
        """
        stage = self._stage
        while not stage.done:
            if pulled and not stage.exits_ready:
                self._suspend(iterator, pulled=pulled)
                return
            started = self._clock()
            try:
                item = next(iterator)
            except StopIteration:
                break
            except BaseException as error:
                self._raised(error, self._doing)
                return
            finally:
                self._busy_ns += self._clock() - started
            self.emit(item)
            if (stage.has_suspended or stage.is_full or stage.slice_is_over) and not stage.done:
                self._suspend(iterator, pulled=pulled)
                return
        if stage.done:
            self._close(iterator)
        self._complete_if_flushed()

    def resume(self) -> None:
        """Go on with the suspended iterator."""
        assert self._open is not None
        iterator, pulled, ticket = self._open
        self._open = None
        self._stage.ticket = ticket
        self._drain(iterator, pulled=pulled)
        ticket.settle_one()

    @property
    def is_suspended(self) -> bool:
        """Whether an iterator waits to go on."""
        return self._open is not None

    def _abandon_result(self) -> None:
        """Close the suspended iterator, if there is one; its ticket settles."""
        if self._open is not None:
            iterator, _, ticket = self._open
            self._open = None
            self._close(iterator)
            ticket.settle_one()

    def _close(self, iterator: Iterator[Any]) -> None:
        close = getattr(iterator, "close", None)
        if close is not None:
            try:
                close()
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                self.context.logger.warning("closing an iterator raised %r", error)

    def _suspend(self, iterator: Iterator[Any], *, pulled: bool) -> None:
        """Keep what is left of a result in `_open`, until the stage resumes it."""
        raise NotImplementedError

    def _complete_if_flushed(self) -> None:
        """A result has gone out whole: if it was flush's, the node is complete."""
        raise NotImplementedError

    # --- errors -------------------------------------------------------------------------------

    @property
    def _doing(self) -> str:
        """Which of the contract's methods its outputs come from now."""
        return "flush" if self._flushing else "process"

    def _raised(self, error: BaseException, during: str) -> None:
        """A synchronous call of the operator raised: whatever it is, this node is to blame.

        Nothing was awaited, so that a cancellation or a GeneratorExit is the operator's own. Only
        Ctrl-C is meant for others, wherever it strikes: call this where it can be raised again.
        """
        if isinstance(error, KeyboardInterrupt):
            raise error
        self._fail(error, during)

    def _fail(self, cause: BaseException, during: str) -> None:
        if isinstance(cause, NodeError) and cause.node_id == self.node_id:
            self._stage.fail(cause)
            return
        sequence = self.origin.sequence if self.origin is not None else None
        self._stage.fail(NodeError.of(self.node_id, cause, during=during, sequence=sequence))
