import pytest

from engine.errors import UsageError
from engine.payloads import Text
from operators.flow.delay import Delay
from tests.operators.flow.flow_helpers import ANYTHING, bench_of, end, play, timed


def test_everything_comes_later_and_in_order():
    bench = bench_of(Delay(time_s=2))
    play(bench, "a", "b", 0.5, "c", 3)
    assert timed(bench) == [(2.0, "a"), (2.0, "b"), (2.5, "c")]


def test_the_end_comes_later_too():
    bench = bench_of(Delay(time_s=2))
    play(bench, "a", 1)
    end(bench)
    play(bench, 1)
    assert timed(bench) == [(2.0, "a")]
    assert not bench.stage.done
    play(bench, 1)
    assert bench.stage.done
    assert bench.sink().ended


def test_media_time_and_metadata_are_each_packets_own():
    bench = bench_of(Delay(time_s=1))
    for number in range(3):
        bench.feed(Text("x"), timestamp_ns=number * 10, metadata={"n": str(number)})
    play(bench, 1)
    assert [packet.timestamp_ns for packet in bench.sink().packets] == [0, 10, 20]
    assert [packet.metadata["n"] for packet in bench.sink().packets] == ["0", "1", "2"]


def test_so_many_are_on_their_way_and_no_more():
    bench = bench_of(Delay(time_s=1, count_max=3), capacity=2)
    bench.feed(*(Text(str(number)) for number in range(20)))
    bench.run()
    assert len(bench.feeders["node"].waiting) == 20 - 3 - 2  # held, and on the edge
    end(bench)
    play(bench, 1)
    assert bench.values == ["0", "1", "2"]
    play(bench, 7)
    assert bench.values == [str(number) for number in range(20)]
    assert bench.stage.done
    assert bench.settled


def test_an_interrupt_forgets_what_is_on_its_way_and_its_count():
    bench = bench_of(Delay(time_s=1, count_max=2))
    play(bench, "a", "b", 0.5)
    bench.interrupt()
    bench.run()
    play(bench, "c", "d", "e", 1)
    assert timed(bench) == [(1.5, "c"), (1.5, "d")]
    play(bench, 1)
    assert timed(bench)[2:] == [(2.5, "e")]


def test_a_slow_reader_holds_the_clock():
    bench = bench_of(Delay(time_s=1), capacity={"node": 1})
    sink = bench.sink()
    sink.withholding = True
    play(bench, "a", "b", 0.5, "c", 60)
    assert bench.values == ["a"]
    sink.release()
    play(bench, 0)
    assert bench.values == ["a", "b"]
    sink.withholding = False
    sink.release()
    play(bench, 0.5)
    assert bench.values == ["a", "b", "c"]


@pytest.mark.parametrize("payload", ANYTHING, ids=repr)
def test_it_takes_any_payload(payload):
    bench = bench_of(Delay(time_s=1))
    play(bench, payload, 1)
    assert bench.sink().payloads == [payload]


@pytest.mark.parametrize(
    ("params", "message"),
    [({}, "time_s: "), ({"time_s": 0}, "time_s: "), ({"time_s": 1, "count_max": 0}, "count_max")],
)
def test_bad_params_are_explained(params, message):
    with pytest.raises(UsageError, match=message):
        Delay(**params)
