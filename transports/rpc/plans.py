"""Plans of manifests that were sent before: made once, kept by what was sent.

Source: FR-001, NFR-001. Planning may import operator modules, so it runs on a thread.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from engine.errors import ManifestError, Problem
from engine.prepare import prepare
from engine.wording import quoted
from transports.rpc.conversion.manifest import document_of, node_ids, sinks, without_inputs
from transports.rpc.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from engine.config import Settings
    from engine.manifest.model import Manifest
    from engine.plan import Plan
    from engine.registry import Registry
    from protos.remotemedia.v1 import execution_pb2
    from transports.rpc.security.access import Access

logger = logging.getLogger("remotemedia.rpc")

#: Plans that are kept.
PLANS_MAX: Final = 256
#: Nodes that all kept plans may have together: a plan takes about 2 KB per node.
NODES_MAX: Final = 10_000
#: Warnings about one manifest that are logged.
_WARNINGS_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan, and what is asked of its outputs.

    Attributes:
        plan: what runs.
        sinks: the nodes whose outputs the client gets; of the manifest as it was sent, so that a
            node whose outputs nobody takes any more, since their taker was given an input, is none.
        nodes: the ids of all nodes, in the manifest's order.
        strict: node id → the kinds it takes, of those that declare anything else an error.
        takes_control: nodes that take control messages as packets, too: all whose operators do not
            declare other kinds.
    """

    plan: Plan
    sinks: frozenset[str]
    nodes: tuple[str, ...]
    strict: Mapping[str, frozenset[str]]
    takes_control: frozenset[str]


class PlanCache:
    """Makes plans, and keeps those used last.

    Attributes:
        hits: how often a plan was there.
        misses: how often it had to be made.
    """

    def __init__(
        self,
        registry: Registry,
        settings: Settings,
        plans_max: int = PLANS_MAX,
        nodes_max: int = NODES_MAX,
        *,
        access: Access | None = None,
        pipelines: Mapping[str, Manifest] | None = None,
    ) -> None:
        """Begin empty.

        Args:
            registry: the operators there are.
            settings: the service's settings.
            plans_max: plans that are kept.
            nodes_max: nodes they may have together.
            access: what clients' manifests may name outside of the pipeline; None: anything.
            pipelines: the service's own manifests, which may name anything. A client runs one by
                sending a manifest without nodes, whose metadata has its name.
        """
        self.hits = 0
        self.misses = 0
        self._registry = registry
        self._settings = settings
        self._plans_max = plans_max
        self._nodes_max = nodes_max
        self._access = access
        self._pipelines = {name: manifest.to_dict() for name, manifest in (pipelines or {}).items()}
        self._kept: OrderedDict[bytes, Prepared] = OrderedDict()
        self._nodes = 0

    @property
    def nodes(self) -> int:
        """Nodes of all plans that are kept."""
        return self._nodes

    def __len__(self) -> int:
        """Plans that are kept."""
        return len(self._kept)

    async def get(
        self,
        manifest: execution_pb2.PipelineManifest,
        multiprocess: str | None = None,
        fed: Collection[str] = (),
    ) -> tuple[Prepared, bool]:
        """The plan of a manifest, and whether it was there already.

        Args:
            manifest: as it was sent.
            multiprocess: settings from the call's metadata, as JSON.
            fed: nodes that are given an input instead of what their predecessors give.

        Raises:
            ManifestError: the manifest cannot run.
            InputError: there is no node of a name in `fed`.
            ResourceLimitError: it asks for more processes than it may have.

        A cancelled call has changed nothing.
        """
        key = _key(manifest, multiprocess, fed)
        found = self._kept.get(key)
        if found is not None:
            self.hits += 1
            self._kept.move_to_end(key)
            return found, True
        self.misses += 1
        prepared = await asyncio.to_thread(self._prepare, manifest, multiprocess, fed)
        self._keep(key, prepared)
        return prepared, False

    def _prepare(
        self,
        manifest: execution_pb2.PipelineManifest,
        multiprocess: str | None,
        fed: Collection[str],
    ) -> Prepared:
        document = self._document(manifest, multiprocess)
        plan = prepare(without_inputs(document, fed), self._registry, self._settings)
        nodes = node_ids(document)
        unknown = sorted(set(fed) - {*nodes})
        if unknown:
            raise InputError(
                f"data_inputs names {unknown[0][:100]!r}, and there is no such node; nodes:"
                f" {', '.join(nodes[:12])}",
                node_id=unknown[0][:100],
            )
        for warning in plan.warnings[:_WARNINGS_MAX]:
            logger.warning("manifest_warning: %s: %s", plan.name, warning)
        told = frozenset(plan.sinks).intersection(sinks(document))
        return Prepared(plan, told, tuple(nodes), self._strict(plan), self._taking_control(plan))

    def _document(
        self, manifest: execution_pb2.PipelineManifest, multiprocess: str | None
    ) -> dict[str, Any]:
        """What a client's manifest stands for.

        Raises:
            ManifestError: it names what it may not.
        """
        document = document_of(manifest, multiprocess)
        if not manifest.nodes and self._pipelines:
            return self._own(document)
        problems = self._access.problems(document, self._registry) if self._access else None
        if problems:
            raise ManifestError(problems)
        if self._settings.enabled:
            self._keep_off_the_loop(document)
        return document

    def _keep_off_the_loop(self, document: dict[str, Any]) -> None:
        """Let what computes for long run in processes, whatever a client says.

        All clients share the service's loop: one node that computes there stalls the others, and
        where a node runs changes nothing about what it gives.
        """
        ignored = []
        for node in document["nodes"]:
            spec = self._registry.get(node["node_type"])
            if spec is None or spec.cls.default_executor != "process":
                continue
            if node.get("executor") == "local":
                del node["executor"]
                ignored.append(f"executor of node {node['id'][:100]!r}")
        asked = document["metadata"].get("multiprocess", {})
        if asked.get("enabled") is False:
            del asked["enabled"]
            ignored.append("enabled")
        for what in ignored:
            logger.warning("placement_ignored: %s: clients may not place it on this loop", what)

    def check_params(self, node_id: str, node_type: str, params: Mapping[str, Any]) -> None:
        """Refuse params that a client gives a running node and that name what it may not.

        Raises:
            ManifestError: they do.
        """
        node = {"id": node_id, "node_type": node_type, "params": params}
        problems = self._access and self._access.problems({"nodes": [node]}, self._registry)
        if problems:
            raise ManifestError(problems)

    def _own(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """The service's own pipeline of that name, with the client's settings.

        Raises:
            ManifestError: there is none.
        """
        name = document["metadata"].get("name", "")
        own = self._pipelines.get(name)
        if own is None:
            known = ", ".join(sorted(self._pipelines))
            text = f"is empty, and the service has no pipeline {quoted(name)}; it has {known}"
            raise ManifestError([Problem("nodes", text)])
        asked = document["metadata"].get("multiprocess")
        if not asked:
            return own
        settings = {**own["metadata"].get("multiprocess", {}), **asked}
        return {**own, "metadata": {**own["metadata"], "multiprocess": settings}}

    def _strict(self, plan: Plan) -> dict[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        for node in (node for stage in plan.stages for node in stage.nodes):
            spec = self._registry.get(node.node_type)
            if spec is not None and spec.cls.strict and spec.cls.accepts is not None:
                found[node.id] = spec.cls.accepts
        return found

    def _taking_control(self, plan: Plan) -> frozenset[str]:
        specs = {
            node.id: self._registry.get(node.node_type)
            for stage in plan.stages
            for node in stage.nodes
        }
        return frozenset(
            node_id
            for node_id, spec in specs.items()
            if spec is not None and (spec.cls.accepts is None or "control" in spec.cls.accepts)
        )

    def _keep(self, key: bytes, prepared: Prepared) -> None:
        count = len(prepared.nodes)
        if count > self._nodes_max or key in self._kept:
            return
        self._kept[key] = prepared
        self._nodes += count
        while len(self._kept) > self._plans_max or self._nodes > self._nodes_max:
            _, oldest = self._kept.popitem(last=False)
            self._nodes -= len(oldest.nodes)


def _key(
    manifest: execution_pb2.PipelineManifest, multiprocess: str | None, fed: Collection[str]
) -> bytes:
    """What a plan is found by: a digest, since a manifest may be large."""
    digest = hashlib.blake2b(manifest.SerializeToString(deterministic=True), digest_size=32)
    for text in ("" if multiprocess is None else f"={multiprocess}", *sorted(fed)):
        digest.update(b"\0")
        digest.update(text.encode(errors="surrogatepass"))
    return digest.digest()
