"""Media time of the frames of one stream of audio.

Pure: no I/O, no clock. Source: FR-002.

Packets carry times rounded to nanoseconds, clients' ones to milliseconds. Within a contiguous
stretch time is counted in frames from its beginning, so that what is said about a frame does not
depend on how the audio was packed. A packet whose own time differs by more than `TOLERANCE_NS`
begins another stretch: there was a gap, or the clocks drift.
"""

from __future__ import annotations

from typing import Final

NS_PER_S: Final = 1_000_000_000
#: Clients' times are milliseconds; rounded at both ends they are off by so much.
TOLERANCE_NS: Final = 2_000_000


class Timeline:
    """Counts one stream; `enter` each packet, then ask `time_ns` about its frames."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self._anchor_ns = 0
        self._rate = 0
        #: Frames from the anchor to the current packet's first frame, and to behind its last one.
        self._start = 0
        self._stop = 0

    def enter(self, timestamp_ns: int, sample_rate: int, frames: int) -> None:
        """Take the next packet.

        Args:
            timestamp_ns: its media time.
            sample_rate: Hz.
            frames: its length.
        """
        self._start = self._stop
        differs = sample_rate != self._rate
        if differs or abs(timestamp_ns - self.time_ns()) > TOLERANCE_NS:
            self._anchor_ns, self._rate, self._start = timestamp_ns, sample_rate, 0
        self._stop = self._start + frames

    def time_ns(self, offset: int = 0) -> int:
        """Media time of a frame.

        Args:
            offset: its distance from the current packet's first frame; the past is negative.
        """
        if not self._rate:
            return 0
        return self._anchor_ns + (self._start + offset) * NS_PER_S // self._rate

    @property
    def end_ns(self) -> int:
        """Media time of the frame that follows the current packet."""
        return self.time_ns(self._stop - self._start)
