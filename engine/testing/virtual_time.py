"""Virtual time as something to hold: run, let pass, play; what the pytest fixture gives.

with VirtualTime() as time:
    session = time.run(pipeline.session().__aenter__())
    time.advance(60)
    assert time.now_s == 60
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self, TypeVar

from engine.testing.play import play
from engine.testing.virtual import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

    from engine.testing.play import Playable, Reader
    from engine.testing.recording import Recording
    from engine.testing.script import Script

T = TypeVar("T")


class VirtualTime:
    """A loop on virtual time that a synchronous test drives. Use it as a context manager.

    Its clock begins at 0 and goes on from one call to the next; between calls it stands.
    """

    def __init__(self) -> None:
        """Prepare; the loop is made when it is first needed."""
        self._runner = asyncio.Runner(loop_factory=VirtualLoop)
        self._started: list[asyncio.Task[Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def loop(self) -> VirtualLoop:
        """The loop."""
        loop = self._runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        return loop

    @property
    def now_ns(self) -> int:
        """The clock, in nanoseconds."""
        return self.loop.now_ns()

    @property
    def now_s(self) -> float:
        """The clock, in seconds."""
        return self.loop.time()

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end; time jumps wherever it would be waited for.

        Raises:
            HangError: it waits for what can never happen; says who waits for what.
            Exception: what it raises, or what a coroutine that was started has raised meanwhile.
        """
        result = self._runner.run(main)
        self._raise_failed()
        return result

    def start(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin a coroutine; it goes on during `run`, `advance` and `play`, and ends at `close`."""
        task = self.loop.create_task(coroutine)
        self._started.append(task)
        return task

    def advance(self, seconds: float) -> None:
        """Let time pass for what was started.

        Raises:
            Exception: what a coroutine that was started has raised.
        """
        self.run(asyncio.sleep(seconds))

    def play(
        self,
        target: Playable,
        script: Script,
        *,
        reader: Reader | None = None,
        until_s: float | None = None,
        record_errors: bool = False,
    ) -> Recording:
        """Run a session, do what a script says, and record; see `engine.testing.play`.

        Raises:
            HangError: the session waits for what can never happen.
            UsageError: the script cannot be played.
            RemoteMediaError: the session failed.
        """
        performance = play(
            target, script, reader=reader, until_s=until_s, record_errors=record_errors
        )
        return self.run(performance)

    def close(self) -> None:
        """Cancel what was started and close the loop. A second call does nothing."""
        self._runner.close()

    def _raise_failed(self) -> None:
        done = [task for task in self._started if task.done()]
        self._started = [task for task in self._started if not task.done()]
        for task in done:
            if not task.cancelled():
                task.result()
