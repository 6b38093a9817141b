"""Six small operators that turn one input into several, or none.

They do nothing useful, and show how a node is written: a class, its params, `process`. Each runs in
a process of its own unless the manifest says otherwise. Params that are `hot` may change while it
runs, by `session.set_params`.

    $ remotemedia run examples/demonstration.json --operators examples/demonstration_nodes.py \
        --input examples/numbers.jsonl
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

from pydantic import Field

from remotemedia import Context, Json, Operator, Packet, Text

#: How each transformation of TransformAndExpandNode is done.
TRANSFORMS: dict[str, Callable[[str], str]] = {
    "upper": str.upper,
    "lower": str.lower,
    "reverse": lambda text: text[::-1],
    "double": lambda text: text * 2,
}


def number_of(packet: Packet) -> int | float:
    """The number a packet brings: a JSON number, or an object with one as `value`."""
    value = packet.payload.value if isinstance(packet.payload, Json) else None
    if isinstance(value, dict):
        value = value.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f'expected a number or {{"value": number}}, got {packet.payload}')
    return value


class ExpanderNode(Operator):
    """A number in, `expansion_factor` numbers out: v, v + 1, v + 2 and so on."""

    default_executor = "process"
    hot = frozenset({"expansion_factor"})

    class Params(Operator.Params):
        expansion_factor: int = Field(3, ge=0, le=10_000, description="outputs per input")

    def process(self, packet: Packet, ctx: Context) -> Iterator[Json]:
        # A generator is asked for its next item only while there is room for it.
        value = number_of(packet)
        for index in range(self.params.expansion_factor):
            yield Json({"value": value + index, "index": index})


class RangeGeneratorNode(Operator):
    """`{"start", "end", "step"}`, or a number as the end, in; the numbers before the end out."""

    default_executor = "process"

    def process(self, packet: Packet, ctx: Context) -> Iterator[Json]:
        task = packet.payload.value if isinstance(packet.payload, Json) else None
        if isinstance(task, int):
            task = {"end": task}
        if not isinstance(task, dict) or "end" not in task:
            raise ValueError(f'expected {{"start", "end", "step"}} or a whole number, got {task!r}')
        for number in range(task.get("start", 0), task["end"], task.get("step", 1)):
            yield Json({"value": number})


class TransformAndExpandNode(Operator):
    """A text in, one `{"text", "transform"}` out for each of the `transforms`."""

    default_executor = "process"
    hot = frozenset({"transforms"})

    class Params(Operator.Params):
        transforms: tuple[Literal["upper", "lower", "reverse", "double"], ...] = Field(
            tuple(TRANSFORMS), description="what is done with the text, in this order"
        )

    def process(self, packet: Packet, ctx: Context) -> list[Json]:
        payload = packet.payload
        text = payload.text if isinstance(payload, Text) else getattr(payload, "value", None)
        if isinstance(text, dict):
            text = text.get("text")
        if not isinstance(text, str):
            raise TypeError(f"expected a text, got {packet.payload}")
        return [
            Json({"text": TRANSFORMS[name](text), "transform": name})
            for name in self.params.transforms
        ]


class ChainedTransformNode(Operator):
    """A number in; it, doubled, plus ten, squared, out: each stage, or the last one alone."""

    default_executor = "process"
    hot = frozenset({"emit_intermediates"})

    class Params(Operator.Params):
        emit_intermediates: bool = Field(True, description="emit the first two stages, too")

    def process(self, packet: Packet, ctx: Context) -> list[Json]:
        doubled = number_of(packet) * 2
        raised = doubled + 10
        last: dict[str, Any] = {"stage": 3, "value": raised**2, "final": True}
        if not self.params.emit_intermediates:
            return [Json(last)]
        return [
            Json({"stage": 1, "value": doubled}),
            Json({"stage": 2, "value": raised}),
            Json(last),
        ]


class ConditionalExpanderNode(Operator):
    """A number in, as many items out as it is large, at most ten."""

    default_executor = "process"

    def process(self, packet: Packet, ctx: Context) -> list[Json]:
        value = number_of(packet)
        count = min(int(abs(value)), 10)
        return [Json({"original": value, "index": index, "count": count}) for index in range(count)]


class FilterNode(Operator):
    """Hands on the numbers that are at least `min_value`."""

    default_executor = "process"
    hot = frozenset({"min_value"})

    class Params(Operator.Params):
        min_value: float = Field(0, description="smaller numbers are dropped")

    def process(self, packet: Packet, ctx: Context) -> Packet | None:
        return packet if number_of(packet) >= self.params.min_value else None
