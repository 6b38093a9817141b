"""The operators of this process: this project's, those of installed packages, and those registered.

There is one registry per process; each pipeline takes a copy of it when it is made. Source: FR-002,
US1.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, overload

from engine.errors import UsageError
from engine.operator import Operator
from engine.registry import Declaration, Registry, target_of
from operators.catalog import declare_all

if TYPE_CHECKING:
    from collections.abc import Callable

_Class = TypeVar("_Class", bound=type[Operator])


def _own() -> Registry:
    """This project's operators; imports none of them."""
    catalog, registry = Registry(), Registry()
    declare_all(catalog)
    registry.take(catalog, origin="remotemedia")
    return registry


class _Process:
    """The registry of the process.

    Attributes:
        registry: this project's operators, and those registered.
    """

    def __init__(self) -> None:
        self.registry = _own()
        self._lock = threading.RLock()
        #: Whether installed packages have been asked what they bring.
        self._asked: Literal["no", "now", "yes"] = "no"

    def with_installed(self) -> Registry:
        """The registry, with what installed packages bring; they are asked once."""
        if self._asked == "yes":
            return self.registry
        # Reentrant: what a package's function imports may register operators, or make pipelines.
        with self._lock:
            if self._asked == "no":
                from remotemedia.entry_points import declare_installed

                self._asked = "now"
                declare_installed(self.registry)
                self._asked = "yes"
        return self.registry


_PROCESS: Final = _Process()


def builtin_registry() -> Registry:
    """All operators of this process, imported when asked for; copy it to add to the copy.

    This project's own, those that installed packages bring (entry points `remotemedia.operators`,
    looked for at the first call), and those registered by `register_node` or `add_operator`, also
    later.
    """
    return _PROCESS.with_installed()


def add_operator(
    cls: type[Operator],
    node_type: str | None = None,
    *,
    pattern: bool = False,
    replace: bool = False,
) -> None:
    """Make a class known to every manifest and pipeline made from now on in this process.

    Args:
        cls: the operator. Workers import it by its `__module__` and `__qualname__`; what they find
            there is the class itself, or a class whose attribute `__operator__` it is.
        node_type: name in manifests; by default the class's own.
        pattern: whether the pattern rule (name ends with "Node" → process) applies to it.
        replace: whether it takes the place of another class that has the name.

    Raises:
        UsageError: another class has the name.
    """
    name = node_type or cls.node_type
    if replace:
        _PROCESS.registry.register(cls, name, pattern=pattern)
        return
    try:
        _PROCESS.registry.claim(Declaration(name, target_of(cls), pattern), cls)
    except UsageError as error:
        raise UsageError(
            f"{error.message}; with replace=True this one takes the other's place", **error.context
        ) from None


@overload
def register_node(node_type: _Class) -> _Class: ...


@overload
def register_node(
    node_type: str | None = None, *, replace: bool = False
) -> Callable[[_Class], _Class]: ...


def register_node(node_type: Any = None, *, replace: bool = False) -> Any:
    """Class decorator: makes an operator known by a node type to this process's manifests.

        @register_node("GainNode")
        class Gain(Operator): ...

    Args:
        node_type: name in manifests; by default the class's own. It becomes the class's own where
            the class names none itself.
        replace: whether it takes the place of another class that has the name.

    Raises:
        UsageError: what is decorated is no operator class, or another class has the name.
    """
    if isinstance(node_type, type):
        return _register(node_type, None, replace=replace)
    if node_type is not None and not (isinstance(node_type, str) and node_type):
        raise UsageError(f'register_node takes a node type, @register_node("X"), got {node_type!r}')
    return lambda cls: _register(cls, node_type, replace=replace)


def _register(cls: Any, node_type: str | None, *, replace: bool) -> Any:
    if not (isinstance(cls, type) and issubclass(cls, Operator)):
        raise UsageError(
            f"register_node takes a subclass of Operator, got {cls!r}; for nodes of the older API"
            " it is imported from remotemedia.core.node"
        )
    name = node_type or cls.node_type
    add_operator(cls, name, replace=replace)
    if cls.node_type != name:
        if cls.node_type == cls.__name__:
            cls.node_type = name
        else:
            add_operator(cls, replace=replace)
    return cls
