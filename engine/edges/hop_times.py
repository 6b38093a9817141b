"""How long hops took: a histogram of fixed size, in memory of its own or shared with the server.

Pure over words. Source: FR-007, NFR-003.

A hop lasts from the moment in which its edge took the packet until the consumer's stage takes it
off for a turn. Times fall into buckets, four to each doubling, from 0.25 µs to over half an hour:
what is read off one is at most an eighth beside the truth, and recording costs no allocation.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import MutableSequence, Sequence

#: Unsigned 64-bit words a histogram takes.
BUCKETS = 128
#: Times are counted in units of 2 ** 8 ns.
_UNIT_BITS = 8
#: Buckets to a doubling, and the bits that tell them apart.
_STEPS = 4
_STEP_BITS = 2


class HopRecorder:
    """Counts hops by how long they took."""

    __slots__ = ("_words",)

    def __init__(self, words: MutableSequence[int] | None = None) -> None:
        """Count into words that others may read meanwhile.

        Args:
            words: BUCKETS of them, zero at first; by default a list of its own.
        """
        self._words = [0] * BUCKETS if words is None else words

    def record(self, hop_ns: int) -> None:
        """Count one hop; one that seems to have taken less than no time took none."""
        units = hop_ns >> _UNIT_BITS
        if units < _STEPS:
            bucket = max(units, 0)
        else:
            bits = units.bit_length()
            bucket = (bits - _STEP_BITS) * _STEPS + (units >> (bits - 1 - _STEP_BITS)) - _STEPS
        self._words[min(bucket, BUCKETS - 1)] += 1

    def times(self) -> HopTimes:
        """What was counted so far."""
        return HopTimes.of(self._words)


@dataclass(frozen=True, slots=True)
class HopTimes:
    """How long hops took, see `engine.edges.hop_times`.

    Attributes:
        measured: hops that were timed: all of an edge between processes, every 16th of a local one.
        p50_us: half of them took no longer, in microseconds; 0 where none was measured.
        p99_us: 99 of 100 took no longer.
        max_us: none took longer.
    """

    measured: int = 0
    p50_us: float = 0.0
    p99_us: float = 0.0
    max_us: float = 0.0

    @classmethod
    def of(cls, words: Sequence[int]) -> Self:
        """Read a histogram, which may grow meanwhile."""
        up_to = list(accumulate(words))  # bucket → hops in it and those before
        measured = up_to[-1]
        if not measured:
            return cls()
        p50, p99 = bisect_left(up_to, measured * 0.5), bisect_left(up_to, measured * 0.99)
        last = bisect_left(up_to, measured)
        return cls(measured, _middle_us(p50), _middle_us(p99), _BEGINS_US[last + 1])


#: None measured.
NO_HOPS = HopTimes()


def _begin_us(bucket: int) -> float:
    """From which time on hops fall into a bucket, in microseconds."""
    doublings, step = divmod(bucket, _STEPS)
    units = step if doublings == 0 else (_STEPS + step) << (doublings - 1)
    return units * (1 << _UNIT_BITS) / 1e3


#: Bucket → the shortest time that falls into it; and one more, where the last one ends.
_BEGINS_US: Final = tuple(_begin_us(bucket) for bucket in range(BUCKETS + 1))


def _middle_us(bucket: int) -> float:
    return (_BEGINS_US[bucket] + _BEGINS_US[bucket + 1]) / 2
