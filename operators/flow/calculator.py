"""Arithmetic on JSON numbers, in both forms clients send.

Source: FR-002. No I/O, no state.

    params                    input                                        result
    none                      {"operation": "add", "operands": [1, 2]}     3
    operation, value          {"value": 1}  or  1                          1 operation value
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from engine.operator import Operator
from engine.operator import Params as BaseParams
from engine.payloads import Json
from operators.flow.json_path import is_number

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from engine.operator import Context, Outputs
    from engine.packet import Packet

Number: TypeAlias = int | float
Operation = Literal["add", "subtract", "multiply", "divide"]

_FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
}


class Calculator(Operator):
    """Applies one of four operations to two numbers.

    An input says both, `{"operation": "add", "operands": [1, 2]}`; or it is a bare number or
    `{"value": 1}`, and the params say the operation and the second number. Operations are add,
    subtract, multiply and divide; a division by zero is an error.

    Emits `{"result", "operation", "operands"}`. Payloads that are not JSON pass through.
    """

    node_type = "CalculatorNode"
    accepts = frozenset({"json"})
    emits = frozenset({"json"})
    rate = "one_to_one"
    hot = frozenset({"operation", "value", "operand"})

    class Params(BaseParams):
        operation: Operation | None = Field(
            None, description="operation for inputs that bring only a value"
        )
        value: float | int | None = Field(None, description="second operand for such inputs")
        operand: float | int | None = Field(None, description="another name for value")

        @model_validator(mode="after")
        def _complete(self) -> Self:
            if self.value is not None and self.operand is not None:
                raise ValueError("value and operand are two names for the same number: give one")
            if (self.operation is None) != (self.second is None):
                raise ValueError("operation and value belong together: give both or neither")
            return self

        @property
        def second(self) -> Number | None:
            """The second operand, by whichever name it was given."""
            return self.value if self.value is not None else self.operand

    params: Params

    def process(self, packet: Packet, ctx: Context) -> Outputs:
        """Calculate.

        Raises:
            ValueError: the input has neither form, names an unknown operation, or divides by zero.
        """
        if not isinstance(packet.payload, Json):
            return packet
        operation, first, second = self._task(packet.payload.value)
        if operation == "divide" and second == 0:
            raise ValueError(f"cannot divide {first} by zero: the second operand must not be 0")
        result = _FUNCTIONS[operation](first, second)
        return Json({"result": result, "operation": operation, "operands": [first, second]})

    def _task(self, value: Any) -> tuple[str, Number, Number]:
        if isinstance(value, dict) and "operation" in value:
            operation = value["operation"]
            if not isinstance(operation, str) or operation not in _FUNCTIONS:
                known = ", ".join(_FUNCTIONS)
                raise ValueError(f"unknown operation {operation!r}; known are {known}")
            operands = value.get("operands")
            if not isinstance(operands, list) or len(operands) != 2:  # noqa: PLR2004 - a pair
                raise ValueError(f"operands must be a list of two numbers, got {operands!r}")
            return operation, _number(operands[0]), _number(operands[1])
        if self.params.operation is None or self.params.second is None:
            raise ValueError(
                'expected {"operation": …, "operands": [a, b]}; a bare value needs the params'
                f" operation and value; got {value!r}"
            )
        first = value.get("value") if isinstance(value, dict) else value
        return self.params.operation, _number(first), self.params.second


def _number(value: Any) -> Number:
    if not is_number(value):
        raise ValueError(f"operands must be numbers, got {value!r}")
    number: Number = value
    return number
