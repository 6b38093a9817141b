"""Writes one media file from audio and frames.

Source: FR-002. Encodes and writes through PyAV, blocking; no operator.

    audio ─▶ encoder ─┐ held until all streams      ┌─▶ libav's interleaving ─▶ part file ─▶ target
    video ─▶ encoder ─┴─ have begun, then muxed ────┘     (at most 10 s)          on `commit`

A container's header says which streams there are, so that it is written only when each has begun.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from engine.errors import MediaError, UsageError
from operators.media.containers import container_of, encoder_for
from operators.media.encoders import AudioEncoder, VideoEncoder
from operators.media.part_file import PartFile

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator
    from pathlib import Path

    from engine.payloads import Audio, Video

#: How much of encoded media waits for a stream that has not begun: bytes, and media time.
HELD_BYTES_MAX = 32 * 1024 * 1024
HELD_NS_MAX = 10_000_000_000


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How a file is written.

    Attributes:
        streams: "audio", "video", "both"; "auto": what comes.
        audio_codec, video_codec: a codec's or an encoder's name; "": the container's own choice.
        audio_bit_rate, video_bit_rate: bits per second; None: the encoder's own.
        fps: frames per second at most; None: as they come.
        gaps: "keep": silence where audio's times jump; "close"; "auto": keep beside video.
        threads: of the video encoder.
    """

    streams: str = "auto"
    audio_codec: str = ""
    video_codec: str = ""
    audio_bit_rate: int | None = None
    video_bit_rate: int | None = None
    fps: float | None = None
    gaps: str = "auto"
    threads: int = 1


class MediaFileWriter:
    """A media file in the making; it appears in its place on `commit`.

    Attributes:
        path: the target.
        mime_type: what it will be.
    """

    def __init__(self, path: Path, options: WriteOptions, logger: logging.Logger) -> None:
        """Prepare; nothing is visible yet.

        Raises:
            MediaError: the suffix means no format, no such encoder is there, or the file cannot be
                written.
        """
        self.path = path
        self._options = options
        self._logger = logger
        self._container_kind = container = container_of(path)
        self.mime_type = container.mime_type
        self._expected = self._kinds()
        self._encoders = {
            kind: encoder_for(container, kind, getattr(options, f"{kind}_codec"))
            for kind in ("audio", "video")
            if kind in self._expected
        }
        self._audio: AudioEncoder | None = None
        self._video: VideoEncoder | None = None
        #: Media time of the packet that came first, and how much earlier the other stream begins.
        self._base_ns = self._lead_ns = 0
        self._reached_ns = 0
        self._held: list[Any] = []
        self._held_bytes = 0
        self._started = False
        self._closed = False
        self._part = PartFile(path)
        import av

        self._errors = (av.error.FFmpegError, OSError, ValueError)
        try:
            # By a path: PyAV may crash when it is collected with a Python file still open.
            self._container = av.open(self._part.location, "w", format=container.format)
        except self._errors as error:
            self._part.discard()
            raise self._cannot(error) from error

    def write_audio(self, audio: Audio, timestamp_ns: int) -> None:
        """Append audio of a media time.

        Raises:
            MediaError: it cannot be encoded or written, or differs from what was before; the
                message names the file.
        """
        with self._named():
            if self._audio is None:
                self._begin("audio", timestamp_ns)
                keeps = self._options.gaps == "keep" or (
                    self._options.gaps == "auto" and "video" in self._expected
                )
                self._audio = AudioEncoder(
                    self._container,
                    self._encoders["audio"],
                    audio,
                    self._options.audio_bit_rate,
                    keeps_gaps=keeps,
                )
            at_ns = timestamp_ns - self._base_ns
            self._mux(self._audio.encode(audio, at_ns), at_ns)

    def write_video(self, video: Video, timestamp_ns: int) -> None:
        """Append a frame of a media time.

        Raises:
            MediaError: as for `write_audio`.
        """
        with self._named():
            if self._video is None:
                self._begin("video", timestamp_ns)
                self._video = VideoEncoder(
                    self._container,
                    self._encoders["video"],
                    video,
                    bit_rate=self._options.video_bit_rate,
                    fps=self._options.fps,
                    threads=self._options.threads,
                    logger=self._logger,
                )
            at_ns = timestamp_ns - self._base_ns
            self._mux(self._video.encode(video, at_ns), at_ns)

    def commit(self) -> int | None:
        """Complete the file and put it in its place.

        Returns:
            Its size in bytes; None where nothing came: then there is no file, and what was in its
            place stays.

        Raises:
            MediaError: it cannot be written; nothing of it is left then.
        """
        if self._closed:
            raise UsageError(f"the writer of {self.path} is closed", path=str(self.path))
        try:
            with self._named():
                for encoder in self._began():
                    self._mux(encoder.finish(), self._reached_ns)
                self._start()
                has_content = self._started
                self._container.close()
            return self._part.commit() if has_content else None
        finally:
            self.discard()

    def discard(self) -> None:
        """Throw away what is not in its place. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._held.clear()
        try:
            self._container.close()
        except self._errors as error:
            self._logger.debug("media_writer_discarded", extra={"reason": repr(error)})
        self._part.discard()

    # --- streams ------------------------------------------------------------------------------

    def _kinds(self) -> frozenset[str]:
        """The kinds of streams the file may have."""
        has_video = bool(self._container_kind.video)
        wanted = self._options.streams
        if wanted in ("video", "both") and not has_video:
            raise MediaError(
                f"{self.path.name}: {self._container_kind.format} holds audio only: set streams to"
                ' "audio", or let the name end in .mp4, .webm or .mkv',
                path=str(self.path),
            )
        if wanted in ("audio", "video"):
            return frozenset({wanted})
        return frozenset({"audio", "video"} if has_video else {"audio"})

    def _begin(self, kind: str, timestamp_ns: int) -> None:
        """Let a stream begin; the file's time begins with the first one."""
        if kind not in self._expected:
            raise MediaError(f"it takes {' and '.join(self._expected)} only, and {kind} came")
        if self._started:
            raise MediaError(
                f"{kind} began when {self._reached_ns / 1e9:.1f} s without any were written: set"
                ' streams to "both", so that its beginning is waited for'
            )
        if not self._began():
            self._base_ns = timestamp_ns
        self._lead_ns = max(0, self._base_ns - timestamp_ns)

    def _began(self) -> list[AudioEncoder | VideoEncoder]:
        return [encoder for encoder in (self._audio, self._video) if encoder is not None]

    def _mux(self, packets: list[Any], at_ns: int) -> None:
        """Write packets, or hold them until every stream has begun."""
        self._reached_ns = max(self._reached_ns, at_ns)
        if self._started:
            self._put(packets)
            return
        self._held += packets
        self._held_bytes += sum(packet.size for packet in packets)
        if len(self._began()) == len(self._expected):
            self._start()
        elif self._held_bytes > HELD_BYTES_MAX or self._reached_ns > HELD_NS_MAX:
            if self._options.streams == "both":
                missing = "audio" if self._audio is None else "video"
                raise MediaError(
                    f"no {missing} has come within {self._reached_ns / 1e9:.1f} s: connect it, or"
                    " set streams to what there is"
                )
            self._start()

    def _start(self) -> None:
        """Write what was held, behind a header of the streams that have begun."""
        held, self._held = self._held, []
        self._started = self._started or bool(held)
        self._put(held)

    def _put(self, packets: list[Any]) -> None:
        """Mux packets, so that the earlier stream begins at 0."""
        for packet in packets:
            if self._lead_ns:
                ticks = round(Fraction(self._lead_ns, 1_000_000_000) / packet.time_base)
                packet.pts += ticks
                packet.dts += ticks
            self._container.mux(packet)

    # --- errors -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Let every error say which file it is about."""
        try:
            yield
        except (MediaError, *self._errors) as error:
            raise self._cannot(error) from error

    def _cannot(self, error: BaseException) -> MediaError:
        reason = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)
        return MediaError(f"cannot write {self.path}: {reason}", path=str(self.path))
