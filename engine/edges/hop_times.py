"""How long hops took: a histogram of fixed size, in memory of its own or shared with the server.

Pure over words. Source: FR-007, NFR-003.

A hop lasts from the moment in which its edge took the packet until the consumer's stage takes it
off for a turn. Times fall into buckets, four to each doubling, from 0.25 µs to over half an hour:
what is read off one is at most an eighth beside the truth, and recording costs no allocation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

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
        counts = list(words)
        measured = sum(counts)
        if not measured:
            return cls()
        last = max(bucket for bucket, count in enumerate(counts) if count)
        return cls(
            measured,
            _middle_us(_bucket_at(counts, measured * 0.5)),
            _middle_us(_bucket_at(counts, measured * 0.99)),
            _bounds_us(last)[1],
        )


#: None measured.
NO_HOPS = HopTimes()


def _bucket_at(counts: Sequence[int], rank: float) -> int:
    """The bucket of the hop that so many others were quicker than."""
    below = 0
    for bucket, count in enumerate(counts):
        below += count
        if below >= rank:
            return bucket
    return len(counts) - 1


def _bounds_us(bucket: int) -> tuple[float, float]:
    """Between which times the hops of a bucket took, in microseconds."""

    def begin_units(position: int) -> int:
        if position < _STEPS:
            return position
        doublings, step = divmod(position, _STEPS)
        return (_STEPS + step) << (doublings - 1)

    unit_us = (1 << _UNIT_BITS) / 1e3
    return begin_units(bucket) * unit_us, begin_units(bucket + 1) * unit_us


def _middle_us(bucket: int) -> float:
    begin_us, end_us = _bounds_us(bucket)
    return (begin_us + end_us) / 2
