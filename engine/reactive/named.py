"""A reactivex operator by name, with JSON arguments: found, checked and made.

Pure but for importing the modules that are named. Source: US1, FR-006.

    {"name": "debounce", "args": [0.5]}                             an operator of reactivex
    {"name": "map", "args": [{"import": "my.module:function"}]}     with a function for an argument
    {"name": "my.module:operator", "kwargs": {"strength": 3}}       a function that makes one
"""

from __future__ import annotations

import functools
import inspect
import re
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import reactivex
import reactivex.operators
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from reactivex import ConnectableObservable, Observable

from engine.errors import UsageError
from engine.importable import import_named
from engine.reach import Reach
from engine.reactive.refusals import REFUSED, is_reactivex
from engine.wording import quoted, suggestion

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

#: What stands in a chain: an observable in, an observable out.
RxFunction: TypeAlias = Callable[[Observable[Any]], Any]

OPERATORS_MODULE: Final = "reactivex.operators"
#: Names without a module that are ours.
OWN_NAMES: Final = {"collect": "engine.reactive.collect:collect"}

_IMPORT: Final = "import"
#: What makes a signature hard to read: modules before names, marks of type variables.
_CLUTTER = re.compile(r"\b(?:\w+\.)+(?=\w)|~_?")


class OperatorCall(BaseModel):
    """A function that makes a reactivex operator, and its arguments.

    Attributes:
        name: "module:function", or the name of an operator of reactivex.
        args: JSON values; {"import": "module:name"} stands for what is found there.
        kwargs: the same by name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _can_be_made(self) -> typing.Self:
        try:
            check_call(self.name, self.args, self.kwargs)
        except UsageError as error:
            raise ValueError(error.message) from error
        return self

    def make(self) -> RxFunction:
        """Call the function.

        Raises:
            UsageError: it cannot be found, or it refuses the arguments.
        """
        return _made(find(self.name), self.name, _imported(self.args), _imported(self.kwargs))


def find(name: str) -> Any:
    """What a name stands for.

    Args:
        name: "module:attribute", or the name of an operator of reactivex or of ours.

    Raises:
        UsageError: there is no such module or attribute; says which is the nearest.
    """
    name = OWN_NAMES.get(name, name)
    module_name, colon, path = name.partition(":")
    if not colon:
        if "." in name:
            module, _, attribute = name.rpartition(".")
            raise UsageError(
                f"{name!r} is no operator of reactivex; to name a function of a module, write"
                f" '{module}:{attribute}'"
            )
        module_name, path = OPERATORS_MODULE, name
    if module_name.partition(".")[0] == "reactivex" and path in REFUSED:
        raise UsageError(f"the reactivex operator {path!r} cannot stand in a node: {REFUSED[path]}")
    if not colon and not hasattr(reactivex.operators, name):
        hint = suggestion(name, reactivex.operators.__all__, "names there")
        raise UsageError(f"{name!r} is no operator of reactivex{hint}")
    return import_named(f"{module_name}:{path}")


def check_call(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """See that a call of a name will make an operator, without making one of somebody's own.

    A function of reactivex is called, since that costs and changes nothing; of another one only
    the signature is compared: what it does is for the place where the node runs.

    Raises:
        UsageError: the name or an argument cannot be found, or the function will refuse them.
    """
    function = find(name)
    if not callable(function):
        raise UsageError(f"{name!r} is a {type(function).__name__}, not a function")
    given, named = _imported(args), _imported(kwargs)
    _check_signature(function, name, given, named)
    if is_reactivex(function):
        operator = _made(function, name, given, named)
        try:
            result = operator(reactivex.never())
        except Exception as error:
            raise _refused(function, name, _said(error)) from error
        _check_result(result, name)
        _check_connected(result, name)


def applied(
    source: Observable[Any], operators: Iterable[tuple[str, RxFunction]]
) -> Observable[Any]:
    """A chain of operators behind a source.

    Args:
        source: what they work on.
        operators: (how a sentence speaks of it, the function), in order.

    Raises:
        UsageError: one of them gives no observable, or one that nobody will connect.
    """
    result = source
    label = ""
    for label, operator in operators:
        try:
            result = operator(result)
        except Exception as error:
            raise UsageError(
                f"{label!r}, given the chain's observable, raised {type(error).__name__}: {error};"
                " in a chain stands a function of an observable, such as ops.map(f) for a function"
                " f of packets"
            ) from error
        _check_result(result, label)
    _check_connected(result, label)
    return result


def _check_result(result: Any, label: str) -> None:
    if not isinstance(result, Observable):
        raise UsageError(
            f"{label!r} gives a {type(result).__name__} where an observable is meant; in a chain"
            " stands a function that takes an observable and gives one"
        )


def _check_connected(result: Any, label: str) -> None:
    if isinstance(result, ConnectableObservable):
        raise UsageError(
            f"{label!r} gives an observable that waits to be connected, which nobody does; give it"
            " a mapper, or use share"
        )


# --- what is reached --------------------------------------------------------------------------


def call_reaches(param: str, call: Mapping[str, Any]) -> Iterator[Reach]:
    """What an `OperatorCall` would import, which is not validated; see `Operator.reaches`.

    Args:
        param: where it stands.
        call: its name, args and kwargs, of any types.
    """
    name = call.get("name")
    if isinstance(name, str) and ":" in name:
        yield Reach(f"{param}.name", "import", name)
    for key in ("args", "kwargs"):
        for target in _import_names(call.get(key)):
            yield Reach(f"{param}.{key}", "import", target)


def _import_names(value: Any) -> Iterator[str]:
    """What `_imported` would import."""
    if isinstance(value, dict):
        if set(value) == {_IMPORT}:
            target = value[_IMPORT]
            if isinstance(target, str):
                yield target
            return
        value = value.values()
    elif not isinstance(value, list | tuple):
        return
    for item in value:
        yield from _import_names(item)


# --- finding ----------------------------------------------------------------------------------


def _imported(value: Any) -> Any:
    """Arguments with what they name in the place of {"import": "module:name"}."""
    if isinstance(value, dict):
        if set(value) == {_IMPORT}:
            return _named_object(value[_IMPORT])
        return {key: _imported(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_imported(item) for item in value]
    return value


def _named_object(name: Any) -> Any:
    if not isinstance(name, str) or ":" not in name:
        raise UsageError(f'an import is written {{"import": "module:name"}}, not {quoted(name)}')
    return find(name)


# --- arguments --------------------------------------------------------------------------------


def _made(
    function: Callable[..., Any], name: str, args: Sequence[Any], kwargs: dict[str, Any]
) -> RxFunction:
    try:
        made = function(*args, **kwargs)
    except Exception as error:
        raise _refused(function, name, _said(error)) from error
    if not callable(made):
        raise UsageError(
            f"{name!r} gives a {type(made).__name__} where a reactivex operator is meant: a"
            " function that takes an observable and gives one"
        )
    return typing.cast("RxFunction", made)


def _check_signature(
    function: Callable[..., Any], name: str, args: Sequence[Any], kwargs: dict[str, Any]
) -> None:
    try:
        signature = inspect.signature(function)
    except ValueError:  # a function in C that does not say
        return
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise _refused(function, name, str(error)) from error
    if not is_reactivex(function):
        return
    types = _types_of(function)
    for parameter, value in bound.arguments.items():
        variadic = signature.parameters[parameter].kind is inspect.Parameter.VAR_POSITIONAL
        for item in value if variadic else (value,):
            problem = _misfit(types.get(parameter), item)
            if problem is not None:
                raise _refused(function, name, f"{parameter} {problem}")


@functools.lru_cache(maxsize=256)
def _types_of(function: Callable[..., Any]) -> dict[str, TypeAdapter[Any]]:
    """The types of a reactivex function's arguments, as far as they can be checked."""
    try:
        hints = typing.get_type_hints(function)
    except (NameError, TypeError):
        return {}
    adapters: dict[str, TypeAdapter[Any]] = {}
    for parameter, hint in hints.items():
        try:
            adapters[parameter] = TypeAdapter(
                hint, config=ConfigDict(strict=True, arbitrary_types_allowed=True)
            )
        except (PydanticSchemaGenerationError, PydanticUserError, TypeError):
            continue
    return adapters


def _misfit(adapter: TypeAdapter[Any] | None, value: Any) -> str | None:
    """What is wrong with an argument, or None."""
    if adapter is None:
        return None
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        wanted = " or ".join(
            dict.fromkeys(_WANTED.get(item["type"], item["msg"]) for item in error.errors())
        )
        return f"must be {wanted}, got {quoted(value)}"
    return None


_WANTED: Final = {
    "float_type": "a number",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "callable_type": 'a function ({"import": "module:name"})',
    "time_delta_type": "a timedelta",
    "datetime_type": "a datetime",
    "is_instance_of": 'an object ({"import": "module:name"})',
    "none_required": "null",
}


def _refused(function: Callable[..., Any], name: str, why: str) -> UsageError:
    try:
        parameters = inspect.signature(function).replace(return_annotation=inspect.Signature.empty)
        signature = f"; its signature is {_CLUTTER.sub('', str(parameters))}"
    except ValueError:
        signature = ""
    return UsageError(f"{name!r} refuses its arguments: {why}{signature}")


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
