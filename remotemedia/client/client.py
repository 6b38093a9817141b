"""A client of one server. Source: FR-001, FR-008, FR-009, FR-012."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import grpc

from engine.errors import TransportError, UsageError
from engine.interruption import Played, Settlement
from engine.steering import ParamsTaken
from protos.remotemedia.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    common_pb2,
    control_pb2_grpc,
    execution_pb2,
    execution_pb2_grpc,
    streaming_pb2,
    streaming_pb2_grpc,
)
from remotemedia.client.channel import call_metadata, open_channel
from remotemedia.client.exchange import Exchange
from remotemedia.client.failures import error_of, error_of_call
from remotemedia.client.hands import Hands
from remotemedia.client.manifests import wire_manifest
from remotemedia.client.packets import Incoming, buffer_of
from remotemedia.client.stream import VERSION, RemoteStream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from types import TracebackType

    from engine.executors.contract import Progress
    from engine.packet import Packet
    from engine.payloads import Payload
    from remotemedia.client.channel import Tls
    from remotemedia.client.manifests import PipelineLike, WireManifest
    from remotemedia.client.reconnect import Reconnect

ResponseT = TypeVar("ResponseT")

#: How long a call that only asks something may take.
_ASKING_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a call may take; the service allows no more than its own.

    Attributes:
        memory_bytes: of all its processes; 0: what the service allows.
        timeout_ms: from ready to result of an execution; 0: what the service allows.
        audio_samples: of one audio buffer; 0: what the service allows.
    """

    memory_bytes: int = 0
    timeout_ms: int = 0
    audio_samples: int = 0

    def message(self) -> common_pb2.ResourceLimits:
        """As the wire has it."""
        return common_pb2.ResourceLimits(
            max_memory_bytes=self.memory_bytes,
            max_timeout_ms=self.timeout_ms,
            max_audio_samples=self.audio_samples,
        )


@dataclass(frozen=True, slots=True)
class Result:
    """What an execution gave.

    Attributes:
        outputs: sink → all it gave, in order; a sink that gave nothing is missing.
        metrics: what it took.
        nodes: node → how it fared, a NodeStatus.
    """

    outputs: Mapping[str, tuple[Packet, ...]]
    metrics: common_pb2.ExecutionMetrics
    nodes: Mapping[str, int] = field(default_factory=dict)

    def __getitem__(self, node: str) -> Payload:
        """The last payload that a sink gave."""
        return self.outputs[node][-1].payload


class Client:
    """Calls one server. Use it as an async context manager, or `aclose` it.

    Attributes:
        address: the server's.
    """

    def __init__(self, address: str, *, token: str | None = None, tls: Tls | None = None) -> None:
        """Prepare; the first call connects.

        Args:
            address: "host:port", or "unix:path".
            token: told the server with each call.
            tls: how the connection is secured; None: not at all.

        Raises:
            UsageError: a file of `tls` cannot be read.
        """
        self.address = address
        self._metadata = call_metadata(token)
        self._channel = open_channel(address, tls)
        # Generated functions have no annotations.
        self._execution: Any = execution_pb2_grpc.PipelineExecutionServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._streaming: Any = streaming_pb2_grpc.StreamingPipelineServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._control: Any = control_pb2_grpc.PipelineControlStub(self._channel)  # type: ignore[no-untyped-call]
        self._admin: Any = admin_pb2_grpc.SessionAdminStub(self._channel)  # type: ignore[no-untyped-call]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection; calls that are open end. A second call does nothing."""
        await self._channel.close()

    # --- pipelines --------------------------------------------------------------------------------

    async def version(self) -> common_pb2.VersionInfo:
        """What the server is.

        Raises:
            TransportError: it cannot be reached, or does not speak our version.
        """
        request = execution_pb2.VersionRequest(client_version=VERSION)
        response = await self._ask(self._execution.GetVersion, request)
        if not response.compatible:
            raise TransportError(
                f"{self.address}: {response.compatibility_message}", address=self.address
            )
        info: common_pb2.VersionInfo = response.version_info
        return info

    async def execute(
        self,
        pipeline: PipelineLike | WireManifest,
        inputs: Mapping[str, Payload] | Payload | None = None,
        *,
        limits: Limits = Limits(),
        timeout_s: float | None = None,
    ) -> Result:
        """Run a pipeline once. It is never sent twice.

        Args:
            pipeline: a pipeline, a document, or a file with one.
            inputs: node → its input, instead of what its predecessors give; or that of the only
                node that takes one.
            limits: what it may take.
            timeout_s: how long to wait for the result, its start included; None: for ever.

        Raises:
            RemoteMediaError: as in a local session: ManifestError, NodeError, …
            TransportError: the server cannot be reached, or refuses.
        """
        manifest = wire_manifest(pipeline)
        request = execution_pb2.ExecuteRequest(
            manifest=manifest.message,
            data_inputs=_inputs(inputs, manifest),
            resource_limits=limits.message(),
            client_version=VERSION,
        )
        response = await self._ask(
            self._execution.ExecutePipeline, request, timeout_s, manifest.metadata
        )
        if response.WhichOneof("outcome") != "result":
            raise error_of(response.error)
        result = response.result
        return Result(
            _outputs(result.data_outputs),
            result.metrics,
            {row.node_id: row.status for row in result.node_results},
        )

    def stream(
        self,
        pipeline: PipelineLike | WireManifest,
        inputs: Mapping[str, Payload] | Payload | None = None,
        *,
        limits: Limits = Limits(),
        chunk_size: int = 0,
        on_progress: Callable[[Progress], object] | None = None,
        reconnect: Reconnect | None = None,
    ) -> RemoteStream:
        """A session on the server: `async with client.stream(pipeline) as stream`.

        Args:
            pipeline: a pipeline, a document, or a file with one.
            inputs: the first inputs, by node; sent again with each new connection.
            limits: what it may take.
            chunk_size: what is going to be sent at once; 0: the server recommends something.
            on_progress: told how the start of nodes in processes goes; a plain, quick function.
            reconnect: what happens when the connection is lost; None: the stream fails.

        Raises:
            ManifestError, UsageError: the pipeline cannot be sent.
        """
        manifest = wire_manifest(pipeline)
        init = streaming_pb2.StreamInit(
            manifest=manifest.message,
            data_inputs=_inputs(inputs, manifest),
            resource_limits=limits.message(),
            client_version=VERSION,
            expected_chunk_size=chunk_size,
        )
        return RemoteStream(self, manifest, init, on_progress, reconnect)

    def open_stream(
        self, metadata: Sequence[tuple[str, str]], on_over: Callable[[], object]
    ) -> Exchange[streaming_pb2.StreamRequest, streaming_pb2.StreamResponse]:
        """A new call of StreamPipeline; for `RemoteStream`.

        Raises:
            UsageError: the client is closed.
        """
        return Exchange(self._open(self._streaming.StreamPipeline, metadata), on_over)

    # --- sessions that run ------------------------------------------------------------------------

    def attach(self, session_id: str, attach_id: str = "") -> Hands:
        """Hands on a session: `async with client.attach(session_id) as hands`.

        Args:
            session_id: the session.
            attach_id: how the server's log calls us.
        """

        def open_call() -> grpc.aio.StreamStreamCall[Any, Any]:
            return self._open(self._control.Attach)

        return Hands(open_call, session_id, attach_id, self)

    async def sessions(self) -> tuple[admin_pb2.SessionSummary, ...]:
        """The sessions that are open, the oldest first.

        Raises:
            UsageError: the server has no SessionAdmin.
            TransportError: it cannot be reached.
        """
        request = admin_pb2.ListSessionsRequest()
        return tuple((await self._ask(self._admin.ListSessions, request)).sessions)

    async def session(self, session_id: str) -> admin_pb2.GetSessionResponse:
        """One of them, with its nodes and edges.

        Raises:
            UsageError: there is none of that id.
        """
        request = admin_pb2.GetSessionRequest(session_id=session_id)
        return await self._ask(self._admin.GetSession, request)

    async def close_session(self, session_id: str, *, drain: bool = False) -> None:
        """End a session.

        Args:
            session_id: the session.
            drain: whether what is under way comes out first.

        Raises:
            UsageError: there is none of that id.
        """
        request = admin_pb2.CloseSessionRequest(session_id=session_id, drain=drain)
        await self._ask(self._admin.CloseSession, request)

    async def interrupt(
        self,
        session_id: str,
        scope: str | None = None,
        *,
        reason: str = "",
        deadline_s: float = 1.0,
    ) -> Settlement:
        """Make stale what is under way: once this returns, nothing of it leaves the server.

        What the server has not read by then counts as new.

        Args:
            session_id: the session.
            scope: a node: it and all behind it; None: all nodes.
            reason: why.
            deadline_s: how long nodes may take to say what they dropped.

        Raises:
            UsageError: there is no such session or node.
        """
        request = admin_pb2.InterruptRequest(
            session_id=session_id,
            scope=scope or "",
            reason=reason,
            settle_ms=max(1, round(deadline_s * 1e3)),
        )
        response = await self._ask(self._admin.Interrupt, request, deadline_s + _ASKING_S)
        played: dict[str, tuple[Played, ...]] = {}
        for each in response.played:
            found = Played(0, each.played_ns, each.of_ns, dict(each.metadata))
            played[each.node_id] = (*played.get(each.node_id, ()), found)
        return Settlement(response.generation, dict(response.dropped), played, tuple(response.late))

    async def set_params(
        self, session_id: str, node: str, params: Mapping[str, Any]
    ) -> ParamsTaken:
        """Change params of a node while it runs; see `Session.set_params`.

        Raises:
            UsageError: there is no such session or node, or it refuses.
        """
        request = admin_pb2.SetParamsRequest(
            session_id=session_id, node_id=node, params=json.dumps(dict(params))
        )
        response = await self._ask(self._admin.SetParams, request)
        return ParamsTaken(json.loads(response.params), dict(response.edge_seq))

    # --- inside -----------------------------------------------------------------------------------

    def _open(
        self,
        method: Callable[..., grpc.aio.StreamStreamCall[Any, Any]],
        metadata: Sequence[tuple[str, str]] = (),
    ) -> grpc.aio.StreamStreamCall[Any, Any]:
        try:
            return method(metadata=(*self._metadata, *metadata))
        except grpc.aio.UsageError as error:
            raise _closed() from error

    async def _ask(
        self,
        method: Callable[..., Awaitable[ResponseT]],
        request: Any,
        timeout_s: float | None = _ASKING_S,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> ResponseT:
        try:
            return await method(request, timeout=timeout_s, metadata=(*self._metadata, *metadata))
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error, self.address) from error
        except grpc.aio.UsageError as error:
            raise _closed() from error


def _closed() -> UsageError:
    return UsageError("the client is closed: make another one")


def _inputs(
    inputs: Mapping[str, Payload] | Payload | None, manifest: WireManifest
) -> dict[str, common_pb2.DataBuffer]:
    if inputs is None:
        return {}
    if not isinstance(inputs, Mapping):
        inputs = {manifest.ingress(None): inputs}
    return {node: buffer_of(payload) for node, payload in inputs.items()}


def _outputs(buffers: Mapping[str, common_pb2.DataBuffer]) -> dict[str, tuple[Packet, ...]]:
    """All outputs, each once: of several by one sink the wire has the last one twice."""
    incoming = Incoming("")
    found: dict[str, tuple[Packet, ...]] = {}
    for key, buffer in buffers.items():
        if "/" in key:
            continue
        if f"{key}/0" not in buffers:
            found[key] = (incoming.packet(key, buffer),)
            continue
        packets: list[Packet] = []
        while (member := f"{key}/{len(packets)}") in buffers:
            packets.append(incoming.packet(key, buffers[member]))
        found[key] = tuple(packets)
    return found
