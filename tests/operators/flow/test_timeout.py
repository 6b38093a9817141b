import pytest

from engine.errors import NodeError, UsageError
from engine.payloads import Json
from operators.flow.timeout import Timeout
from tests.operators.flow.flow_helpers import ANYTHING, bench_of, end, play, timed


def test_silence_fails_the_session():
    bench = bench_of(Timeout(time_s=2))
    play(bench, 1.5, "a", 1.5, "b", 1.75)
    assert bench.stage.error is None
    play(bench, 0.25)
    assert bench.values == ["a", "b"]
    with pytest.raises(NodeError, match=r"TimeoutError: nothing came for 2 s.*raise time_s"):
        raise bench.stage.error
    assert bench.stage.error.node_id == "node"


def test_silence_from_the_start_counts():
    bench = bench_of(Timeout(time_s=2))
    play(bench, 2)
    assert "nothing came for 2 s" in bench.stage.error.message


def test_a_fallback_comes_once_for_each_silence():
    bench = bench_of(Timeout(time_s=1, on_timeout="emit", fallback={"silent": True}))
    play(bench, "a", 10, "b", 0.5, "c", 10)
    silent = {"silent": True}
    assert timed(bench) == [(0.0, "a"), (1.0, silent), (10.0, "b"), (10.5, "c"), (11.5, silent)]


def test_a_fallback_may_come_again_and_again():
    bench = bench_of(Timeout(time_s=1, on_timeout="emit", repeat=True))
    play(bench, "a", 2.5, "b", 1)
    assert timed(bench) == [(0.0, "a"), (1.0, None), (2.0, None), (2.5, "b"), (3.5, None)]


def test_each_fallback_is_a_value_of_its_own():
    bench = bench_of(Timeout(time_s=1, on_timeout="emit", fallback=[], repeat=True))
    play(bench, 2)
    first, second = bench.values
    assert first == second == []
    assert first is not second


@pytest.mark.parametrize("on_timeout", ["error", "emit"])
def test_behind_the_end_nothing_is_waited_for(on_timeout):
    bench = bench_of(Timeout(time_s=1, on_timeout=on_timeout))
    play(bench, "a")
    end(bench)
    assert bench.stage.done
    play(bench, 10)
    assert bench.values == ["a"]
    assert bench.stage.error is None


def test_an_interrupt_begins_the_time_anew():
    bench = bench_of(Timeout(time_s=2, on_timeout="emit", fallback=0))
    play(bench, "a", 1.5)
    bench.interrupt()
    bench.run()
    play(bench, 1.5, "b", 2)
    assert timed(bench) == [(0.0, "a"), (3.0, "b"), (5.0, 0)]


def test_a_slow_reader_is_no_silence():
    bench = bench_of(Timeout(time_s=1), capacity=1)
    sink = bench.sink()
    sink.withholding = True
    play(bench, "a", "b", "c", 60)
    assert bench.stage.error is None
    sink.withholding = False
    sink.release()
    play(bench, 0.5)
    assert bench.values == ["a", "b", "c"]
    play(bench, 0.5)
    assert "nothing came" in bench.stage.error.message


@pytest.mark.parametrize("payload", ANYTHING, ids=repr)
def test_it_takes_any_payload(payload):
    bench = bench_of(Timeout(time_s=1))
    play(bench, payload)
    assert bench.sink().payloads == [payload]


def test_the_fallback_descends_from_the_last_packet():
    bench = bench_of(Timeout(time_s=1, on_timeout="emit", fallback=0))
    bench.feed(Json(1), sequence=7, timestamp_ns=70)
    play(bench, 1)
    packet = bench.sink().packets[1]
    assert (packet.sequence, packet.index, packet.timestamp_ns) == (7, 1, 70)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "time_s: "),
        ({"time_s": 1, "on_timeout": "wait"}, "on_timeout: "),
        ({"time_s": 1, "fallback": 3}, 'for on_timeout "emit"'),
        ({"time_s": 1, "repeat": True}, 'for on_timeout "emit"'),
    ],
)
def test_bad_params_are_explained(params, message):
    with pytest.raises(UsageError, match=message):
        Timeout(**params)
