"""A session on a server, for the runner: as it uses a local one. Source: FR-009, US1."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from engine.config import Settings
from engine.errors import EdgeClosedError
from engine.executors.contract import Progress
from engine.observe.statistics import NodeStatistics, SessionStatistics, StageStatistics
from engine.plan import NodePlan, Plan, StagePlan
from remotemedia.cli.summary import ON_SERVER

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.manifest.model import Manifest
    from engine.packet import Packet
    from engine.payloads import Payload
    from engine.registry import Registry
    from protos.remotemedia.v1 import common_pb2
    from remotemedia.client import Client, RemoteStream
    from remotemedia.client.manifests import WireManifest

#: Stands for an operator that only the server has: it takes and gives anything.
ANYTHING: Final = "operators.flow.pass_through:PassThrough"


def shape_of(manifest: Manifest, registry: Registry) -> Plan:
    """What is known here of a manifest that a server runs: nodes, ingress nodes and sinks.

    Args:
        manifest: the manifest.
        registry: the operators there are here; the server may have others.
    """
    fed = {connection.target.partition(".")[0] for connection in manifest.connections}
    taken = {connection.source.partition(".")[0] for connection in manifest.connections}
    stages = []
    for node in manifest.nodes:
        spec = registry.get(node.node_type)
        target = ANYTHING if spec is None else f"{spec.cls.__module__}:{spec.cls.__qualname__}"
        inputs = ("in",) if spec is None else tuple(spec.cls.inputs)
        stages.append(stage_of(node.id, node.node_type, target, inputs))
    return Plan(
        name=manifest.metadata.name,
        stages=tuple(stages),
        edges=(),
        ingress=tuple(node.id for node in manifest.nodes if node.id not in fed),
        sinks=tuple(
            node.id for node in manifest.nodes if node.id not in taken or node.is_output_node
        ),
        settings=Settings(),
    )


def stage_of(
    node_id: str, node_type: str, target: str, inputs: tuple[str, ...] = ("in",)
) -> StagePlan:
    """The stage of a node that a server runs."""
    node = NodePlan(
        id=node_id,
        node_type=node_type,
        target=target,
        params={},
        inputs=inputs,
        outputs=("out",),
        executor=ON_SERVER,
        rule=ON_SERVER,
    )
    return StagePlan(node_id, ON_SERVER, (node,))


class RemoteSession:
    """A session on a server.

    Attributes:
        id: the server's name for it; "" before it is ready.
    """

    def __init__(
        self,
        make_client: Callable[[], Client],
        manifest: WireManifest,
        on_progress: Callable[[Progress], object],
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            make_client: makes the client, on the running loop.
            manifest: what is run.
            on_progress: told how the start goes.
        """
        self._make_client = make_client
        self._manifest = manifest
        self._on_progress = on_progress
        self._client: Client | None = None
        self._stream: RemoteStream | None = None
        self._outputs = 0
        self._ended = False

    @property
    def id(self) -> str:
        """See the class."""
        return self._stream.session_id if self._stream is not None else ""

    @property
    def phase(self) -> str:
        """Where the session is; "finished" once it has ended well."""
        if self._stream is not None and self._stream.close_reason:
            return "finished"
        return "closed" if self._ended else "running"

    async def start(self) -> None:
        """See `Session.start`."""
        self._client = self._make_client()
        self._stream = self._client.stream(self._manifest, on_progress=self._on_progress)
        await self._stream.start()

    async def send(self, payload: Payload, node: str | None = None) -> int:
        """See `Session.send`."""
        try:
            return await self._opened.send(payload, node)
        except EdgeClosedError:
            self._ended = True
            raise

    async def end_input(self) -> None:
        """See `Session.end_input`."""
        await self._opened.end_input()

    async def receive(self) -> Packet | None:
        """See `Session.receive`."""
        packet = await self._opened.receive()
        self._outputs += packet is not None
        return packet

    def receive_nowait(self) -> Packet | None:
        """See `Session.receive_nowait`."""
        packet = self._opened.receive_nowait()
        self._outputs += packet is not None
        return packet

    def cancel(self) -> None:
        """See `Session.cancel`."""
        self._ended = True
        if self._stream is not None:
            self._stream.cancel()

    def kill(self) -> None:
        """End at once: the server ends the session when the connection is gone."""
        self.cancel()

    async def aclose(self) -> None:
        """See `Session.aclose`."""
        self._ended = True
        if self._stream is not None:
            await self._stream.aclose()
        if self._client is not None:
            await self._client.aclose()

    def statistics(self) -> SessionStatistics:
        """What the server said of it at its end; nothing before."""
        metrics = self._stream.final_metrics if self._stream is not None else None
        stages = {}
        if metrics is not None:
            stages = {
                node_id: StageStatistics(nodes={node_id: _counts(node)})
                for node_id, node in metrics.node_metrics.items()
            }
        return SessionStatistics(self.id, self._outputs, stages)

    @property
    def _opened(self) -> RemoteStream:
        assert self._stream is not None
        return self._stream


def _counts(metrics: common_pb2.NodeMetrics) -> NodeStatistics:
    """A node's counts; what another server does not say is 0."""
    try:
        more = json.loads(metrics.custom_metrics or "{}")
    except ValueError:
        more = {}
    return NodeStatistics(
        received=metrics.items_processed,
        emitted=int(more.get("items_emitted", 0)),
        busy_ns=round(more.get("busy_ms", metrics.execution_time_ms) * 1e6),
        waited_ns=round(more.get("waited_ms", 0.0) * 1e6),
    )
