"""Frames between our payloads and PyAV: sizes, pixel formats, colours.

Source: FR-002. No operator, no I/O. Computes with libswscale through PyAV
(https://pyav.basswood-io.com), which is imported when first needed.

Colours follow the usual convention where nothing says otherwise: pictures of 720 lines and more
are ITU-R BT.709, smaller ones BT.601; YUV has the limited range (16…235), RGB and grey the full.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from engine.payloads import Video

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

#: What a raw frame's `format` may be, as a param.
RawFormat = Literal["rgb24", "rgba32", "gray8", "yuv420p", "i420", "nv12"]
#: Which ITU-R recommendation says how YUV is made of RGB.
Matrix = Literal["auto", "bt601", "bt709"]
#: "limited": luminance 16…235; "full": 0…255.
Range = Literal["limited", "full"]
#: How pixels between pixels are found.
Interpolation = Literal["nearest", "bilinear", "bicubic", "area", "lanczos"]

#: Our pixel formats → libav's.
LIBAV_FORMATS = {
    "rgb24": "rgb24",
    "rgba32": "rgba",
    "gray8": "gray",
    "yuv420p": "yuv420p",
    "i420": "yuv420p",
    "nv12": "nv12",
}
#: Those with chroma planes of half width and height: even sizes only.
SUBSAMPLED = frozenset({"yuv420p", "i420", "nv12"})

#: Height from which pictures without a note are BT.709.
HD_LINES = 720

_INTERPOLATIONS = {"nearest": "POINT"}
#: swscale's numbers of colour matrices; not 5, by which PyAV leaves what the last frame had.
_MATRICES = {"bt601": 6, "bt709": 1}
#: libav's numbers of colour spaces (AVCOL_SPC_…) → swscale's.
_SPACES = {1: 1, 4: 4, 5: 6, 6: 6, 7: 7}
_LIMITED, _FULL = 1, 2


def require_raw(video: Video, doing: str) -> None:
    """Refuse an encoded frame.

    Args:
        video: the frame.
        doing: what cannot be done with it: "flipped", "scaled", ….

    Raises:
        ValueError: it is encoded.
    """
    if video.format == "encoded":
        raise ValueError(
            f"an encoded frame ({video.codec}) cannot be {doing}: decode it first, or let its"
            " source emit raw frames (rgb24, yuv420p, …)"
        )


def to_frame(video: Video) -> Any:
    """A raw frame as PyAV's, without a copy; it keeps the payload's pixels alive.

    Nobody may write into it.

    Raises:
        ValueError: it is encoded.
    """
    import av

    require_raw(video, "converted")
    return av.VideoFrame.from_numpy_buffer(video.pixels, format=LIBAV_FORMATS[video.format])


class Converter:
    """Turns PyAV frames into payloads of one format, or into frames of another one.

    Keeps libswscale's tables from frame to frame; not for several threads at once.

    Args:
        matrix: colour matrix of the YUV side; "auto": the frame's own note, else by its height.
        yuv_range: range of YUV that comes without a note, and of YUV that is made.
        interpolation: for sizes and for chroma.
    """

    def __init__(
        self,
        matrix: Matrix = "auto",
        yuv_range: Range = "limited",
        interpolation: Interpolation = "bilinear",
    ) -> None:
        from av.video.reformatter import VideoReformatter

        self._matrix = matrix
        self._range = _FULL if yuv_range == "full" else _LIMITED
        self._interpolation = _INTERPOLATIONS.get(interpolation, interpolation.upper())
        self._reformatter = VideoReformatter()

    def reformat(self, frame: Any, libav_format: str, width: int, height: int) -> Any:
        """The frame in another format or size; the same one where nothing is to be done.

        Raises:
            ValueError: libswscale cannot do it.
        """
        source, target = _kind_of(frame.format.name), _kind_of(libav_format)
        # YUV leaves without a note, so it must be what its size lets everybody expect.
        made = self._matrix_of_height(height)
        matrix = self._matrix_of(frame) if source == "yuv" else made
        source_range = self._range_of(frame) if source == "yuv" else _FULL
        target_range = self._range if target == "yuv" else _FULL
        recoded = source == target == "yuv" and (matrix, source_range) != (made, target_range)
        unscaled = (width, height) == (frame.width, frame.height)
        if unscaled and libav_format == frame.format.name and not recoded:
            return frame
        if recoded and unscaled and matrix == made and not _is_full_by_name(frame):
            # libswscale copies such planes, and leaves their range as it was.
            frame = self.reformat(frame, "rgb24", width, height)
            return self.reformat(frame, libav_format, width, height)
        if (source, target, source_range) == ("yuv", "grey", _FULL):
            return self.reformat(_luma(frame), libav_format, width, height)
        # PyAV passes matrix and range on only where the sides differ, so the side on which a
        # matrix means nothing is said to have another one.
        other = next(number for number in _MATRICES.values() if number != matrix)
        grey_is_stretched = source == "grey" and source_range != target_range
        return self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format=libav_format,
            src_colorspace=matrix if source == "yuv" or grey_is_stretched else other,
            dst_colorspace=made if recoded else other if target == "rgb" else matrix,
            interpolation=self._interpolation,
            src_color_range=source_range,
            dst_color_range=target_range,
        )

    def payload(
        self,
        frame: Any,
        format_: str,
        empty: Callable[[tuple[int, ...], npt.DTypeLike], npt.NDArray[Any]],
        *,
        width: int | None = None,
        height: int | None = None,
        frame_number: int = 0,
        keyframe: bool = False,
    ) -> Video:
        """A frame as a payload, in a format and size.

        Args:
            frame: PyAV's frame.
            format_: one of LIBAV_FORMATS.
            empty: gives the array to write into: `ctx.empty`.
            width: pixels; None: the frame's.
            height: likewise.
            frame_number: as in `Video`.
            keyframe: as in `Video`.

        Raises:
            ValueError: the size is odd and the format has even sizes only.
        """
        width, height = width or frame.width, height or frame.height
        check_size(format_, width, height)
        converted = self.reformat(frame, LIBAV_FORMATS[format_], width, height)
        pixels = _pixels(converted, format_, empty)
        return Video(pixels, format_, frame_number=frame_number, keyframe=keyframe)

    def _matrix_of(self, frame: Any) -> int:
        noted = _SPACES.get(int(frame.colorspace)) if self._matrix == "auto" else None
        return noted if noted is not None else self._matrix_of_height(frame.height)

    def _matrix_of_height(self, height: int) -> int:
        name = matrix_by_height(height) if self._matrix == "auto" else self._matrix
        return _MATRICES[name]

    def _range_of(self, frame: Any) -> int:
        if _is_full_by_name(frame):
            return _FULL
        noted = int(frame.color_range)
        return noted if noted in (_LIMITED, _FULL) else self._range


def _is_full_by_name(frame: Any) -> bool:
    """Whether the very format says that the range is full."""
    name: str = frame.format.name
    return name.startswith("yuvj")


def matrix_by_height(height: int) -> Literal["bt601", "bt709"]:
    """The colour matrix of pictures that come without a note."""
    return "bt709" if height >= HD_LINES else "bt601"


def check_size(format_: str, width: int, height: int) -> None:
    """Refuse an odd size where the format has none.

    Raises:
        ValueError: it is odd.
    """
    if format_ in SUBSAMPLED and (width % 2 or height % 2):
        raise ValueError(
            f"a frame of {width} × {height} pixels cannot be {format_}, which has even sizes only:"
            " scale it, or take rgb24"
        )


def _pixels(
    frame: Any,
    format_: str,
    empty: Callable[[tuple[int, ...], npt.DTypeLike], npt.NDArray[Any]],
) -> npt.NDArray[Any]:
    """The frame's planes in one array of the payload's shape, without their padding."""
    width, height = frame.width, frame.height
    planes = [_plane(plane) for plane in frame.planes]
    if format_ not in SUBSAMPLED:
        channels = {"rgb24": 3, "rgba32": 4, "gray8": 1}[format_]
        shape = (height, width, channels) if channels > 1 else (height, width)
        out = empty(shape, np.uint8)
        out.reshape(height, width * channels)[:] = planes[0][:height, : width * channels]
        return out
    out = empty((height * 3 // 2, width), np.uint8)
    out[:height] = planes[0][:height, :width]
    chroma = out[height:].reshape(-1)
    if format_ == "nv12":
        chroma.reshape(height // 2, width)[:] = planes[1][: height // 2, :width]
    else:
        halves = chroma.reshape(2, height // 2, width // 2)
        halves[0] = planes[1][: height // 2, : width // 2]
        halves[1] = planes[2][: height // 2, : width // 2]
    return out


def _plane(plane: Any) -> npt.NDArray[np.uint8]:
    """A plane's rows, with their padding; a view that is valid while the frame lives."""
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)


def _luma(frame: Any) -> Any:
    """The luminance of full-range YUV, which is its grey."""
    import av

    luma = _plane(frame.planes[0])[: frame.height, : frame.width]
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(luma), format="gray")


def _kind_of(libav_format: str) -> Literal["rgb", "grey", "yuv"]:
    import av

    format_ = av.VideoFormat(libav_format)
    if format_.is_rgb:
        return "rgb"
    return "yuv" if len(format_.components) > 1 else "grey"
