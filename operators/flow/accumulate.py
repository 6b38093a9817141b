"""Running values: what ScanNode and WindowNode make of packets, one after the other.

No I/O. Source: FR-002.

    count  sum  min  max  mean  first  last      by their names, of a JSON value or a field of it
    "package.module:function"                    function(value so far, next value) → value
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from pydantic import AfterValidator, Field, model_validator

from engine.operator import Params as BaseParams
from engine.wording import suggestion
from operators.flow.importable import check_target, load_function
from operators.flow.json_path import JsonPath, is_number, parse_path
from operators.flow.values import as_payload, value_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.packet import Packet
    from engine.payloads import Payload

#: The value so far, before there is one.
NOTHING: Final = object()


def _count(so_far: int, _: Any) -> int:
    return so_far + 1


def _sum(so_far: Any, value: Any) -> Any:
    return _number("sum", so_far) + _number("sum", value)


def _min(so_far: Any, value: Any) -> Any:
    return min(_comparable("min", so_far, value))


def _max(so_far: Any, value: Any) -> Any:
    return max(_comparable("max", so_far, value))


def _mean(so_far: tuple[Any, int], value: Any) -> tuple[Any, int]:
    total, count = so_far
    return total + _number("mean", value), count + 1


def _first(so_far: Any, value: Any) -> Any:
    return value if so_far is NOTHING else so_far


def _last(_: Any, value: Any) -> Any:
    return value


#: Name → the value at the beginning, and the step to the next one.
_NAMED: dict[str, tuple[Any, Callable[[Any, Any], Any]]] = {
    "count": (0, _count),
    "sum": (0, _sum),
    "min": (NOTHING, _min),
    "max": (NOTHING, _max),
    "mean": ((0, 0), _mean),
    "first": (NOTHING, _first),
    "last": (NOTHING, _last),
}
#: What a seed means something to.
_SEEDED = {"count": (int,), "sum": (int, float), "min": (int, float, str), "max": (int, float, str)}


def _accumulator(text: str) -> str:
    if text in _NAMED:
        return text
    if ":" in text:
        return check_target(text)
    raise ValueError(
        f'must be {", ".join(_NAMED)}, or a function as "package.module:function"'
        f"{suggestion(text, _NAMED, 'names')}"
    )


class AccumulatingParams(BaseParams):
    """Params of a node that makes a running value of packets."""

    accumulator: Annotated[str, AfterValidator(_accumulator)] = Field(
        description="count, sum, min, max, mean, first, last, or 'module:function' that takes the"
        " value so far and the next one and returns the new one"
    )
    field: JsonPath = Field(
        "", description="dotted path of the value inside the JSON; empty: the whole value"
    )
    seed: Any = Field(
        None, description="the value before the first packet; left out: the first packet's own"
    )

    @model_validator(mode="after")
    def _seed_fits(self) -> Self:
        if "seed" not in self.model_fields_set or self.accumulator not in _NAMED:
            return self
        types = _SEEDED.get(self.accumulator)
        if types is None:
            raise ValueError(f"seed means nothing to {self.accumulator}: leave it out")
        if isinstance(self.seed, bool) or not isinstance(self.seed, types):
            wanted = "a whole number" if types == (int,) else "a number"
            raise ValueError(  # noqa: TRY004 - bad data
                f"seed must be {wanted}{' or a string' if str in types else ''} for"
                f" {self.accumulator}, got {self.seed!r}"
            )
        return self


class Accumulator:
    """Makes running values; holds none itself, so that several can run at once."""

    def __init__(self, params: AccumulatingParams) -> None:
        self._name = params.accumulator
        self._path = parse_path(params.field)
        self._seed, self._step = _NAMED.get(self._name, (NOTHING, _last))
        if "seed" in params.model_fields_set:
            self._seed = params.seed

    def load(self) -> None:
        """Import the function, where the params name one.

        Raises:
            UsageError: there is none of that name.
        """
        if self._name not in _NAMED:
            self._step = load_function(self._name)

    def begin(self) -> Any:
        """The value before the first packet."""
        return _apart(self._seed)

    def add(self, so_far: Any, packet: Packet) -> Any:
        """The value with one more packet.

        Raises:
            TypeError: the packet's payload is not what the accumulator takes.
            ValueError: its JSON has no such field.
        """
        value = value_of(packet, self._path)
        if so_far is NOTHING and self._name not in _NAMED:
            return _apart(value)
        return self._step(so_far, value)

    def result(self, so_far: Any) -> Payload:
        """The running value as a payload."""
        if self._name == "mean":
            total, count = so_far
            return as_payload(total / count)
        return as_payload(so_far)


def _apart(value: Any) -> Any:
    """A value that a function may change without changing anybody else's."""
    return copy.deepcopy(value) if isinstance(value, dict | list) else value


def _number(name: str, value: Any) -> Any:
    if is_number(value):
        return value
    raise TypeError(f"{name} takes numbers, got {value!r}; name the number's place by field")


def _comparable(name: str, so_far: Any, value: Any) -> tuple[Any, ...]:
    """The values there are, if they can be compared."""
    values = (value,) if so_far is NOTHING else (so_far, value)
    if all(isinstance(one, str) for one in values):
        return values
    return tuple(_number(name, one) for one in values)
