"""Samples as numbers of one scale, and levels in decibels of full scale.

Pure: no I/O, no clock. Sources: AES17-2020 (dB FS) and IEC 61606-1: the RMS level of a sine whose
peaks reach full scale is 0 dBFS, so that a sine's RMS and peak levels are the same number.
Integers are scaled by their negative full scale: int16 by 1/32768, int32 by 1/2147483648.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

#: What is below reads so: JSON knows no minus infinity. The least step of int32 is −187 dBFS.
FLOOR_DBFS: Final = -200.0
#: And what is above, which only damaged floats are.
CEILING_DBFS: Final = 200.0

#: Mean square of a sine of full scale.
_SINE_POWER = 0.5
_FULL_SCALES = {np.dtype(np.int16): 32_768.0, np.dtype(np.int32): 2_147_483_648.0}


def full_scale(dtype: npt.DTypeLike) -> float:
    """The number that stands for full scale: 1 for float32."""
    return _FULL_SCALES.get(np.dtype(dtype), 1.0)


def as_float(samples: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Samples as float64 with full scale 1, exactly; what is not a number becomes 0.

    Args:
        samples: float32, int16 or int32 of any shape.
    """
    scaled = samples.astype(np.float64)
    scale = full_scale(samples.dtype)
    if scale != 1.0:
        scaled /= scale
    elif not np.isfinite(scaled).all():
        np.nan_to_num(scaled, copy=False, nan=0.0, posinf=1e10, neginf=-1e10)
    return scaled


def as_float32(samples: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Samples as float32 with full scale 1, rounded to the nearest; float32 as it is, no copy."""
    if samples.dtype == np.float32:
        return samples
    return (samples / full_scale(samples.dtype)).astype(np.float32)


def quantized(steps: npt.NDArray[np.float64], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Numbers of quantization steps as integers: rounded half to even, then clipped.

    Args:
        steps: values in units of the integer's steps; changed in place.
        dtype: int16 or int32.
    """
    limits = np.iinfo(np.dtype(dtype))
    np.rint(steps, out=steps)
    np.clip(steps, limits.min, limits.max, out=steps)
    return steps.astype(dtype)


def ratio_db(amplitude: float) -> float:
    """An amplitude ratio in decibels, rounded to 0.001 and kept between floor and ceiling."""
    if amplitude <= 0:
        return FLOOR_DBFS
    level = round(20 * math.log10(amplitude), 3)
    return min(max(level, FLOOR_DBFS), CEILING_DBFS)


def amplitude_of(decibels: float) -> float:
    """The amplitude ratio of a number of decibels."""
    return float(10.0 ** (decibels / 20))


def rms_dbfs(power: float) -> float:
    """The RMS level of a mean square, in dBFS of AES17."""
    return ratio_db(math.sqrt(power / _SINE_POWER))
