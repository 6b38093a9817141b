import numpy as np
import pytest
from hypothesis import given, settings

from engine.payloads import Audio, Json, Text
from operators.audio.channel_balance import ChannelBalance
from tests.operators.audio.signals import DTYPES, audio, noise, sine, sizes

SILENCE = np.zeros((48_000, 1), np.float32)


def report_of(drive, samples, **params):
    (report,) = drive(ChannelBalance(**params)).run([samples])
    assert isinstance(report, Json)
    assert report.schema_type == "channel_balance"
    return report.value


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_balance_is_left_minus_right(drive, dtype):
    stereo = audio(sine(-6, dtype=dtype), sine(-18, dtype=dtype))
    report = report_of(drive, stereo)
    assert report["balance_db"] == pytest.approx(12.0, abs=0.02)
    assert report["left_rms_dbfs"] == pytest.approx(-6.0, abs=0.02)
    assert report["is_imbalanced"]
    assert not report["has_dead_channel"]


def test_a_small_difference_is_none(drive):
    report = report_of(drive, audio(sine(-9), sine(-6)))
    assert report["balance_db"] == pytest.approx(-3.0, abs=0.01)
    assert not report["is_imbalanced"]
    assert report_of(drive, audio(sine(-9), sine(-6)), imbalance_threshold_db=2)["is_imbalanced"]


@pytest.mark.parametrize(
    ("channels", "name", "dead"),
    [
        ((SILENCE, sine(-20)), "left", [0]),
        ((sine(-20), SILENCE), "right", [1]),
        ((sine(-20), sine(-70)), "right", [1]),
        ((SILENCE, SILENCE), "none", []),
        ((sine(-58), sine(-62)), "none", []),
        ((sine(-20), sine(-20), SILENCE), "channel 2", [2]),
    ],
)
def test_dead_channels(drive, channels, name, dead):
    report = report_of(drive, audio(*channels))
    assert (report["dead_channel"], report["dead_channels"]) == (name, dead)
    assert report["has_dead_channel"] == bool(dead)


def test_mono_has_no_balance(drive):
    report = report_of(drive, audio(sine(-6)))
    assert report["balance_db"] is None
    assert not report["is_imbalanced"]


@settings(deadline=None)
@given(sizes=sizes)
def test_windows_do_not_depend_on_packets(drive, split, sizes):
    whole = Audio(noise(2_000, 2), 8_000)
    by_one = drive(ChannelBalance(window_ms=30)).run(split(whole, [2_000]))
    assert drive(ChannelBalance(window_ms=30)).run(split(whole, sizes)) == by_one
    assert len(by_one) == 9


def test_others_pass_and_reset_forgets(drive, make_packet):
    text, block = make_packet(Text("x")), make_packet(Audio(noise(80, 2), 8_000))
    detector = drive(ChannelBalance(window_ms=100, pass_through=True))
    assert detector.feed(text, block) == [text, block]
    detector.reset()
    assert detector.flush() == []
