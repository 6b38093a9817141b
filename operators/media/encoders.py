"""Encodes audio and frames into the packets of one stream of a file, each with its time.

Source: FR-002. Computes with libav through PyAV; no operator, no file.

Times are media time since the file's beginning, in nanoseconds.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import MediaError
from operators.media.containers import pixel_format
from operators.media.opening import layout_name
from operators.media.reading import SAMPLE_FORMATS
from operators.video.frames import Converter, matrix_by_height, to_frame

if TYPE_CHECKING:
    import logging

    import numpy.typing as npt

    from engine.payloads import Audio, Video

#: Ticks in which times of frames are counted: exact for 24, 25, 30, 50, 60 and 30000/1001 a second.
VIDEO_TICKS_PER_S = 60_000
#: How long a frame lasts whose successor does not say.
DEFAULT_RATE = 30
#: A jump in audio's time that is longer than this, and than two packets, is a gap.
GAP_NS = 100_000_000
#: A gap that is longer is taken for a mistake.
GAP_NS_MAX = 600_000_000_000

#: Bits per second and channel where no bit rate is given, of encoders that have no good default.
_BITS_PER_CHANNEL = {"aac": 96_000, "libmp3lame": 96_000, "libopus": 64_000, "libvorbis": 80_000}

#: Encoders that hold a quality where no bit rate is given; others get one by the picture's size.
_BY_QUALITY = frozenset({"libx264", "libx265", "libsvtav1", "libvpx-vp9", "ffv1"})
_BITS_PER_PIXEL = 0.15
_BITS_PER_S_MIN = 200_000
#: What makes libvpx as quick as the others' defaults.
_QUALITY = {
    "libvpx": {"deadline": "good", "cpu-used": "4"},
    "libvpx-vp9": {"deadline": "good", "cpu-used": "4", "crf": "31", "row-mt": "1"},
}

_SECOND_NS = 1_000_000_000


class AudioEncoder:
    """Encodes audio whose rate and channels are those of its first packet.

    Packets are laid end to end. With `keeps_gaps` silence is put where their times jump forward.

    Args:
        container: PyAV's output container, to which a stream is added.
        encoder: libav's name.
        first: the first packet.
        bit_rate: bits per second; None: by the number of channels.
        keeps_gaps: whether gaps in time become silence.
    """

    def __init__(
        self, container: Any, encoder: str, first: Audio, bit_rate: int | None, *, keeps_gaps: bool
    ) -> None:
        self._form = (first.sample_rate, first.channels)
        self._keeps_gaps = keeps_gaps
        self._start_ns = 0
        self._position: int | None = None
        self.stream: Any = container.add_stream(encoder, rate=_rate_for(encoder, first.sample_rate))
        context = self.stream.codec_context
        context.layout = layout_name(first.channels)
        context.format = _format_for(self.stream.codec, first)
        context.thread_count = 1
        wanted = bit_rate or _BITS_PER_CHANNEL.get(encoder, 0) * first.channels
        if wanted:
            context.bit_rate = wanted
        self._open(context, encoder)

    def encode(self, audio: Audio, at_ns: int) -> list[Any]:
        """Encode a packet; PyAV's packets that are ready.

        Raises:
            MediaError: another rate or other channels than before, or a gap that cannot be meant.
        """
        form = (audio.sample_rate, audio.channels)
        if form != self._form:
            raise MediaError(
                f"the file's audio is {_said(self._form)}, the next packet is {_said(form)}: put a"
                " FastResampleNode before the writer"
            )
        if not audio.frames:
            return []
        if self._position is None:
            self._start_ns, self._position = at_ns, 0
        packets = self._silence(audio, at_ns)
        return packets + self._push(audio.samples)

    def finish(self) -> list[Any]:
        """The packets that were still held back; none where nothing was encoded."""
        return [] if self._position is None else list(self.stream.encode(None))

    def _open(self, context: Any, encoder: str) -> None:
        import av

        try:
            context.open()
        except av.error.FFmpegError as error:
            raise MediaError(
                f"{encoder} does not encode audio of {_said(self._form)} channels"
                f" ({error.strerror}): put a FastResampleNode with channels 1 before the writer, or"
                " choose another format, as .wav"
            ) from error

    def _silence(self, audio: Audio, at_ns: int) -> list[Any]:
        """Fill the gap before a packet."""
        assert self._position is not None
        rate = audio.sample_rate
        gap_ns = at_ns - self._start_ns - self._position * _SECOND_NS // rate
        if not self._keeps_gaps or gap_ns <= max(GAP_NS, 2 * audio.duration_ns):
            return []
        if gap_ns > GAP_NS_MAX:
            raise MediaError(
                f"the audio's time jumps by {gap_ns / 1e9:.1f} s at {at_ns / 1e9:.3f} s: set gaps"
                ' to "close", or correct its timestamps'
            )
        missing = gap_ns * rate // _SECOND_NS
        packets: list[Any] = []
        while missing > 0:
            count = min(missing, rate)
            packets += self._push(np.zeros((count, audio.channels), audio.samples.dtype))
            missing -= count
        return packets

    def _push(self, samples: npt.NDArray[Any]) -> list[Any]:
        import av

        assert self._position is not None
        frame = av.AudioFrame.from_ndarray(
            samples.reshape(1, -1),
            format=SAMPLE_FORMATS[samples.dtype.name],
            layout=layout_name(samples.shape[1]),
        )
        rate = self._form[0]
        frame.sample_rate = rate
        frame.time_base = Fraction(1, rate)
        frame.pts = self._start_ns * rate // _SECOND_NS + self._position
        self._position += len(samples)
        return list(self.stream.encode(frame))


class VideoEncoder:
    """Encodes frames whose size is that of the first one.

    A frame whose time is not later than its predecessor's follows it after one frame's length.
    Where the encoder takes even sizes only, the last column or row of an odd size is cut off.

    Args:
        container: PyAV's output container, to which a stream is added.
        encoder: libav's name.
        first: the first frame.
        bit_rate: bits per second; None: the encoder's own choice of quality.
        fps: frames per second at most, to which times are rounded; None: times as they come.
        threads: of the encoder.
        logger: told of what is cut off.
    """

    def __init__(  # each is said by name
        self,
        container: Any,
        encoder: str,
        first: Video,
        *,
        bit_rate: int | None,
        fps: float | None,
        threads: int,
        logger: logging.Logger,
    ) -> None:
        from av.codec.context import Flags

        self._size = (first.width, first.height)
        rate = Fraction(fps or DEFAULT_RATE).limit_denominator(1_001)
        self._grid = None if fps is None else rate
        self._step = max(1, round(VIDEO_TICKS_PER_S / rate))
        self._lasts = self._step
        #: Time of the last frame, in ticks as it was written, and in nanoseconds as it came.
        self._last: int | None = None
        self._last_ns: int | None = None
        self._converter = Converter()
        self.stream: Any = container.add_stream(
            encoder, rate=rate, options=_QUALITY.get(encoder, {})
        )
        self._pixel_format = pixel_format(self.stream.codec)
        width, height = self._encoded_size(encoder)
        self.stream.width, self.stream.height = width, height
        self.stream.pix_fmt = self._pixel_format
        if (width, height) != self._size:
            logger.warning(
                "media_writer_cuts_odd_size",
                extra={"from_size": list(self._size), "to_size": [width, height]},
            )
        context = self.stream.codec_context
        context.time_base = Fraction(1, VIDEO_TICKS_PER_S)
        context.flags |= Flags.frame_duration.value
        context.thread_count = threads
        # H.273's numbers, the same for primaries, transfer and matrix: 1 is BT.709, 6 BT.601.
        colours = 1 if matrix_by_height(height) == "bt709" else 6
        context.color_primaries = context.color_trc = context.colorspace = colours
        context.color_range = 1  # limited
        if bit_rate is not None:
            context.bit_rate = bit_rate
        elif encoder not in _BY_QUALITY:
            context.bit_rate = round(max(_BITS_PER_S_MIN, width * height * rate * _BITS_PER_PIXEL))
        context.open()

    def encode(self, video: Video, at_ns: int) -> list[Any]:
        """Encode a frame; PyAV's packets that are ready.

        Raises:
            MediaError: another size than before.
            ValueError: the frame is encoded already.
        """
        if (video.width, video.height) != self._size:
            raise MediaError(
                f"the file's frames are {_size(*self._size)}, the next one is"
                f" {_size(video.width, video.height)}: put a VideoScaleNode before the writer"
            )
        ticks = self._ticks(at_ns)
        if ticks is None:
            return []
        frame = self._cut(to_frame(video))
        frame = self._converter.reformat(frame, self._pixel_format, frame.width, frame.height)
        frame.pts = ticks
        frame.duration = self._lasts  # what counts for the last one; the others end with the next
        frame.time_base = Fraction(1, VIDEO_TICKS_PER_S)
        return list(self.stream.encode(frame))

    def finish(self) -> list[Any]:
        """The packets that were still held back."""
        return list(self.stream.encode(None))

    def _ticks(self, at_ns: int) -> int | None:
        """A frame's time in ticks, or None for one that the rate has no place for."""
        last, last_ns, self._last_ns = self._last, self._last_ns, at_ns
        if self._grid is None:
            ticks = round(Fraction(at_ns * VIDEO_TICKS_PER_S, _SECOND_NS))
        else:
            number = round(Fraction(at_ns, _SECOND_NS) * self._grid)
            ticks = round(number * VIDEO_TICKS_PER_S / self._grid)
        if last is not None and ticks <= last:
            if self._grid is not None and last_ns is not None and at_ns > last_ns:
                return None
            ticks = last + self._step
        elif last is not None:
            self._lasts = ticks - last
        self._last = ticks
        return ticks

    def _encoded_size(self, encoder: str) -> tuple[int, int]:
        if self._pixel_format != "yuv420p" or encoder.startswith("libvpx"):
            return self._size
        width, height = (side - side % 2 for side in self._size)
        if not width or not height:
            raise MediaError(
                f"{encoder} encodes no frames of {_size(*self._size)}: scale them to 2 × 2 at least"
            )
        return width, height

    def _cut(self, frame: Any) -> Any:
        """The frame without the column and row that the encoder does not take."""
        width, height = self.stream.width, self.stream.height
        if (frame.width, frame.height) == (width, height):
            return frame
        import av

        pixels = frame.to_ndarray()[:height, :width]
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=frame.format.name)


def _rate_for(encoder: str, sample_rate: int) -> int:
    """The rate to encode at: the sound's own if the encoder takes it, else the next higher."""
    import av

    rates = sorted(av.Codec(encoder, "w").audio_rates or ())
    if not rates or sample_rate in rates:
        return sample_rate
    return next((rate for rate in rates if rate > sample_rate), rates[-1])


def _format_for(codec: Any, audio: Audio) -> str:
    """The encoder's sample format that keeps most of what the samples have."""
    formats = [format_.name for format_ in codec.audio_formats or ()]
    order = {"float32": ("flt", "s16", "s32"), "int16": ("s16", "flt"), "int32": ("s32", "flt")}
    for name in order[audio.samples.dtype.name]:
        for wanted in (f"{name}p", name):
            if wanted in formats:
                return wanted
    return str(formats[0]) if formats else "s16"


def _said(form: tuple[int, int]) -> str:
    return f"{form[0]} Hz × {form[1]}"


def _size(width: int, height: int) -> str:
    return f"{width} × {height}"
