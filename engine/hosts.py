"""Drives a stage from an asyncio loop.

The same host serves the session's own loop and a worker's; `engine.testing` has one on virtual
time.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

from engine.clock import REAL_CLOCK, clock_of
from engine.errors import RemoteMediaError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from engine.clock import Clock
    from engine.interruption import Settlement
    from engine.payloads import Control
    from engine.stage import Stage

logger = logging.getLogger("remotemedia.stage")


class AsyncioGate:
    """See `engine.stage_host.Gate`."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def open(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        """Wait until it is opened; a cancelled wait leaves it as it is."""
        await self._event.wait()
        self._event.clear()


class AsyncioHost:
    """Runs a stage's turns as callbacks of the running loop: no task or future per packet."""

    def __init__(self, on_finished: Callable[[Stage], None]) -> None:
        """Prepare to host a stage on the running loop.

        Args:
            on_finished: called once, when the stage is done.
        """
        #: Called when an interrupt has been applied.
        self.on_interrupted: Callable[[Stage, Settlement], None] | None = None
        #: Called when a node has something to say to all behind it.
        self.on_control: Callable[[str, Control], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._on_finished = on_finished
        self._stage: Stage | None = None
        self._scheduled = False
        self._started = False
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.get_ident()
        self.now_ns: Clock = clock_of(self._loop)
        #: On a real loop a microsecond late rather than early: an early call would find no timer
        #: due and arm it again. Virtual time is exact.
        self._late_s = 1e-6 if self.now_ns is REAL_CLOCK else 0.0

    def start(self, stage: Stage) -> None:
        """Begin to run a stage, now that its operators are initialized."""
        self._stage = stage
        self._started = True
        watch = getattr(self._loop, "watch", None)
        if watch is not None:  # a loop on virtual time says what its stages wait for
            watch(stage)
        self.wake()

    def wake(self) -> None:
        if not self._scheduled and self._started:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def run_now(self) -> None:
        # One callback less on the way of each packet: 7 % of a hop between two processes.
        if self._started:
            self._turn()

    def wake_threadsafe(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self.wake)
        except RuntimeError:  # the loop is closed: nobody is left to be woken
            logger.debug("wake_after_close")

    def in_thread(self) -> bool:
        return threading.get_ident() == self._thread

    def gate(self) -> AsyncioGate:
        return AsyncioGate()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> Callable[[], None]:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task.cancel  # type: ignore[return-value]

    def finished(self, stage: Stage) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._on_finished(stage)

    def interrupted(self, stage: Stage, settlement: Settlement) -> None:
        if self.on_interrupted is not None:
            self.on_interrupted(stage, settlement)

    def controlled(self, stage: Stage, node_id: str, control: Control) -> None:
        if self.on_control is None:
            return
        if self.in_thread():
            self.on_control(node_id, control)
            return
        try:
            self._loop.call_soon_threadsafe(self.on_control, node_id, control)
        except RuntimeError:  # the loop is closed: nobody is left to be told
            logger.debug("control_after_close")

    @property
    def busy(self) -> bool:
        """Whether a task that the stage spawned has not ended."""
        return bool(self._tasks)

    async def join(self) -> None:
        """Wait until every task the stage spawned has ended; cancels them first."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _turn(self) -> None:
        self._scheduled = False  # what was scheduled meanwhile finds nothing to do
        stage = self._stage
        assert stage is not None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if stage.done:  # its edges may have been disposed of
            return
        try:
            more = stage.run()
            stage.flush()
        except (Exception, asyncio.CancelledError) as error:  # or it would stall in silence
            logger.exception("turn_raised", extra={"stage": stage.id})
            stage.fail(RemoteMediaError(f"stage {stage.id!r} broke: {error!r}", stage=stage.id))
            return
        if more:
            self.wake()
            return
        due_ns = stage.next_due_ns()
        if due_ns is not None:
            self._timer = self._loop.call_at(due_ns / 1e9 + self._late_s, self.wake)
