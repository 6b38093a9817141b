"""The memory a worker shares with the server: words that no busy interpreter can hold up.

A memfd of 4 KiB, more where there are many in edges or nodes; sealed against resizing (truncated,
it would kill its readers). Source: FR-008.

    word  bytes  written by  what
    0     0      server      stale_below: results of an older generation are unwanted
    1     8      server      cancelled: 1 once nothing the worker does is wanted any more
    2     16     worker      turn_started_ns: monotonic clock, 0 between turns
    3     24     worker      turn_node: index of the node the turn is in
    4     32     worker      heartbeats: counts the lane's wake-ups
    5     40     server      announced: the newest generation, see `engine.interruption`
    64    512    worker      hop times of in edge 0, see `engine.edges.hop_times`
    192   1536   worker      those of in edge 1, and so on
    last         worker      what its stages have counted, see `engine.workers.stage_counts`

Each is an aligned 64-bit word, written by one store: the other side never sees half of it.
Measured: an operator in a pure-Python loop sees a new generation after 0.005 to 0.03 ms; a message
through the lane needs the interpreter lock, 0.7 ms.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from typing import TYPE_CHECKING, Final, Self, cast

from engine.edges.hop_times import BUCKETS
from engine.interruption import ANNOUNCED, CANCELLED, STALE_BELOW

if TYPE_CHECKING:
    from collections.abc import MutableSequence

PAGE_BYTES: Final = 4096

_TURN_STARTED: Final = 2
_TURN_NODE: Final = 3
_HEARTBEATS: Final = 4
_HOPS: Final = 64


def create_page(in_edges: int = 0, counts: int = 0) -> int:
    """Make a control page; returns its descriptor, which the caller closes.

    Args:
        in_edges: for how many edges it has room for the times of hops.
        counts: words it has for what the stages count.
    """
    size_bytes = -(-(_HOPS + in_edges * BUCKETS + counts) * 8 // PAGE_BYTES) * PAGE_BYTES
    fd = os.memfd_create("remotemedia-control", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, size_bytes)
        fcntl.fcntl(
            fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        )
    except OSError:
        os.close(fd)
        raise
    return fd


class ControlPage:
    """One side's view of the page; every method is a load or a store, callable from any thread.

    Args:
        words: at least five unsigned 64-bit words.
    """

    __slots__ = ("_words",)

    def __init__(self, words: memoryview) -> None:
        self._words = words

    @classmethod
    def of_fd(cls, fd: int) -> Self:
        """Map the page behind a descriptor, which may be closed afterwards."""
        # The view keeps the mapping alive, and the last reference to the view ends it.
        return cls(memoryview(mmap.mmap(fd, os.fstat(fd).st_size)).cast("Q"))

    @property
    def words(self) -> MutableSequence[int]:
        """The words themselves: what a stage reads between packets, see `engine.interruption`."""
        return cast("MutableSequence[int]", self._words)

    def announce(self, generation: int, *, everything: bool) -> None:
        """Say that an interrupt is on its way.

        Args:
            generation: the session's, from now on.
            everything: whether its scope is all that the worker runs.
        """
        words = self._words
        words[ANNOUNCED] = max(generation, words[ANNOUNCED])
        if everything:
            words[STALE_BELOW] = max(generation, words[STALE_BELOW])

    @property
    def stale_below(self) -> int:
        """Results of an older generation are unwanted."""
        return int(self._words[STALE_BELOW])

    @property
    def cancelled(self) -> bool:
        """Whether nothing the worker does is wanted any more."""
        return self._words[CANCELLED] != 0

    @cancelled.setter
    def cancelled(self, value: bool) -> None:
        self._words[CANCELLED] = int(value)

    def begin_turn(self, node_index: int, now_ns: int) -> None:
        """Say that a turn begins, in which node, at which monotonic time (> 0)."""
        self._words[_TURN_NODE] = node_index
        self._words[_TURN_STARTED] = now_ns

    def end_turn(self) -> None:
        """Say that no turn is under way."""
        self._words[_TURN_STARTED] = 0

    @property
    def turn_started_ns(self) -> int:
        """When the turn under way began, on the monotonic clock; 0 between turns."""
        return int(self._words[_TURN_STARTED])

    @property
    def turn_node(self) -> int:
        """Index of the node the current or last turn was in."""
        return int(self._words[_TURN_NODE])

    def beat(self) -> None:
        """Count a wake-up of the lane."""
        self._words[_HEARTBEATS] += 1

    @property
    def heartbeats(self) -> int:
        """How often the lane has woken up."""
        return int(self._words[_HEARTBEATS])

    def hop_words(self, in_edge: int) -> MutableSequence[int]:
        """Where the hops of an in edge are counted.

        Args:
            in_edge: its position among those the page was made for.
        """
        start = _HOPS + in_edge * BUCKETS
        return cast("MutableSequence[int]", self._words[start : start + BUCKETS])

    def count_words(self, counts: int) -> memoryview:
        """The words for what the stages count: so many, at the page's end."""
        return self._words[len(self._words) - counts :]

    def detach(self) -> None:
        """Stop sharing: unmap the page and go on with a copy of its last words."""
        # The old view is dropped, never released: another thread may be reading through it.
        self._words = memoryview(bytearray(self._words)).cast("Q")
