"""Functions of a user's own, named in params as "module:function".

Source: FR-002. The name is checked with the params; the module is imported in `initialize`, in the
process where the node runs.
"""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator

from engine.errors import UsageError
from engine.importable import import_named

if TYPE_CHECKING:
    from collections.abc import Callable

_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def check_target(text: str) -> str:
    """Give back a name that may be one of a function.

    Raises:
        ValueError: it has not the form "module:function".
    """
    if not _TARGET.fullmatch(text):
        raise ValueError('must name a function as "package.module:function"')
    return text


def load_function(target: str) -> Callable[..., Any]:
    """Import a function.

    Args:
        target: "package.module:function".

    Raises:
        UsageError: there is no such module or function, the module raised, or the function is
            `async def`.
    """
    found = import_named(target)
    if not callable(found):
        raise UsageError(f"{target!r} is no function but {type(found).__name__}", target=target)
    if inspect.iscoroutinefunction(found) or inspect.isasyncgenfunction(found):
        raise UsageError(
            f"{target!r} is `async def`, and nothing here awaits it; name a plain function",
            target=target,
        )
    function: Callable[..., Any] = found
    return function


#: A param that names a function.
FunctionName = Annotated[str, AfterValidator(check_target)]
