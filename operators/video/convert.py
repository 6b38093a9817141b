"""Changes the pixel format of pictures.

Source: FR-002. Computes with libswscale through PyAV, without I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from engine.operator import Operator
from engine.operator import Params as BaseParams
from engine.payloads import Video
from operators.video.frames import (
    LIBAV_FORMATS,
    Converter,
    Matrix,
    Range,
    RawFormat,
    require_raw,
    to_frame,
)

if TYPE_CHECKING:
    from engine.operator import Context, Output
    from engine.packet import Packet


class VideoFormat(Operator):
    """Converts each raw frame to `format`; size, number and media time stay.

    A frame of that format passes through unchanged, and so do payloads that are not video. What is
    said of YUV holds for the side that is YUV: the input of yuv420p → rgb24, the output of rgb24 →
    yuv420p. The planes of yuv420p and i420 are the same. An encoded frame is an error.
    """

    node_type = "VideoFormatNode"
    accepts = frozenset({"video"})
    emits = frozenset({"video"})
    default_executor = "process"  # 5 ms for 1920 × 1080
    rate = "one_to_one"
    hot = frozenset({"matrix", "range"})

    class Params(BaseParams):
        format: RawFormat = Field("rgb24", description="pixel format of what comes out")
        matrix: Matrix = Field(
            "auto",
            description="how YUV is made of RGB; auto: BT.709 from 720 lines, BT.601 below",
        )
        range: Range = Field("limited", description="range of YUV: limited (16…235) or full")

    params: Params
    _converter: Converter

    async def initialize(self, ctx: Context) -> None:
        self._converter = Converter(self.params.matrix, self.params.range)

    def params_changed(self, before: Params, ctx: Context) -> None:
        self._converter = Converter(self.params.matrix, self.params.range)

    def process(self, packet: Packet, ctx: Context) -> Output:
        """Convert one frame.

        Raises:
            ValueError: it is encoded, or of an odd size that the format has not.
        """
        video = packet.payload
        if not isinstance(video, Video):
            return packet
        require_raw(video, "converted")
        if video.format == self.params.format:
            return packet
        if LIBAV_FORMATS[video.format] == LIBAV_FORMATS[self.params.format]:
            return packet.with_payload(
                Video(
                    video.pixels,
                    self.params.format,
                    frame_number=video.frame_number,
                    keyframe=video.keyframe,
                )
            )
        converted = self._converter.payload(
            to_frame(video),
            self.params.format,
            ctx.empty,
            frame_number=video.frame_number,
            keyframe=video.keyframe,
        )
        return packet.with_payload(converted)
