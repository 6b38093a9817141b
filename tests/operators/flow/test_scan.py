import itertools
import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.payloads import Json, Text
from operators.flow.scan import Scan
from tests.operators.flow.flow_helpers import CONTROL, HERE, bench_of, block, end, play

NUMBERS = st.lists(st.integers(-1_000, 1_000), max_size=20)
REFERENCES = {
    "sum": lambda values: itertools.accumulate(values, operator.add),
    "min": lambda values: itertools.accumulate(values, min),
    "max": lambda values: itertools.accumulate(values, max),
    "last": list,
    "count": lambda values: range(1, len(values) + 1),
    "first": lambda values: [values[0] for _ in values],
    "mean": lambda values: [sum(values[:stop]) / stop for stop in range(1, len(values) + 1)],
}


@pytest.mark.parametrize("name", sorted(REFERENCES))
@given(values=NUMBERS)
def test_each_packet_gives_the_value_of_all_so_far(drive, name, values):
    outputs = drive(Scan(accumulator=name)).run([Json(value) for value in values])
    assert [output.value for output in outputs] == list(REFERENCES[name](values))


def test_a_function_may_change_what_it_is_given_and_earlier_outputs_stay():
    bench = bench_of(Scan(accumulator=f"{HERE}:collect", seed=[]))
    play(bench, *"abc")
    end(bench)
    assert bench.values == [["a"], ["a", "b"], ["a", "b", "c"]]
    assert bench.sink().lineage == [(0, 0), (1, 0), (2, 0)]
    assert bench.stage.done


def test_a_function_may_return_a_payload():
    bench = bench_of(Scan(accumulator=f"{HERE}:longest"))
    play(bench, block(1), block(1, 2), block(3))
    assert bench.sink().payloads == [block(1), block(1, 2), block(1, 2)]


def test_an_interrupt_begins_anew():
    bench = bench_of(Scan(accumulator="sum", seed=100))
    play(bench, Json(1), Json(2))
    bench.interrupt()
    bench.run()
    play(bench, Json(3))
    assert bench.values == [101, 103, 103]


def test_control_messages_pass_on_uncounted():
    bench = bench_of(Scan(accumulator="count"))
    play(bench, "a", CONTROL, "b")
    assert bench.sink().payloads == [Json(1), CONTROL, Json(2)]


def test_a_slow_reader_gets_everything():
    bench = bench_of(Scan(accumulator="count"), capacity=1)
    bench.sink().withholding = True
    bench.feed(*[Text("x")] * 9)
    bench.run()
    assert bench.values == [1]
    bench.sink().withholding = False
    bench.sink().release()
    end(bench)
    assert bench.values == list(range(1, 10))
    assert bench.settled


def test_what_the_function_raises_is_the_nodes_error():
    bench = bench_of(Scan(accumulator=f"{HERE}:failing"))
    play(bench, "a", "b")
    assert bench.values == ["a"]
    assert "node 'node' failed in process (packet 1): RuntimeError: it broke" in str(
        bench.stage.error
    )


def test_metadata_stays():
    bench = bench_of(Scan(accumulator="count"))
    bench.feed(Text("x"), metadata={"lang": "en"}, timestamp_ns=5)
    bench.run()
    (packet,) = bench.sink().packets
    assert (dict(packet.metadata), packet.timestamp_ns) == ({"lang": "en"}, 5)
