import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.payloads import Json, Text
from operators.flow.time_join import TimeJoin
from tests.operators.flow.flow_helpers import CONTROL, fan_in_bench

MS = 1_000_000


def feed(bench, port, *times_ms):
    for time_ms in times_ms:
        bench.feed(Text(f"{port}{time_ms}"), at=f"node.{port}", timestamp_ns=round(time_ms * MS))
        bench.run()


def end(bench, *ports):
    bench.finish(*(f"node.{port}" for port in ports))
    bench.run()


def joined(bench):
    return [" ".join(value.values()) for value in bench.values]


def test_what_lies_within_the_tolerance_belongs_together():
    bench = fan_in_bench(TimeJoin(tolerance_ms=10))
    feed(bench, "a", 0, 40, 80)
    assert bench.values == []
    feed(bench, "b", 5, 42)
    assert bench.values == [{"a": "a0", "b": "b5"}, {"a": "a40", "b": "b42"}]
    assert [packet.timestamp_ns for packet in bench.sink().packets] == [0, 40 * MS]


def test_a_packet_that_was_overtaken_is_given_up():
    bench = fan_in_bench(TimeJoin(tolerance_ms=10))
    feed(bench, "a", 0, 20, 40)
    feed(bench, "b", 41)
    assert joined(bench) == ["a40 b41"]


def test_what_is_given_up_may_be_emitted_alone():
    bench = fan_in_bench(TimeJoin(tolerance_ms=10, unmatched="emit"))
    feed(bench, "a", 0, 20, 40)
    feed(bench, "b", 41)
    assert joined(bench) == ["a0", "a20", "a40 b41"]


def test_a_silent_input_stalls_nobody():
    bench = fan_in_bench(TimeJoin(tolerance_ms=10, wait_max_ms=200, unmatched="emit"))
    feed(bench, "a", 0)
    bench.advance(0.1)
    feed(bench, "a", 100)
    bench.advance(0.099)
    assert bench.values == []
    bench.advance(0.001)
    assert joined(bench) == ["a0"]
    bench.advance(0.1)
    assert joined(bench) == ["a0", "a100"]


def test_three_inputs_of_which_two_came():
    bench = fan_in_bench(TimeJoin(inputs=["a", "b", "c"], unmatched="emit", wait_max_ms=50))
    feed(bench, "a", 0)
    feed(bench, "b", 10)
    bench.advance(0.05)
    assert bench.values == [{"a": "a0", "b": "b10"}]
    feed(bench, "c", 100)
    feed(bench, "b", 110)
    feed(bench, "a", 105)
    assert joined(bench)[1:] == ["a105 b110 c100"]


def test_what_waits_is_bounded():
    bench = fan_in_bench(TimeJoin(tolerance_ms=1, held_max=3, unmatched="emit"))
    feed(bench, "a", 0, 10, 20, 30, 40)
    assert joined(bench) == ["a0", "a10"]


def test_an_input_that_has_ended_is_not_waited_for():
    bench = fan_in_bench(TimeJoin(tolerance_ms=10, unmatched="emit"))
    feed(bench, "a", 0, 40)
    end(bench, "b")
    assert joined(bench) == ["a0", "a40"]
    feed(bench, "a", 80)
    assert joined(bench) == ["a0", "a40", "a80"]


def test_the_node_ends_when_nothing_can_be_joined_any_more():
    bench = fan_in_bench(TimeJoin(tolerance_ms=10))
    feed(bench, "b", 0, 50)
    end(bench, "b")
    assert not bench.sink().ended
    feed(bench, "a", 2)
    assert not bench.sink().ended
    feed(bench, "a", 52)
    assert joined(bench) == ["a2 b0", "a52 b50"]
    assert bench.sink().ended
    feed(bench, "a", 80, 90)
    assert bench.settled


def test_the_end_gives_up_what_waits():
    bench = fan_in_bench(TimeJoin(tolerance_ms=10, unmatched="emit"))
    feed(bench, "a", 0)
    feed(bench, "b", 100)
    end(bench, "a", "b")
    assert joined(bench) == ["a0", "b100"]
    assert bench.sink().ended


def test_an_interrupt_forgets_what_waits():
    bench = fan_in_bench(TimeJoin(tolerance_ms=10, wait_max_ms=100, unmatched="emit"))
    feed(bench, "a", 0)
    bench.interrupt()
    bench.run()
    bench.advance(1)
    feed(bench, "b", 0)
    assert bench.values == []
    feed(bench, "a", 5)
    assert joined(bench) == ["a5 b0"]


def test_control_messages_pass_on():
    bench = fan_in_bench(TimeJoin())
    bench.feed(CONTROL, at="node.b")
    bench.run()
    assert bench.sink().payloads == [CONTROL]


@pytest.mark.parametrize(
    "params",
    [{"tolerance_ms": -1}, {"wait_max_ms": 0}, {"held_max": 0}, {"unmatched": "keep"}],
)
def test_wrong_params_are_refused(params):
    with pytest.raises(UsageError):
        TimeJoin(**params)


TIMES = st.lists(st.integers(0, 300), max_size=12).map(sorted)


@given(TIMES, TIMES, st.integers(0, 30), st.randoms(use_true_random=False))
def test_it_joins_what_a_walk_along_both_lists_joins(a, b, tolerance, random):
    """Whatever the order of arrival; nothing is lost, and each packet comes out once."""
    expected, left, right = [], [*a], [*b]
    while left or right:
        if left and right and abs(left[0] - right[0]) <= tolerance:
            expected.append({"a": left.pop(0), "b": right.pop(0)})
        elif left and (not right or left[0] < right[0]):
            expected.append({"a": left.pop(0)})
        else:
            expected.append({"b": right.pop(0)})
    bench = fan_in_bench(TimeJoin(tolerance_ms=tolerance, unmatched="emit", wait_max_ms=10_000))
    arrivals = [("a", time) for time in a], [("b", time) for time in b]
    queues = {"a": iter(arrivals[0]), "b": iter(arrivals[1])}
    order = list(itertools.chain("a" * len(a), "b" * len(b)))
    random.shuffle(order)
    for port in order:
        _, time = next(queues[port])
        bench.feed(Json(time), at=f"node.{port}", timestamp_ns=time * MS)
        bench.run()
    end(bench, "a", "b")
    assert bench.values == expected
