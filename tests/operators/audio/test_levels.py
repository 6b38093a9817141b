import math

import numpy as np
import pytest

from operators.audio.levels import (
    CEILING_DBFS,
    FLOOR_DBFS,
    amplitude_of,
    as_float,
    as_float32,
    full_scale,
    quantized,
    ratio_db,
    rms_dbfs,
)
from tests.operators.audio.signals import DTYPES, SCALES, sine


@pytest.mark.parametrize("dtype", DTYPES)
def test_full_scale_is_one(dtype):
    assert full_scale(dtype) == SCALES[dtype]
    lowest = np.array([[-SCALES[dtype]]]).astype(dtype)
    assert as_float(lowest).tolist() == [[-1.0]]
    assert as_float32(lowest).tolist() == [[-1.0]]
    assert as_float32(lowest).dtype == np.float32


def test_what_is_no_number_becomes_one():
    damaged = np.array([[np.nan], [np.inf], [-np.inf], [0.5]], np.float32)
    assert as_float(damaged)[:, 0].tolist() == [0.0, 1e10, -1e10, 0.5]


def test_as_float32_copies_no_floats():
    samples = np.zeros((3, 1), np.float32)
    assert as_float32(samples) is samples


@pytest.mark.parametrize("dbfs", [0.0, -6.0, -20.0, -60.0])
def test_the_rms_level_of_a_sine_is_its_peak_level(dbfs):
    power = (as_float(sine(dbfs)) ** 2).mean()
    assert rms_dbfs(float(power)) == pytest.approx(dbfs, abs=0.01)


def test_a_square_wave_of_full_scale_is_three_decibels_above():
    assert rms_dbfs(1.0) == pytest.approx(10 * math.log10(2), abs=0.001)


def test_levels_are_bounded():
    assert ratio_db(0.0) == FLOOR_DBFS
    assert ratio_db(1e-30) == FLOOR_DBFS
    assert ratio_db(1e30) == CEILING_DBFS
    assert ratio_db(amplitude_of(-12.5)) == -12.5


@pytest.mark.parametrize("dtype", [np.int16, np.int32])
def test_rounding_is_half_to_even_and_clips(dtype):
    limits = np.iinfo(dtype)
    steps = np.array([0.5, 1.5, -0.5, -1.5, 2.4, limits.max + 9.0, limits.min - 9.0])
    expected = [0, 2, 0, -2, 2, limits.max, limits.min]
    assert quantized(steps, dtype).tolist() == expected
