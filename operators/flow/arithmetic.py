"""Adds a number, or multiplies by one.

Source: FR-002. No I/O, no state. Two small node types that clients use to try a pipeline out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import AliasChoices, ConfigDict, Field

from engine.operator import Operator
from engine.operator import Params as BaseParams
from engine.payloads import Json
from operators.flow.json_path import is_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.operator import Context, Outputs
    from engine.packet import Packet


class Add(Operator):
    """Adds `addend` to a number, or to the `value` of an object, whose other fields stay.

    Payloads that are not JSON pass through.
    """

    node_type = "AddNode"
    accepts = frozenset({"json"})
    emits = frozenset({"json"})
    rate = "one_to_one"
    hot = frozenset({"addend"})

    class Params(BaseParams):
        addend: float | int = Field(0, description="what is added")

    params: Params

    def process(self, packet: Packet, ctx: Context) -> Outputs:
        """Add.

        Raises:
            ValueError: the input is neither a number nor an object with a number as `value`.
        """
        return _changed(packet, lambda number: number + self.params.addend)


class Multiply(Operator):
    """Multiplies a number, or the `value` of an object, whose other fields stay, by `factor`.

    `multiplier` is another name for the param. Payloads that are not JSON pass through.
    """

    node_type = "MultiplyNode"
    accepts = frozenset({"json"})
    emits = frozenset({"json"})
    rate = "one_to_one"
    hot = frozenset({"factor"})

    class Params(BaseParams):
        model_config = ConfigDict(populate_by_name=True)

        factor: float | int = Field(
            1,
            validation_alias=AliasChoices("factor", "multiplier"),
            description="what is multiplied by",
        )

    params: Params

    def process(self, packet: Packet, ctx: Context) -> Outputs:
        """Multiply.

        Raises:
            ValueError: the input is neither a number nor an object with a number as `value`.
        """
        return _changed(packet, lambda number: number * self.params.factor)


def _changed(packet: Packet, change: Callable[[Any], Any]) -> Packet | Json:
    payload = packet.payload
    if not isinstance(payload, Json):
        return packet
    value = payload.value
    if isinstance(value, dict) and is_number(value.get("value")):
        return Json({**value, "value": change(value["value"])}, payload.schema_type)
    if not is_number(value):
        raise ValueError(f'expected a number or {{"value": number}}, got {value!r:.100}')
    return Json(change(value), payload.schema_type)
