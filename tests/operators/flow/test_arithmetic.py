import pytest

from engine.manifest.params import normalize_params
from engine.payloads import Json, Text
from operators.flow.arithmetic import Add, Multiply


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        (Add(addend=3), 4, 7),
        (Add(addend=-0.5), 4, 3.5),
        (Add(), 4, 4),
        (Add(addend=3), {"value": 4, "unit": "m"}, {"value": 7, "unit": "m"}),
        (Multiply(factor=3), 4, 12),
        (Multiply(multiplier=2.5), {"value": 4}, {"value": 10.0}),
        (Multiply(), 4, 4),
    ],
)
def test_results(drive, operator, value, expected):
    assert drive(operator).run([Json(value, "number")]) == [Json(expected, "number")]


@pytest.mark.parametrize("value", ["4", True, None, [1], {"x": 1}, {"value": "1"}])
def test_what_is_no_number_is_refused(drive, value):
    with pytest.raises(ValueError, match="expected a number or"):
        drive(Add(addend=1)).feed(Json(value))


def test_other_payloads_pass(drive, make_packet):
    packet = make_packet(Text("4"))
    assert drive(Multiply(factor=2)).feed(packet) == [packet]


@pytest.mark.parametrize("name", ["factor", "multiplier"])
def test_a_manifest_may_use_either_name(name):
    params, problems = normalize_params(Multiply.Params, {name: 3}, "nodes[0].params", "n")
    assert problems == []
    assert Multiply(**params).params.factor == 3
