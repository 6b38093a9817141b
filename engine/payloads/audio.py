"""Audio: a block of PCM samples.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine.payloads.arrays import freeze
from engine.payloads.base import PayloadBase

if TYPE_CHECKING:
    import numpy.typing as npt

#: dtypes an `Audio` may have.
AUDIO_DTYPES = (np.dtype(np.float32), np.dtype(np.int16), np.dtype(np.int32))

#: Samples have the shape (frames, channels).
_DIMENSIONS = 2

#: More channels than this are an array that has its channels first.
CHANNELS_MAX = 256


def _whole(rate: Any) -> int:
    """A sample rate that is no int as one.

    Raises:
        ValueError: it is no whole number.
    """
    try:
        whole = int(rate)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"sample_rate must be a whole number of Hz, got {rate!r:.60}") from error
    if whole != rate:
        raise ValueError(f"sample_rate must be a whole number of Hz, got {rate!r:.60}")
    return whole


class Audio(PayloadBase):
    """A block of PCM samples.

    Attributes:
        samples: read-only C-contiguous array of shape (frames, channels), float32 in −1…1, int16 or
            int32.
        sample_rate: frames per second.
    """

    __slots__ = ("sample_rate", "samples")

    def __init__(self, samples: npt.ArrayLike, sample_rate: int) -> None:
        """Take the samples over.

        Args:
            samples: shape (frames,) or (frames, channels); float32, int16 or int32. Frozen in place
                where possible, see `freeze`.
            sample_rate: Hz, at least 1.

        Raises:
            ValueError: wrong shape, dtype or rate.
        """
        array = samples if type(samples) is np.ndarray else np.asarray(samples)
        if array.ndim not in {1, _DIMENSIONS}:
            raise ValueError(f"audio samples must have shape (frames, channels), got {array.shape}")
        if array.dtype not in AUDIO_DTYPES:
            raise ValueError(
                f"audio samples must be float32, int16 or int32, got {array.dtype}; convert them"
            )
        if array.ndim == _DIMENSIONS and not 1 <= array.shape[1] <= CHANNELS_MAX:
            raise ValueError(
                f"audio has 1 to {CHANNELS_MAX} channels, got shape {array.shape}; samples are"
                " (frames, channels), so transpose what has the channels first"
            )
        if type(sample_rate) is not int:
            sample_rate = _whole(sample_rate)
        if sample_rate < 1:
            raise ValueError(f"sample_rate must be at least 1 Hz, got {sample_rate}")
        if not array.flags.c_contiguous:
            array = np.ascontiguousarray(array)
        array = freeze(
            array
        )  # before reshape: a view of the caller's array would have to be copied
        self.samples: npt.NDArray[Any] = (
            array if array.ndim == _DIMENSIONS else array.reshape(-1, 1)
        )
        self.sample_rate = sample_rate

    def __array__(
        self,
        dtype: npt.DTypeLike | None = None,
        copy: bool | None = None,  # noqa: FBT001 - numpy calls it so
    ) -> npt.NDArray[Any]:
        """The samples, for numpy's functions."""
        if copy:
            return np.array(self.samples, dtype)
        return np.asarray(self.samples, dtype)

    @property
    def frames(self) -> int:
        """Samples per channel."""
        return int(self.samples.shape[0])

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.samples.shape[1])

    @property
    def duration_ns(self) -> int:
        """Length in nanoseconds."""
        return len(self.samples) * 1_000_000_000 // self.sample_rate

    def mono(self) -> npt.NDArray[np.float32]:
        """The mean of the channels as float32 of shape (frames,); a read-only view if possible."""
        samples: npt.NDArray[np.float32] = self.samples
        if samples.dtype != np.float32:
            scale = 32_768.0 if samples.dtype == np.int16 else 2_147_483_648.0
            samples = (samples / scale).astype(np.float32)
        if samples.shape[1] == 1:
            return samples[:, 0]
        mean: npt.NDArray[np.float32] = samples.mean(axis=1, dtype=np.float32)
        return mean

    def __eq__(self, other: object) -> bool:
        if type(other) is not Audio:
            return NotImplemented
        return (
            self.sample_rate == other.sample_rate
            and self.samples.dtype == other.samples.dtype
            and np.array_equal(self.samples, other.samples)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shape = f"{self.frames} frames × {self.channels}"
        return f"Audio({shape}, {self.samples.dtype}, {self.sample_rate} Hz)"
