"""What Ctrl-C and SIGTERM do: once drains, twice ends at once. Source: FR-008, US1.

Python-level handlers rather than the loop's own: an operator that keeps the loop busy must not keep
the second Ctrl-C from being heard.

    first     `drain` on the loop
    second    `kill` on the loop; if the loop does not answer, or the end takes too long, the
              process is ended where it stands, and its workers end with it
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING, Any, Final, Self

from remotemedia.cli.exits import SIGNALLED

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
#: How long the loop gets to answer a second signal.
_ANSWER_S: Final = 1.0


class Interrupts:
    """Listens to SIGINT and SIGTERM while a loop runs; a context manager, entered on the loop.

    Attributes:
        name: the last signal that came, "SIGINT" or "SIGTERM"; "" before any.
        killed: whether a second one came.
    """

    def __init__(
        self, drain: Callable[[], None], kill: Callable[[], None], end_timeout_s: float
    ) -> None:
        """Prepare; nothing is listened to yet.

        Args:
            drain: called on the loop at the first signal.
            kill: called on the loop at the second.
            end_timeout_s: how long the end may take after `kill`.
        """
        self.name = ""
        self.killed = False
        self._number = 0
        self._drain = drain
        self._kill = kill
        self._end_timeout_s = end_timeout_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._before: dict[int, Any] = {}
        self._answered = threading.Event()
        self._over = threading.Event()

    @property
    def exit_code(self) -> int:
        """What a process that was ended by the last signal exits with."""
        return SIGNALLED + self._number

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.killed and self._before:
            # The interpreter's own end takes a moment, and a third signal would end it with
            # another exit code. Ignored is the only handler that Python leaves in place then;
            # `_watch` bounds it.
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _handle(self, number: int, _frame: object) -> None:
        assert self._loop is not None
        first = not self.name
        self._number = number
        self.name = signal.Signals(number).name
        with contextlib.suppress(RuntimeError):  # the loop has just ended
            if first:
                self._loop.call_soon_threadsafe(self._drain)
                return
            if not self.killed:
                self.killed = True
                self._loop.call_soon_threadsafe(self._answer)
                threading.Thread(target=self._watch, name="remotemedia-end", daemon=True).start()

    def _answer(self) -> None:
        self._answered.set()
        self._kill()

    def _watch(self) -> None:
        if self._answered.wait(_ANSWER_S) and self._over.wait(self._end_timeout_s):
            threading.Event().wait(self._end_timeout_s)  # the process ends before, or is ended
        os.write(2, b"killed\n")
        # Workers notice that we are gone, and end.
        os._exit(self.exit_code)
