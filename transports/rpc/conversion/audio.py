"""AudioBuffer ↔ Audio.

Pure: no I/O, no clock. Whatever format samples arrive in, nodes get float32 and clients get F32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from engine.errors import ResourceLimitError
from engine.payloads import Audio
from protos.remotemedia.v1 import common_pb2
from transports.rpc.conversion.faults import as_input_error, wrong_size
from transports.rpc.conversion.memory import bytes_of, view_of
from transports.rpc.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

_DTYPES: Final[Mapping[common_pb2.AudioFormat, np.dtype[Any]]] = {
    common_pb2.AUDIO_FORMAT_F32: np.dtype(np.float32),
    common_pb2.AUDIO_FORMAT_I16: np.dtype(np.int16),
    common_pb2.AUDIO_FORMAT_I32: np.dtype(np.int32),
}
#: The highest sample rate that crosses to another process, in Hz.
_RATE_MAX: Final = 2**31 - 1
#: What an integer sample is multiplied by: one over full scale.
_SCALES: Final = {
    np.dtype(np.int16): np.float32(1 / 32_768),
    np.dtype(np.int32): np.float32(1 / 2_147_483_648),
}


def audio_from(buffer: common_pb2.AudioBuffer, samples_max: int | None) -> Audio:
    """The payload of an AudioBuffer, its samples as float32.

    Args:
        buffer: may leave out `channels` (1), `num_samples` (as many as there are) and `format`
            (F32).
        samples_max: how many samples it may have, all channels together; None: any number.

    Raises:
        InputError: sizes do not fit each other, or there is no sample rate.
        ResourceLimitError: it has more samples than it may have.
    """
    data = buffer.samples
    audio_format = buffer.format or common_pb2.AUDIO_FORMAT_F32
    dtype = _DTYPES.get(audio_format)
    if dtype is None:
        raise InputError(
            f"audio: there is no format {buffer.format}; it must be F32 (1), I16 (2) or I32 (3)"
        )
    count = buffer.num_samples or len(data) // dtype.itemsize
    if len(data) != count * dtype.itemsize:
        name = common_pb2.AudioFormat.Name(audio_format).removeprefix("AUDIO_FORMAT_")
        why = f"{count} samples of {name}"
        raise wrong_size("audio.samples", len(data), count * dtype.itemsize, why)
    if samples_max is not None and count > samples_max:
        raise ResourceLimitError(
            f"an audio buffer has {count} samples, and {samples_max} are allowed: send it in"
            " smaller chunks, or ask for more by max_audio_samples",
            limit=samples_max,
            requested=count,
            resource="audio_samples",
        )
    channels = buffer.channels or 1
    if count % channels:
        raise InputError(f"audio: {count} samples are no whole frames of {channels} channels")
    if buffer.sample_rate > _RATE_MAX:
        raise InputError(f"audio: a sample rate of {buffer.sample_rate} Hz is above {_RATE_MAX}")
    samples = as_float32(view_of(data, dtype)).reshape(-1, channels)
    with as_input_error("audio"):
        return Audio(samples, buffer.sample_rate)


def fill_audio(buffer: common_pb2.AudioBuffer, payload: Audio) -> None:
    """Write a payload into an empty AudioBuffer, in F32.

    Raises:
        ValueError: it has a sample rate that the wire cannot say.
    """
    samples = as_float32(payload.samples)
    buffer.samples = bytes_of(samples)
    buffer.sample_rate = payload.sample_rate
    buffer.channels = samples.shape[1]
    buffer.format = common_pb2.AUDIO_FORMAT_F32
    buffer.num_samples = samples.size


def as_float32(samples: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Samples as float32 of full scale 1; the same array where they are that already."""
    scale = _SCALES.get(samples.dtype)
    if scale is None:
        return samples
    # The scale is a power of two: int32 is rounded once, when it becomes float32.
    scaled: npt.NDArray[np.float32] = np.multiply(
        samples, scale, dtype=np.float32, casting="same_kind"
    )
    return scaled
