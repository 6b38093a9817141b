"""Pipeline: the older way to compose, a list of nodes that becomes a manifest. Source: US1.

Pipeline([a, b], name="x")                        node objects, one behind the other
Pipeline("x").add_node("a", "AType", {...})       nodes by type, linked by connect
"""

from __future__ import annotations

import json
import re
import sys
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import engine.pipeline
from remotemedia.core._compat.construction import constructor_names
from remotemedia.core._compat.errors import PipelineError
from remotemedia.core._compat.nodes import NOT_PARAMS, Node, node_type_of
from remotemedia.core._compat.registration import adopt
from remotemedia.core._compat.running import stream_values
from remotemedia.core._compat.values import plain
from remotemedia.registration import builtin_registry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable

    from remotemedia.core._compat.runtime_data import RuntimeData

_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")


class Pipeline:
    """Nodes one behind the other, or linked by `connect`.

    Attributes:
        name: of the pipeline.
        nodes: the node objects, in their order.
    """

    def __init__(self, nodes: Any = None, name: str | None = None, **options: Any) -> None:
        """Begin with some nodes, or none.

        Args:
            nodes: node objects; or the pipeline's name.
            name: of the pipeline.
            options: what other versions took beside it (enable_metrics, …); without effect.
        """
        del options
        if isinstance(nodes, str):
            nodes, name = None, name or nodes
        self.name = name or "pipeline"
        self.nodes: list[Any] = []
        self._entries: list[dict[str, Any]] = []
        self._connections: list[dict[str, str]] = []
        self.is_initialized = False
        for node in nodes or ():
            self.add_node(node)

    # --- composition --------------------------------------------------------------------------

    def add_node(
        self,
        node: Any,
        node_type: str | None = None,
        config: dict[str, Any] | None = None,
        **options: Any,
    ) -> Self:
        """Append a node.

        Args:
            node: a node object; or its id, and then its type and params follow.
            node_type: its type.
            config: its params.
            options: what other versions took beside it; without effect.

        Raises:
            PipelineError: it is no node, or its id is taken.
        """
        params = options.get("params", config)
        if isinstance(node, str):
            if not node_type:
                raise PipelineError(f"add_node({node!r}) needs the node's type: add_node(id, type)")
            if any(entry["id"] == node for entry in self._entries):
                raise PipelineError(f"node {node!r} is in pipeline {self.name!r} already")
            entry = {"id": node, "node_type": node_type, "params": dict(params or {})}
        elif isinstance(node, type) or not callable(getattr(node, "process", None)):
            hint = "add parentheses" if isinstance(node, type) else "it has no process"
            raise PipelineError(f"{node!r} is no node object: {hint}")
        else:
            self.nodes.append(node)
            entry = _entry_of(node)
            entry["id"] = f"{_NOT_IN_IDS.sub('_', str(entry['id']))}_{len(self._entries)}"
        self._entries.append(entry)
        return self

    def connect(self, source: str, target: str, channel_name: str | None = None) -> Self:
        """Link two nodes by their ids; without any connection they stand one behind the other.

        Raises:
            PipelineError: there is no such node.
        """
        del channel_name
        known = [entry["id"] for entry in self._entries]
        for node in (source, target):
            if node not in known:
                raise PipelineError(f"there is no node {node!r}; there are: {', '.join(known)}")
        self._connections.append({"from": source, "to": target})
        return self

    @property
    def node_count(self) -> int:
        """How many nodes there are."""
        return len(self._entries)

    def get_node(self, name: str) -> Any:
        """The node object of this name, or None."""
        return next((node for node in self.nodes if getattr(node, "name", None) == name), None)

    # --- as a document ------------------------------------------------------------------------

    def serialize(
        self,
        include_capabilities: bool = True,  # noqa: FBT001, FBT002 - the older API's own signature
        description: str | None = None,
    ) -> str:
        """The manifest v1 of this pipeline, as JSON.

        Args:
            include_capabilities: whether it says what nodes need of a machine.
            description: for people.

        Raises:
            PipelineError: it is empty, or a node was made with what JSON does not know.
        """
        return json.dumps(self.to_manifest(include_capabilities, description), indent=2)

    def to_manifest(
        self,
        include_capabilities: bool = True,  # noqa: FBT001, FBT002 - as serialize
        description: str | None = None,
    ) -> dict[str, Any]:
        """The manifest v1; see `serialize`."""
        if not self._entries:
            raise PipelineError(f"pipeline {self.name!r} is empty: add_node first")
        metadata: dict[str, Any] = {"name": self.name, "created_at": _now()}
        if description:
            metadata["description"] = description
        left_out = () if include_capabilities else ("capabilities",)
        entries = [
            {name: part for name, part in entry.items() if name not in left_out}
            for entry in self._entries
        ]
        ids = [entry["id"] for entry in entries]
        chain = [{"from": a, "to": b} for a, b in pairwise(ids)]
        return {
            "version": "v1",
            "metadata": metadata,
            "nodes": [entry | {"params": _plain_params(entry)} for entry in entries],
            "connections": self._connections or chain,
        }

    # --- running ------------------------------------------------------------------------------

    def to_engine(self) -> engine.pipeline.Pipeline:
        """The engine's own pipeline of it, in which its nodes' classes are known.

        Nodes whose class no other process can import run local.

        Raises:
            PipelineError: see `serialize`.
        """
        manifest = self.to_manifest()
        registry = builtin_registry().copy()
        local = set()
        for node in self.nodes:
            cls = type(node)
            registry.register(adopt(cls), node_type_of(cls), pattern=True)
            if _is_out_of_reach(cls):
                local.add(node_type_of(cls))
        for entry in manifest["nodes"]:
            if entry["node_type"] in local:
                entry["executor"] = "local"
        return engine.pipeline.Pipeline.from_manifest(manifest, registry=registry)

    async def run(self, input_data: Any = None, **options: Any) -> Any:
        """Run it on some input.

        Args:
            input_data: a value, or a list of values; None: only the end of the stream.
            options: what other versions took beside it; without effect.

        Returns:
            A list of the outputs; the output itself where there is one; None where there is none.
            Each is a plain value and a RuntimeData at once.

        Raises:
            RemoteMediaError: it cannot run, or it failed; the node is named.
        """
        del options
        items = input_data if isinstance(input_data, list) else [input_data]
        values = [item for item in items if item is not None]
        found = [item async for item in self.process(values)]
        return found if len(found) > 1 else next(iter(found), None)

    async def process(
        self, stream: AsyncIterable[Any] | Iterable[Any] = ()
    ) -> AsyncGenerator[RuntimeData, None]:
        """Run it on a stream of values, and yield the outputs as they come; see `run`."""
        async with aclosing(stream_values(self.to_engine().session(), stream)) as outputs:
            async for item in outputs:
                yield item

    async def initialize(self) -> None:
        """Check that it can run; each run starts and ends its nodes itself.

        Raises:
            ManifestError: it cannot; has every problem found.
        """
        self.to_engine().plan()
        self.is_initialized = True

    async def cleanup(self) -> None:
        """Nothing is left of a run that could be cleaned up."""
        self.is_initialized = False

    @asynccontextmanager
    async def managed_execution(self) -> AsyncIterator[Self]:
        """`initialize` and `cleanup` around a block."""
        await self.initialize()
        try:
            yield self
        finally:
            await self.cleanup()

    def __repr__(self) -> str:
        return f"Pipeline(name={self.name!r}, nodes={[entry['id'] for entry in self._entries]})"


def _entry_of(node: Any) -> dict[str, Any]:
    """A node object as a manifest's entry, its id still without a number."""
    if isinstance(node, Node):
        return node.to_manifest()
    params = {
        name: getattr(node, name)
        for name in sorted(constructor_names(type(node)) - NOT_PARAMS)
        if hasattr(node, name)
    }
    cls = type(node)
    name = getattr(node, "name", None) or cls.__name__
    return {"id": str(name), "node_type": node_type_of(cls), "params": params}


def _plain_params(entry: dict[str, Any]) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for name, value in entry["params"].items():
        try:
            params[name] = plain(value)
        except TypeError as error:
            raise PipelineError(
                f"node {entry['id']!r} cannot be written into a manifest: {name} is {error}; give"
                " it a JSON value"
            ) from error
    return params


def _is_out_of_reach(cls: type[Any]) -> bool:
    """Whether no other process can import a class."""
    main = sys.modules.get("__main__")
    interactive = cls.__module__ == "__main__" and not getattr(main, "__file__", None)
    return interactive or "<locals>" in cls.__qualname__


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
