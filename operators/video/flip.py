"""Turns pictures upside down, or left to right.

Source: FR-002. Pure numpy, no I/O. Stands for the node type VideoFlip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from engine.operator import Operator
from engine.operator import Params as BaseParams
from engine.payloads import Video
from operators.video.frames import SUBSAMPLED, require_raw

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.operator import Context, Output
    from engine.packet import Packet

#: Pixels of this many bytes are moved as one number, three to six times as fast.
_WHOLE_PIXELS = {4: np.dtype(np.uint32), 3: np.dtype("V3")}


class VideoFlip(Operator):
    """Flips each raw frame, in one copy; format, size, number and media time stay.

    "vertical" turns it upside down, "horizontal" mirrors it. An encoded frame is an error.
    Payloads that are not video pass through unchanged.
    """

    node_type = "VideoFlip"
    accepts = frozenset({"video"})
    emits = frozenset({"video"})
    rate = "one_to_one"
    hot = frozenset({"direction"})

    class Params(BaseParams):
        direction: Literal["vertical", "horizontal"] = Field(
            "vertical", description="vertical: upside down; horizontal: mirrored"
        )

    params: Params

    def process(self, packet: Packet, ctx: Context) -> Output:
        """Flip one frame.

        Raises:
            ValueError: it is encoded.
        """
        video = packet.payload
        if not isinstance(video, Video):
            return packet
        require_raw(video, "flipped")
        pixels: npt.NDArray[Any] = ctx.empty(video.pixels.shape, np.uint8)
        _copy_flipped(video, pixels, vertical=self.params.direction == "vertical")
        return packet.with_payload(
            Video(
                pixels,
                video.format,
                frame_number=video.frame_number,
                keyframe=video.keyframe,
            )
        )


def _copy_flipped(video: Video, pixels: npt.NDArray[Any], *, vertical: bool) -> None:
    """Fill `pixels`; a function of its own, so that no view of them outlives it, see `freeze`."""
    for source, target in zip(
        _planes(video.pixels, video.format), _planes(pixels, video.format), strict=True
    ):
        np.copyto(target, source[::-1] if vertical else source[:, ::-1])


def _planes(pixels: npt.NDArray[Any], format_: str) -> list[npt.NDArray[Any]]:
    """Views of the planes, each of shape (rows, columns), one element a pixel."""
    if format_ not in SUBSAMPLED:
        if pixels.ndim == 2:  # noqa: PLR2004 - grey: a pixel is a number already
            return [pixels]
        return [pixels.view(_WHOLE_PIXELS[pixels.shape[2]])[:, :, 0]]
    rows, width = pixels.shape
    height = rows * 2 // 3
    chroma = pixels[height:].reshape(-1)
    if format_ == "nv12":
        pairs = chroma.view(np.uint16).reshape(height // 2, width // 2)
        return [pixels[:height], pairs]
    halves = chroma.reshape(2, height // 2, width // 2)
    return [pixels[:height], halves[0], halves[1]]
