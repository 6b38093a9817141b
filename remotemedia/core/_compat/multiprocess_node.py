"""MultiprocessNode: the older base class of nodes that run in processes of their own."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from remotemedia.core._compat.nodes import Node
from remotemedia.core._compat.params import Spelled

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNSET: Any = object()


class NodeStatus(StrEnum):
    """What a node is doing."""

    IDLE = "idle"
    INITIALIZING = "initializing"
    READY = "ready"
    PROCESSING = "processing"
    ERROR = "error"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass
class NodeConfig:
    """What a node is told when it is made.

    Some nodes read it like the dict it once was: `get` and `[]` find its fields, then its params.

    Attributes:
        node_id: the node's id.
        node_type: its type in manifests.
        params: its params as the manifest has them.
        session_id: the session it works for, or None.
        log_level: of its logger.
    """

    node_id: str
    node_type: str
    params: dict[str, Any] = field(default_factory=dict)
    session_id: str | None = None
    log_level: str = "INFO"

    def get(self, name: str, default: Any = None) -> Any:
        """A field, else a param, else the default."""
        return vars(self)[name] if name in vars(self) else self.params.get(name, default)

    def __getitem__(self, name: str) -> Any:
        found = self.get(name, _UNSET)
        if found is _UNSET:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        return name in vars(self) or name in self.params


_FIELDS = frozenset(NodeConfig.__dataclass_fields__)


def config_of(config: Any, more: Any, cls: type[Any], kwargs: Mapping[str, Any]) -> NodeConfig:
    """A NodeConfig of what a constructor was called with.

    Args:
        config: a NodeConfig; a dict of its fields, or of params alone; a node id; or None.
        more: what stood behind a node id: a NodeConfig, or params.
        cls: the node's class.
        kwargs: may have `node_id` and `session_id`.
    """
    if isinstance(config, NodeConfig):
        return config
    node_id = str(kwargs.get("node_id") or kwargs.get("name") or "unknown")
    session_id = kwargs.get("session_id")
    if isinstance(config, str):
        if isinstance(more, NodeConfig):
            return more
        node_id, config = config, {"params": more or {}}
    said = dict(config or {})
    if not _FIELDS & said.keys():
        said = {"params": said}
    return NodeConfig(
        str(said.get("node_id", node_id)),
        str(said.get("node_type", cls.__name__)),
        said.get("params") or {},
        said.get("session_id", session_id),
        str(said.get("log_level", "INFO")),
    )


class MultiprocessNode(Node):
    """A node whose methods are coroutines; `process` may be an asynchronous generator.

    Attributes:
        node_id, node_type, session_id: what it is called, and in which session.
        config: its params.
        status: what it is doing.
    """

    _status: NodeStatus = NodeStatus.IDLE

    def __init__(self, config: Any = None, params: Any = None, **kwargs: Any) -> None:
        """Take what the runtime says.

        Args:
            config: a NodeConfig, or a dict with its fields.
            params: behind a node id in the place of config.
            kwargs: passed on to Node.
        """
        taken = config_of(config, params, type(self), kwargs)
        for name in ("name", "node_id", "session_id"):
            kwargs.pop(name, None)
        super().__init__(name=taken.node_id, **kwargs)
        self.node_id = taken.node_id
        self.node_type = taken.node_type
        self.config = taken.params if isinstance(taken.params, Spelled) else Spelled(taken.params)
        self.session_id = taken.session_id or f"default_{self.node_id}"
        self.logger = logging.getLogger(f"remotemedia.node.{self.node_id}")
        self.logger.setLevel(getattr(logging, taken.log_level.upper(), logging.INFO))
        self.messages_processed = 0
        self.messages_failed = 0

    @property
    def status(self) -> NodeStatus:
        """What it is doing."""
        return self._status

    @status.setter
    def status(self, status: NodeStatus | str) -> None:
        self._status = NodeStatus(status)

    async def process(self, data: Any) -> Any:
        """Handle one RuntimeData; gives RuntimeData, an asynchronous generator of them, or None."""
        raise NotImplementedError(f"{type(self).__name__} does not define process")

    def get_stats(self) -> dict[str, Any]:
        """Its counts."""
        return {
            "node_id": self.node_id,
            "node_type": self.node_type,
            "status": self.status.value,
            "messages_processed": self.messages_processed,
            "messages_failed": self.messages_failed,
        }
