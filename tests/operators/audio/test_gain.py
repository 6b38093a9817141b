import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.payloads import Audio, Json, Text
from operators.audio.gain import Gain
from tests.operators.audio.signals import DTYPES, SCALES, audio, noise, sine, sizes


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gain_db", [-60.0, -6.0, 6.0])
def test_a_level_changes_by_the_gain(drive, dtype, gain_db):
    block = audio(sine(-12, dtype=dtype))
    (louder,) = drive(Gain(gain_db=gain_db)).run([block])
    assert louder.samples.dtype == dtype
    # Integers are rounded: at −72 dBFS half a step of int16 is a twentieth of the wave.
    peak = np.abs(louder.samples.astype(float)).max() / SCALES[dtype]
    assert 20 * np.log10(peak) == pytest.approx(-12 + gain_db, abs=0.5)


@pytest.mark.parametrize("dtype", [np.int16, np.int32])
def test_integers_are_clipped_and_floats_are_not(drive, dtype):
    (clipped,) = drive(Gain(gain_db=12)).run([audio(sine(-6, dtype=dtype))])
    limits = np.iinfo(dtype)
    assert (clipped.samples.max(), clipped.samples.min()) == (limits.max, limits.min)
    (louder,) = drive(Gain(gain_db=12)).run([audio(sine(-6))])
    assert louder.samples.max() == pytest.approx(10**0.3, abs=0.001)


def test_no_gain_changes_nothing(drive, make_packet):
    packet = make_packet(Audio(noise(9, 2), 8_000))
    assert drive(Gain()).feed(packet) == [packet]


def ramped(drive, packets, **params):
    return np.concatenate(
        [np.empty((0, 1)), *(block.samples for block in drive(Gain(**params)).run(packets))]
    )


def test_a_change_is_reached_in_a_straight_line(drive):
    ones = Audio(np.ones((100, 1), np.float32), 1_000)
    samples = ramped(drive, [ones, Json({"gain_db": -20}), ones], ramp_ms=50)[:, 0]
    assert samples[:100].tolist() == [1.0] * 100
    assert samples[100:150] == pytest.approx(1 - 0.9 * np.arange(1, 51) / 50, abs=1e-6)
    assert samples[150:] == pytest.approx(np.full(50, 0.1), abs=1e-6)


def test_without_a_ramp_it_jumps(drive):
    ones = Audio(np.ones((10, 1), np.float32), 1_000)
    samples = ramped(drive, [ones, Json({"gain_db": -20}), ones], ramp_ms=0)[:, 0]
    assert samples[10:] == pytest.approx(np.full(10, 0.1))


def test_a_change_within_a_ramp_starts_where_it_is(drive):
    ones = Audio(np.ones((25, 1), np.float32), 1_000)
    changes = [Json({"gain_db": -20}), ones, Json({"gain_db": 0}), ones, ones, ones]
    samples = ramped(drive, changes, ramp_ms=50)[:, 0]
    assert samples[24] == pytest.approx(0.55)
    assert samples[25:75] == pytest.approx(0.55 + 0.45 * np.arange(1, 51) / 50, abs=1e-6)
    assert samples[-1] == 1.0


@settings(deadline=None)
@given(sizes=sizes, ramp_ms=st.integers(0, 100), dtype=st.sampled_from(DTYPES))
def test_ramps_do_not_depend_on_packets(drive, split, joined, sizes, ramp_ms, dtype):
    whole = Audio(noise(2_000, 2, dtype=dtype), 8_000)

    def run(sizes):
        gain = drive(Gain(gain_db=-3, ramp_ms=ramp_ms))
        gain.feed(Json({"gain_db": 3}))
        return joined(gain.run(split(whole, sizes)))

    assert np.array_equal(run(sizes), run([2_000]))


def test_others_and_empty_packets_pass(drive, make_packet):
    others = [make_packet(payload) for payload in (Text("x"), Json({"a": 1}), Json(3))]
    gain = drive(Gain(gain_db=6))
    assert gain.feed(*others) == others
    (empty,) = gain.feed(Audio(noise(0, 2), 8_000))
    assert empty.samples.shape == (0, 2)


@pytest.mark.parametrize("value", ["loud", None, True, 61, float("nan")])
def test_a_wrong_gain_is_refused(drive, value):
    with pytest.raises(ValueError, match="gain_db must be a number from -120 to 60"):
        drive(Gain()).feed(Json({"gain_db": value}))


def test_wrong_params_are_refused():
    with pytest.raises(UsageError, match="gain_db"):
        Gain(gain_db=200)


def test_reset_ends_a_ramp_and_keeps_the_gain(drive):
    ones = Audio(np.ones((10, 1), np.float32), 1_000)
    gain = drive(Gain(ramp_ms=1_000))
    gain.feed(Json({"gain_db": -20}), ones)
    gain.reset()
    (block,) = gain.feed(ones)
    assert block.samples[:, 0] == pytest.approx(np.full(10, 0.1))
