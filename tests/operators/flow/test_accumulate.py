import pytest

from engine.errors import UsageError
from engine.payloads import Json, Text
from operators.flow.accumulate import AccumulatingParams, Accumulator
from operators.flow.scan import Scan
from tests.operators.flow.flow_helpers import HERE, block


def made(make_packet, payloads, **params):
    """The value of some payloads."""
    accumulator = Accumulator(AccumulatingParams(**params))
    accumulator.load()
    so_far = accumulator.begin()
    for payload in payloads:
        so_far = accumulator.add(so_far, make_packet(payload))
    return accumulator.result(so_far)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", 3),
        ("sum", 6.5),
        ("min", 1.5),
        ("max", 3),
        ("mean", 6.5 / 3),
        ("first", 3),
        ("last", 2),
    ],
)
def test_named_values(make_packet, name, value):
    numbers = [Json({"a": [number]}) for number in (3, 1.5, 2)]
    assert made(make_packet, numbers, accumulator=name, field="a.0") == Json(value)


@pytest.mark.parametrize(
    ("name", "seed", "value"), [("count", 10, 12), ("sum", 0.5, 3.5), ("min", 0, 0), ("max", 9, 9)]
)
def test_a_seed_is_the_value_before_the_first(make_packet, name, seed, value):
    assert made(make_packet, [Json(1), Json(2)], accumulator=name, seed=seed) == Json(value)


def test_strings_are_compared_too(make_packet):
    assert made(make_packet, [Text("b"), Text("a")], accumulator="min") == Json("a")
    assert made(make_packet, [Text("b")], accumulator="max", seed="c") == Json("c")


def test_a_function_gets_the_value_so_far_and_the_next(make_packet):
    values = [Json(1), Text("x"), Json([2])]
    collected = made(make_packet, values, accumulator=f"{HERE}:collect", seed=[])
    assert collected == Json([1, "x", [2]])


def test_without_a_seed_the_first_value_is_the_first_running_one(make_packet):
    assert made(make_packet, [Json([0])], accumulator=f"{HERE}:collect") == Json([0])
    values = [Json([0]), Json(1)]
    assert made(make_packet, values, accumulator=f"{HERE}:collect") == Json([0, 1])
    assert values[0] == Json([0]), "the input was changed"


def test_a_seed_is_used_as_often_as_there_are_beginnings(make_packet):
    accumulator = Accumulator(AccumulatingParams(accumulator=f"{HERE}:collect", seed=[]))
    accumulator.load()
    first = accumulator.add(accumulator.begin(), make_packet(Json(1)))
    second = accumulator.add(accumulator.begin(), make_packet(Json(2)))
    assert (first, second) == ([1], [2])


def test_other_payloads_are_values_themselves(make_packet):
    blocks = [block(1, 2), block(1, 2, 3), block(1)]
    assert made(make_packet, blocks, accumulator=f"{HERE}:longest") == blocks[1]
    assert made(make_packet, blocks, accumulator="count") == Json(3)


@pytest.mark.parametrize(
    ("params", "payload", "error", "message"),
    [
        ({"accumulator": "sum"}, Json("3"), TypeError, "sum takes numbers, got '3'"),
        ({"accumulator": "sum"}, Json(True), TypeError, "sum takes numbers, got True"),
        ({"accumulator": "mean"}, block(1), TypeError, "mean takes numbers, got Audio"),
        ({"accumulator": "max", "seed": 1}, Json("x"), TypeError, "max takes numbers, got 'x'"),
        ({"accumulator": "min"}, Json(None), TypeError, "min takes numbers, got None"),
        ({"accumulator": "sum", "field": "a"}, Json({}), ValueError, "no field 'a'.*SelectNode"),
        ({"accumulator": "count", "field": "a"}, Text("x"), TypeError, "text has no field 'a'"),
    ],
)
def test_what_cannot_be_taken_is_explained(make_packet, params, payload, error, message):
    with pytest.raises(error, match=message):
        made(make_packet, [payload], **params)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "accumulator: "),
        ({"accumulator": "summ"}, "did you mean 'sum'"),
        ({"accumulator": "a b:c"}, "package.module:function"),
        ({"accumulator": "sum", "field": "a."}, "field: .*single dots"),
        ({"accumulator": "sum", "seed": "x"}, "seed must be a number for sum, got 'x'"),
        ({"accumulator": "sum", "seed": True}, "seed must be a number for sum, got True"),
        ({"accumulator": "count", "seed": 0.5}, "seed must be a whole number for count"),
        ({"accumulator": "min", "seed": None}, "seed must be a number or a string for min"),
        ({"accumulator": "mean", "seed": 1}, "seed means nothing to mean"),
        ({"accumulator": "last", "seed": 1}, "seed means nothing to last"),
    ],
)
def test_bad_params_are_explained(params, message):
    with pytest.raises(UsageError, match=message):
        Scan(**params)
