"""Composing a pipeline in Python: `Pipeline("x") | Gain(gain_db=3) | Whisper().on("process")`.

A pipeline is a manifest in the making: both go through the same checks to the same plan. Source:
US1.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Any, Self

from engine.composition.document import flow_of_manifest, sections_of
from engine.composition.flow import Flow
from engine.config import Settings, load_settings
from engine.errors import RemoteMediaError, UsageError
from engine.manifest.load import load_manifest
from engine.prepare import prepare
from engine.registry import Registry, target_of
from engine.session.blocking import BlockingSession, LoopThread
from engine.session.session import Session
from engine.session.streaming import PipelineStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from engine.executors.contract import Progress
    from engine.manifest.load import Source
    from engine.packet import Packet
    from engine.plan import Plan
    from engine.reactive.bridge import PipelineOperator
    from engine.session.inputs import Input

logger = logging.getLogger("remotemedia.pipeline")

_SECTIONS = frozenset({"nodes", "connections"})


class Pipeline:
    """A named graph of operators; making one starts nothing.

    Pipelines are never changed: `|`, `&` and `connect` give new ones. One may stand in another, and
    then has its name before its nodes' ids.
    """

    def __init__(
        self,
        name: str,
        *,
        description: str | None = None,
        multiprocess: Mapping[str, Any] | None = None,
        registry: Registry | None = None,
        settings: Settings | None = None,
    ) -> None:
        """Begin an empty pipeline.

        Args:
            name: 1 to 255 characters.
            description: for people.
            multiprocess: settings for its sessions: the keys of [multiprocess] in runtime.toml.
            registry: the operators a manifest may name; classes used with `|` are known anyway.
            settings: by default those of runtime.toml and the environment.

        Raises:
            UsageError: the name is no string, or the settings are no Settings.
        """
        if not isinstance(name, str):
            raise UsageError(
                f"a pipeline is named first: Pipeline('name') | …, not Pipeline({name!r:.60})"
            )
        if settings is not None and not isinstance(settings, Settings):
            raise UsageError(
                f"settings must be Settings(…) or load_settings(path), not {settings!r:.60}; keys"
                " of [multiprocess] go to multiprocess={…}"
            )
        self.name = name
        self._registry = (registry or self.default_registry()).copy()
        self._settings = settings
        self._flow = Flow()
        metadata: dict[str, Any] = {"name": name}
        if description is not None:
            metadata["description"] = description
        if multiprocess is not None:
            metadata["multiprocess"] = dict(multiprocess)
        #: What a manifest says besides its nodes and connections.
        self._head: dict[str, Any] = {"version": "v1", "metadata": metadata}
        #: The document it was read from, as long as nothing was added.
        self._manifest: dict[str, Any] | None = None

    @classmethod
    def default_registry(cls) -> Registry:
        """The registry of pipelines that are given none."""
        return Registry()

    @classmethod
    def from_manifest(
        cls,
        source: Source,
        *,
        registry: Registry | None = None,
        settings: Settings | None = None,
    ) -> Self:
        """A pipeline of a manifest: JSON or YAML text, a mapping, or a file's path.

        Raises:
            ManifestError: the document is no manifest; has every problem found. What it says about
                nodes is checked by `plan`.
            UsageError: there is no such file.
        """
        manifest = load_manifest(source)
        pipeline = cls(manifest.metadata.name, registry=registry, settings=settings)
        document = manifest.to_dict()
        pipeline._manifest = document
        pipeline._head = {name: part for name, part in document.items() if name not in _SECTIONS}
        return pipeline

    # --- composition ------------------------------------------------------------------------------

    def __or__(self, following: Any) -> Self:
        """Append: every open output feeds every open input of what follows.

        Args:
            following: an operator, a flow, a pipeline, or a reactivex operator.

        Raises:
            UsageError: it is none of these, or there is nothing to connect.
        """
        return self._with_flow(self._own_flow().followed_by(following), following)

    def __and__(self, other: Any) -> Self:
        """Put nodes beside those there are, unconnected; `connect` links them.

        Raises:
            UsageError: it is nothing that can stand in a pipeline, or it is another pipeline: say
                by `as_flow()` that each is to keep its name.
        """
        if isinstance(other, Pipeline) and self._entries():
            raise UsageError(
                f"{self.name!r} & {other.name!r}: which of them is part of the other? For branches,"
                " write a.as_flow() & b.as_flow()"
            )
        return self._with_flow(self._own_flow().beside(other), other)

    def connect(
        self,
        source: str,
        target: str,
        *,
        capacity: int | None = None,
        overflow: str | None = None,
        max_age_ms: int | None = None,
    ) -> Self:
        """Link two of its nodes by their ids; see `Flow.connect`.

        Raises:
            UsageError: there is no such node.
        """
        flow = self._own_flow().connect(
            source, target, capacity=capacity, overflow=overflow, max_age_ms=max_age_ms
        )
        return self._with_flow(flow, None)

    def on(
        self,
        executor: str,
        *,
        group: str | None = None,
        timeout_ms: int | None = None,
        restart: Mapping[str, int] | None = None,
    ) -> Self:
        """Place all its nodes on an executor; see `Composable.on`."""
        flow = self._own_flow().on(executor, group=group, timeout_ms=timeout_ms, restart=restart)
        return self._with_flow(flow, None)

    def into(
        self,
        port: str | None = None,
        *,
        capacity: int | None = None,
        overflow: str | None = None,
        max_age_ms: int | None = None,
    ) -> Flow:
        """Say, as part of another pipeline, how its outputs go on; see `Composable.into`."""
        return self.as_flow().into(
            port, capacity=capacity, overflow=overflow, max_age_ms=max_age_ms
        )

    def taking(self, port: str) -> Flow:
        """Be fed by this output port, as part of another pipeline; see `Composable.taking`."""
        return self.as_flow().taking(port)

    def as_flow(self) -> Flow:
        """It as part of another pipeline, its nodes' ids behind its name."""
        return self._own_flow().embedded(self.name)

    def as_operator(
        self, *, overflow: str = "error", capacity: int = 64, on_error: str = "cancel"
    ) -> PipelineOperator:
        """It as an operator in a reactivex chain of one's own.

        Each subscription runs a session. reactivex has no demand, so a source that is quicker than
        the pipeline meets a named policy; see `engine.reactive.bridge.as_operator`.

        Args:
            overflow: "error", "drop_oldest", "drop_newest", "latest" or "block".
            capacity: how many inputs may wait.
            on_error: what an error of the source does to what was sent before it: "cancel" or
                "drain".

        Returns:
            A function from an observable of payloads to an observable of packets.

        Raises:
            UsageError: there is no such policy.
        """
        from engine.reactive.bridge import as_operator

        return as_operator(self, overflow=overflow, capacity=capacity, on_error=on_error)

    # --- as a document ----------------------------------------------------------------------------

    def to_manifest(self) -> dict[str, Any]:
        """The manifest that says the same.

        Raises:
            UsageError: the pipeline is empty, or a node holds a function that cannot be written.
        """
        return copy.deepcopy(self._document(portable=True))  # the caller's own, to change

    def plan(self) -> Plan:
        """Check everything and decide what runs where.

        Raises:
            ManifestError: it cannot run; has every problem found.
            ResourceLimitError: it asks for more than it may have.
        """
        settings = self._settings if self._settings is not None else load_settings()
        return prepare(self._document(portable=False), self._registry, settings)

    def to_mermaid(self) -> str:
        """Its plan as a Mermaid flowchart.

        Raises:
            ManifestError, ResourceLimitError: see `plan`.
        """
        from engine.drawing import to_mermaid

        return to_mermaid(self.plan())

    # --- running ----------------------------------------------------------------------------------

    def session(self, on_progress: Callable[[Progress], object] | None = None) -> Session:
        """A session of this pipeline, to be entered with `async with`.

        Args:
            on_progress: told of each step of each node's start; `Session.on_progress` adds more.

        Raises:
            ManifestError, ResourceLimitError: see `plan`.
        """
        plan = self.plan()
        for problem in plan.warnings:
            logger.warning("%s: %s", self.name, problem, extra={"node_id": problem.node_id})
        return Session(plan, on_progress)

    def blocking_session(
        self, on_progress: Callable[[Progress], object] | None = None
    ) -> BlockingSession:
        """The same for code without a loop, to be entered with `with`; it has a thread of its own.

        Args:
            on_progress: told of each step of each node's start, on that thread.

        Raises:
            ManifestError, ResourceLimitError: see `plan`.
        """
        return BlockingSession(self.session(on_progress))

    def stream(self, inputs: Iterable[Input] | AsyncIterable[Input]) -> PipelineStream:
        """Run a session on these inputs; its outputs as they come, by `async for` or by `for`.

        Args:
            inputs: see `Session.stream`.

        Raises:
            ManifestError, ResourceLimitError: see `plan`.
        """
        return PipelineStream(self.session(), inputs)

    async def arun(self, inputs: Iterable[Input] | AsyncIterable[Input]) -> list[Packet]:
        """Send the inputs, wait for the end, and return all outputs.

        Args:
            inputs: see `Session.stream`.

        Raises:
            RemoteMediaError: the pipeline cannot run, or it failed.
        """
        return [packet async for packet in self.stream(inputs)]

    def run(self, inputs: Iterable[Input] | AsyncIterable[Input]) -> list[Packet]:
        """What `arun` does, for code without a loop.

        Runs a loop of its own; inside a running loop (a notebook), in a thread, while this call
        blocks. In coroutines `arun` is the better way.

        Args:
            inputs: see `Session.stream`.

        Raises:
            RemoteMediaError: the pipeline cannot run, or it failed.
        """
        if not isinstance(inputs, list | tuple | AsyncIterable):
            return list(self.stream(inputs))  # it may block, so Ctrl-C must reach this thread
        if not _in_running_loop():
            return asyncio.run(self.arun(inputs))
        with LoopThread("remotemedia-run") as thread:
            return thread.call(self.arun, inputs)

    # --- for people -------------------------------------------------------------------------------

    def __str__(self) -> str:
        """Its plan as text, or why there is none."""
        try:
            return self.plan().describe()
        except RemoteMediaError as error:
            return repr(self) if error.message in repr(self) else f"{self!r}\n{error.message}"

    def __repr__(self) -> str:
        try:
            nodes = ", ".join(entry["id"] for entry in self._entries()) or "empty"
        except UsageError as error:  # two nodes of one name
            nodes = error.message
        return f"Pipeline({self.name!r}: {nodes})"

    def _repr_svg_(self) -> str | None:
        """What a notebook draws; without a plan it prints `repr`."""
        from engine.drawing import to_svg

        try:
            return to_svg(self.plan())
        except RemoteMediaError:
            return None

    # --- inside -----------------------------------------------------------------------------------

    def _own_flow(self) -> Flow:
        return self._flow if self._manifest is None else flow_of_manifest(self._manifest)

    def _entries(self) -> list[dict[str, Any]]:
        if self._manifest is None and not self._flow.nodes:
            return []
        if self._manifest is not None:
            return list(self._manifest["nodes"])
        nodes: list[dict[str, Any]] = sections_of(self._flow, portable=False)["nodes"]
        return nodes

    def _document(self, *, portable: bool) -> dict[str, Any]:
        if self._manifest is not None:
            return dict(self._manifest)
        if not self._flow.nodes:
            raise UsageError(f"pipeline {self.name!r} is empty; append operators with |")
        self._flow.check_ends()
        return {**self._head, **sections_of(self._flow, portable=portable)}

    def _with_flow(self, flow: Flow, added: Any) -> Self:
        registry = self._registry
        if isinstance(added, Pipeline):
            registry = registry.copy()
            added.lend_types(registry)
        return self._of(self._head, flow, registry, self._settings)

    @classmethod
    def _of(
        cls, head: dict[str, Any], flow: Flow, registry: Registry, settings: Settings | None
    ) -> Self:
        pipeline = cls(head["metadata"]["name"], registry=registry, settings=settings)
        pipeline._head = head
        pipeline._flow = flow
        pipeline._register_classes()
        return pipeline

    def lend_types(self, registry: Registry) -> None:
        """Make its node types known to a registry that does not know them."""
        for entry in self._entries():
            spec = self._registry.get(entry["node_type"])
            if spec is not None and spec.node_type not in registry:
                registry.register(spec.cls, spec.node_type, pattern=spec.pattern)

    def _register_classes(self) -> None:
        """Know the operators it is made of.

        Raises:
            UsageError: two of their classes have one node type.
        """
        classes: dict[str, type[Any]] = {}
        for node in self._flow.nodes:
            if node.operator is None:
                continue
            cls = type(node.operator)
            known = classes.setdefault(node.node_type, cls)
            if known is not cls:
                raise UsageError(
                    f"two classes of this pipeline have the node type {node.node_type!r}:"
                    f" {target_of(known)} and {target_of(cls)}; give one another node_type"
                )
        for node_type, cls in classes.items():
            known_spec = self._registry.get(node_type) if node_type in self._registry else None
            if known_spec is None or known_spec.cls is not cls:
                self._registry.register(cls, node_type)


def _in_running_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
