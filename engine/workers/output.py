"""What a worker prints: cut into lines, the last ones kept, a flood thinned out for the log.

Pure: no I/O; `now_ns` is an argument. Source: FR-010.
"""

from __future__ import annotations

from collections import deque
from typing import Final

#: A longer line is cut; its remainder is dropped up to the next newline.
LINE_BYTES_MAX: Final = 16 * 1024
#: Lines kept per worker.
LINES_MAX: Final = 200
#: Lines per second that go on to the log; the others are counted. Handlers run on the thread that
#: supervises every worker: at 10 µs a record, a thousand of them keep it 1 % busy.
LOG_LINES_PER_S_MAX: Final = 1000

_SECOND_NS: Final = 1_000_000_000


class LineCutter:
    """Cuts the chunks of one pipe into lines.

    Args:
        kept: where the last lines go; shared by the pipes of a worker.
    """

    __slots__ = ("_cut", "_kept", "_rest")

    def __init__(self, kept: deque[bytes]) -> None:
        self._kept = kept
        self._rest = b""
        self._cut = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take what was read; returns the lines it completes, without their newlines."""
        *lines, rest = (self._rest + chunk).split(b"\n")
        if lines and self._cut:
            del lines[0]  # the remainder of a line already handed out
            self._cut = False
        if len(rest) > LINE_BYTES_MAX and not self._cut:
            lines.append(rest)
            self._cut = True
        self._rest = b"" if self._cut else rest
        lines = [line[:LINE_BYTES_MAX] for line in lines]
        self._kept.extend(lines)
        return lines

    def finish(self) -> list[bytes]:
        """Take the end of the output: what has no newline is a line too."""
        lines = [self._rest] if self._rest else []
        self._rest = b""
        self._kept.extend(lines)
        return lines

    @property
    def rest(self) -> bytes:
        """The line that has no newline yet."""
        return self._rest


class LogBudget:
    """How many lines may go on to the log, second by second."""

    __slots__ = ("_left", "_second", "_suppressed")

    def __init__(self) -> None:
        self._second = -1
        self._left = 0
        self._suppressed = 0

    def take(self, wanted: int, now_ns: int) -> tuple[int, int]:
        """Ask for room for some lines.

        Returns:
            How many of them may be logged, and how many were suppressed since it was last said.
        """
        suppressed = 0
        if now_ns // _SECOND_NS != self._second:
            self._second = now_ns // _SECOND_NS
            self._left = LOG_LINES_PER_S_MAX
            suppressed, self._suppressed = self._suppressed, 0
        granted = min(wanted, self._left)
        self._left -= granted
        self._suppressed += wanted - granted
        return granted, suppressed

    def finish(self) -> int:
        """Take the end of the output; returns how many suppressed lines were not told of."""
        suppressed, self._suppressed = self._suppressed, 0
        return suppressed


def new_tail() -> deque[bytes]:
    """An empty store of last lines; bounded by 200 × 16 KiB."""
    return deque(maxlen=LINES_MAX)


def to_text(lines: list[bytes]) -> list[str]:
    """Lines as text; what is not UTF-8 is replaced."""
    return [line.decode("utf-8", "replace") for line in lines]
