"""Which operator class stands for which node type.

Pure but for importing operator modules on first use. Source: FR-002.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import UsageError
from engine.operator import Operator, begins_stage

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class OperatorSpec:
    """A node type and the class behind it.

    Attributes:
        node_type: name in manifests.
        target: "module:qualname", by which another process finds the class.
        cls: the class.
        pattern: registered as a Python node through the compatibility layer, so that the pattern
            rule (name ends with "Node" → process) applies to it.
    """

    node_type: str
    target: str
    cls: type[Operator]
    pattern: bool = False

    @property
    def begins_stage(self) -> bool:
        """Whether a local node of this type begins a stage."""
        return begins_stage(self.cls)


class Registry:
    """Maps node types to operators; modules are imported when a type is first asked for."""

    def __init__(self) -> None:
        self._targets: dict[str, tuple[str, bool]] = {}
        self._specs: dict[str, OperatorSpec] = {}

    def declare(self, node_type: str, target: str, *, pattern: bool = False) -> None:
        """Say where a node type's class is, without importing it.

        Args:
            node_type: name in manifests; may be declared again, the last one counts.
            target: "module:qualname".
            pattern: whether the pattern rule applies to it, see `OperatorSpec`.
        """
        self._targets[node_type] = (target, pattern)
        self._specs.pop(node_type, None)

    def register(
        self, cls: type[Operator], node_type: str | None = None, *, pattern: bool = False
    ) -> None:
        """Register a class that is already imported."""
        name = node_type or cls.node_type
        target = target_of(cls)
        self._targets[name] = (target, pattern)
        self._specs[name] = OperatorSpec(name, target, cls, pattern)

    def __contains__(self, node_type: str) -> bool:
        return node_type in self._targets

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._targets))

    def get(self, node_type: str) -> OperatorSpec | None:
        """The spec of a node type, or None where it is unknown.

        Raises:
            UsageError: the class cannot be imported; says what is missing.
        """
        found = self._specs.get(node_type)
        if found is not None:
            return found
        declared = self._targets.get(node_type)
        if declared is None:
            return None
        target, pattern = declared
        spec = OperatorSpec(node_type, target, resolve(target), pattern)
        self._specs[node_type] = spec
        return spec

    def copy(self) -> Registry:
        """A registry that can be added to without changing this one."""
        other = Registry()
        other._targets.update(self._targets)
        other._specs.update(self._specs)
        return other


def target_of(cls: type[Operator]) -> str:
    """A class's "module:qualname"."""
    return f"{cls.__module__}:{cls.__qualname__}"


def resolve(target: str) -> type[Operator]:
    """Import the class a target names.

    Raises:
        UsageError: no such module or class, a dependency of it is missing, the module raised, or it
            is no operator.
    """
    module_name, _, qualname = target.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        missing = getattr(error, "name", None) or module_name
        raise UsageError(
            f"cannot import {target!r}: {error}; install the package that provides {missing!r},"
            " or check the module's name and extra_paths",
            target=target,
        ) from error
    except Exception as error:
        raise UsageError(
            f"importing {module_name!r} raised {type(error).__name__}: {error}", target=target
        ) from error
    try:
        for part in qualname.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        raise UsageError(
            f"cannot find {qualname!r} in module {module_name!r}", target=target
        ) from error
    if not (isinstance(found, type) and issubclass(found, Operator)):
        raise UsageError(f"{target!r} is not an Operator class", target=target)
    return found
