"""Cuts decoded audio into blocks of one length, each with its media time.

Pure: no I/O, no clock. Source: FR-002.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engine.payloads import Audio

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

#: Containers round times, some to the millisecond; less than this is no jump.
JITTER_NS = 20_000_000

_SECOND_NS = 1_000_000_000


class Block(NamedTuple):
    """A block of audio and the media time of its first sample."""

    audio: Audio
    timestamp_ns: int


class AudioBlocks:
    """Joins what a decoder gives and cuts it anew.

    Samples that follow each other are timed by counting them, so that a container's rounding does
    no harm; where times jump forward, a short block ends before the gap. Times that jump back are
    taken for a container's error: the samples are laid end to end.

    Args:
        block_ms: length of a block in milliseconds; 0: as they come. Where the rate makes that a
            fraction of a sample, blocks differ by one sample.
        begin_ns: samples before this media time are dropped.
        end_ns: samples from this media time on are dropped; None: none.
    """

    def __init__(self, block_ms: int, begin_ns: int = 0, end_ns: int | None = None) -> None:
        self._block_ms = block_ms
        self._begin_ns = begin_ns
        self._end_ns = end_ns
        self._rate = 0
        #: Media time of the first sample since the last jump, and samples since then.
        self._anchor_ns = 0
        self._position = 0
        #: Samples since then that have been given away, and the one with which the blocks begin.
        self._given = self._grid = 0
        #: Which block comes next, counted from 1.
        self._number = 1
        self._parts: list[npt.NDArray[Any]] = []

    def feed(
        self, samples: npt.NDArray[Any], sample_rate: int, timestamp_ns: int | None
    ) -> Iterator[Block]:
        """Take samples of shape (frames, channels); the blocks that are complete.

        Args:
            samples: what follows, of one dtype.
            sample_rate: Hz.
            timestamp_ns: media time of the first one; None: it follows what was before.
        """
        if sample_rate != self._rate or self._jumps(timestamp_ns):
            yield from self.flush()
            if self._rate and timestamp_ns is None:
                timestamp_ns = self._time_of(self._position)
            self._rate = sample_rate
            self._anchor_ns = timestamp_ns or 0
            self._position = self._given = self._grid = 0
            self._number = 1
        kept = self._trimmed(samples)
        if len(kept):
            self._parts.append(kept)
        yield from self._blocks(last=False)

    def flush(self) -> Iterator[Block]:
        """What is left, as a block that may be shorter."""
        return self._blocks(last=True)

    def _jumps(self, timestamp_ns: int | None) -> bool:
        if timestamp_ns is None:
            return False
        return timestamp_ns - self._time_of(self._position) > JITTER_NS

    def _time_of(self, position: int) -> int:
        return self._anchor_ns + position * _SECOND_NS // (self._rate or 1)

    def _trimmed(self, samples: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The samples within the window; those before it count as given away."""
        first = self._position
        self._position += len(samples)
        start = self._index_of(self._begin_ns)
        if start > first:
            self._given = self._grid = min(start, self._position)
        stop = self._position if self._end_ns is None else self._index_of(self._end_ns)
        return samples[max(0, start - first) : max(0, stop - first)]

    def _index_of(self, time_ns: int) -> int:
        """The sample nearest to a media time."""
        return max(0, round((time_ns - self._anchor_ns) * self._rate / _SECOND_NS))

    def _blocks(self, *, last: bool) -> Iterator[Block]:
        held = sum(len(part) for part in self._parts)
        while held:
            size = self._block_size(held)
            if size > held:
                if not last:
                    return
                size = held
            timestamp_ns = self._time_of(self._given)
            block = Block(Audio(self._take(size), self._rate), timestamp_ns)
            self._given += size
            held -= size
            yield block

    def _block_size(self, held: int) -> int:
        """Samples in the next block, of which there are `held`."""
        if not self._block_ms:
            return held
        given = self._given - self._grid
        while (size := self._number * self._rate * self._block_ms // 1_000 - given) < 1:
            self._number += 1  # a block is a sample at least
        return size

    def _take(self, size: int) -> npt.NDArray[Any]:
        """The first `size` samples held, in an array of their own."""
        taken: list[npt.NDArray[Any]] = []
        while size:
            part = self._parts.pop(0)
            taken.append(part[:size])
            if len(part) > size:
                self._parts.insert(0, part[size:])
            size -= len(taken[-1])
        return np.concatenate(taken)
