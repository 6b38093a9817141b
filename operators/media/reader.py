"""Reads media files: a source of audio and video.

Source: FR-002; node type MediaReaderNode. Decodes through PyAV, which blocks: it runs in a process
of its own unless told otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from engine.errors import MediaError
from engine.operator import Operator
from engine.operator import Params as BaseParams
from engine.payloads import Audio, File, Text, kind_of
from engine.reach import files
from operators.media.reading import ReadOptions, read_media
from operators.video.frames import RawFormat

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping

    from engine.operator import Context, Output
    from engine.packet import Packet
    from engine.reach import Reach

#: How far behind real time it may fall and still catch up; beyond, it goes on from where it is.
CATCH_UP_S = 0.2


class MediaReader(Operator):
    """Decodes a file and emits its audio and frames, each with its media time.

    With `path` it plays that file: once when its input ends, or, where packets come, once for each
    of them, whatever they carry. Without, each packet names a file: a Text by its text, a File by
    its path; within `root`, if that is set.

    Audio leaves by the port `audio` and frames by `video`. What nobody takes there leaves by `out`,
    so that a plain connection gets both, in the file's order; what nobody takes at all is not
    decoded. The next item is decoded only when the last one has been accepted: a slow consumer
    slows the reading, and nothing piles up.

    Media time is the position in the file. A further pass, or file, goes on where the last ended.
    A part (`start_s`, `duration_s`) is cut to the sample; in Matroska and WebM, whose times are
    whole milliseconds, its beginning is right to one of them. An interrupt ends the
    file that is being read. Params that are changed while it runs hold from the next file on: a
    change waits until the one that is being read has ended.
    """

    node_type = "MediaReaderNode"
    outputs = ("out", "audio", "video")
    emits = frozenset({"audio", "video"})
    default_executor = "process"
    stateful = True
    hot = frozenset({"realtime", "start_s", "duration_s", "loop"})

    class Params(BaseParams):
        path: str = Field("", description="the file; empty: packets name files")
        root: str = Field(
            "", description="directory that files named by packets must lie in; empty: anywhere"
        )
        streams: Literal["both", "audio", "video"] = Field(
            "both", description="what to read of the file, if it has it"
        )
        realtime: bool = Field(False, description="no faster than it plays")
        start_s: float = Field(0.0, ge=0, le=1e6, description="position to begin at, seconds")
        duration_s: float | None = Field(
            None, gt=0, le=1e6, description="how much to read, seconds; None: to the end"
        )
        loop: int = Field(1, ge=1, le=1_000_000, description="how many times to read it")
        audio_dtype: Literal["float32", "int16", "int32"] = Field(
            "float32", description="dtype of the samples"
        )
        audio_rate: int | None = Field(
            None, ge=1_000, le=768_000, description="Hz; None: the file's"
        )
        audio_channels: int | None = Field(None, ge=1, le=8, description="None: the file's")
        block_ms: int = Field(
            20, ge=0, le=60_000, description="length of an audio packet; 0: as decoded"
        )
        video_format: RawFormat = Field("rgb24", description="pixel format of the frames")
        threads: int = Field(1, ge=1, le=64, description="of each decoder")

    params: Params

    @classmethod
    def reaches(cls, params: Mapping[str, Any]) -> Iterable[Reach]:
        if params.get("path"):
            return files(params, "path")
        # Packets name files: any that there is, unless `root` bounds them.
        return files({"root": params.get("root") or "/"}, "root")

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._played = False
        #: Media time at which the next file begins; None: by its own positions.
        self._next_ns: int | None = None
        self._pace = _Pace()

    async def initialize(self, ctx: Context) -> None:
        import av

        del av  # loaded here, so that the first packet does not wait for it

    async def process(self, packet: Packet, ctx: Context) -> AsyncIterator[Output]:
        """Play the file that a packet names or starts.

        Raises:
            MediaError: it cannot be read; the message names it.
            TypeError: the packet names none.
        """
        self._played = True
        # A generator inside another is not closed with it, unless somebody does so.
        async with contextlib.aclosing(self._play(self._path_of(packet), ctx)) as outputs:
            async for output in outputs:
                yield output

    def flush(self, ctx: Context) -> AsyncIterator[Output] | None:
        if self._played or not self.params.path:
            return None
        return self._play(Path(self.params.path), ctx)

    def params_changed(self, before: Params, ctx: Context) -> None:
        if self.params.realtime != before.realtime:
            self._pace = _Pace()

    def reset(self, ctx: Context) -> None:
        self._pace = _Pace()

    def _path_of(self, packet: Packet) -> Path:
        payload = packet.payload
        if self.params.path:
            return Path(self.params.path)
        if isinstance(payload, File):
            named = payload.path
        elif isinstance(payload, Text):
            named = payload.text.strip()
        else:
            raise TypeError(
                f"a {kind_of(payload)} packet names no file: send a File or a Text, or set path"
            )
        if not self.params.root:
            return Path(named)
        root = Path(self.params.root).resolve()
        path = (root / named).resolve()
        if not path.is_relative_to(root):
            raise MediaError(f"{named!r} lies outside of {root}", path=named)
        return path

    async def _play(self, path: Path, ctx: Context) -> AsyncGenerator[Output]:
        """Read a file as often as wanted."""
        ports = self._ports(ctx)
        if not ports:
            return
        for _ in range(self.params.loop):
            shift_ns = 0 if self._next_ns is None else self._next_ns - self._start_ns
            with contextlib.closing(read_media(path, self._options(ports), ctx.empty)) as items:
                for item in items:
                    if ctx.cancelled:
                        return
                    if item is None:
                        await asyncio.sleep(0)  # nothing came of this step: let the loop breathe
                        continue
                    at_ns = item.timestamp_ns + shift_ns
                    self._next_ns = max(self._next_ns or 0, item.end_ns + shift_ns)
                    if self.params.realtime:
                        await self._pace.wait(at_ns)
                    kind = "audio" if isinstance(item.payload, Audio) else "video"
                    yield ctx.to(ports[kind], item.payload, timestamp_ns=at_ns)

    def _ports(self, ctx: Context) -> dict[str, str]:
        """Kind → the port it leaves by; without those that nobody takes."""
        wanted = ("audio", "video") if self.params.streams == "both" else (self.params.streams,)
        ports = {}
        for kind in wanted:
            port = kind if ctx.connected(kind) else "out"
            if ctx.connected(port):
                ports[kind] = port
        return ports

    @property
    def _start_ns(self) -> int:
        return round(self.params.start_s * 1e9)

    def _options(self, ports: dict[str, str]) -> ReadOptions:
        params = self.params
        return ReadOptions(
            audio="audio" in ports,
            video="video" in ports,
            start_ns=self._start_ns,
            duration_ns=None if params.duration_s is None else round(params.duration_s * 1e9),
            sample_dtype=params.audio_dtype,
            sample_rate=params.audio_rate,
            channels=params.audio_channels,
            block_ms=params.block_ms,
            pixel_format=params.video_format,
            threads=params.threads,
        )


class _Pace:
    """Lets media time pass no faster than the loop's clock."""

    def __init__(self) -> None:
        #: The clock's time at media time 0; None: nothing has played yet.
        self._zero_s: float | None = None

    async def wait(self, media_ns: int) -> None:
        """Wait until a media time is due."""
        now_s = asyncio.get_running_loop().time()
        if self._zero_s is None:
            self._zero_s = now_s - media_ns / 1e9
        late_s = now_s - self._zero_s - media_ns / 1e9
        if late_s > CATCH_UP_S:
            self._zero_s += late_s
        elif late_s < 0:
            await asyncio.sleep(-late_s)
