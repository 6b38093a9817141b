import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.payloads import Audio, Json, Text
from operators.audio.buffer_accumulator import AudioBufferAccumulator
from operators.audio.energy_vad import EnergyVAD
from tests.operators.audio.signals import DTYPES, noise, sine

RATE = 16_000


def speech(dtype=np.float32):
    """A second of silence, a second of sound at −20 dBFS, a second of silence."""
    silence = np.zeros((RATE, 1), dtype)
    loud = sine(-20, rate=RATE, frames=RATE, dtype=dtype)
    return Audio(np.concatenate((silence, loud, silence)), RATE)


def turnings(outputs):
    return [
        ("start" if output.value["is_speech_start"] else "end", output.value["timestamp_ms"])
        for output in outputs
        if isinstance(output, Json)
        and (output.value["is_speech_start"] or output.value["is_speech_end"])
    ]


@pytest.mark.parametrize("dtype", DTYPES)
def test_sound_is_found_where_it_is(drive, split, dtype):
    found = turnings(drive(EnergyVAD()).run(split(speech(dtype), [320])))
    assert [kind for kind, _ in found] == ["start", "end"]
    assert found[0][1] == pytest.approx(1_000, abs=30)
    assert found[1][1] == pytest.approx(2_000, abs=30)


def test_each_packet_follows_what_is_known_with_it(drive, split):
    packets = list(split(speech(), [480]))
    outputs = drive(EnergyVAD()).feed(*packets)
    assert outputs[1::2] == packets
    for output in outputs[::2]:
        assert output.schema_type == "vad"
        assert set(output.value) == {
            "has_speech",
            "speech_probability",
            "is_speech_start",
            "is_speech_end",
            "timestamp_ms",
            "offset_samples",
        }
        assert output.value["has_speech"] == (output.value["speech_probability"] > 0.5)
    probabilities = [output.value["speech_probability"] for output in outputs[::2]]
    assert (min(probabilities), max(probabilities)) == (0.0, pytest.approx(0.876, abs=0.01))


@settings(deadline=None)
@given(sizes=st.lists(st.integers(50, 60_000), min_size=1, max_size=5))
def test_markers_do_not_depend_on_packets(drive, split, sizes):
    by_frame = drive(EnergyVAD()).run(split(speech(), [480], start_ns=7_000_000_000))
    outputs = drive(EnergyVAD()).run(split(speech(), sizes, start_ns=7_000_000_000))
    assert turnings(outputs) == turnings(by_frame)


@settings(deadline=None)
@given(sizes=st.lists(st.integers(50, 60_000), min_size=1, max_size=5))
def test_utterances_do_not_depend_on_packets(drive, split, joined, sizes):
    def utterances(sizes):
        marked = drive(EnergyVAD()).run(split(speech(), sizes))
        return joined(drive(AudioBufferAccumulator()).run(marked))

    assert np.array_equal(utterances(sizes), utterances([480]))


def test_the_threshold_is_an_amplitude(drive):
    loud = Audio(np.full(480, 0.0101, np.float32), RATE)
    quiet = Audio(np.full(480, 0.0099, np.float32), RATE)
    for block, expected in ((loud, True), (quiet, False)):
        assert drive(EnergyVAD()).feed(block)[0].value["has_speech"] is expected


def test_the_end_of_the_stream_ends_speech(drive, split):
    detector = drive(EnergyVAD())
    detector.feed(*split(Audio(speech().samples[:24_100], RATE), [480], start_ns=10**9))
    (last,) = detector.flush()
    assert turnings([last]) == [("end", 2_506)]
    assert not last.value["has_speech"]
    assert detector.flush() == []


def test_another_rate_than_declared_is_told_once(drive, caplog):
    detector = drive(EnergyVAD(sample_rate=16_000))
    with caplog.at_level(logging.WARNING, "tests.operators"):
        detector.feed(Audio(noise(1_440), 48_000), Audio(noise(1_440), 48_000))
    assert [record.message for record in caplog.records] == ["vad_sample_rate_differs"]


def test_others_pass_and_reset_begins_anew(drive, make_packet, split):
    packet = make_packet(Text("x"))
    detector = drive(EnergyVAD())
    assert detector.feed(packet) == [packet]
    nothing = make_packet(Audio(noise(0), RATE))
    assert detector.feed(nothing)[1] is nothing
    detector.feed(Audio(noise(1_000), RATE))
    detector.reset()
    assert detector.flush() == []
    again = turnings(detector.run(split(speech(), [333])))
    assert [kind for kind, _ in again] == ["start", "end"]
