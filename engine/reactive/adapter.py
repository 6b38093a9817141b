"""Lifts a chain of reactivex operators into a stage, as a node of its own.

Pure: no asyncio, no clock, no thread. The chain is subscribed on the stage's scheduler when the
stage starts, and anew after an interrupt. What it emits within a turn is pushed, other is posted.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from reactivex import Observable

from engine.adapters import OperatorAdapter
from engine.context import ParamsChange
from engine.operator import Operator
from engine.outlet import Outlet
from engine.packet import Source
from engine.reactive.scheduler import StageScheduler
from engine.reactive.threads import is_timer_thread
from engine.reactive.values import OUTPUT_TYPES, not_an_item
from engine.steering import BYPASS, ENABLED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reactivex.abc import DisposableBase

    from engine.operator import Output
    from engine.packet import Packet
    from engine.stage import Stage

_LOST_CLOCK = (
    "the chain emits from a timer thread of reactivex: one of its operators has lost the session's"
    " clock. do_after_next and auto_connect drop it (do_action and share keep it); so does a"
    " TimeoutScheduler given to a time operator, which needs no scheduler here"
)


class RxAdapter(OperatorAdapter):
    """A node that is a chain: one inlet per input port, each completed when its port has ended.

    It completes when the chain does, early or some time after its inputs. A packet counts as
    consumed when the push returns, whatever the chain holds.
    """

    operator: RxOperator

    def __init__(
        self, node_id: str, operator: Operator, stage: Stage, outlet_ports: Mapping[str, str]
    ) -> None:
        super().__init__(node_id, operator, stage, outlet_ports)
        self._scheduler = StageScheduler(stage, self)
        self._inlets: dict[str, Outlet] = {}
        #: Ports that have ended and whose inlets are completed in turns to come, then those whose
        #: inlets were: in the order in which they ended.
        self._ending: deque[str] = deque()
        self._ended: list[str] = []
        self._subscription: DisposableBase | None = None

    def start(self) -> None:
        for port in self.operator.inputs:
            if not self._port_sources[port]:  # nothing leads to it, so that nothing will end it
                self._ended.append(port)
        self._stage.post(self, _Notice(self._subscribe))

    def on_next(self, packet: Packet) -> None:
        if self.completed:
            return
        self._note_input(packet)
        if self.state != ENABLED:
            if self.state == BYPASS:
                self.emit(packet)
            return
        if not self.operator.holds_nothing:
            packet = packet.keep()
        started = self._clock()
        try:
            self._inlets[packet.port].push(packet)
        except BaseException as error:
            self._raised(error, self._doing)
        finally:
            self._busy_ns += self._clock() - started

    def end_of(self, port: str) -> None:
        self._port_sources[port] -= 1
        if not self._port_sources[port]:
            self._ending.append(port)
            self._stage.request_flush(self)

    def run_flush(self) -> None:
        """Complete the inlet of the port that ended first; the next one in a turn of its own."""
        if not self._ending:
            return
        port = self._ending.popleft()
        self._ended.append(port)
        self._flushing = not any(self._port_sources.values())
        if self._ending:
            self._stage.request_flush(self)
        self._complete_inlet(port)

    def take_posted(self, output: Any) -> None:
        if type(output) is ParamsChange:
            super().take_posted(output)
        elif type(output) is not _Notice:
            self._take_output(output)
        elif not self.completed:
            output.act()

    def complete(self) -> None:
        super().complete()
        self._dispose()

    def interrupt(self) -> int:
        """Subscribe anew: what the chain holds is forgotten, but not which inputs have ended."""
        self._dispose()
        dropped = super().interrupt()
        if not self.completed and not self._stage.done:
            self._subscribe()
        return dropped

    def abandon(self) -> None:
        super().abandon()
        self._dispose()

    def _complete_if_flushed(self) -> None:
        """The chain says when it has completed."""

    def _subscribe(self) -> None:
        """Subscribe to a new chain, behind new inlets of which those that have ended complete."""
        self._inlets = {port: Outlet(Source(self.node_id, ""), "") for port in self.operator.inputs}
        self._guard(self._subscribe_chain)
        for port in self._ended:
            self._complete_inlet(port)

    def _subscribe_chain(self) -> None:
        chain = self.operator.chain(*self._inlets.values())
        if not isinstance(chain, Observable):
            name = f"{type(self.operator).__name__}.chain"
            raise TypeError(f"{name} must return an observable, not {type(chain).__name__}")
        subscription = chain.subscribe(
            on_next=self._on_output,
            on_error=self._on_error,
            on_completed=self._on_completed,
            scheduler=self._scheduler,
        )
        if self.completed or self._stage.done:  # while it was subscribed
            subscription.dispose()
        else:
            self._subscription = subscription

    def _complete_inlet(self, port: str) -> None:
        inlet = self._inlets.get(port)  # a node without input ports is told its end, and has none
        if inlet is not None and not self.completed:
            self._guard(inlet.complete)

    def _dispose(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.dispose()

    def _on_output(self, output: Output) -> None:
        if self._stage.running:
            started = self._clock()
            self._take_output(output)
            self._busy_ns -= self._clock() - started  # those behind were busy, not the chain
        elif is_timer_thread():
            self._stage.post(self, _Notice(self._lost_clock))
        else:
            self._stage.post(self, output)

    def _take_output(self, output: Any) -> None:
        if type(output) in OUTPUT_TYPES or self.completed:
            super().take_posted(output)
        else:
            self._fail(TypeError(not_an_item(output)), self._doing)

    def _on_completed(self) -> None:
        self._act(self.complete)

    def _on_error(self, error: Exception) -> None:
        self._act(lambda: self._fail(error, self._doing))

    def _act(self, act: Callable[[], None]) -> None:
        """Do it in a turn: in this one, or in one of its own behind what was posted before."""
        if self._stage.running:
            act()
        else:
            self._stage.post(self, _Notice(self._lost_clock if is_timer_thread() else act))

    def _lost_clock(self) -> None:
        """An operator of the chain does not run on the stage's clock; nothing it says counts."""
        self._fail(RuntimeError(_LOST_CLOCK), self._doing)

    def _guard(self, act: Callable[[], None]) -> None:
        started = self._clock()
        try:
            act()
        except BaseException as error:
            self._raised(error, self._doing)
        finally:
            self._busy_ns += self._clock() - started


@dataclass(frozen=True, slots=True)
class _Notice:
    """Something an adapter posts to itself."""

    act: Callable[[], None]


class RxOperator(Operator):
    """A node that is a chain of reactivex operators: packets in, payloads or packets out.

    A chain may emit from another thread (`observe_on` as its last operator), not use time there.
    """

    stage_adapter: ClassVar[type[OperatorAdapter]] = RxAdapter
    #: Whether the chain holds no packet beyond its push (map, filter, take …). Otherwise what lies
    #: in shared memory is copied first: a held packet would keep its place there.
    holds_nothing: bool = False

    def chain(self, *inlets: Observable[Packet]) -> Observable[Output]:
        """Build the chain; called when the stage starts and after each interrupt.

        Args:
            inlets: one per input port, in the order of `inputs`; each completes when its port has
                ended, at once where nothing leads to it.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define chain")
