"""Composing a pipeline in Python: `Pipeline("x") | Gain(gain_db=3) | Whisper().on("process")`.

A pipeline is a manifest in the making: both go through the same checks to the same plan. Source:
US1.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import threading
from typing import TYPE_CHECKING, Any, Self

from engine.config import Settings, load_settings
from engine.errors import UsageError
from engine.manifest.load import load_manifest
from engine.operator import Operator, Step
from engine.prepare import prepare
from engine.registry import Registry, target_of
from engine.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine.executors.contract import Progress
    from engine.manifest.load import Source
    from engine.packet import Packet
    from engine.plan import Plan
    from engine.session.session import Input


class Pipeline:
    """A chain of operators, or a manifest's graph; making one starts nothing.

    Pipelines are never changed: `|` gives a new one.
    """

    def __init__(
        self, name: str, *, registry: Registry | None = None, settings: Settings | None = None
    ) -> None:
        """Begin an empty pipeline.

        Args:
            name: 1 to 255 characters.
            registry: the operators a manifest may name; classes used with `|` are added to it.
            settings: by default those of runtime.toml and the environment.
        """
        self.name = name
        self._registry = (registry or self.default_registry()).copy()
        self._settings = settings
        self._steps: tuple[Step, ...] = ()
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
        """A pipeline of a manifest: JSON text, a mapping, or a file's path.

        Raises:
            ManifestError: the document is no manifest; has every problem found. What it says about
                nodes is checked by `plan`.
            UsageError: there is no such file.
        """
        manifest = load_manifest(source)
        pipeline = cls(manifest.metadata.name, registry=registry, settings=settings)
        pipeline._manifest = manifest.to_dict()
        return pipeline

    def __or__(self, step: Operator | Step) -> Self:
        """Append an operator behind the last one."""
        if isinstance(step, Operator):
            step = Step(step)
        elif not isinstance(step, Step):
            hint = "an instance: add parentheses" if isinstance(step, type) else "an Operator"
            raise UsageError(f"{step!r} cannot be a step of a pipeline; it takes {hint}")
        if self._manifest is not None:
            raise UsageError("a pipeline of a manifest has its nodes already; start a new Pipeline")
        longer = type(self)(self.name, registry=self._registry, settings=self._settings)
        longer._steps = (*self._steps, step)
        cls = type(step.operator)
        known = longer._registry.get(cls.node_type) if cls.node_type in longer._registry else None
        if known is None:
            longer._registry.register(cls)
        elif known.cls is not cls:
            if any(type(other.operator) is known.cls for other in self._steps):
                raise UsageError(
                    f"two classes of this pipeline have the node type {cls.node_type!r}:"
                    f" {known.target} and {target_of(cls)}; give one another node_type"
                )
            longer._registry.register(cls)
        return longer

    def to_manifest(self) -> dict[str, Any]:
        """The manifest that says the same.

        Raises:
            UsageError: the pipeline is empty.
        """
        if self._manifest is not None:
            return dict(self._manifest)
        if not self._steps:
            raise UsageError(f"pipeline {self.name!r} is empty; append operators with |")
        nodes: list[dict[str, Any]] = []
        ids: set[str] = set()
        for step in self._steps:
            node_id = step.node_id or _unique(_snake_case(type(step.operator).__name__), ids)
            ids.add(node_id)
            node: dict[str, Any] = {
                "id": node_id,
                "node_type": type(step.operator).node_type,
                "params": step.operator.params.model_dump(mode="json", exclude_unset=True),
            }
            if step.executor is not None:
                node["executor"] = step.executor
            nodes.append(node)
        pairs = itertools.pairwise(nodes)
        return {
            "version": "v1",
            "metadata": {"name": self.name},
            "nodes": nodes,
            "connections": [{"from": a["id"], "to": b["id"]} for a, b in pairs],
        }

    def plan(self) -> Plan:
        """Check everything and decide what runs where.

        Raises:
            ManifestError: it cannot run; has every problem found.
            ResourceLimitError: it asks for more than it may have.
        """
        settings = self._settings if self._settings is not None else load_settings()
        return prepare(self.to_manifest(), self._registry, settings)

    def session(self, on_progress: Callable[[Progress], None] | None = None) -> Session:
        """A session of this pipeline, to be entered with `async with`.

        Args:
            on_progress: told of each step of each node's start.

        Raises:
            ManifestError, ResourceLimitError: see `plan`.
        """
        return Session(self.plan(), on_progress)

    def run(self, inputs: Iterable[Input]) -> list[Packet]:
        """Send the inputs, wait for the end, and return all outputs.

        Runs a loop of its own; inside a running loop, in a thread, while this call blocks. In
        coroutines, `session` is the better way.

        Args:
            inputs: see `Session.stream`.

        Raises:
            RemoteMediaError: the pipeline cannot run, or it failed.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self._run(inputs))
        return _run_in_thread(lambda: asyncio.run(self._run(inputs)))

    async def _run(self, inputs: Iterable[Input]) -> list[Packet]:
        async with self.session() as session:
            return [packet async for packet in session.stream(inputs)]

    def __repr__(self) -> str:
        nodes = (
            " | ".join(node["id"] for node in self.to_manifest()["nodes"])
            if self._has_nodes
            else "empty"
        )
        return f"Pipeline({self.name!r}: {nodes})"

    @property
    def _has_nodes(self) -> bool:
        return bool(self._steps) or self._manifest is not None


def _run_in_thread(work: Callable[[], list[Packet]]) -> list[Packet]:
    """Run something with a loop of its own beside the caller's, and wait for it."""
    results: list[list[Packet]] = []
    errors: list[BaseException] = []

    def target() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=target, name="remotemedia-run")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _snake_case(name: str) -> str:
    stem = name.removesuffix("Node") or name
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", stem).lower()


def _unique(stem: str, taken: set[str]) -> str:
    if stem not in taken:
        return stem
    number = 2
    while f"{stem}_{number}" in taken:
        number += 1
    return f"{stem}_{number}"
