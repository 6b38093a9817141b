"""Virtual time: a host for a stage, and an asyncio loop, that never wait.

Time moves when a test says so (`VirtualHost`), or jumps to the next timer as soon as nothing else
is left to do (`VirtualLoop`). It is exact to the nanosecond. What would hang is an error at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from engine.testing.waits import describe_waits

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from engine.interruption import Settlement
    from engine.payloads import Control
    from engine.stage import Stage
    from engine.stage_host import Gate

T = TypeVar("T")

#: A stage that wants to be run more often than this without time moving is in an endless loop.
RUNS_MAX = 1_000_000
#: Real time a loop gives a thread of `run_in_executor` to answer; its clock stands meanwhile.
THREAD_PATIENCE_S = 60.0


class HangError(AssertionError):
    """Nothing is ready and nothing is scheduled: what is waited for can never happen."""


class VirtualHost:
    """Hosts one stage on a clock that moves only by `advance` and `spend`; see `StageHost`.

    For synchronous operators; coroutines need a loop: `AsyncioHost` on a `VirtualLoop`.

    Attributes:
        stage: the stage that is hosted, once it was started.
        finished_count: how many times the stage said that it was done; 1 at the end.
        longest_run_ns: the longest time one run of the stage took on the virtual clock.
        between: called where the stage has come to rest, before time moves on; whether it has moved
            anything on the stage's edges.
    """

    def __init__(
        self, start_ns: int = 0, on_finished: Callable[[Stage], None] | None = None
    ) -> None:
        """Make a host whose clock shows `start_ns`; `on_finished` hears when the stage is done."""
        self._on_finished = on_finished
        self.stage: Stage | None = None
        self.finished_count = 0
        self.longest_run_ns = 0
        self.between: Callable[[], bool] | None = None
        self._now_ns = start_ns
        self._woken = False
        self._thread = threading.get_ident()

    def start(self, stage: Stage) -> None:
        """Begin to host a stage; it runs at the next `run_until_idle` or `advance`."""
        self.stage = stage
        self._woken = True

    # --- driven by the test ---------------------------------------------------------------------

    def run_until_idle(self) -> None:
        """Run the stage until it waits for packets, credits or time.

        Raises:
            HangError: it never does.
        """
        stage = self.stage
        if stage is None:
            return
        for _ in range(RUNS_MAX):
            if not self._woken:
                if self.between is None or not self.between():
                    return
                continue
            self._woken = False
            started_ns = self._now_ns
            more = stage.run()
            stage.flush()
            self.longest_run_ns = max(self.longest_run_ns, self._now_ns - started_ns)
            self._woken = self._woken or more
        raise HangError(f"stage {stage.id!r} is not idle after {RUNS_MAX} runs")

    def advance(self, seconds: float) -> None:
        """Let time pass; the stage runs at each instant at which one of its timers is due."""
        target_ns = self._now_ns + round(seconds * 1e9)
        self.run_until_idle()
        while True:
            due_ns = None if self.stage is None else self.stage.next_due_ns()
            if due_ns is None or due_ns > target_ns:
                break
            self._now_ns = max(self._now_ns, due_ns)
            self._woken = True
            self.run_until_idle()
        self._now_ns = target_ns
        self._woken = True
        self.run_until_idle()

    def spend(self, seconds: float) -> None:
        """Let time pass without running anything, as an operator that computes for so long does."""
        self._now_ns += round(seconds * 1e9)

    # --- what a stage needs ---------------------------------------------------------------------

    def now_ns(self) -> int:
        return self._now_ns

    def wake(self) -> None:
        self._woken = True

    def run_now(self) -> None:
        self._woken = True

    def wake_threadsafe(self) -> None:
        self._woken = True

    def in_thread(self) -> bool:
        return threading.get_ident() == self._thread

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> Callable[[], None]:
        coroutine.close()
        raise self._no_loop()

    def gate(self) -> Gate:
        raise self._no_loop()

    def interrupted(self, stage: Stage, settlement: Settlement) -> None:
        """Nobody asks here."""

    def controlled(self, stage: Stage, node_id: str, control: Control) -> None:
        """Nobody is behind the stage here."""

    def finished(self, stage: Stage) -> None:
        self.finished_count += 1
        if self._on_finished is not None:
            self._on_finished(stage)

    def _no_loop(self) -> RuntimeError:
        if self.stage is not None:
            self.stage.cancel()  # so that what can never run is closed
        return RuntimeError("a coroutine needs a loop: run the test by run_virtual()")


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose clock jumps to the next timer when nothing is ready.

    `asyncio.sleep(60)` takes no time, and a wait for what nobody will ever do raises `HangError`
    out of the loop. Sockets are polled, never waited for. Its clock stands while a thread of
    `asyncio.to_thread` works; do not wait for other threads, or for processes.
    """

    def __init__(self, start_ns: int = 0) -> None:
        """Make a loop whose clock shows `start_ns`."""
        self._now_ns = start_ns
        self._in_threads = 0
        self._stages: list[Stage] = []
        super().__init__(_JumpingSelector(self))

    def now_ns(self) -> int:
        """The clock in nanoseconds; sessions and stages on this loop take their time from here."""
        return self._now_ns

    def time(self) -> float:
        """The clock in seconds."""
        return self._now_ns / 1e9

    def jump(self, seconds: float) -> None:
        """Move the clock forward, by a nanosecond at least.

        It lands on whole nanoseconds of the clock, not of the wait: so what was asked for at 0.3 s
        comes at 0.3 s, whatever floats made of the difference.
        """
        self._now_ns = max(self._now_ns + 1, round((self.time() + seconds) * 1e9))

    def watch(self, stage: Stage) -> None:
        """Say in a `HangError` what this stage waits for, too; its host calls this."""
        self._stages = [other for other in self._stages if not other.done]
        self._stages.append(stage)

    def describe_waiting(self) -> str:
        """What every unfinished task and every running stage waits for."""
        return describe_waits(self, self._stages)

    # --- threads --------------------------------------------------------------------------------

    @property
    def in_threads(self) -> bool:
        """Whether a thread works for somebody on this loop."""
        return self._in_threads > 0

    def run_in_executor(  # type: ignore[override] # its own arguments differ between versions
        self, executor: Any, func: Any, *args: Any
    ) -> asyncio.Future[Any]:
        """See `asyncio.loop.run_in_executor`."""
        future = super().run_in_executor(executor, func, *args)
        self._in_threads += 1
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self, *args: Any) -> None:
        """See `asyncio.loop.shutdown_default_executor`."""
        self._in_threads += 1
        try:
            await super().shutdown_default_executor(*args)
        finally:
            self._in_threads -= 1

    def _thread_done(self, _: asyncio.Future[Any]) -> None:
        self._in_threads -= 1


class _JumpingSelector(selectors.DefaultSelector):
    """Where a loop would wait, its clock jumps instead."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or timeout == 0:
            return events
        if self._loop.in_threads:
            return self._wait_for_thread()
        if timeout is None:
            raise HangError(
                f"at {self._loop.time():g} s of virtual time nothing is ready and nothing is"
                f" scheduled:\n{self._loop.describe_waiting()}"
            )
        self._loop.jump(timeout)
        return events

    def _wait_for_thread(self) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(THREAD_PATIENCE_S)
        if not events:
            raise HangError(
                f"a thread has not answered within {THREAD_PATIENCE_S:g} s of real time:\n"
                f"{self._loop.describe_waiting()}"
            )
        return events


@contextlib.contextmanager
def virtual_loop(start_ns: int = 0) -> Iterator[VirtualLoop]:
    """A loop on virtual time; behind it, its tasks are cancelled and it is closed."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(start_ns)) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        yield loop


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on a loop on virtual time; `asyncio.run` without the waiting.

    Whole sessions run on it too, as long as all their nodes are local.

    Raises:
        HangError: it waits for what can never happen; says who waits for what.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
