"""Changes the size of pictures.

Source: FR-002. Computes with libswscale through PyAV, without I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from engine.operator import Operator
from engine.operator import Params as BaseParams
from engine.payloads import Video
from operators.video.frames import (
    SUBSAMPLED,
    Converter,
    Interpolation,
    require_raw,
    to_frame,
)

if TYPE_CHECKING:
    from engine.operator import Context, Output
    from engine.packet import Packet

#: Pixels along one side at most: 8K, with room.
SIDE_MAX = 16_384


class VideoScale(Operator):
    """Scales each raw frame; format, number and media time stay.

    With one of `width` and `height` the other follows, so that the proportions stay. With both and
    `keep_aspect` the frame becomes as large as fits into them, without borders. Formats with
    half-size chroma get the next even size. A frame of the wanted size passes through unchanged,
    and so do payloads that are not video. An encoded frame is an error.

    YUV that gets 720 lines or more becomes BT.709, and BT.601 below, as everybody takes it to be.
    """

    node_type = "VideoScaleNode"
    accepts = frozenset({"video"})
    emits = frozenset({"video"})
    default_executor = "process"  # 2 to 10 ms for 1920 × 1080
    rate = "one_to_one"
    hot = frozenset({"width", "height", "keep_aspect", "interpolation"})

    class Params(BaseParams):
        width: int | None = Field(
            None, ge=1, le=SIDE_MAX, description="pixels; None: as the height demands"
        )
        height: int | None = Field(
            None, ge=1, le=SIDE_MAX, description="pixels; None: as the width demands"
        )
        keep_aspect: bool = Field(
            False, description="keep the proportions within width and height, instead of both sizes"
        )
        interpolation: Interpolation = Field(
            "bilinear", description="how pixels between pixels are found"
        )

        @model_validator(mode="after")
        def _says_a_size(self) -> Self:
            if self.width is None and self.height is None:
                raise ValueError("give width, height, or both")
            return self

    params: Params
    _converter: Converter

    async def initialize(self, ctx: Context) -> None:
        self._converter = Converter(interpolation=self.params.interpolation)

    def params_changed(self, before: Params, ctx: Context) -> None:
        if self.params.interpolation != before.interpolation:
            self._converter = Converter(interpolation=self.params.interpolation)

    def process(self, packet: Packet, ctx: Context) -> Output:
        """Scale one frame.

        Raises:
            ValueError: it is encoded.
        """
        video = packet.payload
        if not isinstance(video, Video):
            return packet
        require_raw(video, "scaled")
        width, height = self.size_of(video)
        if (width, height) == (video.width, video.height):
            return packet
        scaled = self._converter.payload(
            to_frame(video),
            video.format,
            ctx.empty,
            width=width,
            height=height,
            frame_number=video.frame_number,
            keyframe=video.keyframe,
        )
        return packet.with_payload(scaled)

    def size_of(self, video: Video) -> tuple[int, int]:
        """Width and height of what a frame becomes."""
        params = self.params
        wanted = (params.width, params.height)
        if params.keep_aspect or None in wanted:
            factors = [
                side / has
                for side, has in zip(wanted, (video.width, video.height), strict=True)
                if side is not None
            ]
            factor = min(factors)
            sides = [video.width * factor, video.height * factor]
        else:
            sides = [float(side) for side in wanted if side is not None]
        step = 2 if video.format in SUBSAMPLED else 1
        width, height = (min(SIDE_MAX, max(step, round(side / step) * step)) for side in sides)
        return width, height
