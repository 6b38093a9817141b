import pytest

from engine.errors import UsageError
from engine.payloads import Text
from operators.flow.debounce import Debounce
from tests.operators.flow.flow_helpers import (
    ANYTHING,
    CONTROL,
    bench_of,
    block,
    end,
    play,
    timed,
)


def test_the_last_of_a_burst_comes_after_a_pause():
    bench = bench_of(Debounce(time_s=1))
    play(bench, "a", 0.5, "b", 0.9, "c", 5, "d", 1)
    assert timed(bench) == [(2.4, "c"), (7.4, "d")]


def test_what_waits_comes_at_the_end():
    bench = bench_of(Debounce(time_s=60))
    play(bench, "a", 1, "b", 1)
    end(bench)
    assert timed(bench) == [(2.0, "b")]
    assert bench.stage.done
    assert bench.sink().ended


def test_an_empty_stream_ends_empty():
    bench = bench_of(Debounce(time_s=1))
    end(bench)
    assert bench.values == []
    assert bench.sink().ended


def test_an_interrupt_forgets_what_waits():
    bench = bench_of(Debounce(time_s=1))
    play(bench, "a", 0.5)
    bench.interrupt()
    play(bench, 5, "b", 1)
    assert bench.values == ["b"]
    assert bench.sink().packets[0].generation == 1


def test_control_messages_pass_at_once_and_end_no_burst():
    bench = bench_of(Debounce(time_s=1))
    play(bench, "a", 0.5, CONTROL, 0.5)
    assert timed(bench) == [(0.5, CONTROL), (1.0, "a")]


@pytest.mark.parametrize("payload", ANYTHING, ids=repr)
def test_it_takes_any_payload(payload):
    bench = bench_of(Debounce(time_s=1))
    play(bench, payload, 1)
    assert bench.sink().payloads == [payload]


def test_while_a_slow_reader_holds_the_stage_back_no_time_goes_by():
    bench = bench_of(Debounce(time_s=1), capacity={"node": 1})
    sink = bench.sink()
    sink.withholding = True
    play(bench, "a", 1, "b", 1, "c")
    assert bench.values == ["a"]
    play(bench, 50)
    sink.release()
    play(bench, 0, 0.5, "d")
    sink.release()
    play(bench, 1)
    assert bench.values == ["a", "b", "d"]


def test_metadata_and_media_time_stay():
    bench = bench_of(Debounce(time_s=1))
    bench.feed(block(1), metadata={"lang": "en"}, timestamp_ns=7)
    play(bench, 1)
    (packet,) = bench.sink().packets
    assert (dict(packet.metadata), packet.timestamp_ns) == ({"lang": "en"}, 7)


@pytest.mark.parametrize("params", [{}, {"time_s": 0}, {"time_s": -1}, {"time_s": "soon"}])
def test_bad_params_are_explained(params):
    with pytest.raises(UsageError, match="time_s: "):
        Debounce(**params)


def test_credits_come_home():
    bench = bench_of(Debounce(time_s=1), capacity=2)
    bench.feed(*[Text("x")] * 50)
    bench.run()
    assert bench.settled
