"""When a lost connection is made again, and which inputs are sent a second time.

Pure: no I/O, no clock.

A session ends with its connection, and with it what its operators hold. A new connection is a new
session, whose inputs are those that nobody has answered: an input counts as answered once an output
of it, or of a later one, has come. So of an input with several outputs some may be missing, and of
one whose output was lost on the way all come once more. A pipeline that keeps state across inputs
(a resampler, a conversation) begins anew.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protos.remotemedia.v1 import streaming_pb2


@dataclass(frozen=True, slots=True)
class Reconnect:
    """How often and how patiently.

    Attributes:
        attempts: how often in a row it is tried; a connection that brought a session ready counts
            from the beginning again.
        first_s: the first pause, in seconds; twice as long before each further one.
        longest_s: the longest pause.
        kept_max: inputs without an answer that are kept; beyond them the oldest are given up.

    Raises:
        UsageError: a value is out of range.
    """

    attempts: int = 8
    first_s: float = 0.1
    longest_s: float = 5.0
    kept_max: int = 256

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.kept_max < 0 or not 0 < self.first_s <= self.longest_s:
            raise UsageError(
                "attempts is at least 1, kept_max at least 0, and first_s above 0 and no more than"
                " longest_s"
            )

    def pauses_s(self) -> Iterator[float]:
        """The pause before each attempt."""
        for attempt in range(self.attempts):
            yield min(self.first_s * 2**attempt, self.longest_s)


class Unanswered:
    """The inputs of a stream that may have to be sent again.

    Attributes:
        given_up: how many of them are not kept any more.
    """

    def __init__(self, kept_max: int) -> None:
        """Keep none yet.

        Args:
            kept_max: how many are kept.
        """
        self.given_up = 0
        self._kept_max = kept_max
        self._kept: deque[streaming_pb2.DataChunk] = deque()
        #: The newest input, the newest that has an output, and the newest that was given up.
        self._sent = self._answered = self._given_up = -1

    def sent(self, chunk: streaming_pb2.DataChunk) -> None:
        """An input was sent; its sequence is higher than those before."""
        self._sent = chunk.sequence
        if self._sent <= self._answered:
            return  # its output was quicker
        self._kept.append(chunk)
        if len(self._kept) > self._kept_max:
            self._given_up = self._kept.popleft().sequence
            self.given_up += 1

    def answered(self, sequence: int) -> None:
        """An output has come of an input."""
        self._answered = max(self._answered, sequence)
        while self._kept and self._kept[0].sequence <= sequence:
            self._kept.popleft()
        if sequence >= self._given_up:
            self.given_up = 0

    def take_given_up(self) -> int:
        """How many were given up; they are not counted again."""
        count, self.given_up = self.given_up, 0
        return count

    @property
    def is_empty(self) -> bool:
        """Whether the newest input has an output."""
        return self._answered >= self._sent

    def __iter__(self) -> Iterator[streaming_pb2.DataChunk]:
        """What is to be sent again, in order."""
        return iter(tuple(self._kept))

    def __len__(self) -> int:
        """How many these are."""
        return len(self._kept)
