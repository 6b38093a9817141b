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
    """The project's operators and those of some modules, which are imported.

    Workers find the modules as well: they import from where this process does. What is found there
    before (the standard library, installed packages) counts first.

    Args:
        names: module names (`package.module`), or paths of .py files. Where they have a node type
            that is known already, theirs counts.
        settings: has `extra_paths`.

    Raises:
        UsageError: a module cannot be imported, or has no operator.
    """
    registry = builtin_registry().copy()
    for path in settings.extra_paths:
        _make_importable(path)
    for name in names:
        module = _from_file(Path(name)) if name.endswith(".py") else _from_name(name)
        classes = _operators_of(module)
        if not classes:
            raise UsageError(f"--operators {name}: there is no subclass of Operator in it")
        for cls in classes:
            registry.register(cls)
    return registry


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
    except Exception as error:
        raise UsageError(
            f"--operators {said}: cannot import it: {type(error).__name__}: {error}"
        ) from error


def _operators_of(module: ModuleType) -> list[type[Operator]]:
    """The operator classes in a module, brought into it or its own, but none of this project's."""
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Operator)
        and not value.__module__.startswith(("engine.", "operators."))
    ]
