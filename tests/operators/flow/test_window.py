import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.payloads import Json
from operators.flow.window import Window
from tests.operators.flow.flow_helpers import CONTROL, HERE, bench_of, end, play, timed


def test_each_window_gives_one_value():
    bench = bench_of(Window(count=3, accumulator="sum"))
    play(bench, *(Json(number) for number in range(8)))
    assert bench.values == [0 + 1 + 2, 3 + 4 + 5]
    end(bench)
    assert bench.values == [3, 12, 13]
    assert bench.sink().ended


@given(count=st.integers(1, 6), skip=st.none() | st.integers(1, 6), number=st.integers(0, 25))
def test_windows_are_slices_of_the_stream(drive, count, skip, number):
    values = list(range(number))
    outputs = drive(Window(count=count, skip=skip, accumulator="mean")).run(map(Json, values))
    slices = [values[start : start + count] for start in range(0, number, skip or count)]
    assert [
        output.payload.value if hasattr(output, "payload") else output.value for output in outputs
    ] == [sum(one) / len(one) for one in slices]


def test_windows_in_time():
    bench = bench_of(Window(time_s=1, accumulator="max", field="level"))
    play(bench, 0.5, Json({"level": 3}), 0.5, Json({"level": 7}), 3, Json({"level": 1}), 0.25)
    end(bench)
    assert timed(bench) == [(1.5, 7), (4.25, 1)]
    assert bench.stage.done


def test_a_window_in_time_has_no_bound_in_packets():
    bench = bench_of(Window(time_s=10, accumulator="count"))
    play(bench, *[Json(0)] * 2_000)
    assert bench.values == []
    play(bench, 10)
    assert bench.values == [2_000]


def test_overlapping_windows_do_not_share_a_value():
    bench = bench_of(Window(count=3, skip=1, accumulator=f"{HERE}:collect", seed=[]))
    play(bench, *"abcd")
    end(bench)
    assert ["".join(value) for value in bench.values] == ["abc", "bcd", "cd", "d"]


def test_a_window_begins_at_the_time_of_its_first_packet():
    bench = bench_of(Window(count=2, accumulator="count"))
    bench.feed(Json(1), timestamp_ns=100)
    bench.feed(Json(1), timestamp_ns=200)
    bench.run()
    (packet,) = bench.sink().packets
    assert (packet.timestamp_ns, packet.sequence) == (100, 1)


@pytest.mark.parametrize("params", [{"count": 3}, {"time_s": 2}])
def test_an_interrupt_forgets_the_open_window(params):
    bench = bench_of(Window(accumulator="count", **params))
    play(bench, "a", "b")
    bench.interrupt()
    bench.run()
    play(bench, 1, "c", 1.5)
    end(bench)
    assert bench.values == [1]


def test_control_messages_pass_on():
    bench = bench_of(Window(count=2, accumulator="count"))
    play(bench, "a", CONTROL, "b")
    assert bench.sink().payloads == [CONTROL, Json(2)]


def test_a_wrong_value_is_the_nodes_error():
    bench = bench_of(Window(count=2, accumulator="sum"))
    play(bench, "a")
    assert "sum takes numbers, got 'a'" in bench.stage.error.message


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"accumulator": "sum"}, "count or time_s must say"),
        ({"count": 3}, "accumulator: "),
        ({"count": 3, "accumulator": "sum", "skip": 0}, "skip: "),
        ({"count": 3, "accumulator": "first", "seed": 0}, "seed means nothing"),
    ],
)
def test_bad_params_are_explained(params, message):
    with pytest.raises(UsageError, match=message):
        Window(**params)
