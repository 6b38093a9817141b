import pytest

from engine.errors import UsageError
from engine.payloads import Text
from operators.flow.throttle import Throttle
from tests.operators.flow.flow_helpers import ANYTHING, CONTROL, bench_of, end, play, timed


def test_first_drops_what_follows_too_soon():
    bench = bench_of(Throttle(time_s=1))
    play(bench, "a", 0.5, "b", 0.25, "c", 0.25, "d", 2, "e", "f")
    end(bench)
    assert timed(bench) == [(0.0, "a"), (1.0, "d"), (3.0, "e")]


def test_latest_emits_the_last_of_each_span_at_its_end():
    bench = bench_of(Throttle(time_s=1, keep="latest"))
    play(bench, "a", 0.25, "b", 0.5, "c", 0.75, "d", 2, "e", 5)
    assert timed(bench) == [(0.0, "a"), (1.0, "c"), (2.0, "d"), (3.5, "e")]


def test_latest_keeps_the_distance_after_what_it_emitted_late():
    bench = bench_of(Throttle(time_s=1, keep="latest"))
    play(bench, "a", 0.9, "b", 0.2, "c", 1)
    assert timed(bench) == [(0.0, "a"), (1.0, "b"), (2.0, "c")]


def test_what_waits_comes_at_the_end():
    bench = bench_of(Throttle(time_s=60, keep="latest"))
    play(bench, *"abc")
    end(bench)
    assert timed(bench) == [(0.0, "a"), (0.0, "c")]
    assert bench.stage.done


@pytest.mark.parametrize("keep", ["first", "latest"])
def test_an_interrupt_forgets_and_opens(keep):
    bench = bench_of(Throttle(time_s=10, keep=keep))
    play(bench, "a", "b", 5)
    bench.interrupt()
    bench.run()
    play(bench, "c", "d", 7)
    assert timed(bench) == [(0.0, "a"), (5.0, "c")]
    play(bench, 3)
    assert timed(bench)[2:] == ([(15.0, "d")] if keep == "latest" else [])


@pytest.mark.parametrize("payload", ANYTHING, ids=repr)
def test_it_takes_any_payload(payload):
    bench = bench_of(Throttle(time_s=1, keep="latest"))
    play(bench, payload, payload, 1)
    assert bench.sink().payloads == [payload, payload]


def test_control_messages_pass():
    bench = bench_of(Throttle(time_s=1))
    play(bench, "a", CONTROL, "b", CONTROL)
    assert bench.sink().payloads == [Text("a"), CONTROL, CONTROL]


def test_a_slow_reader_gets_no_more_than_is_due():
    bench = bench_of(Throttle(time_s=1, keep="latest"), capacity={"node": 1})
    sink = bench.sink()
    sink.withholding = True
    play(bench, "a", 0.5, "b", 0.5, "c", 60)  # b waits in the outbox, and the clock with it
    assert bench.values == ["a"]
    sink.withholding = False
    sink.release()
    play(bench, 0)
    assert bench.values == ["a", "b"]
    play(bench, 1)
    assert bench.values == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("params", "message"),
    [({}, "time_s: "), ({"time_s": 0}, "time_s: "), ({"time_s": 1, "keep": "last"}, "keep: ")],
)
def test_bad_params_are_explained(params, message):
    with pytest.raises(UsageError, match=message):
        Throttle(**params)
