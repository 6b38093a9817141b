import json

import numpy as np
import pytest
from hypothesis import given, settings

from engine.errors import UsageError
from engine.payloads import Audio, Json, Text
from operators.audio.level import AudioLevel
from tests.operators.audio.signals import DTYPES, audio, noise, sine, sizes


def reports(outputs):
    return [output.value for output in outputs if isinstance(output, Json)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dbfs", [0.0, -6.0, -40.0])
def test_a_sine_has_its_level(drive, dtype, dbfs):
    (report,) = reports(drive(AudioLevel()).run([audio(sine(dbfs, dtype=dtype))]))
    assert report["rms_dbfs"] == pytest.approx(dbfs, abs=0.02)
    assert report["peak_dbfs"] == pytest.approx(dbfs, abs=0.02)
    assert report["duration_ms"] == 1_000.0


def test_each_channel_has_its_level(drive):
    stereo = audio(sine(-6), sine(-20))
    (report,) = reports(drive(AudioLevel()).run([stereo]))
    assert [channel["rms_dbfs"] for channel in report["channels"]] == pytest.approx(
        [-6.0, -20.0], abs=0.01
    )
    assert report["peak_dbfs"] == pytest.approx(-6.0, abs=0.01)
    mean_power = (10**-0.6 + 10**-2.0) / 2
    assert report["rms_dbfs"] == pytest.approx(10 * np.log10(mean_power), abs=0.01)


def test_silence_and_damage_are_numbers(drive):
    damaged = Audio(np.array([np.nan, np.inf, 0.0], np.float32), 8_000)
    silence = Audio(np.zeros(80, np.int16), 8_000)
    quiet, broken = reports(drive(AudioLevel(true_peak=True)).run([silence, damaged]))
    assert quiet["rms_dbfs"] == quiet["peak_dbfs"] == quiet["true_peak_dbtp"] == -200.0
    assert broken["peak_dbfs"] == 200.0
    json.dumps([quiet, broken], allow_nan=False)


def test_the_true_peak_is_told_where_it_is_wanted(drive):
    wave = audio(sine(0, frequency=12_000, phase=np.pi / 4))
    (report,) = reports(drive(AudioLevel(true_peak=True)).run([wave]))
    assert report["peak_dbfs"] == pytest.approx(-3.01, abs=0.01)
    assert report["true_peak_dbtp"] == pytest.approx(0.0, abs=0.7)
    assert report["channels"][0]["true_peak_dbtp"] == report["true_peak_dbtp"]
    (plain,) = reports(drive(AudioLevel()).run([wave]))
    assert "true_peak_dbtp" not in plain


@settings(deadline=None)
@given(sizes=sizes)
def test_windows_do_not_depend_on_packets(drive, split, sizes):
    whole = Audio(noise(3_000, 2, dtype=np.int16), 11_025)
    meter = {"window_ms": 20, "true_peak": True}
    by_one = reports(drive(AudioLevel(**meter)).run(split(whole, [3_000], start_ns=10**9)))
    by_many = reports(drive(AudioLevel(**meter)).run(split(whole, sizes, start_ns=10**9)))
    assert by_many == by_one
    assert [report["timestamp_ms"] for report in by_one[:3]] == [1_000, 1_019, 1_040]
    assert sum(report["duration_ms"] for report in by_one) == pytest.approx(272.1, abs=0.1)


def test_only_what_is_said_leaves_unless_the_audio_is_wanted(drive, make_packet):
    packet = make_packet(audio(sine(-6)), timestamp_ns=1_500_000_000)
    (said,) = drive(AudioLevel()).feed(packet)
    assert said.schema_type == "audio_level"
    assert said.value["timestamp_ms"] == 1_500
    assert drive(AudioLevel(pass_through=True)).feed(packet) == [said, packet]


def test_other_payloads_pass_and_empty_packets_say_nothing(drive, make_packet):
    text, nothing = make_packet(Text("x")), make_packet(Audio(noise(0), 8_000))
    assert drive(AudioLevel()).feed(text, nothing) == [text]
    assert drive(AudioLevel(pass_through=True)).feed(text, nothing) == [text, nothing]


def test_reset_forgets_the_window_under_way(drive):
    meter = drive(AudioLevel(window_ms=100))
    meter.feed(Audio(noise(400), 8_000))
    meter.reset()
    assert meter.flush() == []
    (report,) = reports([*meter.feed(Audio(noise(800), 8_000)), *meter.flush()])
    assert report["duration_ms"] == 100.0


@pytest.mark.parametrize("params", [{"window_ms": 0}, {"window_ms": "long"}, {"gain": 1}])
def test_wrong_params_are_refused(params):
    with pytest.raises(UsageError, match=next(iter(params))):
        AudioLevel(**params)
