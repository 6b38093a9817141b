"""What each wrong message of a stream is answered with."""

from __future__ import annotations

import json

import grpc
import pytest

from protos.remotemedia.v1 import common_pb2, streaming_pb2
from tests.transports.rpc.rpc_client import (
    manifest,
    results_of,
    text,
)

pytestmark = [pytest.mark.net]

UPPER = manifest({"u": "Upper"})
STREAM_PIPELINE = "/remotemedia.v1.StreamingPipelineService/StreamPipeline"
INVALID = common_pb2.ERROR_TYPE_VALIDATION


# --- bad input ----------------------------------------------------------------------------------

CHUNK = streaming_pb2.DataChunk
FIRST = {
    "chunk": {"data_chunk": CHUNK(node_id="u", buffer=text("a"))},
    "audio": {"audio_chunk": streaming_pb2.AudioChunk(node_id="u")},
    "control": {"control": streaming_pb2.StreamControl(command=1)},
    "nothing": {},
}


@pytest.mark.parametrize("name", FIRST)
async def test_nothing_but_init_comes_first(client, name):
    stream = client.stream()
    await stream.write(**FIRST[name])
    (response,) = await stream.rest()
    assert response.error.error_type == INVALID
    assert "init" in response.error.message


async def test_a_stream_that_ends_before_its_init_is_told_so(client):
    stream = client.stream()
    await stream.call.done_writing()
    (response,) = await stream.rest()
    assert "ended before its init" in response.error.message


async def test_a_stream_that_sends_no_init_ends(serve):
    running = await serve(limits={"init_wait_s": 0.1})
    stream = running.client.stream()
    (response,) = await stream.rest()
    assert "no init came within 0.1 s" in response.error.message


WRONG = {
    "second init": ({"init": streaming_pb2.StreamInit(client_version="v1")}, "init was sent", ""),
    "nothing": ({}, "StreamRequest is empty", ""),
    "command": ({"control": streaming_pb2.StreamControl(command=7)}, "stream command 7", ""),
    "no command": ({"control": streaming_pb2.StreamControl()}, "stream command 0", ""),
    "unknown node": (
        {"data_chunk": CHUNK(node_id="upper", buffer=text("a"))},
        "no node 'upper'",
        "upper",
    ),
    "no node": ({"data_chunk": CHUNK(buffer=text("a"))}, "no node ''", ""),
    "name with a newline": (
        {"data_chunk": CHUNK(node_id="u\n/", buffer=text("a"))},
        "no node 'u\\n/'",
        "u\n/",
    ),
    "inner node": (
        {"data_chunk": CHUNK(node_id="p", buffer=text("a"))},
        "takes its input from other nodes",
        "p",
    ),
    "no buffer": ({"data_chunk": CHUNK(node_id="u")}, "has no buffer", "u"),
    "both buffers": (
        {"data_chunk": CHUNK(node_id="u", buffer=text("a"), named_buffers={"in": text("b")})},
        "both buffer and named_buffers",
        "u",
    ),
    "no kind": (
        {"data_chunk": CHUNK(node_id="u", buffer=common_pb2.DataBuffer())},
        "DataBuffer is empty",
        "u",
    ),
    "unknown port": (
        {"data_chunk": CHUNK(node_id="u", named_buffers={"audio": text("b")})},
        "no input port 'audio'",
        "u",
    ),
    "not UTF-8": (
        {"data_chunk": CHUNK(node_id="u", buffer=text(b"\xff"))},
        "not utf-8",
        "u",
    ),
    "late": (
        {"data_chunk": CHUNK(node_id="u", buffer=text("a"), timestamp_ms=2**64 - 1)},
        "later than any time",
        "u",
    ),
    "audio without buffer": (
        {"audio_chunk": streaming_pb2.AudioChunk(node_id="u")},
        "has no buffer",
        "u",
    ),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_message_ends_the_stream_behind_what_came_before_it(client, name):
    message, said, node = WRONG[name]
    stream = await client.open(manifest({"u": "Upper", "p": "PassThrough"}, ["u->p"]))
    await stream.send("u", "a", 5)
    await stream.write(**message)
    await stream.send("u", "never", 6)
    ready, result, error = await stream.rest()
    assert ready.HasField("ready")
    assert results_of([result]) == [(5, "p", "A")]
    assert error.error.error_type == INVALID
    assert error.error.message.startswith("Validation error: ")
    assert said in error.error.message
    assert error.error.failing_node_id == node


async def test_a_late_audio_chunk_is_an_error(client):
    stream = await client.open(manifest({"p": "PassThrough"}))
    for sequence in (4, 4):
        buffer = common_pb2.AudioBuffer(samples=bytes(8), sample_rate=8_000, channels=1)
        await stream.write(
            audio_chunk=streaming_pb2.AudioChunk(node_id="p", buffer=buffer, sequence=sequence)
        )
    error = await stream.error()
    assert "the audio chunk 4 comes too late: 5 was expected" in error.message


async def test_data_of_a_kind_that_a_node_cannot_take_ends_the_stream(client):
    stream = await client.open(manifest({"o": "OnlyAudio"}))
    await stream.send("o", "text", 3)
    error = await stream.error()
    assert error.error_type == common_pb2.ERROR_TYPE_TYPE_VALIDATION
    assert error.failing_node_id == "o"
    assert json.loads(error.context)["sequence"] == 3


@pytest.mark.process
async def test_a_wrong_message_ends_a_session_that_starts(running):
    stream = await running.client.open(manifest({"n": "ProcessNeverReady"}))
    await stream.write()
    error = await stream.error()
    assert "StreamRequest is empty" in error.message
    assert len(running.service.sessions) == 0


async def test_bytes_that_are_no_init_fail_the_call(running):
    call = running.client.channel.stream_stream(STREAM_PIPELINE)(timeout=30)
    await call.write(b"\xff\xff\xff")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    stream = await running.client.open(UPPER)  # the server goes on
    await stream.ready()
    stream.call.cancel()


async def test_bytes_that_are_no_message_end_a_stream(running):
    call = running.client.channel.stream_stream(STREAM_PIPELINE)(timeout=30)
    init = streaming_pb2.StreamInit(manifest=UPPER, client_version="v1")
    await call.write(streaming_pb2.StreamRequest(init=init).SerializeToString())
    await call.write(b"\xff\xff\xff")
    responses = []
    while (data := await call.read()) is not grpc.aio.EOF:
        responses.append(streaming_pb2.StreamResponse.FromString(data))
    assert responses[-1].error.error_type == INVALID
    assert "no protobuf message" in responses[-1].error.message
