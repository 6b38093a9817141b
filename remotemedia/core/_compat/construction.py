"""Making an old node: its constructor, whatever its signature, called with a manifest's params.

MultiprocessNode   (config), (config, **kwargs), (node_id, config), (node_id, <params>, config)
Node               (<params>, name=None, **kwargs)
plain class        (<params>, node_id=None, **kwargs), (node_id, params)
"""

from __future__ import annotations

import contextlib
import inspect
import logging
from typing import Any

from engine.wording import suggestion
from remotemedia.core._compat.multiprocess_node import MultiprocessNode, NodeConfig
from remotemedia.core._compat.nodes import Node
from remotemedia.core._compat.params import Spelled

logger = logging.getLogger("remotemedia.compat")

_NOTHING: Any = object()
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def make_node(cls: type[Any], config: NodeConfig) -> Any:
    """An instance of an old node class.

    Args:
        cls: the class.
        config: who the node is, and its params.

    Returns:
        The node, with `node_id`, `session_id` and a `logger` whether or not its class sets them.

    Raises:
        Exception: what the constructor raises; TypeError where the params lack what it needs.
    """
    args, kwargs = _Call(cls, config).arguments()
    node = cls(*args, **kwargs)
    _introduce(node, config)
    return node


class _Call:
    """The arguments of one call of a constructor."""

    def __init__(self, cls: type[Any], config: NodeConfig) -> None:
        self._cls = cls
        self._config = config
        self._params = Spelled(config.params)
        self._is_multiprocess = issubclass(cls, MultiprocessNode)
        self._parameters = _parameters(cls)
        self._takes_any = any(
            parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in self._parameters
        )
        self._names = {parameter.name for parameter in self._parameters if parameter.kind in _NAMED}
        #: Params of the manifest that no argument has taken.
        self._left = dict(self._params)
        #: Whether an argument has taken the params as a whole.
        self._knows_all = False

    def arguments(self) -> tuple[list[Any], dict[str, Any]]:
        """What stands by position, and what by name."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for parameter in self._parameters:
            value = self._value(parameter)
            if value is _NOTHING:
                continue
            if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
                args.append(value)
            elif parameter.kind in _NAMED:
                kwargs[parameter.name] = value
        if self._takes_any:
            kwargs.update(self._rest())
        elif self._left and not self._knows_all:
            self._warn()
        return args, kwargs

    def needed(self) -> list[str]:
        """The arguments that have no default and get nothing."""
        return [
            parameter.name
            for parameter in self._parameters
            if parameter.kind in (*_NAMED, inspect.Parameter.POSITIONAL_ONLY)
            and parameter.default is inspect.Parameter.empty
            and self._value(parameter) is _NOTHING
        ]

    def _value(self, parameter: inspect.Parameter) -> Any:
        """What an argument gets, or _NOTHING."""
        name = parameter.name
        if name == "node_id":
            return self._config.node_id
        is_config = self._is_multiprocess and (
            name == "config" or self._stands_for_config(parameter)
        )
        written = None if is_config else self._params.written(name)
        if written is not None:
            self._left.pop(written, None)
            return self._params[written]
        if is_config or name in {"config", "params"}:
            self._knows_all = True
            return self._params if name == "params" and not is_config else self._config
        if name == "name" and issubclass(self._cls, Node):
            return self._config.node_id
        return getattr(self._config, name) if name in {"node_type", "session_id"} else _NOTHING

    def _stands_for_config(self, parameter: inspect.Parameter) -> bool:
        """Whether it is a MultiprocessNode's config by another name."""
        return (
            not self._names & {"config", "node_id"}
            and parameter is self._parameters[0]
            and parameter.default is inspect.Parameter.empty
            and (parameter.kind in _NAMED or parameter.kind is inspect.Parameter.POSITIONAL_ONLY)
            and self._params.written(parameter.name) is None
        )

    def _rest(self) -> dict[str, Any]:
        """What **kwargs gets, to be handed to a base class most often."""
        if self._is_multiprocess and "node_id" not in self._names:
            # The base class has all params in its config.
            return {} if self._knows_all else {"config": self._config}
        rest = {} if self._knows_all else dict(self._left)
        if issubclass(self._cls, Node):
            return rest if "name" in self._names else {"name": self._config.node_id, **rest}
        return rest if "node_id" in self._names else {**rest, "node_id": self._config.node_id}

    def _warn(self) -> None:
        for name in self._left:
            hint = suggestion(name, sorted(self._names), "params")
            logger.warning(
                "param_ignored: node %s: %r is no param of %s%s",
                self._config.node_id,
                name,
                self._cls.__name__,
                hint,
                extra={"node_id": self._config.node_id},
            )


def _parameters(cls: type[Any]) -> list[inspect.Parameter]:
    """The constructor's parameters, without self."""
    constructor: Any = cls.__init__
    if constructor is object.__init__:
        return []
    return list(inspect.signature(constructor).parameters.values())[1:]


def _introduce(node: Any, config: NodeConfig) -> None:
    """Tell the node what its constructor may not have been told, or not have kept."""
    known: dict[str, Any] = {
        "node_id": config.node_id,
        "node_type": config.node_type,
        "session_id": config.session_id,
    }
    if isinstance(node, MultiprocessNode):
        # A constructor may have made up a config of its own.
        known["config"] = getattr(node, "config", None) or config.params
    for name, value in known.items():
        if isinstance(node, Node) or not getattr(node, name, None):
            _set(node, name, value)
    given = getattr(node, "logger", None)
    # A logger of the base class's making bears the id that the constructor made up.
    if given is None or str(getattr(given, "name", "")).startswith("remotemedia.node."):
        _set(node, "logger", logging.getLogger(f"remotemedia.node.{config.node_id}"))


def _set(node: Any, name: str, value: Any) -> None:
    with contextlib.suppress(AttributeError):  # a class with slots, or a property of its own
        setattr(node, name, value)


def needed_params(cls: type[Any]) -> list[str]:
    """The arguments of a constructor that only a manifest's params can fill."""
    try:
        call = _Call(cls, NodeConfig("", "", Spelled()))
    except ValueError:  # a constructor without a signature, of a compiled class
        return []
    return call.needed()


def constructor_names(cls: type[Any]) -> set[str]:
    """The names of a constructor's arguments."""
    return {parameter.name for parameter in _parameters(cls)}
