"""Lays several streams of audio beside each other by media time.

Pure: no I/O, no clock. Source: FR-002, FR-007.

    lane 0   ███████████████████░░░░░          ▲ held: it waits for lane 1
    lane 1   ███████      ██████               gaps in one lane are silence
             ─────────────┬────┬──▶ frames
               released        limit: the least end of the lanes that are waited for

A stretch is released when every lane that is waited for has got so far. A lane that has ended, or
that was given up as silent, is not waited for; a silent one is again as soon as it catches up.
Where no lane has sound nothing is released: a pause in all of them costs neither time nor memory.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.interruption import Lineage, Unwanted

_BEGINNING = -(2**62)


class Span(NamedTuple):
    """A released stretch.

    Attributes:
        start: its first frame, counted from media time 0.
        frames: its length.
        parts: for each lane its samples of shape (frames, channels); None where it has no sound.
    """

    start: int
    frames: int
    parts: list[npt.NDArray[Any] | None]


class _Block(NamedTuple):
    """Samples that wait: from this frame on, of the packet of this origin."""

    begin: int
    samples: npt.NDArray[Any]
    origin: Lineage | None


class _Lane:
    """One stream: what of it is held, and how far it has got."""

    __slots__ = ("blocks", "end", "ended", "held", "silent")

    def __init__(self) -> None:
        #: In order, without overlaps.
        self.blocks: deque[_Block] = deque()
        self.held = 0
        #: The frame behind its last one by its own times; None: nothing has come.
        self.end: int | None = None
        self.ended = False
        self.silent = False

    def take(self, start: int, stop: int) -> npt.NDArray[Any] | None:
        """Its samples of a stretch, with silence in its gaps; nothing it holds lies before."""
        blocks = self.blocks
        if not blocks or blocks[0][0] >= stop:
            return None
        begin, samples, _ = blocks[0]
        if begin == start and len(samples) >= stop - start:
            return self._cut(stop - begin)
        channels = max(block.samples.shape[1] for block in blocks if block.begin < stop)
        laid = np.zeros((stop - start, channels), samples.dtype)
        while blocks and blocks[0][0] < stop:
            begin = blocks[0][0]
            part = self._cut(stop - begin)
            laid[begin - start : begin - start + len(part)] = part
        return laid

    def _cut(self, frames_max: int) -> npt.NDArray[Any]:
        """Take the beginning of the first block, or all of it."""
        begin, samples, origin = self.blocks.popleft()
        part, rest = samples[:frames_max], samples[frames_max:]
        if len(rest):
            self.blocks.appendleft(_Block(begin + len(part), rest, origin))
        self.held -= len(part)
        return part


class Aligner:
    """Takes blocks of several lanes, releases spans of all of them.

    A lane further ahead than `lead_max` frames is not welcome (`wants`); what it gets all the same
    is answered by releasing without the others, so that no more than that and one block is held.

    Args:
        lanes: how many streams there are.
        lead_max: frames a lane may hold while it waits for others.
        tolerance: frames by which a block's time may differ from the end of the one before and
            still follow it without a gap.
        keep_late: what comes for a stretch that was released already is laid behind it, and what
            follows it, too, until there is a gap; otherwise it is dropped.
    """

    def __init__(self, lanes: int, *, lead_max: int, tolerance: int, keep_late: bool) -> None:
        self._lanes = [_Lane() for _ in range(lanes)]
        self.lead_max = lead_max
        self._tolerance = tolerance
        self._keep_late = keep_late
        #: The frame behind what was released last.
        self.released_to = _BEGINNING
        #: Up to here nobody is waited for: a lane got more than it may hold.
        self._forced_to = _BEGINNING

    @property
    def lead_max(self) -> int:
        """Frames a lane may hold while it waits for others; may be changed."""
        return self._lead_max

    @lead_max.setter
    def lead_max(self, frames: int) -> None:
        self._lead_max = max(frames, 1)

    @property
    def holds(self) -> bool:
        """Whether anything waits to be released."""
        return any(lane.blocks for lane in self._lanes)

    def wants(self, lane: int) -> bool:
        """Whether the lane may get on."""
        return self._lanes[lane].held < self._lead_max

    def push(
        self,
        lane: int,
        position: int,
        samples: npt.NDArray[Any],
        origin: Lineage | None = None,
    ) -> int:
        """Take a lane's next block.

        Args:
            lane: its index.
            position: the block's first frame, counted from media time 0.
            samples: shape (frames, channels), of the dtype of all the lane's blocks; held as it is.
                One channel is laid on all where the lane's blocks differ.
            origin: that of the packet they are of, by which they may be taken back.

        Returns:
            How many frames came too late, for a stretch that was released already.
        """
        into = self._lanes[lane]
        if into.end is not None and position - into.end <= self._tolerance:
            position = into.end  # it follows what came before, also where their times overlap
        unwanted = not self.wants(lane)
        late = min(max(self.released_to - position, 0), len(samples))
        if late and self._keep_late:
            position = self.released_to
        into.end = position + len(samples)
        if late and not self._keep_late:
            position, samples = position + late, samples[late:]
        if len(samples):
            into.blocks.append(_Block(position, samples, origin))
            into.held += len(samples)
        if unwanted:
            self._forced_to = max(self._forced_to, into.end - self._lead_max)
        # Who lags behind for good must not hold the others up for good.
        into.silent = into.end < self.released_to
        return late

    def take_back(self, unwanted: Unwanted) -> None:
        """Drop what is held of packets that are not wanted any more: silence is in its place."""
        for lane in self._lanes:
            kept = (
                block for block in lane.blocks if block.origin is None or not unwanted(block.origin)
            )
            lane.blocks = deque(kept)
            lane.held = sum(len(block.samples) for block in lane.blocks)

    def end(self, lane: int) -> None:
        """Nothing more comes in this lane."""
        self._lanes[lane].ended = True

    def give_up(self) -> None:
        """Wait no longer for the lanes that hold nothing."""
        for lane in self._lanes:
            lane.silent = lane.silent or not lane.blocks

    def release(self, *, everything: bool = False) -> list[Span]:
        """The spans that are complete now, or whatever is held."""
        limit = None if everything else self._limit()
        spans: list[Span] = []
        while True:
            starts = [lane.blocks[0][0] for lane in self._lanes if lane.blocks]
            if not starts or (limit is not None and min(starts) >= limit):
                return spans
            start = min(starts)
            stop = self._covered_to(start)
            if limit is not None:
                stop = min(stop, limit)
            parts = [lane.take(start, stop) for lane in self._lanes]
            spans.append(Span(start, stop - start, parts))
            self.released_to = stop

    def _limit(self) -> int | None:
        """How far everything that is waited for has got; None: nothing is waited for."""
        waited_for = [lane for lane in self._lanes if not (lane.ended or lane.silent)]
        if not waited_for:
            return None
        ends = (_BEGINNING if lane.end is None else lane.end for lane in waited_for)
        return max(min(ends), self._forced_to)

    def _covered_to(self, start: int) -> int:
        """The end of the stretch from `start` in which always some lane has sound."""
        covered, before = start, None
        while covered != before:
            before = covered
            for lane in self._lanes:
                for begin, samples, _ in lane.blocks:
                    if begin > covered:
                        break
                    covered = max(covered, begin + len(samples))
        return covered
