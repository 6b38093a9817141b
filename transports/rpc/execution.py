"""PipelineExecutionService: a pipeline run once, all inputs in one request. Source: FR-012.

a node with an entry in data_inputs takes that instead of what its predecessors give
a source without one gets the end of its input only
outputs: those of sinks, by node id; of several by one sink the last, and all as "id/0", "id/1"
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import TYPE_CHECKING

import grpc

from engine.errors import EdgeClosedError, NodeError, RemoteMediaError, ResourceLimitError
from protos.remotemedia.v1 import common_pb2, execution_pb2, execution_pb2_grpc
from transports.rpc.errors import SessionEndedError, VersionError
from transports.rpc.inputs import Inputs, send
from transports.rpc.measuring import Measurement, add_node_results
from transports.rpc.memory import ProcessUsage
from transports.rpc.service import check_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.packet import Packet
    from engine.session.session import Session
    from transports.rpc.inputs import Chunk
    from transports.rpc.limits import CallLimits
    from transports.rpc.plans import Prepared
    from transports.rpc.service import Context, PipelineService
    from transports.rpc.sessions import LiveSession


class ExecutionServicer(execution_pb2_grpc.PipelineExecutionServiceServicer):
    """See the module."""

    def __init__(self, service: PipelineService) -> None:
        """Serve.

        Args:
            service: what all services share.
        """
        self._service = service

    async def ExecutePipeline(  # noqa: N802 - the wire's name
        self, request: execution_pb2.ExecuteRequest, context: Context
    ) -> execution_pb2.ExecuteResponse:
        """Run a pipeline to its end."""
        if not request.HasField("manifest"):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the request has no manifest")
        await self._service.refuse_if_draining(context)
        try:
            result = await _Execution(self._service, request, context).run()
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told
            return execution_pb2.ExecuteResponse(error=await self._service.answer(error, context))
        return execution_pb2.ExecuteResponse(result=result)

    async def GetVersion(  # noqa: N802 - the wire's name
        self, request: execution_pb2.VersionRequest, context: Context
    ) -> execution_pb2.VersionResponse:
        """What the service is, and whether it understands the client."""
        response = execution_pb2.VersionResponse(
            version_info=self._service.version(), compatible=True
        )
        try:
            check_version(request.client_version)
        except VersionError as error:
            response.compatible = False
            response.compatibility_message = error.message
        return response


class _Execution:
    """One execution."""

    def __init__(
        self, service: PipelineService, request: execution_pb2.ExecuteRequest, context: Context
    ) -> None:
        self._service = service
        self._request = request
        self._context = context
        self._measurement = Measurement()

    async def run(self) -> execution_pb2.ExecutionResult:
        """Run it.

        Raises:
            RemoteMediaError: it cannot run, or it failed.
        """
        request, service = self._request, self._service
        check_version(request.client_version)
        limits = service.limits.for_call(request.resource_limits)
        prepared, _ = await service.plan(request.manifest, self._context, request.data_inputs)
        inputs = Inputs(prepared, limits.rules, self._measurement)
        chunks = [inputs.chunk(node, data, {}) for node, data in request.data_inputs.items()]
        plan = limits.applied_to(prepared.plan)
        live = await service.open(plan, "ExecutePipeline", self._context)
        try:
            return await self._run(live, prepared, chunks, limits)
        except Exception as error:
            live.error = error
            raise
        finally:
            if not service.sessions.end_behind(live):
                await service.sessions.end(live)

    async def _run(
        self, live: LiveSession, prepared: Prepared, chunks: Sequence[Chunk], limits: CallLimits
    ) -> execution_pb2.ExecutionResult:
        """Run it in a session.

        Raises:
            SessionEndedError: others ended it: there would be less than the pipeline gives.
            RemoteMediaError: it failed.
        """
        try:
            await live.session.start()
            result = await self._finish(live.session, prepared, chunks, limits)
        except RemoteMediaError as error:
            if live.ended_by:
                raise SessionEndedError(live.ended_by) from error
            raise
        if live.ended_by:
            raise SessionEndedError(live.ended_by)
        return result

    async def _finish(
        self, session: Session, prepared: Prepared, chunks: Sequence[Chunk], limits: CallLimits
    ) -> execution_pb2.ExecutionResult:
        usage = ProcessUsage(session)
        looking: asyncio.Task[None] | None = None
        if session.plan.workers:  # which are there now, and may be gone with the result
            looking = asyncio.create_task(usage.sample(now=True))
        outputs = _Outputs(prepared, self._measurement, self._service.limits.message_bytes_max)
        try:
            async with asyncio.timeout(limits.timeout_s):
                await _feed(session, chunks)
                if looking is not None:  # they end once their inputs have
                    await asyncio.wait([looking])  # which goes on if the time is over meanwhile
                await session.end_input()
                while (packet := await session.receive()) is not None:
                    outputs.add(packet)
        except TimeoutError as error:
            raise ResourceLimitError(
                f"the pipeline had no result after {limits.timeout_s * 1e3:g} ms; ask for more by"
                " max_timeout_ms, as far as the service allows it, or stream",
                limit=round(limits.timeout_s * 1e3),
                requested=None,
                resource="timeout_ms",
            ) from error
        finally:
            if looking is not None:
                await asyncio.wait([looking])
        result = outputs.result()
        await usage.sample()
        statistics = session.statistics()
        self._measurement.fill_metrics(result.metrics, session.plan, statistics, usage)
        add_node_results(result.node_results, prepared.nodes, statistics)
        result.status = common_pb2.EXECUTION_STATUS_SUCCESS
        return result


async def _feed(session: Session, chunks: Sequence[Chunk]) -> None:
    """Give a session all its inputs."""
    for chunk in chunks:
        with contextlib.suppress(EdgeClosedError):  # it takes only so much: the rest has no taker
            await send(session, chunk)


class _Outputs:
    """Collects what comes out, as far as one message holds it."""

    def __init__(self, prepared: Prepared, measurement: Measurement, bytes_max: int) -> None:
        self._sinks = prepared.sinks
        self._measurement = measurement
        self._bytes_max = bytes_max
        self._bytes = 0
        self._result = execution_pb2.ExecutionResult()
        self._counts: Counter[str] = Counter()
        #: The last output of each sink, not converted yet: it may be the only one.
        self._last: dict[str, Packet] = {}

    def add(self, packet: Packet) -> None:
        """Take an output.

        Raises:
            ResourceLimitError: all together are more than one message holds.
            NodeError: the wire cannot say it.
        """
        node = packet.source.node
        if node not in self._sinks:
            return
        earlier = self._last.get(node)
        self._last[node] = packet
        count = self._counts[node]
        self._counts[node] += 1
        if earlier is None:
            return
        if count == 1:
            self._fill(f"{node}/0", earlier)
        self._fill(f"{node}/{count}", packet)

    def result(self) -> execution_pb2.ExecutionResult:
        """The result with all outputs; once.

        Raises:
            ResourceLimitError, NodeError: see `add`.
        """
        for node, packet in self._last.items():
            self._fill(node, packet)
        return self._result

    def _fill(self, key: str, packet: Packet) -> None:
        buffer = self._result.data_outputs[key]
        fill_output(buffer, packet, self._measurement)
        self._bytes += buffer.ByteSize()
        if self._bytes > self._bytes_max:
            raise ResourceLimitError(
                f"the outputs have more than {self._bytes_max} bytes, the most a message may have:"
                " stream instead",
                limit=self._bytes_max,
                requested=self._bytes,
                resource="message_bytes",
            )


def fill_output(buffer: common_pb2.DataBuffer, packet: Packet, measurement: Measurement) -> None:
    """Convert an output.

    Raises:
        NodeError: the wire cannot say what the node gave.
    """
    try:
        measurement.fill(buffer, packet)
    except (ValueError, TypeError) as error:
        raise NodeError.of(
            packet.source.node, error, during="sending its output", sequence=packet.sequence
        ) from error
