"""StreamingPipelineService: a pipeline on a stream of inputs; `stream` is one of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import grpc
from google.protobuf.message import DecodeError

from protos.remotemedia.v1 import streaming_pb2, streaming_pb2_grpc
from transports.rpc.errors import InputError
from transports.rpc.inputs import Inputs
from transports.rpc.malformed import MALFORMED
from transports.rpc.measuring import Measurement
from transports.rpc.service import check_named, check_version
from transports.rpc.stream import Stream
from transports.rpc.stream_protocol import OpenCommand, StreamProtocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.plan import Plan
    from transports.rpc.inputs import Chunk
    from transports.rpc.service import Context, PipelineService


class _Opening(NamedTuple):
    """What an init asks for, checked.

    Attributes:
        plan: what is to run.
        plan_kept: whether the plan had been made before.
        inputs: converts what comes.
        first: what the init brought.
    """

    plan: Plan
    plan_kept: bool
    inputs: Inputs
    first: Sequence[Chunk]


class StreamingServicer(streaming_pb2_grpc.StreamingPipelineServiceServicer):
    """See the module."""

    def __init__(self, service: PipelineService) -> None:
        """Serve.

        Args:
            service: what all services share.
        """
        self._service = service

    async def StreamPipeline(  # noqa: N802 - the wire's name
        self, _: object, context: Context
    ) -> None:
        """Run a pipeline on a stream."""
        service = self._service
        await service.refuse_if_draining(context)
        protocol, measurement = StreamProtocol(), Measurement()
        try:
            init = await self._init(protocol, context)
            opening = await self._open(init, measurement, context)
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, MALFORMED)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told
            response = await service.answer(error, context)
            await context.write(streaming_pb2.StreamResponse(error=response))
            return
        if opening is None:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "init has no manifest")
        plan, plan_kept, inputs, first = opening
        live = await service.open(plan, "StreamPipeline", context)
        stream = Stream(service, context, live, protocol, inputs, measurement, plan_kept=plan_kept)
        try:
            await stream.run(first, init.expected_chunk_size)
        finally:
            await service.sessions.end(live)

    async def _init(self, protocol: StreamProtocol, context: Context) -> streaming_pb2.StreamInit:
        """The first message.

        Raises:
            InputError: it is no init, or none comes.
        """
        wait_s = self._service.limits.init_wait_s
        try:
            async with asyncio.timeout(wait_s):
                request = await context.read()
        except TimeoutError as error:
            raise InputError(f"no init came within {wait_s:g} s") from error
        command = protocol.end() if request is grpc.aio.EOF else protocol.receive(request)
        assert isinstance(command, OpenCommand)
        return command.init

    async def _open(
        self, init: streaming_pb2.StreamInit, measurement: Measurement, context: Context
    ) -> _Opening | None:
        """What an init asks for; None: it has no manifest.

        Raises:
            RemoteMediaError: it cannot be done.
        """
        if not init.HasField("manifest"):
            return None
        check_named(init.client_version)
        check_version(init.client_version)
        limits = self._service.limits.for_call(init.resource_limits)
        prepared, kept = await self._service.plan(init.manifest, context)
        inputs = Inputs(prepared, limits.rules, measurement)
        first = [inputs.chunk(node, data, {}) for node, data in init.data_inputs.items()]
        return _Opening(limits.applied_to(prepared.plan), kept, inputs, first)
