"""Writes what flows into a media file.

Source: FR-002; node type MediaWriterNode. Encodes and writes through PyAV, which blocks: it runs in
a process of its own unless told otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from engine.operator import Operator
from engine.operator import Params as BaseParams
from engine.payloads import Audio, File, Video, kind_of
from engine.reach import files
from operators.media.writing import MediaFileWriter, WriteOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.operator import Context, Output
    from engine.packet import Packet
    from engine.reach import Reach

_PORTS = ("in", "audio", "video")


class MediaWriter(Operator):
    """Writes audio and frames to `output_path`, and emits a File when it is complete.

    The suffix says the format: .wav, .mp3, .ogg, .opus, .flac, .m4a and .mka hold audio, .mp4,
    .mov, .webm and .mkv audio and video. Both may come by the port `in`, or each by a port of its
    own. Times in the file are the packets' media times, counted from the first one; audio is laid
    end to end but for gaps (see `gaps`). The rate and channels of the audio, and the size of the
    frames, are those of the first packet, and must stay.

    The file is there when the stream has ended, and not before: after an error, or where the
    session is cancelled, nothing of it is left, and what was in its place stays. Without any audio
    or frame there is no file. An interrupt takes nothing back: what was written stays written, and
    what follows is written behind it, at its own time.

    What it keeps is what its encoders look ahead, and up to 32 MiB of encoded media while a second
    stream that may come has not begun (10 s at most, where `streams` is not set).
    """

    node_type = "MediaWriterNode"
    inputs = _PORTS
    accepts = frozenset({"audio", "video"})
    emits = frozenset({"file"})
    default_executor = "process"
    stateful = True

    class Params(BaseParams):
        output_path: str = Field(min_length=1, description="the file; replaced if it exists")
        streams: Literal["auto", "audio", "video", "both"] = Field(
            "auto", description="what the file has; auto: what comes"
        )
        audio_codec: str = Field(
            "", description="aac, opus, mp3, flac, vorbis, pcm, …; empty: the format's own"
        )
        video_codec: str = Field("", description="h264, vp8, vp9, av1, …; empty: the format's own")
        audio_bit_rate: int | None = Field(
            None, ge=4_000, le=10_000_000, description="bits per second; None: the encoder's"
        )
        video_bit_rate: int | None = Field(
            None, ge=10_000, le=1_000_000_000, description="bits per second; None: by quality"
        )
        fps: float | None = Field(
            None,
            gt=0,
            le=1_000,
            description="frames per second at most, to which times are rounded; None: as they come",
        )
        gaps: Literal["auto", "keep", "close"] = Field(
            "auto",
            description="keep: silence where audio's times jump; auto: keep unless audio is alone",
        )
        threads: int = Field(1, ge=1, le=64, description="of the video encoder")

    params: Params

    @classmethod
    def reaches(cls, params: Mapping[str, Any]) -> Iterable[Reach]:
        return files(params, "output_path")

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._writer: MediaFileWriter | None = None

    async def initialize(self, ctx: Context) -> None:
        """Find the encoders.

        Raises:
            MediaError: the suffix means no format, this machine has no such codec, or the file
                cannot be written there.
        """
        params = self.params
        options = WriteOptions(**params.model_dump(exclude={"output_path"}))
        self._writer = MediaFileWriter(Path(params.output_path), options, ctx.logger)

    def process(self, packet: Packet, ctx: Context) -> None:
        """Write one packet.

        Raises:
            MediaError: it cannot be written.
            TypeError: it is neither audio nor video, or came by the other's port.
        """
        payload = packet.payload
        assert self._writer is not None
        if packet.port in ("audio", "video") and kind_of(payload) != packet.port:
            raise TypeError(f"port {packet.port!r} takes {packet.port}, not {kind_of(payload)}")
        if isinstance(payload, Audio):
            self._writer.write_audio(payload, packet.timestamp_ns)
        elif isinstance(payload, Video):
            self._writer.write_video(payload, packet.timestamp_ns)
        else:
            raise TypeError(f"a media file takes audio and video, not {kind_of(payload)}")

    def flush(self, ctx: Context) -> Output | None:
        assert self._writer is not None
        writer = self._writer
        size_bytes = writer.commit()
        if size_bytes is None:
            ctx.logger.warning("media_writer_got_nothing", extra={"path": str(writer.path)})
            return None
        return File(str(writer.path), writer.path.name, writer.mime_type, size_bytes)

    def reset(self, ctx: Context) -> None:
        """What was written stays written."""

    async def cleanup(self) -> None:
        if self._writer is not None:
            self._writer.discard()
