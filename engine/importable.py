"""What a name such as "package.module:function" stands for.

Pure but for importing the module it names. Source: FR-002.
"""

from __future__ import annotations

import importlib
from typing import Any

from engine.errors import UsageError
from engine.missing import remedy
from engine.wording import suggestion


def import_named(target: str) -> Any:
    """Import a module and take an attribute of it.

    Args:
        target: "module:name", or "module:name.name".

    Raises:
        UsageError: there is no such module or name (says which is nearest), a package that the
            module needs is missing, or the module raised.
    """
    module_name, _, path = target.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        todo = remedy(error) or "check the module's name and extra_paths"
        raise UsageError(f"cannot import {target!r}: {error}; {todo}", target=target) from error
    except Exception as error:
        raise UsageError(
            f"importing {module_name!r} raised {type(error).__name__}: {error}", target=target
        ) from error
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            known = [word for word in getattr(found, "__all__", dir(found)) if word[:1] != "_"]
            raise UsageError(
                f"cannot find {path!r} in module {module_name!r}"
                f"{suggestion(part, known, 'names there')}",
                target=target,
            ) from error
    return found
