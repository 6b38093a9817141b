"""The client of the gRPC bench: executions and streams of 20 ms audio, against either server."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import grpc

from protos.remotemedia.v1 import (
    common_pb2,
    execution_pb2,
    execution_pb2_grpc,
    streaming_pb2,
    streaming_pb2_grpc,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

CHUNK_S = 0.02
RATE_HZ = 16_000
FRAMES = round(RATE_HZ * CHUNK_S)
PATIENCE_S = 120.0


def manifest(node_types: Sequence[str]) -> execution_pb2.PipelineManifest:
    """A chain of nodes, n0 to n1 and so on."""
    return execution_pb2.PipelineManifest(
        version="v1",
        metadata=execution_pb2.ManifestMetadata(name="bench"),
        nodes=[
            execution_pb2.NodeManifest(id=f"n{at}", node_type=node_type)
            for at, node_type in enumerate(node_types)
        ],
        connections=[
            execution_pb2.Connection(**{"from": f"n{at}", "to": f"n{at + 1}"})
            for at in range(len(node_types) - 1)
        ],
    )


REQUEST = execution_pb2.ExecuteRequest(
    manifest=manifest(["CalculatorNode"]),
    data_inputs={
        "n0": common_pb2.DataBuffer(
            json=common_pb2.JsonData(
                json_payload=json.dumps({"operation": "add", "operands": [1, 2]})
            )
        )
    },
)


def chunk_of(sequence: int) -> streaming_pb2.StreamRequest:
    """20 ms of audio."""
    audio = common_pb2.AudioBuffer(
        samples=bytes(4 * FRAMES),
        sample_rate=RATE_HZ,
        channels=1,
        format=common_pb2.AUDIO_FORMAT_F32,
        num_samples=FRAMES,
    )
    buffer = common_pb2.DataBuffer(audio=audio)
    return streaming_pb2.StreamRequest(
        data_chunk=streaming_pb2.DataChunk(node_id="n0", buffer=buffer, sequence=sequence)
    )


# Generated code has no annotations.
_execution: Any = execution_pb2_grpc.PipelineExecutionServiceStub
_streaming: Any = streaming_pb2_grpc.StreamingPipelineServiceStub


def channel(address: str, number: int = 0) -> Any:
    """A connection of its own for each number."""
    return grpc.aio.insecure_channel(address, options=[("grpc.channel_id", number)])


async def execute(address: str, clients: int, calls: int) -> list[float]:
    """Executions by clients at once, one after the other each: how long each took, in ms."""

    async def one(number: int) -> list[float]:
        async with channel(address, number) as connection:
            stub = _execution(connection)
            times = []
            for _ in range(calls):
                began_s = time.perf_counter()
                response = await stub.ExecutePipeline(REQUEST, timeout=PATIENCE_S)
                times.append((time.perf_counter() - began_s) * 1e3)
                assert "n0" in response.result.data_outputs, response
            return times

    return [ms for times in await asyncio.gather(*map(one, range(clients))) for ms in times]


class AudioStream:
    """A stream of audio chunks that are answered one by one."""

    def __init__(self, connection: Any, node_types: Sequence[str]) -> None:
        self._stub = _streaming(connection)
        self._node_types = node_types
        self._call: Any = None

    async def open(self) -> None:
        """Wait until it is ready."""
        self._call = self._stub.StreamPipeline(timeout=PATIENCE_S)
        init = streaming_pb2.StreamInit(manifest=manifest(self._node_types), client_version="v1")
        await self._call.write(streaming_pb2.StreamRequest(init=init))
        while (response := await self._call.read()).WhichOneof("response") != "ready":
            assert response.HasField("result"), response

    async def round_trip_ms(self, sequence: int) -> float:
        """From a chunk's departure to its result's arrival."""
        message = chunk_of(sequence)
        began_s = time.perf_counter()
        await self._call.write(message)
        while not (response := await self._call.read()).HasField("result"):
            assert response.HasField("metrics"), response
        assert response.result.sequence == sequence, response
        return (time.perf_counter() - began_s) * 1e3

    async def close(self) -> None:
        """End it, and read what is left."""
        close = streaming_pb2.StreamControl(command=streaming_pb2.StreamControl.COMMAND_CLOSE)
        await self._call.write(streaming_pb2.StreamRequest(control=close))
        while await self._call.read() is not grpc.aio.EOF:
            pass


async def round_trips(address: str, node_types: Sequence[str], chunks: int) -> list[float]:
    """Round trips of chunks, one after the other, in ms."""
    async with channel(address) as connection:
        stream = AudioStream(connection, node_types)
        await stream.open()
        for sequence in range(50):  # what is loaded, or settles, at first
            await stream.round_trip_ms(sequence)
        times = [await stream.round_trip_ms(sequence) for sequence in range(50, 50 + chunks)]
        await stream.close()
        return times


async def real_time(
    address: str, node_types: Sequence[str], streams: int, chunks: int
) -> list[float]:
    """Round trips of streams at once, each with a chunk every 20 ms, in ms."""
    async with channel(address) as connection:
        opened = [AudioStream(connection, node_types) for _ in range(streams)]
        await asyncio.gather(*(stream.open() for stream in opened))
        loop = asyncio.get_running_loop()
        began_s = loop.time() + 0.1

        async def one(number: int, stream: AudioStream) -> list[float]:
            times = []
            for sequence in range(chunks):
                due_s = began_s + (sequence + number / streams) * CHUNK_S
                await asyncio.sleep(due_s - loop.time())
                times.append(await stream.round_trip_ms(sequence))
            return times

        found = await asyncio.gather(*(one(*each) for each in enumerate(opened)))
        await asyncio.gather(*(stream.close() for stream in opened))
        return [ms for times in found for ms in times]


async def connect(address: str, connections: int) -> int:
    """Open connections of their own, all at a time; how many answered."""
    opened = [channel(address, number) for number in range(connections)]
    try:
        stubs = [_execution(each) for each in opened]
        answers = await asyncio.gather(
            *(stub.ExecutePipeline(REQUEST, timeout=PATIENCE_S) for stub in stubs),
            return_exceptions=True,
        )
        return sum(
            not isinstance(answer, BaseException) and answer.HasField("result")
            for answer in answers
        )
    finally:
        await asyncio.gather(*(each.close() for each in opened))
