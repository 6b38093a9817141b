"""What a class of operators must keep to, checked when it is defined: mistakes with a sentence.

Pure. Source: US1, FR-006.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from engine.payloads import KINDS
from engine.wording import suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.operator import Operator

#: Methods that the stage awaits, and those it calls as they are.
_AWAITED = ("initialize", "cleanup")
_CALLED = ("reset", "played", "params_changed", "control", "wants", "input_ended")


def check_class(cls: type[Operator], base: type[Operator]) -> None:
    """Look at what a class defines.

    Args:
        cls: the class.
        base: Operator itself.

    Raises:
        TypeError: it cannot work; has every reason.
    """
    faults = [*_methods(cls, base), *_ports(cls), *_kinds(cls), *_params(cls)]
    if faults:
        raise TypeError(f"{cls.__name__}: {'; '.join(faults)}")


def _methods(cls: type[Operator], base: type[Operator]) -> Iterator[str]:
    if cls.stateful and cls.reset is base.reset:
        yield "is stateful and has no reset(ctx): an interrupt must be able to empty it"
    if cls.process_only and cls.default_executor != "process":
        yield 'is process_only and so needs default_executor = "process"'
    for name in _AWAITED:
        if not _is_asynchronous(getattr(cls, name)):
            yield f"{name} must be `async def`"
    for name in _CALLED:
        if _is_asynchronous(getattr(cls, name)):
            yield f"{name} must not be `async def`: nobody would await it"


def _is_asynchronous(method: Any) -> bool:
    return inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)


def _ports(cls: type[Operator]) -> Iterator[str]:
    for name in ("inputs", "outputs"):
        ports: Any = getattr(cls, name)
        if isinstance(ports, property):
            continue
        if isinstance(ports, str):
            yield f"{name} must be a tuple of names: ({ports!r},)"
        elif not all(isinstance(port, str) and port for port in ports):
            yield f"{name} must be names, not {ports!r:.60}"
        elif len(set(ports)) != len(ports):
            yield f"{name} has a name twice: {ports!r:.60}"


def _kinds(cls: type[Operator]) -> Iterator[str]:
    for name in ("accepts", "emits"):
        kinds: Any = getattr(cls, name)
        if isinstance(kinds, str):
            yield f"{name} must be a set of kinds: frozenset({{{kinds!r}}})"
            continue
        for kind in kinds or ():
            if kind not in KINDS:
                hint = suggestion(str(kind), KINDS, "kinds")
                yield f"{name} names {kind!r}, which is no kind{hint}"


def _params(cls: type[Operator]) -> Iterator[str]:
    params: Any = cls.Params
    if not (isinstance(params, type) and issubclass(params, BaseModel)):
        yield "Params must be a pydantic model: `class Params(Operator.Params)`"
        return
    if isinstance(cls.hot, str):
        yield f"hot must be a set of params: frozenset({{{cls.hot!r}}})"
        return
    for name in cls.hot:
        if name not in params.model_fields:
            hint = suggestion(str(name), params.model_fields, "params")
            yield f"hot names {name!r}, which is no param{hint}"
