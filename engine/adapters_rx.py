"""Lifts a chain of reactivex operators into a stage, as a node of its own.

Pure: no asyncio, no clock, no thread. The chain is subscribed on the stage's scheduler when the
stage starts, and anew after an interrupt. What it emits within a turn is pushed, other is posted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from engine.adapters import OPERATOR_ERRORS, OperatorAdapter
from engine.operator import Operator
from engine.outlet import Outlet
from engine.packet import Source
from engine.scheduler import StageScheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reactivex import Observable
    from reactivex.abc import DisposableBase

    from engine.operator import Output
    from engine.packet import Packet
    from engine.stage import Stage


class RxAdapter(OperatorAdapter):
    """A node that is a chain. It completes when the chain does, early or some time after its input.

    A packet counts as consumed when the push returns, whatever the chain holds.
    """

    operator: RxOperator

    def __init__(
        self, node_id: str, operator: Operator, stage: Stage, outlet_ports: Mapping[str, str]
    ) -> None:
        super().__init__(node_id, operator, stage, outlet_ports)
        self._scheduler = StageScheduler(stage, self)
        self._inlet = Outlet(Source(node_id, ""), "")
        self._subscription: DisposableBase | None = None

    def start(self) -> None:
        self._stage.post(self, _Notice(self._subscribe))

    def on_next(self, packet: Packet) -> None:
        if self.completed:
            return
        self._note_input(packet)
        self._guard(lambda: self._inlet.push(packet))

    def run_flush(self) -> None:
        self._flushing = True
        self._guard(self._inlet.complete)

    def take_posted(self, output: Any) -> None:
        if type(output) is not _Notice:
            super().take_posted(output)
        elif not self.completed:
            output.act()

    def complete(self) -> None:
        super().complete()
        self._dispose()

    def interrupt(self) -> None:
        """Subscribe anew: what the chain holds is forgotten, but not the end of its input."""
        super().interrupt()
        if not self.completed and not self._stage.done:
            self._inlet = Outlet(self._inlet.source, "")
            self._subscribe()
            if self._flushing:
                self._guard(self._inlet.complete)

    def abandon(self) -> None:
        super().abandon()
        self._dispose()

    def _complete_if_flushed(self) -> None:
        """The chain says when it has completed."""

    def _subscribe(self) -> None:
        def subscribe() -> None:
            chain = self.operator.chain(self._inlet)
            self._subscription = chain.subscribe(
                on_next=self._on_output,
                on_error=self._on_error,
                on_completed=self._on_completed,
                scheduler=self._scheduler,
            )
            if self.completed:  # while it was subscribed
                self._dispose()

        self._guard(subscribe)

    def _dispose(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.dispose()

    def _on_output(self, output: Output) -> None:
        if self._stage.running:
            started = self._clock()
            super().take_posted(output)
            self._busy_ns -= self._clock() - started  # those behind were busy, not the chain
        else:
            self._stage.post(self, output)

    def _on_completed(self) -> None:
        self._act(self.complete)

    def _on_error(self, error: Exception) -> None:
        self._act(lambda: self._fail(error, self._doing))

    def _act(self, act: Callable[[], None]) -> None:
        """Do it in a turn: in this one, or in one of its own behind what was posted before."""
        if self._stage.running:
            act()
        else:
            self._stage.post(self, _Notice(act))

    def _guard(self, act: Callable[[], None]) -> None:
        started = self._clock()
        try:
            act()
        except OPERATOR_ERRORS as error:
            self._fail(error, self._doing)
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

    def chain(self, packets: Observable[Packet]) -> Observable[Output]:
        """Build the chain; called when the stage starts and after each interrupt."""
        raise NotImplementedError(f"{type(self).__name__} does not define chain")
