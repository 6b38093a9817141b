import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import NodeError, UsageError
from engine.payloads import Binary, Json, Text
from operators.flow.buffer import Buffer
from tests.operators.flow.flow_helpers import (
    CONTROL,
    HERE,
    bench_of,
    block,
    end,
    play,
    timed,
)


def texts(*names):
    return [Text(name) for name in names]


# ------------------------------------------------------------------------------- by count


def test_packets_come_together_and_the_rest_at_the_end():
    bench = bench_of(Buffer(count=3))
    play(bench, *"abcdefgh")
    assert bench.values == [["a", "b", "c"], ["d", "e", "f"]]
    end(bench)
    assert bench.values[2:] == [["g", "h"]]
    assert bench.stage.done
    assert bench.sink().ended


def test_an_empty_stream_gives_nothing():
    bench = bench_of(Buffer(count=3))
    end(bench)
    assert bench.values == []
    assert bench.sink().ended


def test_groups_overlap_where_skip_is_smaller():
    bench = bench_of(Buffer(count=3, skip=2))
    play(bench, *"abcdef")
    end(bench)
    assert ["".join(group) for group in bench.values] == ["abc", "cde", "ef"]


def test_packets_between_groups_are_dropped_where_skip_is_larger():
    bench = bench_of(Buffer(count=2, skip=3))
    play(bench, *"abcdefg")
    end(bench)
    assert ["".join(group) for group in bench.values] == ["ab", "de", "g"]


@given(count=st.integers(1, 6), skip=st.none() | st.integers(1, 6), number=st.integers(0, 25))
def test_groups_are_slices_of_the_stream(drive, count, skip, number):
    stream = [str(position) for position in range(number)]
    groups = drive(Buffer(count=count, skip=skip)).run(texts(*stream))
    groups = [getattr(group, "payload", group).value for group in groups]
    expected = [stream[start : start + count] for start in range(0, number, skip or count)]
    assert groups == expected


# -------------------------------------------------------------------------------- by time


def test_a_group_ends_so_long_after_its_first_packet():
    bench = bench_of(Buffer(time_s=2))
    play(bench, 1, "a", 0.5, "b", 1, "c", 0.25)
    assert bench.values == []
    play(bench, 10, "d", 5)
    assert timed(bench) == [(3.0, ["a", "b", "c"]), (14.75, ["d"])]


def test_no_group_is_empty():
    bench = bench_of(Buffer(time_s=0.5))
    play(bench, 60, "a", 60)
    end(bench)
    assert bench.values == [["a"]]


def test_a_full_group_ends_before_its_time_and_the_next_has_a_time_of_its_own():
    bench = bench_of(Buffer(count=2, time_s=2))
    play(bench, "a", 1, "b", 0.5, "c", 1.75)
    assert timed(bench) == [(1.0, ["a", "b"])]
    play(bench, 0.25)
    assert timed(bench)[1:] == [(3.5, ["c"])]


def test_a_group_that_only_time_would_end_is_bounded():
    bench = bench_of(Buffer(time_s=3_600, count_max=4))
    play(bench, *"abcdefghi")
    assert bench.values == [list("abcd"), list("efgh")]


def test_the_end_does_not_wait_for_the_time():
    bench = bench_of(Buffer(time_s=100))
    play(bench, "a", 1, "b")
    end(bench)
    assert timed(bench) == [(1.0, ["a", "b"])]
    assert bench.stage.done


# ------------------------------------------------------------------------ what comes out


def test_audio_becomes_one_block():
    bench = bench_of(Buffer(count=2))
    play(bench, block(1, 2, dtype=np.int16), block(3, dtype=np.int16), block(4, dtype=np.int16))
    end(bench)
    assert bench.sink().payloads == [block(1, 2, 3, dtype=np.int16), block(4, dtype=np.int16)]


def test_texts_and_json_become_one_list():
    bench = bench_of(Buffer(count=3))
    play(bench, "a", Json({"b": 1}), Json(None))
    assert bench.sink().payloads == [Json(["a", {"b": 1}, None])]


def test_a_function_makes_the_output():
    bench = bench_of(Buffer(count=2, combine=f"{HERE}:joined_text"))
    play(bench, *"abc")
    end(bench)
    assert bench.sink().payloads == texts("a+b", "c")


@pytest.mark.parametrize(
    ("payloads", "message"),
    [
        ([Binary(b"x"), Binary(b"y")], "binary cannot be joined.*param combine"),
        ([Text("x"), block(1)], "text and audio cannot be joined.*param combine"),
        ([block(1), block(1, rate=16_000)], "8000 Hz × 1.*16000 Hz × 1.*FastResampleNode"),
        ([block(1), block(1, 1, channels=2)], "8000 Hz × 1.*8000 Hz × 2"),
        ([block(1), block(1, dtype=np.int16)], "float32.*int16"),
    ],
)
def test_what_does_not_go_together_is_explained(payloads, message):
    bench = bench_of(Buffer(count=2))
    play(bench, *payloads)
    assert isinstance(bench.stage.error, NodeError)
    with pytest.raises(NodeError, match=message):
        raise bench.stage.error


def test_a_function_that_returns_no_payload_is_blamed():
    bench = bench_of(Buffer(count=1, combine=f"{HERE}:not_a_payload"))
    play(bench, "a")
    assert "dict is not a payload" in bench.stage.error.message


def test_control_messages_pass_on_at_once():
    bench = bench_of(Buffer(count=2))
    play(bench, "a", CONTROL, "b")
    assert bench.sink().payloads == [CONTROL, Json(["a", "b"])]


def test_a_group_descends_from_its_last_packet_and_begins_at_the_time_of_its_first():
    bench = bench_of(Buffer(count=2, time_s=1))
    bench.feed(Text("a"), timestamp_ns=100, metadata={"n": "1"})
    bench.feed(Text("b"), timestamp_ns=200, metadata={"n": "2"})
    bench.feed(Text("c"), timestamp_ns=300, metadata={"n": "3"})
    bench.run()
    play(bench, 1)
    full, timed_out = bench.sink().packets
    assert (full.sequence, full.timestamp_ns, full.metadata) == (1, 100, {"n": "2"})
    assert (timed_out.sequence, timed_out.timestamp_ns) == (2, 300)


# ---------------------------------------------------------------- interrupts and credits


@pytest.mark.parametrize("params", [{"count": 3}, {"time_s": 2}, {"count": 3, "skip": 1}])
def test_an_interrupt_forgets_what_is_held(params):
    bench = bench_of(Buffer(**params))
    play(bench, "a", "b")
    bench.interrupt()
    bench.run()
    play(bench, 1, "c", "d", 1.5)
    end(bench)
    assert bench.values[0] == ["c", "d"]
    assert all(packet.generation == 1 for packet in bench.sink().packets)
    assert bench.settled


def test_a_slow_reader_holds_the_producer_back_and_loses_nothing():
    bench = bench_of(Buffer(count=2), capacity=1)
    sink = bench.sink()
    sink.withholding = True
    bench.feed(*texts(*(str(number) for number in range(20))))
    bench.run()
    assert len(bench.feeders["node"].waiting) > 10
    sink.withholding = False
    sink.release()
    end(bench)
    assert [one for group in bench.values for one in group] == [str(n) for n in range(20)]
    assert bench.settled


def test_a_group_whose_time_is_up_waits_for_a_slow_reader_once():
    bench = bench_of(Buffer(time_s=1), capacity={"node": 1})
    sink = bench.sink()
    sink.withholding = True
    play(bench, "a", 1, "b", 1)
    assert bench.values == [["a"]]
    play(bench, 100)
    sink.withholding = False
    sink.release()
    end(bench)
    assert bench.values == [["a"], ["b"]]


# --------------------------------------------------------------------------------- params


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "count or time_s must say"),
        ({"count": 0}, "count: .*greater than or equal to 1"),
        ({"time_s": 0}, "time_s: "),
        ({"time_s": float("inf")}, "time_s: "),
        ({"time_s": 1, "skip": 2}, "skip counts packets"),
        ({"count": 2, "time_s": 1, "skip": 2}, "skip counts packets"),
        ({"count": 1_000, "skip": 1}, "raise skip to at least 16"),
        ({"count": 2, "combine": "joined"}, "package.module:function"),
        ({"count": 2, "colour": 3}, "there is no param .colour."),
    ],
)
def test_bad_params_are_explained(params, message):
    with pytest.raises(UsageError, match=message):
        Buffer(**params)


def test_a_function_that_does_not_exist_fails_the_start():
    with pytest.raises(UsageError, match="cannot find 'nowhere'"):
        bench_of(Buffer(count=2, combine=f"{HERE}:nowhere"))
