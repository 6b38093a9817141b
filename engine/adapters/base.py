"""One node in a stage: what comes in, how it ends, and what interrupts it.

Pure: no asyncio, no clock, no thread. Source: FR-007, FR-012.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING, Any

from engine.adapters.calls import Call
from engine.adapters.emission import Emitter
from engine.context import COMPLETE, NodeContext, ParamsChange
from engine.errors import NodeError, UsageError
from engine.hot_params import changed_params
from engine.interruption import Played, older_than
from engine.outlet import PortInlet
from engine.packet import Members, Packet
from engine.steering import ENABLED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pydantic import BaseModel

    from engine.errors import RemoteMediaError
    from engine.interruption import Unwanted
    from engine.operator import Operator
    from engine.outlet import Outlet
    from engine.packet import Group
    from engine.payloads import Control
    from engine.stage import Stage
    from engine.steering import NodeState

#: A node says of so many things how much of them was played: they travel in one message.
PLAYED_MAX = 64


class OperatorAdapter(Emitter):
    """One node in a stage.

    Its subclasses differ in what they do with a packet: `SyncAdapter` and `AsyncAdapter` call
    process, `engine.reactive.adapter.RxAdapter` pushes it into a chain.

    Attributes:
        calls: open asynchronous calls, in order of arrival; the only one of a node whose process is
            synchronous is its flush.
        concurrency: how many of them may run at once.
        chooses: whether it is asked before it gets a packet.
        completed: nothing more comes out of it.
        initialized: its operator's initialize was called, so that its cleanup must be.
        is_leaf: the stage has completed only once it has.
        state: what becomes of its input, see `engine.steering`.
    """

    __slots__ = (
        "_changes",
        "_completing",
        "_joins",
        "_port_sources",
        "_received",
        "_waited_ns",
        "calls",
        "chooses",
        "completed",
        "concurrency",
        "initialized",
        "is_leaf",
        "only_sends",
        "state",
    )

    def __init__(
        self, node_id: str, operator: Operator, stage: Stage, outlet_ports: Mapping[str, str]
    ) -> None:
        """Wrap an operator.

        Args:
            node_id: the node's id.
            operator: the session's own instance.
            stage: the stage it belongs to.
            outlet_ports: output port → input port stamped on what leaves through it.
        """
        super().__init__(node_id, operator, stage, outlet_ports)
        cls = type(operator)
        self.context = NodeContext(self, stage)
        self.calls: deque[Call] = deque()
        self.concurrency = cls.concurrency
        self.chooses = cls.chooses
        self.completed = False
        self.is_leaf = False
        #: Whether all its outputs leave the stage; none feeds another node in it.
        self.only_sends = False
        self.initialized = False
        self.state: NodeState = ENABLED
        #: Changes of its params that wait until no call is open.
        self._changes: deque[ParamsChange] = deque()
        #: It has completed, but for what an interception holds.
        self._completing = False
        self._joins = cls.joins
        #: Input port → outlets and edges that feed it and have not ended.
        self._port_sources = dict.fromkeys(operator.inputs, 0)
        self._received = 0
        self._waited_ns = 0

    # --- wiring -------------------------------------------------------------------------------

    def feed(self, port: str, outlet: Outlet) -> None:
        """Connect an input port behind an outlet of the same stage."""
        outlet.connect(PortInlet(self, port, restamps=outlet.port != port))
        self.add_source(port)

    def add_source(self, port: str) -> None:
        """Count one more outlet or edge that feeds a port and will end it."""
        self._port_sources[port] = self._port_sources.get(port, 0) + 1
        if sum(self._port_sources.values()) > 1:
            self.merges()

    def merges(self) -> None:
        """Several sources feed it: their packets are counted by source from now on."""
        if self._counts is None:
            self._counts = {}
            self._sequence = -1

    def start(self) -> None:
        """Everything is connected; nothing flows yet."""

    # --- input --------------------------------------------------------------------------------

    def on_next(self, packet: Packet) -> None:
        """Take one packet; never raises."""
        raise NotImplementedError

    def on_group(self, group: Group) -> None:
        """Take a group: whole if the operator joins, else its members in port order."""
        if self._joins:
            self._take(Members({packet.port: packet for packet in group}))
        else:
            members = group.members
            for port in self.operator.inputs:
                if port in members:
                    self.on_next(members[port])

    def accepts_more(self, ports: Sequence[str]) -> bool:
        """Whether a packet from an edge that feeds these ports may be admitted now."""
        if len(self.calls) >= self.concurrency or self._changes:
            return False
        if not self.chooses or self.state != ENABLED:
            return True
        try:
            return any(self.operator.wants(port) for port in ports)
        except BaseException as error:
            self._raised(error, "wants")
            return False

    def _take(self, packet: Packet | Mapping[str, Packet]) -> None:
        """Take what process is to be called with, a group where it joins."""
        name = type(self.operator).__name__
        error = UsageError(f"{name} cannot join: it takes its packets one by one")
        self._fail(error, "process")

    def _note_input(self, packet: Packet | Mapping[str, Packet]) -> None:
        self._received += 1 if isinstance(packet, Packet) else len(packet)
        self._follow(packet)

    # --- what comes from outside process ------------------------------------------------------

    def take_posted(self, output: Any) -> None:
        """Emit what came from outside process and flush; too late once the node has completed."""
        if type(output) is ParamsChange:
            self._changes.append(output)
            self._apply_changes()
            return
        if self.completed:
            return
        if output is COMPLETE:
            self.leave()
        else:
            self.emit(output)

    def _apply_changes(self) -> None:
        """Let waiting changes of params take effect, now that no call is open."""
        while self._changes and not self.calls:
            change = self._changes.popleft()
            if self.completed:
                self.refuse(change)
            else:
                change.done(self._changed(change))

    def refuse(self, change: ParamsChange) -> None:
        """There is nothing left that it could have an effect on."""
        change.done(UsageError(f"node {self.node_id!r} has ended", node_id=self.node_id))

    def _changed(self, change: ParamsChange) -> BaseModel | RemoteMediaError:
        """The params with a change applied, or why it was not."""
        operator = self.operator
        before = operator.params
        try:
            operator.params = changed_params(operator, self.node_id, change.params)
            operator.params_changed(before, self.context)
        except KeyboardInterrupt:
            raise
        except UsageError as error:
            operator.params = before
            return error
        except BaseException as error:
            operator.params = before
            told = NodeError.of(self.node_id, error, during="params_changed")
            told.message = f"the params were not changed: {told.message}"
            return told
        params: BaseModel = operator.params
        return params

    def set_state(self, state: NodeState) -> None:
        """Say what becomes of what comes in from now on; what has been taken in goes on."""
        self.state = state

    def tell(self, control: Control) -> None:
        """Tell the operator a control message."""
        if self.completed:
            return
        try:
            self.operator.control(control, self.context)
        except BaseException as error:
            self._raised(error, "control")

    def leave(self) -> None:
        """Complete before the inputs have ended, behind what is under way, and without a flush.

        What the inputs bring from now on goes nowhere.
        """
        if not self._flushing:
            self._flushing = True
            self._stage.close_inputs_of(self)
            self._complete_if_flushed()

    def run_timer(self, callback: Callable[[], None]) -> None:
        """Run what the operator asked to be called later."""
        started = self._clock()
        try:
            callback()
        except BaseException as error:
            self._raised(error, "a call_later callback")
        finally:
            self._busy_ns += self._clock() - started

    # --- what asynchronous calls have ready ---------------------------------------------------

    @property
    def call_is_ready(self) -> bool:
        """Whether the oldest call has something to take; asked while there is one."""
        return self.calls[0].is_ready

    def take_call(self) -> None:
        """Take one item, or the result, of the oldest call."""
        call = self.calls[0]
        self._stage.ticket = call.ticket
        if call.packet is not None:
            self._follow(call.packet)
        now = self._clock()
        self._waited_ns += now - call.started_ns
        call.started_ns = now
        if call.items:
            self.emit(call.take_item())
            return
        self.calls.popleft()
        if not self.calls:
            self._stage.calls_changed()
        if call.error is not None:
            self._fail(call.error, self._doing)
        else:
            self._emit_result(call.result)
        self._start_next()
        call.ticket.settle_one()
        self._apply_changes()
        if self._flushing:
            self._complete_if_flushed()
        elif not self.calls and not any(self._port_sources.values()):
            self._stage.request_flush(self)

    def _start_next(self) -> None:
        """A call has ended: start the one that waited for its place, if one did."""

    @property
    def inputs_ended(self) -> bool:
        """Whether all that feeds it has ended."""
        return not any(self._port_sources.values())

    @property
    def takes_no_more(self) -> bool:
        """Whether it has left, or is flushed."""
        return self._flushing or self.completed

    # --- the end ------------------------------------------------------------------------------

    def end_of(self, port: str) -> None:
        """One of a port's sources has ended; when all of all ports have, the node is flushed."""
        self._port_sources[port] -= 1
        if not self._port_sources[port]:
            self._tell_end(port)
        if not any(self._port_sources.values()) and not self.calls:
            self._stage.request_flush(self)

    def _tell_end(self, port: str) -> None:
        try:
            self.operator.input_ended(port, self.context)
        except BaseException as error:
            self._raised(error, "input_ended")

    def run_flush(self) -> None:
        """Flush the operator, then complete its outlets; once, and not if it has left."""
        if self._flushing:
            return
        self._flushing = True
        started = self._clock()
        try:
            result: Any = self.operator.flush(self.context)
        except BaseException as error:
            self._raised(error, "flush")
            return
        finally:
            self._busy_ns += self._clock() - started
        if isinstance(result, Awaitable | AsyncIterator):
            self._open_call(None).spawn(result, self._stage.host, self.context.logger)
        else:
            self._emit_result(result)
            self._complete_if_flushed()

    def _open_call(self, packet: Packet | Mapping[str, Packet] | None) -> Call:
        call = Call(packet, self._stage.ticket)
        call.ticket.pending += 1
        self.calls.append(call)
        if len(self.calls) == 1:
            self._stage.calls_changed()
        return call

    def _complete_if_flushed(self) -> None:
        if self._flushing and self._open is None and not self.calls and not self.completed:
            self.complete()

    def complete(self) -> None:
        """Nothing more comes out of this node."""
        if self.completed or self._stage.done:
            return
        if self._stage.is_held_back(self):
            self._completing = True
            return
        self.completed = True
        self._stage.cancel_timers(self)
        for outlet in self.outlets.values():
            outlet.complete()
        self._stage.end_gates_of(self)
        if self.is_leaf:
            self._stage.leaf_completed()

    def nothing_held(self) -> None:
        """An interception has let all it held pass."""
        if self._completing:
            self.complete()

    # --- interruption -------------------------------------------------------------------------

    def played(self) -> tuple[Played, ...]:
        """What the operator says it is playing; of very much the newest."""
        try:
            playing = tuple(self.operator.played())[-PLAYED_MAX:]
            for each in playing:
                if not isinstance(each, Played):
                    raise TypeError(f"played gives Played, not {type(each).__name__}")
        except BaseException as error:
            self._raised(error, "played")
            return ()
        return playing

    def interrupt(self) -> int:
        """Forget what is stale: iterators, calls, held state; how many of the first two."""
        dropped = self.discard(older_than(self.stale_below), flush=True)
        self.carry_on()
        try:
            self.operator.reset(self.context)
        except BaseException as error:
            self._raised(error, "reset")
            return dropped
        self.go_on()
        return dropped

    def go_on(self) -> None:
        """Do what waited for something that was dropped: a change of params, a call, the end."""
        self._apply_changes()
        if not self._stage.is_held_back(self):
            self.nothing_held()
        if self._flushing:
            self._complete_if_flushed()
        elif self.inputs_ended and not self.calls and not self.completed:
            self._stage.request_flush(self)

    def carry_on(self) -> None:
        """Go on as before; what comes out from now on is of the stage's generation."""
        if self.origin is not None:
            self.origin = self.origin.with_generation(self._stage.generation)

    def abandon(self) -> None:
        """Close iterators and cancel calls; their tickets settle, so that the credits return."""
        self._abandon_result()
        self._abandon_calls(self.calls)
        while self._changes:
            self.refuse(self._changes.popleft())

    def discard(self, unwanted: Unwanted, *, flush: bool) -> int:
        """Abandon what descends from packets that are not wanted any more.

        Args:
            unwanted: says of a packet whether it is not.
            flush: whether what a flush gives, which descends from no packet alone, goes as well.

        Returns:
            How many iterators and calls that were.
        """
        calls = [
            call for call in self.calls if (flush if call.origin is None else unwanted(call.origin))
        ]
        self._abandon_calls(calls)
        if self._open is None or (self._flushing and not flush):
            return len(calls)
        origin = self.origin
        if not (flush if origin is None else unwanted(origin)):
            return len(calls)
        self._abandon_result()
        return len(calls) + 1

    def _abandon_calls(self, calls: Iterable[Call]) -> None:
        abandoned = list(calls)
        self.calls = deque(call for call in self.calls if call not in abandoned)
        for call in abandoned:
            call.abandon()
        if abandoned:
            self._stage.calls_changed()

    def _suspend(self, iterator: Iterator[Any], *, pulled: bool) -> None:
        self._open = (iterator, pulled, self._stage.ticket)
        self._stage.suspend(self)

    def counts(self) -> tuple[int, int, int, int]:
        """What the node has counted, in the order of `NodeStatistics`."""
        return self._received, self._emitted, self._busy_ns, self._waited_ns


def handed_on(item: Packet | Mapping[str, Packet], _: Any = None) -> Packet | list[Packet]:
    """What comes of an input that is not processed but handed on; a group becomes its members."""
    return item if isinstance(item, Packet) else list(item.values())
