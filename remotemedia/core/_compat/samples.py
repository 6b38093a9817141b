"""Audio as old code writes it: flat and interleaved, by frames or by channels, numbers or bytes.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from remotemedia.core._compat.data_types import AUDIO_DTYPES, AUDIO_FORMATS, AudioFormat

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

_DIMENSIONS = 2


class Said(NamedTuple):
    """What stood by position behind the channels."""

    session_id: str = ""
    format: str | None = None


def said_beside(values: Iterable[Any]) -> Said:
    """Tell what values are by what they look like.

    One older API had session_id and format behind the channels, the other format and num_samples.
    """
    said = Said()
    for value in values:
        if isinstance(value, str) and value in {*AudioFormat}:
            said = said._replace(format=str(value))
        elif isinstance(value, str):
            said = said._replace(session_id=value)
    return said


def sample_array(samples: Any, format_: str | None = None) -> npt.NDArray[Any]:
    """Samples as an array of float32, int16 or int32; the same one where it is that already.

    Args:
        samples: an array of any float, of int16 or int32; a list; or bytes.
        format_: of bytes and lists.

    Raises:
        ValueError: they cannot be audio.
    """
    dtype = _dtype(format_)
    if isinstance(samples, bytes | bytearray | memoryview):
        return _from_bytes(samples, dtype)
    array: npt.NDArray[Any] = np.asarray(samples, None if hasattr(samples, "__array__") else dtype)
    if array.dtype in AUDIO_FORMATS:
        return array
    if np.issubdtype(array.dtype, np.floating):
        return array.astype(np.float32)
    raise ValueError(
        f"audio samples must be floats, int16 or int32, got {array.dtype}; convert them"
    )


def _dtype(format_: str | None) -> np.dtype[Any]:
    known = AudioFormat.F32 if format_ is None else AudioFormat(format_)
    if known not in AUDIO_DTYPES:
        choices = ", ".join(AUDIO_DTYPES)
        raise ValueError(f"audio of format {known.value!r} cannot be carried; use one of {choices}")
    return AUDIO_DTYPES[known]


def _from_bytes(samples: bytes | bytearray | memoryview, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    size = memoryview(samples).nbytes
    if size % dtype.itemsize:
        raise ValueError(f"{size} bytes are no whole number of {dtype} samples; say their format")
    return np.frombuffer(samples, dtype.newbyteorder("<")).astype(dtype, copy=False)


def format_of(array: npt.NDArray[Any]) -> AudioFormat:
    """The format of an array of samples."""
    return AUDIO_FORMATS[array.dtype]


def channels_of(array: npt.NDArray[Any], said: int | None) -> int:
    """How many channels an array has.

    Args:
        array: of one or two dimensions.
        said: what its maker says; None or 0: what the shape says, and 1 where it says nothing.

    Raises:
        ValueError: it has more dimensions, or the channels do not fit.
    """
    if array.ndim not in {1, _DIMENSIONS}:
        raise ValueError(
            f"audio must have the shape (samples,), (frames, channels) or (channels, frames), got"
            f" {array.shape}"
        )
    if array.ndim == 1:
        return said or 1
    if said and said in array.shape:
        return said
    # One channel said (or nothing) of an array of several: no chunk has fewer frames than channels.
    if said is None or said <= 1:
        return max(1, int(min(array.shape)))
    raise ValueError(f"an array of shape {array.shape} has no axis of {said} channels")


def frames_by_channels(array: npt.NDArray[Any], channels: int) -> npt.NDArray[Any]:
    """The samples as (frames, channels); a view where possible.

    Raises:
        ValueError: they are no whole number of frames.
    """
    channels = max(1, int(channels or 1))
    if array.ndim == _DIMENSIONS and array.shape[1] == channels:
        return array
    if array.ndim == _DIMENSIONS and array.shape[0] == channels:
        return array.T
    if array.size % channels:
        raise ValueError(
            f"{array.size} samples are no whole number of frames of {channels} channels"
        )
    return array.reshape(-1, channels)
