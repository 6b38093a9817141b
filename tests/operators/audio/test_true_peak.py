import numpy as np
import pytest
from hypothesis import given, settings

from operators.audio.levels import ratio_db
from operators.audio.true_peak import TruePeak
from tests.operators.audio.signals import noise, sine, sizes


def measured(samples, sizes=(10_000_000,)):
    meter, peaks, position, turn = TruePeak(), [], 0, 0
    samples = samples.astype(np.float64)
    while position < len(samples):
        size = sizes[turn % len(sizes)]
        peaks.append(meter.feed(samples[position : position + size]))
        position, turn = position + size, turn + 1
    return np.max(peaks, axis=0)


def test_a_wave_that_peaks_between_its_samples():
    # A quarter of the sample rate, an eighth of a period off: every sample is 3 dB below the peak.
    wave = sine(0, frequency=12_000, phase=np.pi / 4)[100:]
    assert ratio_db(float(np.abs(wave).max())) == pytest.approx(-3.01, abs=0.01)
    assert ratio_db(float(measured(wave)[0])) == pytest.approx(0.0, abs=0.5)


@pytest.mark.parametrize("frequency", [100, 997, 5_000])
def test_a_slow_wave_peaks_at_its_samples(frequency):
    wave = sine(-6, frequency=frequency)
    assert ratio_db(float(measured(wave)[0])) == pytest.approx(-6.0, abs=0.2)


@settings(deadline=None)
@given(sizes=sizes)
def test_the_filter_runs_on_between_blocks(sizes):
    samples = noise(1_500, 2)
    assert measured(samples, sizes) == pytest.approx(measured(samples), rel=1e-12)


def test_channels_are_apart_and_never_below_their_samples():
    samples = np.zeros((100, 2))
    samples[50, 1] = -0.5
    peaks = measured(samples)
    assert peaks[0] == 0.0
    assert peaks[1] >= 0.5


def test_reset_forgets_the_history():
    meter = TruePeak()
    meter.feed(np.ones((20, 1)))
    meter.reset()
    assert meter.feed(np.zeros((20, 1))).tolist() == [0.0]
