import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.payloads import Binary, Json, Table, Tensor, Text
from operators.flow.distinct import Distinct
from operators.flow.json_path import same_json
from tests.operators.flow.flow_helpers import CONTROL, HERE, bench_of, block, end, play


def kept(values, memory):
    """Plain Python's answer: what is none of the last `memory` different ones."""
    seen, result = [], []
    for value in values:
        if any(same_json(value, other) for other in seen):
            seen = [other for other in seen if not same_json(value, other)]
        else:
            result.append(value)
        seen = [*seen, value][-memory:]
    return result


SCALARS = st.sampled_from([0, 1, 1.0, True, None, "1", "a", [1], [1.0], {"a": 1}, {"a": True}])


@given(values=st.lists(SCALARS, max_size=30), memory=st.integers(1, 6))
def test_what_came_before_is_dropped_as_far_as_is_remembered(drive, values, memory):
    outputs = drive(Distinct(memory=memory)).run(map(Json, values))
    expected = kept(values, memory)
    assert [repr(output.value) for output in outputs] == [repr(value) for value in expected]


@given(values=st.lists(SCALARS, max_size=30))
def test_until_changed_looks_at_the_packet_before_only(drive, values):
    outputs = drive(Distinct(until_changed=True)).run(map(Json, values))
    expected = [
        value
        for before, value in zip([object(), *values], values, strict=False)
        if not same_json(before, value)
    ]
    assert [repr(output.value) for output in outputs] == [repr(value) for value in expected]


def test_a_key_that_comes_again_is_remembered_anew():
    bench = bench_of(Distinct(memory=2))
    play(bench, *"abacab")
    end(bench)
    assert bench.values == ["a", "b", "c", "b"]


def test_the_order_of_keys_in_an_object_does_not_matter():
    bench = bench_of(Distinct())
    play(bench, Json({"a": 1, "b": 2}), Json({"b": 2, "a": 1}))
    assert len(bench.values) == 1


def test_a_field_is_the_key():
    bench = bench_of(Distinct(field="user.id"))
    play(bench, *(Json({"user": {"id": number % 2}, "n": number}) for number in range(5)))
    assert [value["n"] for value in bench.values] == [0, 1]


def test_a_function_gives_the_key():
    bench = bench_of(Distinct(key=f"{HERE}:length_of"))
    play(bench, "ab", "cd", "e")
    assert bench.values == ["ab", "e"]


def test_any_payload_is_compared_by_its_content():
    samples = np.arange(6, dtype=np.float32)
    payloads = [
        block(1, 2),
        block(1, 2, rate=16_000),
        block(1, 2, dtype=np.int16),
        block(1, 2, channels=2),
        Binary(b"x"),
        Binary(b"x", "text/plain"),
        Text("1"),
        Json(1),
        Json("1"),
        Tensor(samples),
        Tensor(samples.reshape(2, 3)),
        Table(pa.record_batch({"a": [1]})),
        Table(pa.record_batch({"b": [1]})),
    ]
    bench = bench_of(Distinct())
    play(bench, *payloads, *payloads)
    assert bench.sink().payloads == payloads


def test_what_is_remembered_is_bounded(drive):
    distinct = Distinct(memory=10)
    drive(distinct).run(Text(str(number) * 100) for number in range(1_000))
    assert sum(len(digest) for digest in distinct._seen) <= 10 * 16


def test_an_interrupt_forgets():
    bench = bench_of(Distinct())
    play(bench, "a", "a")
    bench.interrupt()
    bench.run()
    play(bench, "a", "a")
    assert bench.values == ["a", "a"]


def test_control_messages_always_pass():
    bench = bench_of(Distinct(until_changed=True))
    play(bench, "a", CONTROL, CONTROL, "a")
    assert bench.sink().payloads == [Text("a"), CONTROL, CONTROL]


@pytest.mark.parametrize(
    ("params", "payload", "message"),
    [
        ({"field": "a"}, Json({}), "no field 'a'"),
        ({"field": "a"}, Text("x"), "text has no field 'a'"),
        ({"key": f"{HERE}:failing"}, Text("x"), "it broke"),
    ],
)
def test_a_packet_without_a_key_is_explained(params, payload, message):
    bench = bench_of(Distinct(**params))
    play(bench, payload)
    assert message in bench.stage.error.message


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"memory": 0}, "memory: "),
        ({"memory": 5, "until_changed": True}, "leave memory out"),
        ({"field": "a", "key": "a:b"}, "give one"),
        ({"field": ".."}, "field: "),
        ({"key": "b"}, "package.module:function"),
    ],
)
def test_bad_params_are_explained(params, message):
    with pytest.raises(UsageError, match=message):
        Distinct(**params)
