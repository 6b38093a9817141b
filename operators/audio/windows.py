"""Measures a stream of audio in windows.

Pure: no I/O, no clock. Source: FR-002. Shared by what measures: a window of `window_ms` is the same
however the audio was packed; without `window_ms` each packet is a window of its own.

    packets    |---a---|-----b-----|-c-|
    windows    |----1----|----2----|----3 …      a tally each: sums, no samples, are kept
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from pydantic import Field

from engine.operator import Params
from operators.audio.levels import as_float
from operators.audio.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from engine.payloads import Audio


class MeterParams(Params):
    """Params of what measures blocks of audio."""

    window_ms: int | None = Field(
        None, ge=1, le=60_000, description="length of what is measured; None: each packet"
    )
    pass_through: bool = Field(False, description="hand on the audio behind what is said of it")


class Tally:
    """What is known of one window; subclasses know more.

    Attributes:
        squares: for each channel the sum of the squared samples.
        peaks: for each channel the largest magnitude.
        sample_rate: Hz.
        frames: its length so far.
        begin: its first frame's place in the stream, in frames.
        timestamp_ns: media time of that frame.
    """

    def __init__(self, channels: int, sample_rate: int, begin: int, timestamp_ns: int) -> None:
        self.squares = np.zeros(channels)
        self.peaks = np.zeros(channels)
        self.sample_rate = sample_rate
        self.frames = 0
        self.begin = begin
        self.timestamp_ns = timestamp_ns

    def add(self, samples: npt.NDArray[np.float64]) -> None:
        """Take the window's next samples: shape (frames, channels), at least one frame."""
        self.squares += np.einsum("fc,fc->c", samples, samples)
        np.maximum(self.peaks, np.abs(samples).max(axis=0), out=self.peaks)
        self.frames += len(samples)

    @property
    def powers(self) -> npt.NDArray[np.float64]:
        """The mean square of each channel."""
        means: npt.NDArray[np.float64] = self.squares / self.frames
        return means

    @property
    def times(self) -> dict[str, float]:
        """What every report says of the window: `timestamp_ms` (whole) and `duration_ms`."""
        return {
            "timestamp_ms": self.timestamp_ns // 1_000_000,
            "duration_ms": round(self.frames * 1000 / self.sample_rate, 3),
        }


_Tally = TypeVar("_Tally", bound=Tally)


class Windows(Generic[_Tally]):
    """Cuts one stream and tallies each window.

    A change of rate, channels or dtype ends a window early, as the end of the stream does.

    Args:
        window_ms: length of a window; None: each packet that is not empty is one.
        tally: makes an empty tally, see `Tally`.
    """

    def __init__(
        self, window_ms: int | None, tally: Callable[[int, int, int, int], _Tally]
    ) -> None:
        #: May be changed: the window under way ends where one of the new length does.
        self.window_ms = window_ms
        self._new_tally = tally
        self._timeline = Timeline()
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self._timeline.reset()
        #: Frames of the stream before the current packet, and with what is taken of it.
        self.packet_begin = 0
        self.received = 0
        self._form: tuple[int, int, Any] | None = None
        self._form_begin = 0
        self._open: _Tally | None = None

    def feed(self, audio: Audio, timestamp_ns: int) -> list[_Tally]:
        """The windows that are complete with this packet."""
        form = (audio.sample_rate, audio.channels, audio.samples.dtype)
        windows = self.flush() if form != self._form else []
        if form != self._form:
            self._form, self._form_begin = form, self.received
        self._timeline.enter(timestamp_ns, audio.sample_rate, audio.frames)
        self.packet_begin = self.received
        samples = as_float(audio.samples)
        packet_end = self.received + len(samples)
        while self.received < packet_end:
            end = self._window_end(packet_end)
            self._add(samples, audio, min(end, packet_end))
            if self.received == end:
                windows += self.flush()
        return windows

    def flush(self) -> list[_Tally]:
        """The window that is not complete, if there is one."""
        tally, self._open = self._open, None
        return [] if tally is None else [tally]

    @property
    def end_ns(self) -> int:
        """Media time behind the last frame."""
        return self._timeline.end_ns

    def _window_end(self, packet_end: int) -> int:
        """Where the window under way ends: cumulative, so that odd rates do not drift."""
        if self.window_ms is None:
            return packet_end
        assert self._form is not None
        frames = self._form[0] * self.window_ms
        passed = self.received - self._form_begin
        number = -(-(passed + 1) * 1000 // frames)  # of the first window that ends behind it
        return self._form_begin + number * frames // 1000

    def _add(self, samples: npt.NDArray[np.float64], audio: Audio, stop: int) -> None:
        at = self.received - self.packet_begin
        if self._open is None:
            time_ns = self._timeline.time_ns(at)
            self._open = self._new_tally(audio.channels, audio.sample_rate, self.received, time_ns)
        self._open.add(samples[at : stop - self.packet_begin])
        self.received = stop
