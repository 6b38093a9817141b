"""Old node classes by name: `@register_node`, and what is known without it. Source: FR-002.

@register_node("X")           X; takes the name from whoever had it
class X(Node): ...            X, unless the name is taken
class X: process, node_id     X, where its module is given by --operators, or an instance of it
                              stands in a pipeline
"""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from engine.errors import UsageError
from engine.operator import Operator
from engine.registry import STANDS_FOR
from remotemedia.core._compat.construction import constructor_names
from remotemedia.core._compat.multiprocess_node import MultiprocessNode
from remotemedia.core._compat.nodes import Node
from remotemedia.core._compat.operators import OldNode, operator_of
from remotemedia.core._compat.undecorated import operator_for
from remotemedia.registration import add_operator, builtin_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

logger = logging.getLogger("remotemedia.compat")

_Class = TypeVar("_Class", bound=type[Any])
_BASES = (Node, MultiprocessNode)


def register_node(node_type: Any = None, **options: Any) -> Any:
    """Class decorator: makes an old node class known by a node type.

    It may stand without parentheses. The class stays as it is.

    Args:
        node_type: name in manifests; by default the class's own.
        options: what other versions took beside it (accepts, produces, description, …); without
            effect.

    Raises:
        UsageError: the class has no `process`.
    """
    if isinstance(node_type, type):
        return _register(node_type, node_type.__name__)
    if options:
        logger.debug("register_node_options_ignored: %s", ", ".join(sorted(options)))

    def decorate(cls: _Class) -> _Class:
        return _register(cls, str(node_type or cls.__name__))

    return decorate


def python_requires(requirements: Sequence[str]) -> Callable[[_Class], _Class]:
    """Class decorator: says which packages a node needs; they are not installed by it."""

    def decorate(cls: _Class) -> _Class:
        cls.__python_requires__ = list(requirements)
        return cls

    return decorate


def get_node_requirements(node_type: str) -> list[str]:
    """The packages a node type needs, as its class says.

    Raises:
        KeyError: there is no such old node.
    """
    return list(getattr(get_node_class(node_type), "__python_requires__", []))


def get_node_class(node_type: str) -> type[Any]:
    """The old class that is known by a node type.

    Raises:
        KeyError: there is none.
    """
    spec = builtin_registry().get(node_type)
    if spec is None or not issubclass(spec.cls, OldNode):
        raise KeyError(f"no node class is registered as {node_type!r}")
    return spec.cls.old_class


def list_registered_nodes() -> list[str]:
    """The node types there are."""
    return list(builtin_registry())


def adopt_subclass(cls: type[Node]) -> None:
    """Give a subclass of Node its operator, and its own name, unless that is taken."""
    if cls.process in (Node.process, MultiprocessNode.process):
        return  # a base of others
    operator = _operator(cls, cls.__name__)
    try:
        add_operator(operator, pattern=True)
    except UsageError as error:
        logger.debug("node_type_taken: %s", error.message)


def adopt(cls: type[Any]) -> type[OldNode]:
    """The operator of an old class, whether or not it is registered."""
    own: Any = vars(cls).get(STANDS_FOR)
    if own is not None:
        return own  # type: ignore[no-any-return]
    return operator_for(cls, cls.__name__)


def adopt_module(module: ModuleType) -> list[type[OldNode]]:
    """Operators of the old node classes that a module defines, registered or not."""
    return [adopt(cls) for cls in vars(module).values() if _is_old_node(cls, module.__name__)]


def _is_old_node(cls: Any, module_name: str) -> bool:
    if not isinstance(cls, type) or cls.__module__ != module_name or issubclass(cls, Operator):
        return False
    if STANDS_FOR in vars(cls):
        return True
    if not inspect.isfunction(getattr(cls, "process", None)):
        return False
    return cls.__name__.endswith("Node") or "node_id" in constructor_names(cls)


def _register(cls: _Class, node_type: str) -> _Class:
    if not callable(getattr(cls, "process", None)):
        raise UsageError(
            f"register_node takes a class with a process method, got {cls!r}", node_type=node_type
        )
    add_operator(_operator(cls, node_type), pattern=True, replace=True)
    return cls


def _operator(cls: type[Any], node_type: str) -> type[OldNode]:
    """The operator of a class, which the class names from then on."""
    if "<locals>" in cls.__qualname__:
        operator = operator_for(cls, node_type)
    else:
        operator = operator_of(cls, node_type, cls.__module__, cls.__qualname__)
    setattr(cls, STANDS_FOR, operator)
    return operator
