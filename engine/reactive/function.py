"""`rx`: a node that is a chain of reactivex operators, given as functions or by name.

Pure but for importing what is named. Source: US1, FR-003.

    rx(ops.debounce(0.5), ops.map(loudest))     functions: local, and in no manifest
    rx("debounce", 0.5)                         by name: anywhere, and in a manifest
    rx("my.module:operator", strength=3)        what that function returns

A chain gets packets, and hands out packets or payloads; with `values=True` it gets and hands out
plain values: str for Text, what JSON knows for Json, any other payload as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from pydantic import Field, field_validator
from reactivex import operators as ops

from engine.errors import UsageError
from engine.importable import import_named
from engine.reactive.adapter import RxOperator
from engine.reactive.named import OperatorCall, RxFunction, applied, call_reaches, check_call
from engine.reactive.refusals import (
    HOLDS_NOTHING,
    label_of,
    operator_name,
    refusal_of_function,
)
from engine.reactive.values import output_of, value_of
from engine.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reactivex import Observable

    from engine.operator import Output
    from engine.packet import Packet
    from engine.reach import Reach

#: A chain of more operators than this was not written by hand.
OPERATORS_MAX: Final = 64


def rx(
    first: str | Callable[..., Any], /, *rest: Any, values: bool = False, **kwargs: Any
) -> ReactivexNode | ReactivexFunctionNode:
    """A node of reactivex operators.

    Time operators run on the session's clock. What an operator holds is forgotten at an interrupt.
    Coroutines do not belong here (`from_future`, `flat_map` of one): no credit would bound them;
    give an operator an `async def process`.

    Args:
        first: an operator as a function of an observable (`ops.map(f)`), and then `rest` are more
            of them; or the name of a function that makes one, and then `rest` and `kwargs` are its
            arguments. A name is "module:function", or that of an operator of reactivex.
        rest: see `first`. Arguments of a named function are JSON values, timedeltas, and functions
            and classes that can be imported.
        values: whether the chain works on plain values rather than packets.
        kwargs: arguments of a named function.

    Raises:
        UsageError: there is no such name, the function refuses the arguments, or the operator
            cannot stand in a node.
    """
    if isinstance(first, str):
        return ReactivexNode(operators=[_call(first, rest, kwargs)], **_unless_false(values))
    if kwargs:
        raise UsageError(
            f"rx takes the argument {next(iter(kwargs))!r} only behind a name, as in"
            ' rx("debounce", duetime=0.5)'
        )
    return ReactivexFunctionNode(functions=(first, *rest), **_unless_false(values))


class _ChainNode(RxOperator):
    """What both kinds of node have in common: one chain between packets, or between values."""

    def chain(self, *inlets: Observable[Packet]) -> Observable[Output]:
        (packets,) = inlets
        operators = self._operators()
        if self.params.values:
            operators = [
                ("value_of", ops.map(value_of)),
                *operators,
                ("output_of", ops.map(output_of)),
            ]
        return applied(packets, operators)

    def _operators(self) -> Sequence[tuple[str, RxFunction]]:
        """(What a sentence calls it, the operator), in order; made anew for each chain."""
        raise NotImplementedError


class ReactivexNode(_ChainNode):
    """Runs packets through reactivex operators that are given by name.

    They are looked up, and their arguments compared with the functions' signatures, before anything
    starts.
    """

    node_type = "ReactivexNode"

    class Params(RxOperator.Params):
        operators: tuple[OperatorCall, ...] = Field(
            min_length=1, max_length=OPERATORS_MAX, description="what makes them, in their order"
        )
        values: bool = Field(False, description="work on plain values rather than packets")

    @classmethod
    def reaches(cls, params: Mapping[str, Any]) -> Iterable[Reach]:
        """See `engine.operator.Operator.reaches`."""
        calls = params.get("operators")
        for index, call in enumerate(calls if isinstance(calls, list | tuple) else ()):
            if isinstance(call, dict):
                yield from call_reaches(f"operators[{index}]", call)

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self.holds_nothing = all(call.name in HOLDS_NOTHING for call in self.params.operators)

    def then(self, name: str, /, *args: Any, **kwargs: Any) -> Self:
        """The same node with one more operator behind its last, see `rx`.

        Raises:
            UsageError: see `rx`.
        """
        calls = [call.model_dump(exclude_unset=True) for call in self.params.operators]
        return type(self)(
            operators=[*calls, _call(name, args, kwargs)], **_unless_false(self.params.values)
        )

    def _operators(self) -> Sequence[tuple[str, RxFunction]]:
        return [(call.name, call.make()) for call in self.params.operators]


class ReactivexFunctionNode(_ChainNode):
    """Reactivex operators as functions of this process."""

    node_type = "ReactivexFunctionNode"
    #: Functions cannot be written down.
    portable: ClassVar[bool] = False

    class Params(RxOperator.Params):
        #: Functions of an observable that give one, in their order.
        functions: tuple[Callable[..., Any], ...] = Field(min_length=1, max_length=OPERATORS_MAX)
        #: Whether they work on plain values rather than packets.
        values: bool = False

        @field_validator("functions", mode="before")
        @classmethod
        def _can_stand_in_a_chain(cls, functions: Sequence[Any]) -> Sequence[Any]:
            for function in functions:
                _check_function(function)
            return functions

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        names = {operator_name(function) for function in self.params.functions}
        self.holds_nothing = names <= HOLDS_NOTHING

    def _operators(self) -> Sequence[tuple[str, RxFunction]]:
        return [(label_of(function), function) for function in self.params.functions]


def _unless_false(values: bool) -> dict[str, Any]:  # noqa: FBT001 - passed on as it came
    """Params that say it, where it is not the default: a manifest repeats no defaults."""
    return {"values": True} if values else {}


def _check_function(function: Any) -> None:
    if not callable(function):
        raise UsageError(
            f"{quoted(function)} is no reactivex operator; rx takes functions such as ops.map(f),"
            " or one name with its arguments"
        )
    refusal = refusal_of_function(function)
    if refusal is not None:
        label = operator_name(function) or function.__name__
        raise UsageError(f"the reactivex operator {label!r} cannot stand in a node: {refusal}")


def _call(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """One entry of `operators`; checked here, for a sentence without a path."""
    given = [_written(value, name) for value in args]
    named = {key: _written(value, name) for key, value in kwargs.items()}
    check_call(name, given, named)
    call: dict[str, Any] = {"name": name}
    if given:
        call["args"] = given
    if named:
        call["kwargs"] = named
    return call


def _written(value: Any, name: str) -> Any:
    """An argument as JSON: a timedelta in seconds, a function or class by its import."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, list | tuple):
        return [_written(item, name) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _written(item, name) for key, item in value.items()}
    target = f"{getattr(value, '__module__', None)}:{getattr(value, '__qualname__', None)}"
    if _imported_from(target) is value:
        return {"import": target}
    raise UsageError(
        f"{name!r} cannot take {quoted(value)}, which a manifest could not say: move it into a"
        ' module and name it as {"import": "module:name"}, or give rx the operator itself'
    )


def _imported_from(target: str) -> Any:
    """What another process would find by this name, or None."""
    if target.startswith("__main__:"):
        return None
    try:
        return import_named(target)
    except UsageError:
        return None
