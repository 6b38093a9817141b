import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.payloads import Audio, Json, Text
from operators.audio.silence import SilenceDetector
from tests.operators.audio.signals import DTYPES, SCALES, audio, noise, sine, sizes

RATE = 8_000


def events(outputs):
    return [
        (output.value["event"], output.value["timestamp_ms"], output.value["duration_ms"])
        for output in outputs
        if isinstance(output, Json)
    ]


def with_pauses(*stretches, dtype=np.float32):
    """Milliseconds of sound and silence in turn, sound first; sound reaches −20 dBFS."""
    parts = []
    for number, duration_ms in enumerate(stretches):
        frames = duration_ms * RATE // 1000
        loud = np.full((frames, 1), 0.1 * SCALES[dtype] * (1 - number % 2))
        parts.append(loud.astype(dtype))
    return Audio(np.concatenate(parts), RATE)


@pytest.mark.parametrize("dtype", DTYPES)
def test_pauses_are_told_with_their_times(drive, split, dtype):
    stream = with_pauses(300, 500, 200, 100, 50, dtype=dtype)
    outputs = drive(SilenceDetector(min_silence_ms=200)).run(
        split(stream, [160], start_ns=2_000_000_000)
    )
    assert events(outputs) == [("start", 2_300, 200.0), ("end", 2_800, 500.0)]


def test_a_start_is_told_when_it_is_certain_and_before_its_packet(drive, split):
    packets = list(split(with_pauses(100, 400), [800]))
    detector = drive(SilenceDetector(min_silence_ms=200))
    assert detector.feed(*packets[:2]) == packets[:2]
    start, packet, *rest = detector.feed(*packets[2:])
    assert events([start]) == [("start", 100, 200.0)]
    assert start.schema_type == "silence"
    assert start.value["is_silent"]
    assert [packet, *rest] == packets[2:]


def test_the_end_of_the_stream_ends_silence(drive):
    detector = drive(SilenceDetector(min_silence_ms=100))
    detector.feed(with_pauses(100, 300))
    assert events(detector.flush()) == [("end", 400, 300.0)]
    assert detector.flush() == []


def naive(loud, frames_min):
    """(start, end) of each silence, in frames."""
    found, begin = [], 0
    for position, sounds in enumerate([*loud, True]):
        if sounds:
            if position - begin >= frames_min:
                found.append((begin, position))
            begin = position + 1
    return found


@settings(deadline=None)
@given(
    stretches=st.lists(st.integers(1, 60), min_size=1, max_size=12),
    starts_silent=st.booleans(),
    sizes=sizes,
    rate=st.sampled_from([8_000, 11_025, 44_100]),
)
def test_events_do_not_depend_on_packets(drive, split, stretches, starts_silent, sizes, rate):
    loud = np.concatenate(
        [
            np.full(length * 10, (number % 2 == 1) == starts_silent)
            for number, length in enumerate(stretches)
        ]
    )
    stream = Audio(loud.astype(np.float32), rate)
    outputs = drive(SilenceDetector(min_silence_ms=20)).run(split(stream, sizes, start_ns=10**9))
    expected = []
    for begin, end in naive(loud, -(-rate * 20 // 1000)):
        for kind, frame in (("start", begin), ("end", end)):
            expected.append((kind, (10**9 + frame * 10**9 // rate) // 10**6))
    assert [event[:2] for event in events(outputs)] == expected
    passed = [output for output in outputs if isinstance(output, Audio)]
    assert sum(block.frames for block in passed) == stream.frames


def test_any_loud_channel_is_sound(drive):
    quiet, loud = np.zeros((RATE, 1), np.float32), sine(-20, rate=RATE, frames=RATE)
    detector = drive(SilenceDetector(min_silence_ms=100))
    assert events(detector.feed(audio(quiet, loud, rate=RATE))) == []
    assert [kind for kind, *_ in events(detector.feed(audio(quiet, quiet, rate=RATE)))] == ["start"]


def test_the_threshold_is_a_peak_level(drive):
    steady = audio(sine(-40, rate=RATE, frames=RATE), rate=RATE)
    below, above = (
        events(drive(SilenceDetector(threshold_dbfs=dbfs, min_silence_ms=500)).run([steady]))
        for dbfs in (-39.9, -40.5)
    )
    assert [kind for kind, *_ in below] == ["start", "end"]
    assert above == []


def test_a_change_of_rate_ends_silence(drive):
    detector = drive(SilenceDetector(min_silence_ms=100))
    detector.feed(Audio(np.zeros(RATE, np.float32), RATE))
    assert events(detector.feed(Audio(np.zeros(10, np.float32), 16_000))) == [
        ("end", 1_000, 1000.0)
    ]


def test_others_pass_and_reset_forgets(drive, make_packet):
    text, nothing = make_packet(Text("x")), make_packet(Audio(noise(0), RATE))
    detector = drive(SilenceDetector(min_silence_ms=100, pass_through=False))
    assert detector.feed(text, nothing) == [text]
    assert len(detector.feed(Audio(np.zeros(RATE, np.float32), RATE))) == 1
    detector.reset()
    assert detector.flush() == []
    assert detector.feed(Audio(np.ones(10, np.float32), RATE)) == []
