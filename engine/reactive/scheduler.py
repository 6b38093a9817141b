"""reactivex's clock inside a stage: immediate work on the trampoline, timed work in its heap.

No thread, ever. What is due runs as a turn of the stage and on the stage's clock, which stands
still while the stage waits for credits, and is virtual in tests.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from reactivex.disposable import Disposable, SingleAssignmentDisposable
from reactivex.internal.constants import UTC_ZERO
from reactivex.scheduler import CurrentThreadScheduler
from reactivex.scheduler.periodicscheduler import PeriodicScheduler

if TYPE_CHECKING:
    from datetime import datetime

    from reactivex import abc, typing
    from reactivex.scheduler.trampoline import Trampoline

    from engine.adapters import OperatorAdapter
    from engine.stage import Stage

State = TypeVar("State")


class _Immediate(CurrentThreadScheduler):
    """The thread's own trampoline, by a clock that stands: a wall clock set back made it sleep."""

    @property
    def now(self) -> datetime:
        return UTC_ZERO

    def get_trampoline(self) -> Trampoline:
        return CurrentThreadScheduler.singleton().get_trampoline()


_IMMEDIATE = _Immediate()


class StageScheduler(PeriodicScheduler):
    """The scheduler of one node, so that what its timers do is put down to that node."""

    def __init__(self, stage: Stage, adapter: OperatorAdapter) -> None:
        super().__init__()
        self._stage = stage
        self._adapter = adapter

    @property
    def now(self) -> datetime:
        """The stage's clock as a date, of which only differences mean anything."""
        return UTC_ZERO + timedelta(microseconds=self._stage.clock_ns() // 1000)

    def schedule(
        self, action: abc.ScheduledAction[State], state: State | None = None
    ) -> abc.DisposableBase:
        """Run an action now, behind what the trampoline holds already."""

        def run(_: abc.SchedulerBase, state: State | None = None) -> abc.DisposableBase:
            return self.invoke_action(action, state)

        return _IMMEDIATE.schedule(run, state)

    def schedule_relative(
        self,
        duetime: typing.RelativeTime,
        action: abc.ScheduledAction[State],
        state: State | None = None,
    ) -> abc.DisposableBase:
        """Run an action after a while, as a turn of its own even if the while is none."""
        result = SingleAssignmentDisposable()

        def run() -> None:
            result.disposable = self.invoke_action(action, state)

        delay_ns = round(self.to_seconds(duetime) * 1e9)
        cancel = self._stage.call_later(self._adapter, delay_ns, run)

        def dispose() -> None:
            cancel()
            result.dispose()

        return Disposable(dispose)

    def schedule_absolute(
        self,
        duetime: typing.AbsoluteTime,
        action: abc.ScheduledAction[State],
        state: State | None = None,
    ) -> abc.DisposableBase:
        """Run an action at a time of the stage's clock."""
        return self.schedule_relative(self.to_datetime(duetime) - self.now, action, state)
