import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.flags import FLAG_UNINTERRUPTIBLE
from engine.interruption import Played
from engine.payloads import Audio, Json, Text
from engine.testing import StageBench, run_virtual
from operators.audio.playback import Playback
from tests.operators.flow.flow_helpers import bench_of, end, play

MS = 1_000_000


def sound(ms, first=0, rate=8_000):
    """Audio whose samples are numbers that go on."""
    return Audio(np.arange(first, first + rate * ms // 1_000, dtype=np.int32), rate)


def timed_ms(bench):
    """(ms at which it came, ms it lasts) of the audio that came out."""
    sink = bench.sink()
    return [
        (at_ns / MS, payload.duration_ns / MS)
        for at_ns, payload in zip(sink.arrivals_ns, sink.payloads, strict=True)
        if isinstance(payload, Audio)
    ]


def samples_of(payloads):
    parts = [payload.samples[:, 0] for payload in payloads if isinstance(payload, Audio)]
    return np.concatenate(parts) if parts else np.empty(0, np.int32)


def test_each_block_comes_when_the_one_before_it_was_heard():
    bench = bench_of(Playback())
    play(bench, sound(50), sound(20, 400), 1)
    assert timed_ms(bench) == [(0, 20), (20, 20), (40, 10), (50, 20)]
    assert np.array_equal(samples_of(bench.sink().payloads), np.arange(560))


def test_a_packet_that_is_a_block_is_handed_on_as_it_came():
    bench = bench_of(Playback())
    block = sound(20)
    play(bench, block, 1)
    assert bench.sink().payloads == [block]
    assert bench.sink().payloads[0].samples is block.samples


def test_after_silence_sound_sets_in_at_once():
    bench = bench_of(Playback())
    play(bench, sound(20), 0.5, sound(20), 0.01, sound(20), 1)
    assert timed_ms(bench) == [(0, 20), (500, 20), (520, 20)]


def test_a_late_block_does_not_delay_the_next_ones():
    bench = bench_of(Playback())
    play(bench, sound(100), 0.015)
    bench.clock.spend(0.030)
    bench.advance(0)
    assert timed_ms(bench) == [(0, 20), (45, 20), (45, 20)]
    bench.advance(1)
    assert timed_ms(bench)[3:] == [(60, 20), (80, 20)]


def test_nothing_drifts_where_a_block_is_no_whole_number_of_nanoseconds():
    bench = bench_of(Playback(block_ms=10, held_max_ms=600_000))
    for first in range(0, 44_101, 367):
        bench.feed(Audio(np.arange(first, first + 367, dtype=np.int32), 44_101))
    bench.run()
    bench.advance(2)
    last_first = bench.sink().payloads[-1].samples[0, 0]
    assert bench.sink().arrivals_ns[-1] == pytest.approx(int(last_first) * 1e9 / 44_101, abs=2)


def test_the_rate_may_change():
    bench = bench_of(Playback())
    play(bench, sound(30), sound(30, rate=16_000), sound(30), 1)
    assert timed_ms(bench) == [(0, 20), (20, 10), (30, 20), (50, 10), (60, 20), (80, 10)]


def test_a_block_has_the_media_time_of_its_first_frame_and_its_packets_metadata():
    bench = bench_of(Playback())
    bench.feed(sound(40), timestamp_ns=7 * MS, metadata={"text": "a"})
    bench.feed(sound(20), timestamp_ns=900 * MS, metadata={"text": "b"})
    bench.run()
    bench.advance(1)
    packets = bench.sink().packets
    assert [packet.timestamp_ns / MS for packet in packets] == [7, 27, 900]
    assert [packet.metadata["text"] for packet in packets] == ["a", "a", "b"]


def test_what_is_not_audio_leaves_behind_the_audio_before_it():
    bench = bench_of(Playback())
    play(bench, Text("begin"), sound(40), Json(1), sound(0), sound(20), Text("end"), 1)
    kinds = [type(payload).__name__ for payload in bench.sink().payloads]
    assert kinds == ["Text", "Audio", "Audio", "Json", "Audio", "Audio", "Text"]
    assert [at_ns / MS for at_ns in bench.sink().arrivals_ns] == [0, 0, 20, 20, 20, 40, 40]


def test_when_it_holds_enough_it_takes_no_more_until_less_is_left():
    bench = bench_of(Playback(held_max_ms=100), capacity=2)
    bench.feed(*(sound(20, 160 * n) for n in range(20)), sequence=0)
    bench.run()  # the first block is being heard, 5 are held
    assert len(bench.feeders["node"].waiting) == 20 - 6 - 2
    assert bench.stage.adapters[0].operator.played()[0].of_ns == 120 * MS
    bench.advance(0.1)
    assert len(bench.feeders["node"].waiting) == 20 - 11 - 2
    bench.advance(1)
    assert np.array_equal(samples_of(bench.sink().payloads), np.arange(3_200))
    assert bench.settled


def test_while_nobody_takes_what_it_plays_it_stands_still():
    bench = bench_of(Playback(), capacity={"node": 1})
    sink = bench.sink()
    sink.withholding = True
    play(bench, sound(80), 60)
    assert timed_ms(bench) == [(0, 20)]
    sink.withholding = False
    sink.release()
    bench.run()
    bench.advance(1)
    assert [at - 60_000 for at, _ in timed_ms(bench)[2:]] == [20, 40]


def test_at_the_end_the_rest_is_still_played_in_time():
    async def main():
        bench = StageBench({"node": Playback()})
        bench.feed(sound(50), Text("last"), sound(10, 400))
        bench.finish()
        await bench.joined()
        return bench

    bench = run_virtual(main())
    assert timed_ms(bench) == [(0, 20), (20, 20), (40, 10), (50, 10)]
    assert bench.sink().ended
    assert isinstance(bench.sink().payloads[3], Text)


def test_an_interrupt_while_the_rest_is_played_ends_it():
    async def main():
        bench = StageBench({"node": Playback()})
        bench.feed(sound(100))
        bench.finish()
        await asyncio.sleep(0.05)
        played = bench.stage.adapters[0].operator.played()
        bench.interrupt()
        await bench.joined()
        return bench, played

    bench, played = run_virtual(main())
    assert timed_ms(bench) == [(0, 20), (20, 20), (40, 20)]
    assert played == [Played(0, 60 * MS, 100 * MS)]
    assert bench.sink().ended


def test_an_end_with_nothing_held_ends_at_once():
    bench = bench_of(Playback())
    play(bench, sound(20), 1)
    end(bench)
    assert bench.sink().ended


# --- what was played --------------------------------------------------------------------------


def spoken(bench, *texts, sequence=0, ms=100):
    for text in texts:
        bench.feed(sound(ms), sequence=sequence, metadata={"text": text})
    bench.run()


def told(bench):
    return [
        (each.sequence, each.metadata.get("text"), each.played_ns // MS, each.of_ns // MS)
        for each in bench.stage.adapters[0].operator.played()
    ]


def test_it_says_how_much_was_heard_of_each_text():
    bench = bench_of(Playback())
    assert told(bench) == []
    spoken(bench, "one", "one", "two")
    assert told(bench) == [(0, "one", 20, 200), (0, "two", 0, 100)]
    bench.advance(0.13)
    assert told(bench) == [(0, "one", 140, 200), (0, "two", 0, 100)]
    bench.advance(0.1)
    assert told(bench) == [(0, "one", 200, 200), (0, "two", 40, 100)]
    bench.advance(5)
    assert told(bench) == [(0, "one", 200, 200), (0, "two", 100, 100)]


def test_what_was_heard_before_the_sequence_under_way_is_not_told():
    bench = bench_of(Playback())
    spoken(bench, "one", "two")
    spoken(bench, "two", "three", sequence=1)
    bench.advance(0.19)
    assert told(bench) == [
        (0, "one", 100, 100),
        (0, "two", 100, 100),
        (1, "two", 0, 100),
        (1, "three", 0, 100),
    ]
    bench.advance(0.02)
    assert told(bench) == [(1, "two", 20, 100), (1, "three", 0, 100)]


def test_it_says_of_a_bounded_number_of_things():
    bench = bench_of(Playback())
    spoken(bench, *map(str, range(100)), ms=20)
    assert [text for _, text, _, _ in told(bench)] == [str(number) for number in range(64)]
    bench.advance(1)  # the 51st is under way
    assert [text for _, text, _, _ in told(bench)] == [str(number) for number in range(18, 82)]


def test_an_interrupt_forgets_all_and_what_comes_next_is_heard_at_once():
    bench = bench_of(Playback())
    spoken(bench, "one", "two")
    bench.advance(0.03)
    bench.interrupt()
    bench.run()
    assert told(bench) == []
    bench.advance(0.005)
    spoken(bench, "three", sequence=1)
    assert told(bench) == [(1, "three", 20, 100)]
    bench.advance(1)
    new = [packet for packet in bench.sink().packets if packet.generation == 1]
    assert len(new) == 5
    assert {packet.metadata["text"] for packet in new} == {"three"}
    assert timed_ms(bench)[2] == (35, 20)


def test_what_is_held_is_forgotten_even_if_it_is_uninterruptible():
    bench = bench_of(Playback())
    bench.feed(sound(100), flags=FLAG_UNINTERRUPTIBLE)
    bench.run()
    bench.interrupt()
    bench.run()
    bench.advance(1)
    assert timed_ms(bench) == [(0, 20)]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("sound"), st.integers(0, 900)),
        st.tuples(st.just("other"), st.just(0)),
        st.tuples(st.just("time"), st.integers(0, 90_000)),
        st.tuples(st.just("late"), st.integers(0, 90_000)),
        st.tuples(st.just("interrupt"), st.just(0)),
    ),
    max_size=40,
)


@given(steps, st.integers(1, 40), st.integers(1, 200))
def test_nothing_is_lost_and_nothing_comes_twice(steps, block_ms, held_max_ms):
    """Samples are numbered: of each generation what was played came out, all of it, in order."""
    bench = bench_of(Playback(block_ms=block_ms, held_max_ms=held_max_ms), capacity=1_000)
    node = bench.stage.adapters[0].operator
    rate = 8_000
    fed, reports = [[0]], []  # of each generation: frames up to each packet; what was said at last

    for what, amount in steps:
        if what == "sound":
            first = fed[-1][-1]
            bench.feed(Audio(np.arange(first, first + amount, dtype=np.int32), rate), sequence=0)
            fed[-1].append(first + amount)
            bench.run()
        elif what == "other":
            bench.feed(Text("x"), sequence=0)
            bench.run()
        elif what == "time":
            bench.advance(amount / 1e6)
        elif what == "late":
            bench.clock.spend(amount / 1e6)
        else:
            reports.append(node.played())
            bench.interrupt()
            bench.run()
            fed.append([0])
    bench.advance(fed[-1][-1] / rate + 1)
    reports.append(node.played())

    for generation, played in enumerate(reports):
        came = samples_of(
            packet.payload for packet in bench.sink().packets if packet.generation == generation
        )
        assert np.array_equal(came, np.arange(len(came)))
        assert round(sum(each.played_ns for each in played) * rate / 1e9) == len(came)
        taken = round(sum(each.of_ns for each in played) * rate / 1e9)
        assert taken >= len(came)
        assert taken in fed[generation]  # whole packets; the rest still waited before the node
    assert len(came) == fed[-1][-1]  # nothing interrupted the last ones


@pytest.mark.parametrize(
    "params", [{"block_ms": 0}, {"block_ms": 2_000}, {"held_max_ms": 0}, {"held_max_ms": 10**6}]
)
def test_bad_params_are_explained(params):
    with pytest.raises(UsageError, match=next(iter(params))):
        Playback(**params)
