import pytest

from engine.errors import UsageError
from engine.payloads import Json, Text
from operators.flow.calculator import Calculator


@pytest.mark.parametrize(
    ("operation", "operands", "result"),
    [
        ("add", [2, 3], 5),
        ("subtract", [2, 3.5], -1.5),
        ("multiply", [4, 5], 20),
        ("divide", [7, 2], 3.5),
    ],
)
def test_the_input_brings_operation_and_operands(drive, operation, operands, result):
    outputs = drive(Calculator()).run([Json({"operation": operation, "operands": operands})])
    assert outputs == [Json({"result": result, "operation": operation, "operands": operands})]


@pytest.mark.parametrize("value", [{"value": 10}, 10])
@pytest.mark.parametrize("name", ["value", "operand"])
def test_the_params_bring_operation_and_second_operand(drive, name, value):
    calculator = Calculator(operation="subtract", **{name: 4})
    expected = {"result": 6, "operation": "subtract", "operands": [10, 4]}
    assert drive(calculator).run([Json(value)]) == [Json(expected)]


def test_an_input_with_an_operation_of_its_own_goes_before_the_params(drive):
    calculator = drive(Calculator(operation="add", value=1))
    task = {"operation": "multiply", "operands": [3, 3]}
    assert calculator.run([Json(task)])[0].value["result"] == 9


@pytest.mark.parametrize("zero", [0, 0.0])
def test_division_by_zero_says_what_was_divided(drive, zero):
    with pytest.raises(ValueError, match="cannot divide 7 by zero"):
        drive(Calculator()).feed(Json({"operation": "divide", "operands": [7, zero]}))
    with pytest.raises(ValueError, match="cannot divide 1 by zero"):
        drive(Calculator(operation="divide", value=zero)).feed(Json(1))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"operation": "power", "operands": [1, 2]}, "unknown operation 'power'; known are add"),
        ({"operation": ["add"], "operands": [1, 2]}, r"unknown operation \['add'\]; known are add"),
        ({"operation": "add", "operands": [1]}, "a list of two numbers"),
        ({"operation": "add"}, "a list of two numbers"),
        ({"operation": "add", "operands": [1, "2"]}, "must be numbers, got '2'"),
        ({"operation": "add", "operands": [True, 2]}, "must be numbers, got True"),
        ({"value": 3}, "needs the params operation and value"),
        (3, "needs the params"),
        (None, "needs the params"),
    ],
)
def test_what_cannot_be_calculated_is_explained(drive, value, message):
    with pytest.raises(ValueError, match=message):
        drive(Calculator()).feed(Json(value))


@pytest.mark.parametrize(
    "params",
    [{"operation": "add"}, {"value": 1}, {"operation": "add", "value": 1, "operand": 1}],
)
def test_params_that_do_not_go_together_are_refused(params):
    with pytest.raises(UsageError, match=r"belong together|two names"):
        Calculator(**params)


def test_other_payloads_pass_through(drive, make_packet):
    packet = make_packet(Text("1 + 1"))
    assert drive(Calculator()).feed(packet) == [packet]
