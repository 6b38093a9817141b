"""engine.payloads.audio: samples, their shape and rate."""

import numpy as np
import pytest

from engine.payloads import Audio, Text, payload_bytes


def is_frozen(array):
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    return True


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.int32])
def test_audio_has_frames_and_channels(dtype):
    audio = Audio(np.zeros((480, 2), dtype), 48_000)
    assert (audio.frames, audio.channels, audio.sample_rate) == (480, 2, 48_000)
    assert audio.samples.dtype == dtype
    assert audio.duration_ns == 10_000_000
    assert payload_bytes(audio) == 960 * np.dtype(dtype).itemsize


def test_one_dimension_is_mono():
    audio = Audio(np.arange(3, dtype=np.int16), 8_000)
    assert audio.samples.shape == (3, 1)
    assert is_frozen(audio.samples)


def test_audio_takes_its_samples_over():
    samples = np.zeros((4, 1), np.float32)
    audio = Audio(samples, 16_000)
    assert audio.samples is samples
    assert is_frozen(samples)


def test_mono_samples_are_taken_over_too():
    samples = np.zeros(4, np.float32)
    audio = Audio(samples, 16_000)
    assert np.shares_memory(audio.samples, samples)
    assert is_frozen(samples)


def test_a_slice_of_somebody_elses_samples_is_copied():
    samples = np.zeros((4, 1), np.float32)
    audio = Audio(samples[2:], 16_000)
    samples[:] = 1
    assert audio.samples.max() == 0


def test_samples_are_contiguous():
    audio = Audio(np.zeros((2, 100), np.float32).T, 16_000)
    assert audio.samples.shape == (100, 2)
    assert audio.samples.flags.c_contiguous
    assert is_frozen(audio.samples)


def test_no_frames_are_audio_too():
    assert Audio(np.zeros((0, 1), np.int16), 16_000).duration_ns == 0


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.zeros((1, 2, 3), np.float32), 16_000, r"must have shape .* got \(1, 2, 3\)"),
        (np.float32(1), 16_000, r"must have shape"),
        (np.zeros(3), 16_000, r"got float64; convert them"),
        ([0.5, 1.0], 16_000, r"got float64"),
        (np.zeros((3, 0), np.float32), 16_000, r"has 1 to 256 channels"),
        (np.zeros(3, np.float32), 0, r"at least 1 Hz, got 0"),
    ],
)
def test_audio_that_is_none_is_refused(samples, rate, message):
    with pytest.raises(ValueError, match=message):
        Audio(samples, rate)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.array([[0.5], [-0.5]], np.float32), [0.5, -0.5]),
        (np.array([[0.5, 0.0], [1.0, 0.0]], np.float32), [0.25, 0.5]),
        (np.array([[16_384], [-32_768]], np.int16), [0.5, -1.0]),
        (np.array([[2**30, 0]], np.int32), [0.25]),
    ],
)
def test_mono_is_the_mean_of_the_channels(samples, expected):
    mono = Audio(samples, 16_000).mono()
    assert mono.dtype == np.float32
    assert mono.tolist() == expected


def test_mono_of_one_float_channel_is_a_view():
    audio = Audio(np.zeros((4, 1), np.float32), 16_000)
    assert np.shares_memory(audio.mono(), audio.samples)
    assert is_frozen(audio.mono())


def test_audio_is_equal_by_samples_rate_and_dtype():
    samples = np.array([1, 2], np.int16)
    assert Audio(samples, 8_000) == Audio(samples.copy(), 8_000)
    assert Audio(samples, 8_000) != Audio(samples, 16_000)
    assert Audio(samples, 8_000) != Audio(samples.astype(np.int32), 8_000)
    assert Audio(samples, 8_000) != Text("x")
    with pytest.raises(TypeError, match="unhashable"):
        hash(Audio(samples, 8_000))
    assert repr(Audio(samples, 8_000)) == "Audio(2 frames × 1, int16, 8000 Hz)"


def test_an_array_with_its_channels_first_is_refused():
    with pytest.raises(
        ValueError, match=r"got shape \(2, 16000\); samples are \(frames, channels\)"
    ):
        Audio(np.zeros((2, 16_000), np.float32), 16_000)


@pytest.mark.parametrize("rate", [44_100.5, float("inf"), "fast", None])
def test_a_rate_is_a_whole_number(rate):
    with pytest.raises(ValueError, match="sample_rate must be a whole number of Hz"):
        Audio(np.zeros(4, np.float32), rate)


@pytest.mark.parametrize("rate", [np.int32(8_000), 8_000.0])
def test_a_rate_may_be_any_whole_number(rate):
    assert type(Audio(np.zeros(4, np.float32), rate).sample_rate) is int


def test_numpy_takes_audio_for_its_samples():
    audio = Audio(np.arange(4, dtype=np.int16), 8_000)
    assert np.asarray(audio) is audio.samples
    assert np.asarray(audio, np.float64).tolist() == [[0.0], [1.0], [2.0], [3.0]]
    copy = np.array(audio)
    copy[0] = 9
    assert audio.samples[0] == 0
