"""Reads a media file: decoded audio and video in the file's own order, with their media times.

Source: FR-002. Blocking file I/O and decoding through PyAV (https://pyav.basswood-io.com); no
operator. Memory is bounded by what the decoders keep.

Only the named file is read: a playlist or a reference in it is never followed, since libav is given
an open file and no protocol by which it could open another.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import MediaError
from operators.media.blocks import AudioBlocks
from operators.media.opening import (
    layout_name,
    main_stream,
    nanoseconds,
    open_media,
    origin_ns,
    promised_ns,
)
from operators.video.frames import Converter, RawFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    import numpy.typing as npt

    from engine.payloads import Audio, Video

#: dtype of samples → libav's packed sample format.
SAMPLE_FORMATS = {"float32": "flt", "int16": "s16", "int32": "s32"}

#: Decoders of audio need this much before the wanted sample to give the right one.
PREROLL_NS = 250_000_000

#: A file that ends so much before its time is taken for one that was cut off.
EARLY_NS = 500_000_000

_SECOND_NS = 1_000_000_000

logger = logging.getLogger("remotemedia.media")


class MediaItem(NamedTuple):
    """A decoded block of audio or a frame.

    Attributes:
        payload: what was decoded.
        timestamp_ns: its position in the file.
        end_ns: where in the file it ends.
    """

    payload: Audio | Video
    timestamp_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What to read of a file, and in which form.

    Attributes:
        audio, video: whether to decode the file's best stream of that kind.
        start_ns: position to begin at; what is before it is dropped to the sample.
        duration_ns: how much to read; None: to the end.
        sample_dtype: of the samples, a key of SAMPLE_FORMATS.
        sample_rate: Hz; None: the file's.
        channels: number; None: the file's.
        block_ms: length of an audio block; 0: as decoded.
        pixel_format: of the frames.
        threads: of each decoder.
    """

    audio: bool = True
    video: bool = True
    start_ns: int = 0
    duration_ns: int | None = None
    sample_dtype: str = "float32"
    sample_rate: int | None = None
    channels: int | None = None
    block_ms: int = 20
    pixel_format: RawFormat = "rgb24"
    threads: int = 1

    @property
    def end_ns(self) -> int | None:
        """Position to end before, or None."""
        return None if self.duration_ns is None else self.start_ns + self.duration_ns


def read_media(
    path: str | Path,
    options: ReadOptions,
    empty: Callable[[tuple[int, ...], npt.DTypeLike], npt.NDArray[Any]],
) -> Generator[MediaItem | None]:
    """Decode a file, step by step.

    Args:
        path: the file.
        options: what to read of it.
        empty: gives the arrays that frames are written into: `ctx.empty`.

    Returns:
        An iterator of what was decoded, and None after each step that gave nothing, so that who
        iterates can do something else in between. The file is open until it is closed or at its
        end.

    Raises:
        MediaError: the file is missing, a directory, unreadable, empty, no media file, without the
            wanted streams, or damaged; the message names it.
    """
    import av

    path = Path(path)
    with contextlib.ExitStack() as stack:
        container = open_media(path, stack)
        reader = _Reader(path, container, options, empty)
        try:
            yield from reader.items()
        except av.error.FFmpegError as error:
            raise MediaError(
                f"{path} is damaged or cut off after {reader.reached_ns / 1e9:.3f} s:"
                f" {error.strerror}",
                path=str(path),
            ) from error


class _Reader:
    """Decodes an open container.

    Attributes:
        reached_ns: how far it has come.
    """

    def __init__(self, path: Path, container: Any, options: ReadOptions, empty: Any) -> None:
        self.reached_ns = 0
        self._path = path
        self._container = container
        self._options = options
        self._empty = empty
        self._origin_ns = origin_ns(container)
        self._streams = self._choose()
        self._converter = Converter()
        self._frame_number = 0
        self._frame_ns = 0
        self._resampler: Any = None
        self._resampled: tuple[Any, ...] | None = None
        self._blocks = AudioBlocks(options.block_ms, options.start_ns, options.end_ns)

    def items(self) -> Iterator[MediaItem | None]:
        """Everything that is wanted."""
        self._check_start()
        self._seek()
        waited_for = {stream.index for stream in self._streams}
        for packet in self._container.demux(self._streams):
            if packet.stream.index not in waited_for:
                continue
            items = self._decoded(packet)
            yield from items
            if not items:
                yield None
            if self._is_past(packet):
                waited_for.discard(packet.stream.index)
                if not waited_for:
                    break
        yield from self._flushed_audio()
        self._check_end()

    # --- streams ------------------------------------------------------------------------------

    def _choose(self) -> list[Any]:
        """The streams to decode."""
        wanted = [kind for kind in ("audio", "video") if getattr(self._options, kind)]
        found = [main_stream(self._container, kind) for kind in wanted]
        streams = [stream for stream in found if stream is not None]
        if not streams:
            has = ", ".join(sorted({stream.type for stream in self._container.streams}))
            raise MediaError(
                f"{self._path} has no {' and no '.join(wanted)} that can be decoded; it has"
                f" {has or 'nothing'}",
                path=str(self._path),
            )
        for stream in streams:
            stream.codec_context.thread_count = self._options.threads
        return streams

    def _check_start(self) -> None:
        duration_us = self._container.duration
        start_ns = self._options.start_ns
        if start_ns and duration_us is not None and start_ns >= duration_us * 1_000:
            raise MediaError(
                f"{self._path} lasts {duration_us / 1e6:.3f} s: it cannot be read from"
                f" {start_ns / 1e9:g} s on",
                path=str(self._path),
            )

    def _check_end(self) -> None:
        """Warn of a file that ends long before it said it would, as one that was cut off does."""
        promised = promised_ns(self._container)
        if self._options.end_ns is None and self.reached_ns < promised - EARLY_NS:
            logger.warning(
                "media_file_ends_early",
                extra={
                    "path": str(self._path),
                    "reached_s": self.reached_ns / 1e9,
                    "promised_s": promised / 1e9,
                },
            )

    def _seek(self) -> None:
        target_ns = self._options.start_ns - PREROLL_NS
        if target_ns <= 0:
            return
        import av

        # What cannot seek is read from its beginning; the result is the same.
        with contextlib.suppress(av.error.FFmpegError):
            self._container.seek((target_ns + self._origin_ns) // 1_000)

    def _is_past(self, packet: Any) -> bool:
        """Whether nothing wanted follows in this packet's stream.

        Its frames come in order of presentation; packets do in order of decoding, which may be
        seconds apart in no file that is played.
        """
        end_ns = self._options.end_ns
        if end_ns is None or packet.dts is None:
            return False
        return self._time(packet.dts, packet.time_base) >= end_ns

    # --- decoding -----------------------------------------------------------------------------

    def _decoded(self, packet: Any) -> list[MediaItem]:
        if packet.stream.type == "video":
            return [item for frame in packet.decode() if (item := self._picture(frame)) is not None]
        return [item for frame in packet.decode() for item in self._sound(frame)]

    def _picture(self, frame: Any) -> MediaItem | None:
        options = self._options
        rate = self._rate_of_video()
        at_ns = self._frame_ns if frame.pts is None else self._time(frame.pts, frame.time_base)
        lasts_ns = round(_SECOND_NS / rate)
        if frame.duration and frame.time_base:
            lasts_ns = round(frame.duration * frame.time_base * _SECOND_NS)
        self._frame_ns = at_ns + lasts_ns
        self.reached_ns = max(self.reached_ns, at_ns)
        if at_ns < options.start_ns or (options.end_ns is not None and at_ns >= options.end_ns):
            return None
        try:
            video = self._converter.payload(
                frame,
                options.pixel_format,
                self._empty,
                frame_number=self._frame_number,
                keyframe=bool(frame.key_frame),
            )
        except ValueError as error:
            raise MediaError(f"{self._path}: {error}", path=str(self._path)) from error
        self._frame_number += 1
        ends_ns = at_ns + lasts_ns
        return MediaItem(video, at_ns, min(ends_ns, options.end_ns or ends_ns))

    def _rate_of_video(self) -> Fraction:
        stream = next(stream for stream in self._streams if stream.type == "video")
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        return rate if rate > 0 else Fraction(25)

    def _sound(self, frame: Any) -> Iterator[MediaItem]:
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or form != self._resampled:
            yield from self._resampled_rest()
            self._resampler = self._new_resampler(frame)
            self._resampled = form
        yield from self._cut(self._resampler.resample(frame))

    def _new_resampler(self, frame: Any) -> Any:
        import av

        options = self._options
        layout = frame.layout
        if options.channels not in (None, layout.nb_channels):
            layout = layout_name(options.channels or 1)
        return av.AudioResampler(
            format=SAMPLE_FORMATS[options.sample_dtype],
            layout=layout,
            rate=options.sample_rate or frame.sample_rate,
        )

    def _resampled_rest(self) -> Iterator[MediaItem]:
        if self._resampler is not None:
            rest = self._resampler.resample(None)
            yield from self._cut([frame for frame in rest if frame is not None])

    def _cut(self, frames: list[Any]) -> Iterator[MediaItem]:
        for frame in frames:
            samples = frame.to_ndarray().reshape(-1, frame.layout.nb_channels)
            at_ns = None if frame.pts is None else self._time(frame.pts, frame.time_base)
            blocks = self._blocks.feed(
                self._without_padding(samples, frame, at_ns), frame.rate, at_ns
            )
            yield from self._audio_items(blocks)

    def _without_padding(self, samples: Any, frame: Any, at_ns: int | None) -> Any:
        """MP4 says how long its audio is; the last packet's padding is not part of it."""
        stream = next(stream for stream in self._streams if stream.type == "audio")
        if at_ns is None or stream.duration is None or "mp4" not in self._container.format.name:
            return samples
        end_ns = self._time((stream.start_time or 0) + stream.duration, stream.time_base)
        return samples[: max(0, round((end_ns - at_ns) * frame.rate / _SECOND_NS))]

    def _flushed_audio(self) -> Iterator[MediaItem]:
        yield from self._resampled_rest()
        yield from self._audio_items(self._blocks.flush())

    def _audio_items(self, blocks: Any) -> Iterator[MediaItem]:
        for audio, at_ns in blocks:
            begin_ns = max(0, at_ns)  # resampling rounds times, the first one perhaps below 0
            end_ns = begin_ns + audio.duration_ns
            self.reached_ns = max(self.reached_ns, end_ns)
            yield MediaItem(audio, begin_ns, end_ns)

    def _time(self, ticks: int, time_base: Fraction) -> int:
        """Position in the file, in nanoseconds."""
        return nanoseconds(ticks, time_base) - self._origin_ns
