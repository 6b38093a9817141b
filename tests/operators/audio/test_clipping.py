import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.payloads import Audio, Json, Text
from operators.audio.clipping import ClippingDetector, count_clipped
from tests.operators.audio.signals import DTYPES, audio, encoded, noise, sine, sizes


def report_of(drive, block, **params):
    (report,) = drive(ClippingDetector(**params)).run([block])
    assert isinstance(report, Json)
    return report.value


def overdriven(dtype, times=2.0, frames=4_800):
    wave = np.clip(times * np.sin(2 * np.pi * np.arange(frames) / 48), -1, 1)
    return encoded(wave, dtype).reshape(-1, 1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_wave_with_its_tops_cut_off_is_clipped(drive, dtype):
    report = report_of(drive, audio(overdriven(dtype)))
    # Twice too loud: clipped where the sine reaches a half, 17 of the 24 samples of a half-wave.
    assert report["is_clipping"]
    assert report["saturation_ratio"] == pytest.approx(100 * 17 / 24)
    assert report["longest_run"] == 17
    assert report["crest_factor_db"] < 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_sine_of_full_scale_is_not(drive, dtype):
    report = report_of(drive, audio(sine(0, dtype=dtype)))
    assert not report["is_clipping"]
    assert report["clipped_samples"] == 0
    assert report["longest_run"] <= 2
    assert report["crest_factor_db"] == pytest.approx(3.01, abs=0.01)


def test_runs_count_from_their_least_length(drive):
    samples = np.zeros((20, 1), np.float32)
    samples[2:4] = 1.0
    samples[10:15] = -1.0
    block = Audio(samples, 8_000)
    assert report_of(drive, block)["clipped_samples"] == 5
    assert report_of(drive, block, consecutive_min=1)["clipped_samples"] == 7
    assert report_of(drive, block, consecutive_min=6)["clipped_samples"] == 0
    assert not report_of(drive, block, saturation_ratio_threshold=25)["is_clipping"]
    assert report_of(drive, block, saturation_ratio_threshold=24)["is_clipping"]


def test_channels_are_counted_apart(drive):
    stereo = audio(overdriven(np.float32), sine(-6, frames=4_800))
    report = report_of(drive, stereo)
    assert report["channels"][1] == 0
    assert report["channels"][0] == report["clipped_samples"] > 1_000


def naive(loud, run_min):
    text = "".join("x" if one else " " for one in loud)
    return sum(len(run) for run in text.split() if len(run) >= run_min)


@settings(deadline=None)
@given(
    loud=st.lists(st.booleans(), min_size=1, max_size=60),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    run_min=st.integers(1, 6),
)
def test_sums_do_not_depend_on_the_cuts(loud, sizes, run_min):
    flags, position, before, total, longest, turn = np.array(loud), 0, 0, 0, 0, 0
    while position < len(flags):
        size = sizes[turn % len(sizes)]
        found = count_clipped(flags[position : position + size], before, run_min)
        total += found.samples
        longest = max(longest, found.longest)
        before, position, turn = found.open, position + size, turn + 1
    assert total == naive(loud, run_min)
    runs = "".join("x" if one else " " for one in loud).split()
    assert longest == max(map(len, runs), default=0)


@settings(deadline=None)
@given(sizes=sizes)
def test_windows_do_not_depend_on_packets(drive, split, sizes):
    whole = Audio(overdriven(np.int16, frames=2_000), 8_000)
    by_one = drive(ClippingDetector(window_ms=30)).run(split(whole, [2_000]))
    assert drive(ClippingDetector(window_ms=30)).run(split(whole, sizes)) == by_one


def test_silence_others_and_reset(drive, make_packet):
    silent = report_of(drive, Audio(np.zeros(10, np.int32), 8_000))
    assert (silent["is_clipping"], silent["crest_factor_db"]) == (False, 0.0)
    text, block = make_packet(Text("x")), make_packet(Audio(noise(80), 8_000))
    detector = drive(ClippingDetector(window_ms=100, pass_through=True))
    assert detector.feed(text, block) == [text, block]
    detector.reset()
    assert detector.flush() == []


def test_reset_forgets_the_run_under_way(drive):
    loud = Audio(np.ones(2, np.float32), 8_000)
    detector = drive(ClippingDetector())
    detector.feed(loud)
    detector.reset()
    (report,) = detector.feed(loud)
    assert report.value["clipped_samples"] == 0
