import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.payloads import Audio, Json, Text
from operators.audio.vad import WINDOW_FRAMES, SileroVAD, SpeechMachine


def turnings(outputs: list) -> list[tuple[str, int]]:
    """What turned, and when in media time (ms)."""
    return [
        ("start" if output.value["is_speech_start"] else "end", output.value["timestamp_ms"])
        for output in outputs
        if isinstance(output, Json)
        and (output.value["is_speech_start"] or output.value["is_speech_end"])
    ]


class TestSpeechMachine:
    def run(self, probabilities: list[float], **changes: int) -> list[tuple[bool, int, int]]:
        durations = {"min_speech_frames": 3 * 512, "min_silence_frames": 2 * 512, "pad_frames": 0}
        machine = SpeechMachine(0.5, **(durations | changes))
        turned = [
            machine.step(probability, number * 512)
            for number, probability in enumerate(probabilities)
        ]
        return [(turn.starts, turn.instant // 512, turn.cut // 512) for turn in turned if turn]

    def test_speech_starts_where_it_began_once_it_has_lasted(self):
        assert self.run([0, 0, 1, 1]) == []
        assert self.run([0, 0, 1, 1, 1]) == [(True, 2, 2)]

    def test_short_sounds_are_no_speech(self):
        assert self.run([1, 1, 0, 0, 1, 1, 0, 0]) == []

    def test_short_pauses_do_not_end_speech(self):
        assert self.run([1, 1, 1, 0, 1, 0, 1, 1]) == [(True, 0, 0)]

    def test_short_pauses_do_not_delay_a_start(self):
        assert self.run([1, 0, 1]) == [(True, 0, 0)]

    def test_speech_ends_where_silence_began_and_is_cut_where_that_was_certain(self):
        assert self.run([1, 1, 1, 0, 0]) == [(True, 0, 0), (False, 3, 5)]

    def test_between_the_thresholds_nothing_changes(self):
        assert self.run([0.4, 0.4, 1, 0.4, 0.4, 0.4]) == [(True, 2, 2)]
        assert self.run([1, 1, 1, 0.4, 0.36, 0.4, 0.4]) == [(True, 0, 0)]

    def test_padding_moves_starts_and_ends_apart_within_what_is_known(self):
        probabilities = [0, 0, 1, 1, 1, 0, 0]
        assert self.run(probabilities, pad_frames=512) == [(True, 1, 1), (False, 6, 7)]
        assert self.run(probabilities, pad_frames=9 * 512) == [(True, 0, 0), (False, 7, 7)]


def test_speech_is_found_where_it_is(drive, split, commands, conversation):
    found = turnings(drive(SileroVAD()).run(split(conversation, [512])))
    assert [kind for kind, _ in found] == ["start", "end"] * len(commands)
    position_ms = 500.0
    for command, (_, start), (_, end) in zip(commands, found[::2], found[1::2], strict=True):
        spoken = commands[command]
        # The clause's own pause, 300 ms, is at its end.
        ends = position_ms + spoken.frames / 16 - 300
        assert start == pytest.approx(position_ms, abs=100)
        assert end == pytest.approx(ends, abs=120)
        position_ms += spoken.frames / 16 + 500


@settings(deadline=None, max_examples=20)
@given(sizes=st.lists(st.integers(50, 60_000), min_size=1, max_size=5))
def test_markers_do_not_depend_on_packets(drive, split, conversation, sizes):
    beginning = Audio(conversation.samples[:90_000], 16_000)
    start_ns = 7_000_000_000
    by_window = drive(SileroVAD()).run(split(beginning, [WINDOW_FRAMES], start_ns=start_ns))
    outputs = drive(SileroVAD()).run(split(beginning, sizes, start_ns=start_ns))
    assert turnings(outputs) == turnings(by_window)
    assert len(turnings(outputs)) >= 4


def test_each_packet_follows_what_is_known_with_it(drive, split, conversation):
    packets = list(split(conversation, [512]))
    outputs = drive(SileroVAD()).feed(*packets)
    assert outputs[1::2] == packets
    probabilities = [output.value["speech_probability"] for output in outputs[::2]]
    assert 0 <= min(probabilities) < 0.1
    assert 0.9 < max(probabilities) <= 1
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
        assert output.value["has_speech"] == (output.value["speech_probability"] >= 0.5)


def test_a_packet_with_several_turnings_follows_one_json_for_each(drive, make_packet, conversation):
    packet = make_packet(conversation)
    outputs = drive(SileroVAD()).feed(packet)
    assert outputs[-1] is packet
    offsets = [output.value["offset_samples"] for output in outputs[:-1]]
    assert len(offsets) == len(turnings(outputs))
    assert offsets == sorted(offsets)


def test_the_end_of_the_stream_ends_speech(drive, split, commands):
    spoken = commands["turn on the kitchen light"]
    cut_short = Audio(spoken.samples[:12_000], 16_000)
    detector = drive(SileroVAD())
    assert (
        turnings(detector.feed(*split(cut_short, [500], start_ns=1_000_000_000)))[-1][0] == "start"
    )
    (last,) = detector.flush()
    assert turnings([last]) == [("end", 1_750)]
    assert last.value["offset_samples"] == 0
    assert detector.flush() == []


def test_instances_do_not_disturb_each_other(drive, split, conversation):
    packets = list(split(conversation, [512]))
    alone = drive(SileroVAD()).run(packets)
    one, other = drive(SileroVAD()), drive(SileroVAD())
    interleaved = []
    for number, packet in enumerate(packets):
        interleaved += one.feed(packet)
        other.feed(packets[-number])
    interleaved += one.flush()
    assert turnings(interleaved) == turnings(alone)


def test_reset_begins_anew(drive, split, conversation):
    detector = drive(SileroVAD())
    first = detector.feed(*split(conversation, [700]))
    detector.feed(*split(Audio(conversation.samples[:20_000], 16_000), [333]))
    detector.reset()
    assert turnings(detector.feed(*split(conversation, [700]))) == turnings(first)


def test_any_format_of_the_samples_will_do(drive, split, conversation):
    samples = np.rint(conversation.samples * 32_767).astype(np.int16)
    mono = Audio((samples / 32_768).astype(np.float32), 16_000)
    stereo = Audio(np.repeat(samples, 2, axis=1), 16_000)
    by_mono, by_stereo = (
        turnings(drive(SileroVAD()).run(split(audio, [512]))) for audio in (mono, stereo)
    )
    assert by_mono == by_stereo != []


def test_another_rate_is_refused_with_the_remedy(drive):
    with pytest.raises(ValueError, match=r"48000 Hz.*FastResampleNode with targetRate 16000"):
        drive(SileroVAD()).feed(Audio(np.zeros(480, np.float32), 48_000))
    with pytest.raises(UsageError, match="FastResampleNode"):
        SileroVAD(sampling_rate=8_000)


def test_other_payloads_pass_through(drive, make_packet):
    packet = make_packet(Text("x"))
    assert drive(SileroVAD()).feed(packet) == [packet]


def test_the_model_computes_on_one_thread():
    program = """
import asyncio, os
from operators.audio.vad import SileroVAD
detector = SileroVAD()
before = len(os.listdir("/proc/self/task"))
asyncio.run(detector.initialize(None))
detector._model.process_samples([0.0] * 512)
print(len(os.listdir("/proc/self/task")) - before, os.environ.get("OMP_THREAD_LIMIT"))
"""
    for value in (None, "3"):
        environment = {
            name: text for name, text in os.environ.items() if name != "OMP_THREAD_LIMIT"
        }
        if value is not None:
            environment["OMP_THREAD_LIMIT"] = value
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        assert done.stdout.split() == ["0", str(value)]
