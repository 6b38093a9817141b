"""A client as others write them: on the generated code alone."""

from __future__ import annotations

import asyncio
import json

import grpc

from protos.remotemedia.v1 import (
    common_pb2,
    execution_pb2,
    execution_pb2_grpc,
    streaming_pb2,
    streaming_pb2_grpc,
)

#: Longer than anything here takes, on a busy machine.
PATIENCE_S = 60.0
CLOSE = streaming_pb2.StreamControl.COMMAND_CLOSE
CANCEL = streaming_pb2.StreamControl.COMMAND_CANCEL


def text(value, **fields):
    data = value if isinstance(value, bytes) else value.encode()
    return common_pb2.DataBuffer(text=common_pb2.TextBuffer(text_data=data), **fields)


def json_data(value, **fields):
    return common_pb2.DataBuffer(json=common_pb2.JsonData(json_payload=json.dumps(value)), **fields)


def value_of(buffer):
    """What a text or JSON buffer says."""
    kind = buffer.WhichOneof("data_type")
    assert kind in {"text", "json"}, buffer
    return (
        buffer.text.text_data.decode() if kind == "text" else json.loads(buffer.json.json_payload)
    )


def manifest(nodes, links=(), **fields):
    """A typed manifest.

    Args:
        nodes: id → node type, or (node type, params).
        links: "a->b".
        fields: of the PipelineManifest.
    """
    described = []
    for node_id, what in nodes.items():
        node_type, params = (what, {}) if isinstance(what, str) else what
        described.append(
            execution_pb2.NodeManifest(id=node_id, node_type=node_type, params=json.dumps(params))
        )
    ends = [link.split("->") for link in links]
    fields = {"version": "v1", "metadata": execution_pb2.ManifestMetadata(name="test"), **fields}
    return execution_pb2.PipelineManifest(
        nodes=described,
        connections=[execution_pb2.Connection(**{"from": a, "to": b}) for a, b in ends],
        **fields,
    )


class Client:
    """Calls one server."""

    def __init__(self, address, **options):
        options = [("grpc.max_receive_message_length", -1), *options.items()]
        self.channel = grpc.aio.insecure_channel(address, options=options)
        self.execution = execution_pb2_grpc.PipelineExecutionServiceStub(self.channel)
        self.streaming = streaming_pb2_grpc.StreamingPipelineServiceStub(self.channel)

    async def respond(self, graph, inputs=None, *, within_s=PATIENCE_S, metadata=(), **fields):
        """The response to an execution."""
        request = execution_pb2.ExecuteRequest(manifest=graph, data_inputs=inputs or {}, **fields)
        return await self.execution.ExecutePipeline(request, timeout=within_s, metadata=metadata)

    async def execute(self, *args, **fields):
        """The result of an execution that ends well."""
        response = await self.respond(*args, **fields)
        assert response.WhichOneof("outcome") == "result", response
        return response.result

    async def fail(self, *args, **fields):
        """The error of an execution."""
        response = await self.respond(*args, **fields)
        assert response.WhichOneof("outcome") == "error", response
        return response.error

    def stream(self, **fields):
        """An open stream without an init."""
        return Stream(self.streaming.StreamPipeline(timeout=PATIENCE_S, **fields))

    async def open(self, graph, *, metadata=(), **fields):
        """A stream whose init has been sent."""
        stream = self.stream(metadata=metadata)
        await stream.init(graph, **fields)
        return stream


class Stream:
    """One stream."""

    def __init__(self, call):
        self.call = call

    async def write(self, **fields):
        await self.call.write(streaming_pb2.StreamRequest(**fields))

    async def init(self, graph, **fields):
        fields = {"client_version": "v1", **fields}
        await self.write(init=streaming_pb2.StreamInit(manifest=graph, **fields))

    async def send(self, node_id, buffer, sequence=0, **fields):
        if isinstance(buffer, str):
            buffer = text(buffer)
        await self.write(
            data_chunk=streaming_pb2.DataChunk(
                node_id=node_id, buffer=buffer, sequence=sequence, **fields
            )
        )

    async def send_group(self, node_id, named, sequence=0):
        await self.write(
            data_chunk=streaming_pb2.DataChunk(
                node_id=node_id, named_buffers=named, sequence=sequence
            )
        )

    async def control(self, command):
        await self.write(control=streaming_pb2.StreamControl(command=command))

    async def close(self):
        await self.control(CLOSE)

    async def read(self):
        """The next response; None: there are no more."""
        response = await self.call.read()
        return None if response is grpc.aio.EOF else response

    async def read_kind(self, kind):
        """The next response, which is of a kind."""
        response = await self.read()
        assert response is not None, f"the stream ended, {kind} was expected"
        assert response.WhichOneof("response") == kind, response
        return getattr(response, kind)

    async def ready(self):
        """The StreamReady, behind any news of the start."""
        while True:
            response = await self.read()
            assert response is not None
            if response.WhichOneof("response") == "ready":
                return response.ready
            assert "_status" in response.result.data_outputs, response

    async def rest(self):
        """All responses to the end; the call itself ends well."""
        responses = []
        while (response := await self.read()) is not None:
            responses.append(response)
        assert await self.call.code() is grpc.StatusCode.OK, await self.call.details()
        return responses

    async def error(self):
        """The error that ends the stream; nothing follows it."""
        *_, last = await self.rest()
        assert last.WhichOneof("response") == "error", last
        return last.error


def results_of(responses):
    """(sequence, node, value) of each result."""
    found = []
    for response in responses:
        if response.WhichOneof("response") != "result":
            continue
        ((node, buffer),) = response.result.data_outputs.items()
        found.append((response.result.sequence, node, value_of(buffer)))
    return found


async def eventually(condition):
    """Wait until a condition holds; it is one that a test's patience bounds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - it is somebody else's state
            await asyncio.sleep(0.01)
