"""Makes operators of the user's own modules known to a command. Source: FR-002, US1."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import UsageError
from engine.operator import Operator
from remotemedia.pipeline import builtin_registry

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

    from engine.config import Settings
    from engine.registry import Registry


def registry_with(names: Iterable[str], settings: Settings) -> Registry:
    """The process's operators and those of some modules, which are imported.

    Workers find the modules as well: they import from where this process does. What is found there
    before (the standard library, installed packages) counts first.

    Args:
        names: module names (`package.module`), or paths of .py files. Where they have a node type
            that is known already, theirs counts.
        settings: has `extra_paths`.

    Raises:
        UsageError: a module cannot be imported, or has no operator.
    """
    for path in settings.extra_paths:
        _make_importable(path)
    modules = {name: _imported(name) for name in names}
    # Only now: importing a module may have registered what is in it.
    registry = builtin_registry().copy()
    for name, module in modules.items():
        classes, old_nodes = _operators_of(module), _old_nodes_of(module)
        if not (classes or old_nodes or _registers(module, registry)):
            raise UsageError(
                f"--operators {name}: there is no subclass of Operator in it, and nothing"
                " registered by register_node"
            )
        for cls in classes:
            registry.register(cls)
        for cls in old_nodes:
            registry.register(cls, pattern=True)
    return registry


def _imported(name: str) -> ModuleType:
    return _from_file(Path(name)) if name.endswith(".py") else _from_name(name)


def _registers(module: ModuleType, registry: Registry) -> bool:
    """Whether classes of a module are registered already, of whatever kind they are."""
    targets = (declared.target for declared in registry.declarations())
    return any(target.partition(":")[0] == module.__name__ for target in targets)


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"--operators {path}: there is no such file", path=str(path))
    _make_importable(str(path.resolve().parent))
    module = _import(path.stem, str(path))
    found = getattr(module, "__file__", None)
    if found is None or Path(found).resolve() != path.resolve():
        raise UsageError(
            f"--operators {path}: the name {path.stem!r} belongs to another module"
            f" ({found or 'built in'}); rename the file",
            path=str(path),
        )
    return module


def _from_name(name: str) -> ModuleType:
    _make_importable(str(Path.cwd()))
    return _import(name, name)


def _make_importable(directory: str) -> None:
    if directory not in sys.path:
        sys.path.append(directory)


def _import(module_name: str, said: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except SystemExit as error:
        raise UsageError(
            f"--operators {said}: it ended the command while it was imported (exit {error.code});"
            ' put what it does as a script under `if __name__ == "__main__":`'
        ) from error
    except Exception as error:
        raise UsageError(
            f"--operators {said}: cannot import it: {type(error).__name__}: {error}"
        ) from error


def _old_nodes_of(module: ModuleType) -> list[type[Operator]]:
    """Operators around the classes in a module that are nodes of the older Python API."""
    if not any(
        isinstance(value, type) and hasattr(value, "process") for value in vars(module).values()
    ):
        return []
    from remotemedia.core._compat.registration import adopt_module  # only for those who need it

    return [*adopt_module(module)]


def _operators_of(module: ModuleType) -> list[type[Operator]]:
    """The operator classes in a module, brought into it or its own, but none of this project's."""
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Operator)
        and not value.__module__.startswith(("engine.", "operators.", "remotemedia."))
    ]
