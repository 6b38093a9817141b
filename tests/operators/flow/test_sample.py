import pytest

from engine.errors import UsageError
from engine.payloads import Text
from operators.flow.sample import Sample
from tests.operators.flow.flow_helpers import ANYTHING, CONTROL, bench_of, end, play, timed


def test_the_latest_comes_at_each_time_if_there_is_a_new_one():
    bench = bench_of(Sample(time_s=1))
    play(bench, 0.25, "a", 0.25, "b", 1, "c", 1, 3, "d", 1)
    assert timed(bench) == [(1.0, "b"), (2.0, "c"), (6.0, "d")]


def test_the_end_ends_it_at_once_with_what_waits():
    bench = bench_of(Sample(time_s=60))
    play(bench, "a", 1, "b", 1)
    end(bench)
    assert timed(bench) == [(2.0, "b")]
    assert bench.stage.done
    assert bench.sink().ended


def test_an_end_without_anything_new_ends_it_too():
    bench = bench_of(Sample(time_s=1))
    play(bench, "a", 1.5)
    end(bench)
    assert bench.values == ["a"]
    assert bench.stage.done


def test_an_interrupt_forgets_what_waits_and_begins_the_times_anew():
    bench = bench_of(Sample(time_s=1))
    play(bench, "a", 0.75)
    bench.interrupt()
    bench.run()
    play(bench, 0.5, "b", 1)
    assert timed(bench) == [(1.75, "b")]


@pytest.mark.parametrize("payload", ANYTHING, ids=repr)
def test_it_takes_any_payload(payload):
    bench = bench_of(Sample(time_s=1))
    play(bench, payload, 1)
    assert bench.sink().payloads == [payload]


def test_control_messages_pass_at_once():
    bench = bench_of(Sample(time_s=1))
    play(bench, "a", 0.5, CONTROL, 0.5)
    assert timed(bench) == [(0.5, CONTROL), (1.0, "a")]


def test_a_slow_reader_gets_the_times_later_and_one_sample_each():
    bench = bench_of(Sample(time_s=1), capacity={"node": 1})
    sink = bench.sink()
    sink.withholding = True
    play(bench, "a", 1, "b", 1, "c", 20)
    assert bench.values == ["a"]
    sink.withholding = False
    sink.release()
    play(bench, 1)
    end(bench)
    assert bench.values == ["a", "b", "c"]
    assert bench.settled


@pytest.mark.parametrize("params", [{}, {"time_s": 0}, {"time_s": 1e9}])
def test_bad_params_are_explained(params):
    with pytest.raises(UsageError, match="time_s: "):
        Sample(**params)


def test_samples_keep_their_metadata():
    bench = bench_of(Sample(time_s=1))
    bench.feed(Text("x"), metadata={"lang": "en"}, timestamp_ns=7)
    play(bench, 1)
    (packet,) = bench.sink().packets
    assert (dict(packet.metadata), packet.timestamp_ns) == ({"lang": "en"}, 7)
