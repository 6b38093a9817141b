"""Which input of a client caused an output.

Pure: no I/O; times are arguments. An output carries the moment in which its input entered the
session; inputs enter one after the other, so that moment lies behind the time noted before its own
input, and before the next one's.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import NamedTuple


class Cause(NamedTuple):
    """The input behind an output.

    Attributes:
        sequence: the client's number for it.
        ordinal: its place among all inputs, from 1; 0: before all of them.
    """

    sequence: int
    ordinal: int


class ChunkTimes:
    """Remembers when the last inputs entered.

    Attributes:
        count: inputs noted so far.
    """

    def __init__(self, remembered_min: int) -> None:
        """Remember nothing yet.

        Args:
            remembered_min: so many inputs are remembered at least; up to twice as many are.
        """
        self.count = 0
        self._remembered_min = remembered_min
        self._times_ns = array("q")
        self._sequences = array("Q")

    def note(self, now_ns: int, sequence: int) -> None:
        """An input is about to enter.

        Args:
            now_ns: the session's time.
            sequence: the client's number for it.
        """
        self.count += 1
        self._times_ns.append(now_ns)
        self._sequences.append(sequence)
        if len(self._times_ns) >= 2 * self._remembered_min:
            del self._times_ns[: self._remembered_min]
            del self._sequences[: self._remembered_min]

    def take_back(self) -> None:
        """The input that was noted last does not enter now."""
        self.count -= 1
        self._times_ns.pop()
        self._sequences.pop()

    def cause_of(self, ingress_ns: int) -> Cause:
        """The input that entered at a time; of one long forgotten, the oldest remembered."""
        if not self._times_ns:
            return Cause(0, 0)
        position = max(bisect_right(self._times_ns, ingress_ns) - 1, 0)
        ordinal = self.count - len(self._times_ns) + position + 1
        return Cause(self._sequences[position], ordinal)
