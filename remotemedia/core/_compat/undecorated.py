"""Operators of old classes that name none themselves: plain classes, and classes within functions.

A worker finds them by `remotemedia.core._compat.undecorated:package/module:Class`: this module's
`__getattr__` imports the class's module and puts an operator around the class.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from engine.errors import UsageError
from remotemedia.core._compat.operators import operator_of

if TYPE_CHECKING:
    from remotemedia.core._compat.operators import OldNode

#: What stands for the dots of a path in an attribute's name.
_DOT: Final = "/"
_made: dict[str, type[OldNode]] = {}


def operator_for(cls: type[Any], node_type: str) -> type[OldNode]:
    """The operator of a class, which is found by this module from then on."""
    name = f"{cls.__module__}:{cls.__qualname__}".replace(".", _DOT)
    operator = operator_of(cls, node_type, __name__, name)
    _made[name] = operator
    return operator


def __getattr__(name: str) -> type[OldNode]:
    if name in _made:
        return _made[name]
    module_name, colon, qualname = name.replace(_DOT, ".").partition(":")
    if not colon:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        raise UsageError(f"cannot import {module_name!r}: {error}", target=name) from error
    for part in qualname.split("."):
        found = getattr(found, part)
    return operator_for(found, found.__name__)
