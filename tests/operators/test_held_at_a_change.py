"""What an operator holds when its params change, or a hint comes: nothing is lost or jumps."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from engine.errors import NodeError, UsageError
from engine.flags import FLAG_UNINTERRUPTIBLE
from engine.payloads import Audio, BatchHint, CancelSpeculation, DeadlineWarning, Json, Text
from engine.stage_steering import HandEnds, StageSteering
from engine.steering import SetParams
from engine.testing import StageBench
from operators.audio.buffer_accumulator import AudioBufferAccumulator
from operators.audio.chunker import AudioChunker
from operators.audio.clipping import ClippingDetector
from operators.audio.gain import Gain
from operators.audio.level import AudioLevel
from operators.audio.mixer import Mixer
from operators.audio.playback import Playback
from operators.audio.silence import SilenceDetector
from operators.audio.utterance import UtteranceCutter
from operators.flow.buffer import Buffer
from operators.flow.distinct import Distinct
from operators.flow.router import Router
from operators.flow.selection import Select
from operators.flow.throttle import Throttle
from operators.flow.time_join import TimeJoin
from operators.flow.window import Window
from operators.flow.zip import Zip
from operators.speech.espeak_tts import EspeakTTS
from tests.operators.flow.flow_helpers import HERE, bench_of, change, end, play, tell, timed

MS = 1_000_000
RATE = 8_000


def sound(ms, first=0):
    """Audio whose samples are numbers that go on."""
    return Audio(np.arange(first, first + RATE * ms // 1_000, dtype=np.int32), RATE)


def level(ms, value):
    return Audio(np.full(RATE * ms // 1_000, value, np.float32), RATE)


def samples(bench):
    payloads = [each for each in bench.sink().payloads if isinstance(each, Audio)]
    return np.concatenate([payload.samples[:, 0] for payload in payloads])


def taken_back(from_ms, to_ms):
    return CancelSpeculation(from_ms * MS, to_ms * MS)


# ------------------------------------------------------------------------------------ groups


def test_a_group_that_is_full_by_the_new_count_ends_at_once():
    bench = bench_of(Buffer(count=5))
    play(bench, "a", "b", "c")
    change(bench, count=2)
    assert bench.values == [["a", "b", "c"]]
    play(bench, "d", "e", "f")
    assert bench.values[1:] == [["d", "e"]]


def test_a_group_under_way_goes_on_to_a_larger_count():
    bench = bench_of(Buffer(count=2))
    play(bench, "a")
    change(bench, count=3)
    play(bench, "b", "c", "d")
    end(bench)
    assert bench.values == [["a", "b", "c"], ["d"]]


def test_overlapping_groups_end_where_they_are_full():
    bench = bench_of(Buffer(count=4, skip=1))
    play(bench, "a", "b", "c")
    change(bench, count=2)
    assert bench.values == [["a", "b", "c"], ["b", "c"]]
    play(bench, "d")
    assert bench.values[2:] == [["c", "d"]]


def test_a_new_time_counts_from_where_the_group_began():
    bench = bench_of(Buffer(count=9, time_s=10))
    play(bench, "a", 2.0)
    change(bench, time_s=3)
    play(bench, "b", 5.0)
    assert timed(bench) == [(3.0, ["a", "b"])]


def test_a_time_that_is_over_already_ends_the_group_at_once():
    bench = bench_of(Buffer(count=9))
    play(bench, "a", 2.0)
    change(bench, time_s=1)
    assert timed(bench) == [(2.0, ["a"])]


def test_without_a_time_any_more_the_group_waits_for_its_count():
    bench = bench_of(Buffer(count=2, time_s=1))
    play(bench, "a")
    change(bench, time_s=None)
    play(bench, 9.0, "b")
    assert timed(bench) == [(9.0, ["a", "b"])]


def test_an_output_that_cannot_be_made_fails_the_node_not_the_change():
    bench = bench_of(Buffer(count=3, combine=f"{HERE}:failing"))
    play(bench, "a", "b")
    assert change(bench, count=1)["count"] == 1
    assert "it broke" in bench.stage.error.message


def test_a_window_goes_on_with_what_it_has_counted_in():
    bench = bench_of(Window(count=2, accumulator="sum"))
    play(bench, Json(1))
    change(bench, count=3)
    play(bench, Json(2), Json(3))
    assert bench.values == [6]


# ------------------------------------------------------------------------------------ hints


def test_a_hint_makes_smaller_groups():
    bench = bench_of(Buffer(count=4))
    play(bench, "a")
    tell(bench, BatchHint(2))
    play(bench, "b", "c", "d")
    assert bench.values == [["a", "b"], ["c", "d"]]


def test_a_group_that_is_full_by_the_hint_ends_at_once():
    bench = bench_of(Buffer(time_s=9, count_max=4))
    play(bench, "a", "b", "c")
    tell(bench, BatchHint(2))
    assert timed(bench) == [(0.0, ["a", "b", "c"])]
    play(bench, "d", 9.0)
    assert timed(bench)[1:] == [(9.0, ["d"])]


@pytest.mark.parametrize("params", [{"count": 3}, {"time_s": 9, "count_max": 3}])
def test_no_hint_makes_groups_larger_than_the_params_allow(params):
    bench = bench_of(Buffer(**params))
    tell(bench, BatchHint(1_000))
    play(bench, "a", "b", "c")
    assert bench.values == [["a", "b", "c"]]


def test_a_hint_holds_until_another_one_or_a_change():
    bench = bench_of(Buffer(count=3))
    tell(bench, BatchHint(1))
    play(bench, "a")
    tell(bench, BatchHint(2))
    play(bench, "b", "c")
    change(bench, count=3)
    play(bench, "d", "e", "f")
    assert bench.values == [["a"], ["b", "c"], ["d", "e", "f"]]


@pytest.mark.parametrize("message", [BatchHint(1), DeadlineWarning(5)])
def test_overlapping_groups_stay_as_they_are(message):
    bench = bench_of(Buffer(count=2, skip=1))
    tell(bench, message)
    play(bench, "a", "b", "c")
    assert bench.values == [["a", "b"], ["b", "c"]]


def test_overlapping_groups_lose_what_is_taken_back_and_nothing_else():
    bench = bench_of(Buffer(count=3, skip=2))
    play(bench, "a", "b", "c")
    tell(bench, taken_back(2, 3))  # c is all that the second group has
    play(bench, "d", "e")
    assert bench.values == [["a", "b", "c"], ["d", "e"]]
    assert [packet.timestamp_ns for packet in bench.sink().packets] == [0, 3 * MS]


def test_an_overlapping_group_of_which_all_was_taken_back_gives_nothing():
    bench = bench_of(Buffer(count=3, skip=2))
    play(bench, "a", "b", "c")
    tell(bench, taken_back(2, 3))
    end(bench)
    assert bench.values == [["a", "b", "c"]]


# ------------------------------------------------------------------------------------ others


def test_a_time_that_runs_in_a_throttle_runs_on():
    bench = bench_of(Throttle(time_s=4, keep="latest"))
    play(bench, "a", "b")
    change(bench, time_s=1)
    play(bench, 6.0, "c")
    assert timed(bench) == [(0.0, "a"), (4.0, "b"), (6.0, "c")]


def test_a_smaller_memory_forgets_the_oldest_keys():
    bench = bench_of(Distinct())
    play(bench, "a", "b", "c")
    change(bench, memory=2)
    play(bench, "b", "c", "a")
    assert bench.values == ["a", "b", "c", "a"]


def test_a_join_holds_no_more_than_it_may_by_now():
    bench = bench_of(TimeJoin(unmatched="emit"))
    for name in "abcd":
        bench.feed(Text(name), port="a", timestamp_ns=0)
    bench.run()
    change(bench, held_max=2)
    bench.feed(Text("e"), port="a", timestamp_ns=0)
    bench.run()
    assert bench.values == [{"a": "a"}, {"a": "b"}, {"a": "c"}]


def test_a_zip_ends_where_all_was_taken_back_of_a_port_that_has_ended():
    bench = StageBench({"node": Zip(skew_max=1)}, inputs=["node.a", "node.b"])
    bench.feed(Text("a"), at="node.a")
    bench.finish("node.a")
    bench.run()
    tell(bench, taken_back(0, 1))
    for name in "bc":
        bench.feed(Text(name), at="node.b", timestamp_ns=9 * MS)
    bench.finish("node.b")
    bench.run()
    assert bench.values == []
    assert bench.sink().ended


@pytest.mark.parametrize(
    ("operator", "params"),
    [
        (Select(when={"kind": "text"}), {"when": "nowhere:function"}),
        (
            Router(routes=[{"port": "x", "when": {"kind": "text"}}]),
            {"routes": [{"port": "x", "when": "nowhere:function"}]},
        ),
    ],
    ids=["select", "router"],
)
def test_a_function_that_cannot_be_had_refuses_the_change(operator, params):
    bench = bench_of(operator)
    with pytest.raises((UsageError, NodeError), match="nowhere"):
        change(bench, **params)
    play(bench, "still a text")
    assert sum(len(sink.packets) for sink in bench.sinks.values()) == 1
    assert bench.stage.error is None


def test_a_route_to_another_port_refuses_the_change():
    bench = bench_of(Router(routes=[{"port": "x", "when": {"kind": "text"}}]))
    with pytest.raises(UsageError, match="it would have other ports"):
        change(bench, routes=[{"port": "y", "when": {"kind": "text"}}])


def test_a_voice_that_is_not_there_refuses_the_change():
    bench = StageBench(EspeakTTS(), capacity=1_000)
    asyncio.run(bench.initialize())
    with pytest.raises(NodeError, match="nobody"):
        change(bench, voice="nobody")
    play(bench, "One.")
    assert len(samples(bench)) > 0
    asyncio.run(bench.cleanup())


def spoken(**params):
    bench = StageBench(EspeakTTS(**params), capacity=1_000)
    asyncio.run(bench.initialize())
    play(bench, "One, two. Three.")
    asyncio.run(bench.cleanup())
    return samples(bench)


def test_a_voice_changes_between_two_texts_and_not_within_one():
    bench = StageBench({"node": EspeakTTS()}, capacity=1)
    asyncio.run(bench.initialize())
    sink = bench.sink()
    sink.withholding = True
    play(bench, "One, two. Three.")
    answers = []
    order = SetParams("node", {"voice": "de"})
    StageSteering([bench.stage]).apply(order, HandEnds(), answers.append)
    bench.run()
    assert len(sink.packets) == 1
    sink.withholding = False
    sink.release()
    play(bench, "One, two. Three.")
    assert len(answers) == 1
    assert np.array_equal(samples(bench), np.concatenate([spoken(), spoken(voice="de")]))
    asyncio.run(bench.cleanup())


def test_a_join_keeps_the_packet_it_is_about_to_hold():
    bench = bench_of(TimeJoin(unmatched="emit", held_max=1), capacity=1)
    bench.sink().withholding = True
    for name in "abc":  # at b, a is given up; at c, b is: it has no room to leave
        bench.feed(Text(name), port="a", timestamp_ns=0)
    bench.run()
    assert bench.stage.has_suspended
    tell(bench, taken_back(5, 6))
    bench.sink().withholding = False
    bench.sink().release()
    end(bench)
    assert bench.values == [{"a": "a"}, {"a": "b"}, {"a": "c"}]


# ------------------------------------------------------------------------------------ audio


def test_a_gain_reaches_its_new_value_in_a_ramp():
    bench = bench_of(Gain(ramp_ms=20))
    play(bench, level(20, 0.5))
    change(bench, gain_db=-20)
    play(bench, level(40, 0.5))
    heard = samples(bench)
    assert np.abs(np.diff(heard)).max() < 0.5 * 0.9 / 160 + 1e-6
    assert heard[-1] == pytest.approx(0.05)


def test_a_gain_that_a_json_has_changed_can_be_set_back():
    bench = bench_of(Gain(ramp_ms=0))
    play(bench, Json({"gain_db": -20}), level(20, 0.5))
    change(bench, ramp_ms=5)
    play(bench, level(20, 0.5))
    change(bench, gain_db=0)
    play(bench, level(20, 0.5))
    assert samples(bench)[[0, 319, -1]] == pytest.approx([0.05, 0.05, 0.5])


def test_a_mixer_s_gains_are_reached_in_a_ramp():
    bench = bench_of(Mixer(inputs=1))
    play_port(bench, level(20, 0.5))
    change(bench, gain_db={"in0": -20})
    play_port(bench, level(40, 0.5), at_ms=20)
    heard = samples(bench)
    assert np.abs(np.diff(heard)).max() < 0.5 * 0.9 / 80 + 1e-6
    assert heard[-1] == pytest.approx(0.05)


def play_port(bench, payload, at_ms=0, port="in0"):
    bench.feed(payload, port=port, timestamp_ns=at_ms * MS)
    bench.run()


@pytest.mark.parametrize("size", [100, 80, 1_000])
def test_held_audio_leaves_in_chunks_of_the_new_size(size):
    bench = bench_of(AudioChunker(chunk_size=500))
    for number in range(2):
        bench.feed(sound(25, 200 * number), timestamp_ns=25 * number * MS)
    bench.run()
    change(bench, chunk_size=size)
    bench.feed(sound(25, 400), timestamp_ns=50 * MS)
    end(bench)
    packets = bench.sink().packets
    assert [packet.payload.frames for packet in packets[:-1]] == [size] * (len(packets) - 1)
    assert np.array_equal(samples(bench), np.arange(600))
    starts = [int(packet.payload.samples[0, 0]) for packet in packets]
    assert [packet.timestamp_ns for packet in packets] == [at * 125_000 for at in starts]


def test_held_audio_leaves_in_smaller_chunks_at_the_end_too():
    bench = bench_of(AudioChunker(chunk_size=500))
    play(bench, sound(50))
    change(bench, chunk_size=150)
    end(bench)
    assert [payload.frames for payload in bench.sink().payloads] == [150, 150, 100]
    assert np.array_equal(samples(bench), np.arange(400))


@pytest.mark.parametrize(("first_ms", "then_ms"), [(100, 10), (10, 100)])
def test_each_silence_that_is_told_has_a_start_and_an_end(first_ms, then_ms):
    bench = bench_of(SilenceDetector(min_silence_ms=first_ms, pass_through=False))
    for number in range(2):
        bench.feed(level(20, 0), timestamp_ns=20 * number * MS)
    bench.run()
    change(bench, min_silence_ms=then_ms)
    bench.feed(level(20, 0), timestamp_ns=40 * MS)
    bench.feed(level(20, 0.5), timestamp_ns=60 * MS)
    end(bench)
    assert [value["event"] for value in bench.values] == ["start", "end"]
    assert bench.values[1]["duration_ms"] == 60


def test_a_window_of_another_length_loses_no_frames():
    bench = bench_of(AudioLevel(window_ms=50))
    play(bench, level(20, 0.5))
    change(bench, window_ms=15)
    bench.feed(level(20, 0.5), timestamp_ns=20 * MS)
    end(bench)
    assert [value["duration_ms"] for value in bench.values] == [30, 10]


def test_runs_of_clipped_samples_begin_anew_by_other_limits():
    bench = bench_of(ClippingDetector(saturation_threshold=0.4))
    play(bench, level(20, 0.5))
    change(bench, consecutive_min=100)
    play(bench, level(20, 0.5))
    assert [value["longest_run"] for value in bench.values] == [160, 160]


def marker(**said):
    return Json({"is_speech_start": False, "is_speech_end": False, **said})


def test_an_utterance_whose_parts_were_sent_ends_though_it_is_too_short_by_now():
    bench = bench_of(AudioBufferAccumulator(stream=True, min_utterance_duration_ms=10))
    play(bench, marker(is_speech_start=True), sound(20))
    change(bench, min_utterance_duration_ms=1_000)
    play(bench, marker(is_speech_end=True), sound(20, 160))
    assert [each.metadata["utterance_part"] for each in bench.sink().packets] == ["begin", "end"]


def test_an_utterance_that_is_too_long_by_now_is_emitted_with_the_next_packet():
    bench = bench_of(AudioBufferAccumulator(min_utterance_duration_ms=0))
    play(bench, marker(is_speech_start=True), sound(200))
    change(bench, max_utterance_duration_ms=100)
    play(bench, sound(50, 1_600))
    end(bench)
    assert [payload.frames for payload in bench.sink().payloads] == [1_600, 400]
    assert np.array_equal(samples(bench), np.arange(2_000))


def test_an_utterance_of_which_all_was_taken_back_is_not_emitted():
    bench = bench_of(AudioBufferAccumulator(min_utterance_duration_ms=0))
    play(bench, marker(is_speech_start=True), sound(200))
    tell(bench, taken_back(0, 100))
    bench.feed(marker(is_speech_end=True), timestamp_ns=200 * MS)
    bench.feed(level(20, 0), timestamp_ns=200 * MS)
    end(bench)
    assert bench.sink().payloads == []


def test_a_marker_that_waits_for_its_audio_is_taken_back():
    bench = bench_of(AudioBufferAccumulator(min_utterance_duration_ms=0))
    play(bench, marker(is_speech_start=True))
    tell(bench, taken_back(0, 1))
    bench.feed(sound(200), timestamp_ns=9 * MS)
    end(bench)
    assert bench.sink().payloads == []


def test_a_lead_lacks_what_was_taken_back_of_it(make_packet):
    cutter = UtteranceCutter(30_000)
    for number in range(4):
        audio = sound(20, 160 * number)
        packet = make_packet(audio, timestamp_ns=20 * number * MS)
        assert list(cutter.feed(audio, packet.origin)) == []
    cutter.take_back(lambda origin: origin.timestamp_ns == 40 * MS)
    cutter.mark({"is_speech_start": True, "is_speech_end": False, "offset_samples": -80})
    pieces = list(cutter.feed(sound(20, 640)))
    heard = np.concatenate([piece.samples[:, 0] for piece in pieces])
    assert np.array_equal(heard, [*range(320), *range(480, 800)])
    assert pieces[-1].speech_frames == 240


# ------------------------------------------------------------------------------------ playback


def played(bench):
    operator = bench.stage.adapters[0].operator
    return [(each.sequence, each.played_ns / MS, each.of_ns / MS) for each in operator.played()]


def test_playback_drops_what_was_taken_back_and_plays_the_rest_without_a_gap():
    bench = bench_of(Playback())
    for number in range(3):
        bench.feed(sound(40, 320 * number), timestamp_ns=100 * number * MS)
    bench.run()
    tell(bench, taken_back(100, 200))
    bench.advance(1)
    assert np.array_equal(samples(bench), [*range(320), *range(640, 960)])
    assert [at_ns / MS for at_ns in bench.sink().arrivals_ns] == [0, 20, 40, 60]
    # Who asks hears of the sequence under way; the dropped one was never heard.
    assert played(bench) == [(2, 40, 40)]


def test_playback_stops_a_packet_that_is_under_way_and_says_how_much_was_heard():
    bench = bench_of(Playback())
    play(bench, sound(100), 0.03)
    tell(bench, taken_back(0, 1))
    bench.advance(1)
    assert [payload.frames for payload in bench.sink().payloads] == [160, 160]
    assert played(bench) == [(0, 40, 100)]


def test_playback_goes_on_with_a_sequence_of_which_a_part_was_taken_back():
    bench = bench_of(Playback())
    bench.feed(sound(40), sequence=7, timestamp_ns=0)
    bench.run()
    tell(bench, taken_back(0, 1))
    bench.feed(sound(40, 320), sequence=7, timestamp_ns=40 * MS)
    bench.advance(1)
    assert played(bench) == [(7, 60, 80)]


def test_playback_plays_what_is_uninterruptible():
    bench = bench_of(Playback())
    bench.feed(sound(40), timestamp_ns=0, flags=FLAG_UNINTERRUPTIBLE)
    bench.run()
    tell(bench, taken_back(0, 1))
    bench.advance(1)
    assert len(samples(bench)) == 320


def test_playback_has_room_again_for_what_was_taken_back():
    bench = bench_of(Playback(held_max_ms=50))
    for number in range(3):
        bench.feed(sound(40, 320 * number), timestamp_ns=100 * number * MS)
    bench.run()
    operator = bench.stage.adapters[0].operator
    assert not operator.wants("in")
    tell(bench, taken_back(100, 200))
    bench.advance(1)
    assert np.array_equal(samples(bench), [*range(320), *range(640, 960)])
