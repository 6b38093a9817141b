"""The servers of the gRPC bench, each a process of its own: `python -m benches.grpc_server WHICH`.

    ours    the pipeline services, as `remotemedia serve` offers them
    echo    a bare grpc.aio server of the same messages: it answers an execution with one and the
            same response, and a chunk with a result that holds its buffer

Says its address on standard output, and ends with standard input.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import grpc
import uvloop

from benches.grpc_nodes import ProcessPass
from engine.config import Settings
from protos.remotemedia.v1 import (
    common_pb2,
    execution_pb2,
    execution_pb2_grpc,
    streaming_pb2,
    streaming_pb2_grpc,
)
from remotemedia import builtin_registry
from transports.rpc.limits import ServiceLimits
from transports.rpc.server import RpcServer, server_options
from transports.rpc.service import PipelineService

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

#: As many bytes as a response of ours has.
_METRICS_BYTES = 300


class EchoExecution(execution_pb2_grpc.PipelineExecutionServiceServicer):
    """Answers every execution alike."""

    async def ExecutePipeline(  # noqa: N802 - the wire's name
        self, request: execution_pb2.ExecuteRequest, _: Any
    ) -> execution_pb2.ExecuteResponse:
        """The inputs as the outputs, and as many bytes beside them as metrics have."""
        response = execution_pb2.ExecuteResponse()
        for node, buffer in request.data_inputs.items():
            response.result.data_outputs[node].CopyFrom(buffer)
        response.result.node_results.append(
            common_pb2.NodeResult(node_id="x", output_metadata="m" * _METRICS_BYTES)
        )
        return response


class EchoStreaming(streaming_pb2_grpc.StreamingPipelineServiceServicer):
    """Answers every chunk with its buffer."""

    async def StreamPipeline(self, _: Any, context: Any) -> None:  # noqa: N802 - the wire's name
        """Read one, write one."""
        while (request := await context.read()) is not grpc.aio.EOF:
            response = streaming_pb2.StreamResponse()
            kind = request.WhichOneof("request")
            if kind == "init":
                response.ready.session_id = "echo"
            elif kind == "data_chunk":
                chunk = request.data_chunk
                response.result.sequence = chunk.sequence
                response.result.data_outputs[chunk.node_id].CopyFrom(chunk.buffer)
            else:
                return
            await context.write(response)


async def serve(which: str) -> None:
    """Serve until standard input ends."""
    address, stop = await (_serve_ours() if which == "ours" else _serve_echo())
    print(address, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await stop(0)


async def _serve_ours() -> tuple[str, Callable[[float], Awaitable[None]]]:
    registry = builtin_registry().copy()
    registry.register(ProcessPass)
    limits = ServiceLimits(init_wait_s=600.0)
    server = RpcServer(PipelineService(registry, Settings(), limits), ["127.0.0.1:0"])
    await server.start()
    return server.addresses[0], server.stop


async def _serve_echo() -> tuple[str, Callable[[float], Awaitable[None]]]:
    server = grpc.aio.server(options=server_options(10_485_760))
    execution_pb2_grpc.add_PipelineExecutionServiceServicer_to_server(  # type: ignore[no-untyped-call]
        EchoExecution(), server
    )
    streaming_pb2_grpc.add_StreamingPipelineServiceServicer_to_server(  # type: ignore[no-untyped-call]
        EchoStreaming(), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return f"127.0.0.1:{port}", server.stop


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
