"""What workers print, read from their pipes, kept, and forwarded to the log.

For the service's thread; only `last_lines` is for others. Source: FR-010.
"""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any, Final

from engine.workers.output import LineCutter, LogBudget, new_tail, to_text

if TYPE_CHECKING:
    from collections import deque

#: Read from one pipe before others get their turn; what a pipe holds at most, by default.
CHUNK_BYTES: Final = 64 * 1024
#: F_SETPIPE_SZ makes pipes of 1 MiB, by default at most.
CHUNKS_WAITING_MAX: Final = 16

_log = logging.getLogger("remotemedia.worker")


class OutputPipe:
    """The reading end of a pipe.

    Args:
        name: "stdout", "stderr", …
        fd: the end; owned from now on.
        kept: where its last lines go.
    """

    def __init__(self, name: str, fd: int, kept: deque[bytes]) -> None:
        os.set_blocking(fd, False)
        self.name = name
        self.fd = fd
        self.cutter = LineCutter(kept)

    def read(self) -> bytes | None:
        """What is there, at most a chunk; None if nothing is; b"" at the end, or once closed."""
        if self.fd < 0:
            return b""
        try:
            return os.read(self.fd, CHUNK_BYTES)
        except BlockingIOError:
            return None

    def close(self) -> None:
        """Close the descriptor; idempotent."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class WorkerOutput:
    """Both pipes of a worker.

    Args:
        stdout_fd: reading end; owned from now on.
        stderr_fd: the same.
        facts: what log records carry besides the line.

    Attributes:
        pipes: both.
        facts: as given; may grow.
    """

    def __init__(self, stdout_fd: int, stderr_fd: int, facts: dict[str, Any]) -> None:
        self.facts = facts
        self._kept: deque[bytes] = new_tail()
        self._budget = LogBudget()
        self.pipes = (
            OutputPipe("stdout", stdout_fd, self._kept),
            OutputPipe("stderr", stderr_fd, self._kept),
        )

    def read(self, pipe: OutputPipe) -> bool:
        """Take one chunk from a pipe; False once its end was met."""
        chunk = pipe.read()
        if chunk:
            self._log_lines(pipe, pipe.cutter.feed(chunk))
        return chunk != b""

    def read_waiting(self) -> None:
        """Take what lies in the pipes now."""
        for pipe in self.pipes:
            # No more than pipes hold: descendants may have the other end, and go on.
            for _ in range(CHUNKS_WAITING_MAX):
                chunk = pipe.read()
                if not chunk:
                    break
                self._log_lines(pipe, pipe.cutter.feed(chunk))

    def finish(self) -> None:
        """Take what lies in the pipes, and what has no newline as a line."""
        self.read_waiting()
        for pipe in self.pipes:
            self._log_lines(pipe, pipe.cutter.finish())
        suppressed = self._budget.finish()
        if suppressed:
            self._log_suppressed(suppressed, self.facts)

    def last_lines(self) -> list[str]:
        """The last lines, oldest first, with what has no newline yet. From any thread."""
        rests = [pipe.cutter.rest for pipe in self.pipes if pipe.cutter.rest]
        return to_text([*self._kept.copy(), *rests])

    def close(self) -> None:
        """Close both pipes; the lines stay."""
        for pipe in self.pipes:
            pipe.close()

    def _log_lines(self, pipe: OutputPipe, lines: list[bytes]) -> None:
        if not lines or not _log.isEnabledFor(logging.INFO):
            return
        extra = {**self.facts, "stream": pipe.name}
        granted, suppressed = self._budget.take(len(lines), time.monotonic_ns())
        if suppressed:
            self._log_suppressed(suppressed, extra)
        for line in to_text(lines[:granted]):
            _log.info("%s", line, extra=extra)

    def _log_suppressed(self, count: int, extra: dict[str, Any]) -> None:
        _log.warning("%d lines of output were not logged", count, extra=extra)
