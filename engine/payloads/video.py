"""Video: one frame, raw or encoded.

Pure: no I/O, no clock.

    format                 pixels, uint8
    rgb24                  (height, width, 3)
    rgba32                 (height, width, 4)
    gray8                  (height, width)
    yuv420p, i420, nv12    (height × 3 / 2, width): all of Y, then the quarter-size planes; even
                           width and height
    encoded                (bytes,): one access unit of `codec`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine.payloads.arrays import as_array, freeze
from engine.payloads.base import PayloadBase
from engine.payloads.checks import U32_MAX, U64_MAX, check_text, whole_number

if TYPE_CHECKING:
    import numpy.typing as npt

#: What `format` may be.
VIDEO_FORMATS = ("rgb24", "rgba32", "gray8", "yuv420p", "i420", "nv12", "encoded")
#: What `codec` of an encoded frame may be.
VIDEO_CODECS = ("vp8", "h264", "av1")

#: Bytes per pixel of the formats with one value after the other.
_PACKED = {"rgb24": 3, "rgba32": 4, "gray8": 1}


class Video(PayloadBase):
    """One frame. Its media time is the packet's.

    Attributes:
        pixels: read-only C-contiguous uint8 array; its shape is the format's, see the module.
        format: one of VIDEO_FORMATS.
        width, height: of the picture, in pixels, at least 1.
        frame_number: ordinal in its stream.
        codec: one of VIDEO_CODECS if encoded, else "".
        keyframe: whether it can be decoded without the frames before it.
    """

    __slots__ = ("codec", "format", "frame_number", "height", "keyframe", "pixels", "width")

    def __init__(
        self,
        pixels: npt.ArrayLike | bytes | bytearray | memoryview,
        format: str = "rgb24",  # noqa: A002  the field's own word
        width: int | None = None,
        height: int | None = None,
        frame_number: int = 0,
        codec: str = "",
        keyframe: bool = False,  # noqa: FBT001, FBT002  part of the header, set by name
    ) -> None:
        """Take the pixels over.

        Args:
            pixels: a uint8 array of the format's shape, which gives width and height; or flat, or
                bytes, and then width and height are needed. Frozen in place where possible.
            format: one of VIDEO_FORMATS.
            width: pixels; must agree with the array if both say it.
            height: pixels; likewise.
            frame_number: 0 to 2⁶⁴ − 1.
            codec: for "encoded" only, and then obligatory.
            keyframe: whether it can be decoded by itself.

        Raises:
            ValueError: an unknown format or codec, a size that does not fit.
            TypeError: a field of another type.
        """
        check_text("Video", format=format, codec=codec)
        if format not in VIDEO_FORMATS:
            raise ValueError(f"no video format {format!r}; it must be {_choices(VIDEO_FORMATS)}")
        _check_codec(format, codec)
        array = _bytes_array(pixels)
        if array.dtype != np.uint8:
            raise ValueError(f"video pixels must be uint8, got {array.dtype}; convert them")
        self.width, self.height = _size(array, format, width, height)
        array = freeze(array)  # before reshape: a view of the caller's array would be copied
        self.pixels: npt.NDArray[np.uint8] = array.reshape(_shape(format, self.width, self.height))
        self.format = format
        self.frame_number = whole_number("frame_number", frame_number, 0, U64_MAX)
        self.codec = codec
        self.keyframe = bool(keyframe)

    def __eq__(self, other: object) -> bool:
        if type(other) is not Video:
            return NotImplemented
        return self._header() == other._header() and np.array_equal(self.pixels, other.pixels)

    __hash__ = None  # type: ignore[assignment]

    def _header(self) -> tuple[Any, ...]:
        return (
            self.format,
            self.width,
            self.height,
            self.frame_number,
            self.codec,
            self.keyframe,
        )

    def __repr__(self) -> str:
        what = self.format
        if self.codec:
            what = f"{self.codec}, {self.pixels.nbytes} bytes"
        key = ", keyframe" if self.keyframe else ""
        return f"Video({self.width} × {self.height}, {what}, frame {self.frame_number}{key})"


def _choices(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _bytes_array(pixels: Any) -> npt.NDArray[Any]:
    if isinstance(pixels, bytes | bytearray | memoryview):
        return np.frombuffer(pixels, np.uint8)
    return as_array(pixels)


def _check_codec(format_: str, codec: str) -> None:
    if format_ == "encoded":
        if codec not in VIDEO_CODECS:
            raise ValueError(
                f"encoded video needs a codec, {_choices(VIDEO_CODECS)}; got {codec!r}"
            )
    elif codec:
        raise ValueError(
            f"codec {codec!r} is for encoded video; a frame of format {format_!r} has none"
        )


def _size(
    array: npt.NDArray[Any], format_: str, width: int | None, height: int | None
) -> tuple[int, int]:
    """Width and height, of the array's shape or as said, checked against each other."""
    if array.ndim == 1:
        if width is None or height is None:
            raise ValueError(f"{_flat_name(format_)} needs width and height")
        size = (width, height)
    else:
        size = _size_of_shape(array.shape, format_)
        said = (size[0] if width is None else width, size[1] if height is None else height)
        if said != size:
            raise ValueError(
                f"a {format_} frame of shape {array.shape} is {size[0]} × {size[1]} pixels, not"
                f" {said[0]} × {said[1]}"
            )
    checked = (
        whole_number("video width", size[0], 1, U32_MAX),
        whole_number("video height", size[1], 1, U32_MAX),
    )
    _check_bytes(array.size, format_, *checked)
    return checked


def _flat_name(format_: str) -> str:
    if format_ == "encoded":
        return "encoded video"
    return f"{format_} video from flat bytes (an array of shape {_shape_name(format_)} does not)"


def _shape_name(format_: str) -> str:
    if format_ == "encoded":
        return "(bytes,)"
    if format_ in _PACKED:
        channels = _PACKED[format_]
        return f"(height, width, {channels})" if channels > 1 else "(height, width)"
    return "(height × 3 / 2, width)"


def _size_of_shape(shape: tuple[int, ...], format_: str) -> tuple[int, int]:
    """Width and height of an array that is not flat.

    Raises:
        ValueError: no frame of this format has such a shape.
    """
    channels = _PACKED.get(format_, 1)
    expected = (*shape[:2], channels) if channels > 1 else shape[:2]
    if format_ == "encoded" or len(shape) <= 1 or shape != expected:
        raise ValueError(f"a {format_} frame must have shape {_shape_name(format_)}, got {shape}")
    if format_ in _PACKED:
        return shape[1], shape[0]
    if shape[0] % 3:
        raise ValueError(
            f"a {format_} frame must have height × 3 / 2 rows, which {shape[0]} cannot be"
        )
    return shape[1], shape[0] * 2 // 3


def _shape(format_: str, width: int, height: int) -> tuple[int, ...]:
    if format_ == "encoded":
        return (-1,)
    if format_ in _PACKED:
        channels = _PACKED[format_]
        return (height, width, channels) if channels > 1 else (height, width)
    return (height * 3 // 2, width)


def _check_bytes(got: int, format_: str, width: int, height: int) -> None:
    if format_ == "encoded":
        if got < 1:
            raise ValueError("an encoded video frame must have at least one byte")
        return
    if format_ not in _PACKED and (width % 2 or height % 2):
        raise ValueError(
            f"a {format_} frame must have even width and height, got {width} × {height}"
        )
    expected = width * height * _PACKED[format_] if format_ in _PACKED else width * height * 3 // 2
    if got != expected:
        raise ValueError(
            f"a {format_} frame of {width} × {height} pixels has {expected} bytes, got {got}"
        )
