import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engine.errors import UsageError
from engine.payloads import Audio, Json
from operators.audio.sample_format import AudioFormat
from tests.operators.audio.signals import noise, sine

FORMATS = {"f32": np.float32, "i16": np.int16, "i32": np.int32}


def converted(drive, samples, target, **params):
    (output,) = drive(AudioFormat(target_format=target, **params)).run([Audio(samples, 8_000)])
    assert output.samples.dtype == FORMATS[target]
    assert output.sample_rate == 8_000
    return output.samples


def column(*values, dtype=np.float32):
    return np.array(values, dtype).reshape(-1, 1)


@pytest.mark.parametrize(
    ("samples", "target", "expected"),
    [
        (
            column(0.5, 1.0, -1.0, 1.5, -1.5, np.nan),
            "i16",
            [16384, 32767, -32768, 32767, -32768, 0],
        ),
        (column(0.5 / 32768, 1.5 / 32768, -0.5 / 32768, -1.5 / 32768), "i16", [0, 2, 0, -2]),
        (column(0.5, 1.0, -1.0, np.inf), "i32", [2**30, 2**31 - 1, -(2**31), 2**31 - 1]),
        (column(32767, -32768, 1, dtype=np.int16), "i32", [32767 << 16, -(2**31), 65536]),
        (column(2**31 - 1, -(2**31), 32768, 98304, dtype=np.int32), "i16", [32767, -32768, 0, 2]),
        (column(32767, -32768, dtype=np.int16), "f32", [32767 / 32768, -1.0]),
        (column(2**30, -(2**31), dtype=np.int32), "f32", [0.5, -1.0]),
    ],
)
def test_rounding_and_clipping(drive, samples, target, expected):
    assert converted(drive, samples, target)[:, 0].tolist() == expected


@settings(deadline=None)
@given(samples=arrays(np.int16, st.tuples(st.integers(0, 50), st.integers(1, 3))))
@pytest.mark.parametrize("by", ["f32", "i32"])
def test_sixteen_bits_come_back(drive, samples, by):
    there = converted(drive, samples.copy(), by)
    assert np.array_equal(converted(drive, there, "i16"), samples)


@settings(deadline=None)
@given(
    samples=arrays(
        np.float32, st.tuples(st.integers(0, 50), st.just(1)), elements=st.floats(-1, 1, width=16)
    )
)
def test_what_a_float_says_in_32_bits_comes_back(drive, samples):
    back = converted(drive, converted(drive, samples.copy(), "i32"), "f32")
    assert np.abs(back - samples).max(initial=0) <= 2**-24


def test_what_has_the_format_and_what_is_no_audio_passes(drive, make_packet):
    packets = [make_packet(Audio(noise(9), 8_000)), make_packet(Json(1))]
    assert drive(AudioFormat(target_format="f32")).feed(*packets) == packets


def test_dither_turns_distortion_into_noise(drive):
    quiet = sine(-100, frames=48_000)  # a third of a step: without dither it vanishes
    assert not converted(drive, quiet, "i16").any()
    dithered = converted(drive, quiet, "i16", dither=True)
    assert set(np.unique(dithered)) <= {-2, -1, 0, 1, 2}
    correlation = float((dithered * quiet).sum() / (quiet * quiet).sum())
    assert correlation == pytest.approx(32_768, rel=0.1)


def test_dither_can_be_repeated_and_differs_between_packets(drive, split):
    silence = Audio(np.zeros((2_000, 2), np.float32), 8_000)
    once, again = (
        drive(AudioFormat(target_format="i16", dither=True)).run(split(silence, [1_000]))
        for _ in range(2)
    )
    assert once == again
    assert once[0] != once[1]
    assert not np.array_equal(once[0].samples[:, 0], once[0].samples[:, 1])


@pytest.mark.parametrize("spelling", ["I16", "i16"])
def test_formats_may_be_written_large(spelling):
    assert AudioFormat(target_format=spelling).params.target_format == "i16"


def test_unknown_formats_are_refused():
    with pytest.raises(UsageError, match="target_format"):
        AudioFormat(target_format="f64")
