"""StreamPipeline, as clients see it: how it opens, and what comes out when."""

from __future__ import annotations

import uuid

import grpc
import numpy as np
import pytest

from protos.remotemedia.v1 import common_pb2, streaming_pb2
from tests.transports.rpc.rpc_client import (
    json_data,
    manifest,
    results_of,
    text,
    value_of,
)

pytestmark = [pytest.mark.net]

UPPER = manifest({"u": "Upper"})
STREAM_PIPELINE = "/remotemedia.v1.StreamingPipelineService/StreamPipeline"
INVALID = common_pb2.ERROR_TYPE_VALIDATION


async def kinds(stream):
    return [response.WhichOneof("response") for response in await stream.rest()]


# --- opening -------------------------------------------------------------------------------------


async def test_ready_is_the_first_response_where_no_process_is_started(client):
    stream = await client.open(UPPER)
    ready = await stream.read_kind("ready")
    assert uuid.UUID(ready.session_id).version == 4
    assert str(uuid.UUID(ready.session_id)) == ready.session_id
    assert ready.recommended_chunk_size == 4096
    assert ready.max_buffer_latency_ms == 100
    await stream.close()
    assert await kinds(stream) == ["closed"]


async def test_the_size_a_client_expects_is_recommended(client):
    stream = await client.open(UPPER, expected_chunk_size=320)
    assert (await stream.ready()).recommended_chunk_size == 320
    stream.call.cancel()


@pytest.mark.process
async def test_news_of_the_start_come_before_ready(client):
    stream = await client.open(manifest({"m": "ProcessModel", "u": "Upper"}, ["m->u"]))
    news = []
    while (response := await stream.read()).WhichOneof("response") == "result":
        assert response.result.sequence == 0
        ((key, buffer),) = response.result.data_outputs.items()
        assert key == "_status"
        news.append(value_of(buffer))
    assert response.HasField("ready")
    assert news[0] == "[_system] status=initializing message=starting 2 nodes"
    assert news[-1] == "[_system] status=ready message=all nodes are ready"
    of_model = [line.split(" message=")[0] for line in news if line.startswith("[m] ")]
    assert of_model[0] == "[m] status=initializing"
    assert "[m] status=loading_model message=half of the weights" in news
    assert of_model[-1] == "[m] status=ready"
    stream.call.cancel()


@pytest.mark.process
async def test_a_failed_start_is_told_as_news_and_as_the_error(client):
    stream = await client.open(manifest({"f": "ProcessFailInInitialize"}))
    *news, last = await stream.rest()
    lines = [value_of(response.result.data_outputs["_status"]) for response in news]
    assert any(line.startswith("[f] status=error") for line in lines)
    assert last.error.error_type == common_pb2.ERROR_TYPE_NODE_EXECUTION
    assert last.error.failing_node_id == "f"
    assert "the model is missing" in last.error.message
    assert "rpc_operators.py" in last.error.stack_trace


async def test_inputs_of_the_init_come_before_all_others(client):
    stream = await client.open(manifest({"k": "Keep"}), data_inputs={"k": text("first")})
    await stream.send("k", "second")
    await stream.close()
    assert results_of(await stream.rest()) == [(0, "k", "first+second")]


async def test_chunks_may_be_sent_before_ready(client):
    stream = await client.open(UPPER)
    for sequence in range(3):
        await stream.send("u", f"t{sequence}", sequence)
    await stream.close()
    first, *rest = await stream.rest()
    assert first.HasField("ready")
    assert results_of(rest) == [(0, "u", "T0"), (1, "u", "T1"), (2, "u", "T2")]


@pytest.mark.process
async def test_chunks_wait_for_a_slow_start(serve):
    running = await serve(limits={"pending_chunks_max": 20})
    stream = await running.client.open(manifest({"m": "ProcessModel"}))
    for sequence in range(100):  # more than wait in the server
        await stream.send("m", f"t{sequence}", sequence)
    await stream.close()
    responses = await stream.rest()
    results = [row for row in results_of(responses) if row[1] == "m"]
    assert results == [(number, "m", f"t{number}") for number in range(100)]


async def test_init_without_a_manifest_fails_the_call(client):
    stream = client.stream()
    await stream.write(init=streaming_pb2.StreamInit(client_version="v1"))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("fields", "error_type", "said"),
    [
        ({"client_version": ""}, INVALID, "client_version is empty"),
        ({"client_version": "v3"}, common_pb2.ERROR_TYPE_VERSION_MISMATCH, "version v3"),
        ({"data_inputs": {"x": text("a")}}, INVALID, "no node 'x'"),
        ({"data_inputs": {"u": common_pb2.DataBuffer()}}, INVALID, "DataBuffer is empty"),
    ],
)
async def test_a_wrong_init_is_an_error_in_band(client, fields, error_type, said):
    stream = await client.open(UPPER, **fields)
    (response,) = await stream.rest()
    assert response.error.error_type == error_type
    assert said in response.error.message


async def test_a_wrong_manifest_is_an_error_in_band(client):
    stream = await client.open(manifest({"a": "Uper"}))
    (response,) = await stream.rest()
    assert response.error.error_type == INVALID
    assert response.error.failing_node_id == "a"


# --- results ------------------------------------------------------------------------------------


async def test_a_result_says_which_input_caused_it(client):
    graph = manifest({"c": ("AudioChunkerNode", {"chunkSize": 4}), "p": "PassThrough"}, ["c->p"])
    stream = await client.open(graph)
    for sequence, count in ((7, 3), (9, 3), (1_000, 9)):
        samples = np.arange(count, dtype="<f4").tobytes()
        buffer = common_pb2.AudioBuffer(samples=samples, sample_rate=8_000, channels=1)
        await stream.send("c", common_pb2.DataBuffer(audio=buffer), sequence)
    await stream.close()
    responses = await stream.rest()
    results = [response.result for response in responses if response.HasField("result")]
    assert [result.sequence for result in results] == [9, 1_000, 1_000, 1_000]
    assert [result.total_items_processed for result in results] == [1, 2, 3, 4]
    assert all(result.processing_time_ms > 0 for result in results)
    assert [result.data_outputs["p"].audio.num_samples for result in results] == [4, 4, 4, 3]


async def test_inputs_of_several_nodes_keep_their_own_sequences(client):
    graph = manifest({"a": "Upper", "b": "Upper", "p": "PassThrough"}, ["a->p", "b->p"])
    stream = await client.open(graph)
    sent = [("a", "x", 10), ("b", "y", 500), ("a", "z", 11), ("b", "w", 501)]
    for node, word, sequence in sent:
        await stream.send(node, word, sequence)
    await stream.close()
    found = {(sequence, value) for sequence, _, value in results_of(await stream.rest())}
    assert found == {(10, "X"), (500, "Y"), (11, "Z"), (501, "W")}


async def test_each_result_has_one_output_and_those_of_a_node_are_in_order(client):
    graph = manifest(
        {"e": ("Expand", {"times": 4}), "a": "PassThrough", "b": "PassThrough"}, ["e->a", "e->b"]
    )
    stream = await client.open(graph)
    await stream.send("e", json_data("v"), 3)
    await stream.close()
    rows = results_of(await stream.rest())
    assert len(rows) == 8
    for node in ("a", "b"):
        assert [value["index"] for _, key, value in rows if key == node] == [0, 1, 2, 3]


async def test_named_buffers_reach_the_node_together(client):
    stream = await client.open(manifest({"p": "Pair"}))
    await stream.send_group("p", {"left": text("l"), "right": text("r")}, 4)
    await stream.close()
    assert results_of(await stream.rest()) == [(4, "p", {"left": "l", "right": "r"})]


async def test_audio_and_video_of_one_chunk_are_synchronized(client):
    stream = await client.open(manifest({"s": "SynchronizedAudioVideoNode"}))
    audio = common_pb2.AudioBuffer(samples=bytes(4 * 480), sample_rate=48_000, channels=1)
    video = common_pb2.VideoFrame(pixel_data=bytes(12), width=2, height=2, format=1)
    named = {
        "audio_input": common_pb2.DataBuffer(audio=audio),
        "video_input": common_pb2.DataBuffer(video=video),
    }
    await stream.send_group("s", named)
    await stream.close()
    ((_, _, value),) = results_of(await stream.rest())
    assert value["sync_status"]["is_synced"] is True


async def test_buffers_of_one_chunk_have_media_times_of_their_own(client):
    stream = await client.open(manifest({"s": "SynchronizedAudioVideoNode"}))
    audio = common_pb2.AudioBuffer(samples=bytes(4 * 480), sample_rate=48_000, channels=1)
    frame = {"pixel_data": bytes(12), "width": 2, "height": 2, "format": 1}
    for at_us in (100_000, 110_000):
        video = common_pb2.VideoFrame(**frame, timestamp_us=at_us)
        named = {
            "video_input": common_pb2.DataBuffer(video=video),
            "audio_input": common_pb2.DataBuffer(audio=audio),
        }
        await stream.send_group("s", named)
    await stream.close()
    first, second = (value for _, _, value in results_of(await stream.rest()))
    assert first["audio"]["timestamp_us"] == 0
    assert first["video"]["timestamp_us"] == 100_000
    assert first["sync_status"]["offset_us"] == 100_000
    assert first["sync_status"]["is_synced"] is False
    assert second["audio"]["timestamp_us"] == 10_000  # laid behind the first
    assert second["sync_status"]["offset_us"] == 100_000


async def test_what_a_port_does_not_take_is_a_wrong_type(client):
    stream = await client.open(manifest({"s": "SynchronizedAudioVideoNode"}))
    await stream.ready()
    await stream.send_group("s", {"audio_input": text("a")})
    error = await stream.read_kind("error")
    assert error.error_type == common_pb2.ERROR_TYPE_TYPE_VALIDATION
    assert error.failing_node_id == "s"


async def test_the_media_time_of_a_chunk_is_its_packets(client):
    graph = manifest({"v": "PassThrough"})
    stream = await client.open(graph)
    frame = common_pb2.VideoFrame(pixel_data=bytes(12), width=2, height=2, format=1)
    await stream.send("v", common_pb2.DataBuffer(video=frame), timestamp_ms=40)
    await stream.close()
    responses = await stream.rest()
    video = next(r.result for r in responses if r.HasField("result")).data_outputs["v"].video
    assert video.timestamp_us == 40_000


async def test_metadata_of_a_chunk_comes_out_with_its_results(client):
    stream = await client.open(UPPER)
    await stream.send("u", text("x", metadata={"a": "b"}))
    await stream.close()
    responses = await stream.rest()
    result = next(r.result for r in responses if r.HasField("result"))
    assert dict(result.data_outputs["u"].metadata) == {"a": "b"}


@pytest.mark.parametrize("when", ["before ready", "after ready"])
async def test_a_control_message_comes_back_from_a_node_that_takes_all_kinds(client, when):
    stream = await client.open(manifest({"p": "PassThrough"}))
    if when == "after ready":
        await stream.ready()
    message = common_pb2.ControlMessage()
    message.batch_hint.suggested_batch_size = 3
    await stream.send("p", common_pb2.DataBuffer(control=message))
    await stream.close()
    ((_, _, buffer),) = [
        (each.sequence, key, buffer)
        for each in (r.result for r in await stream.rest() if r.HasField("result"))
        for key, buffer in each.data_outputs.items()
    ]
    assert buffer.control.batch_hint.suggested_batch_size == 3


async def test_the_older_audio_chunk_is_a_chunk_of_audio(client):
    stream = await client.open(manifest({"p": "PassThrough"}))
    for sequence in (0, 3, 4):
        buffer = common_pb2.AudioBuffer(samples=bytes(8), sample_rate=8_000, channels=1)
        await stream.write(
            audio_chunk=streaming_pb2.AudioChunk(node_id="p", buffer=buffer, sequence=sequence)
        )
    await stream.close()
    responses = await stream.rest()
    sequences = [r.result.sequence for r in responses if r.HasField("result")]
    assert sequences == [0, 3, 4]


async def test_metrics_follow_every_tenth_chunk(client):
    stream = await client.open(UPPER)
    ready = await stream.ready()
    for sequence in range(25):
        await stream.send("u", "x" * 100, sequence)
    await stream.close()
    responses = await stream.rest()
    found = [response.metrics for response in responses if response.HasField("metrics")]
    assert len(found) == 2
    for count, metrics in zip((10, 20), found, strict=True):
        assert metrics.session_id == ready.session_id
        assert metrics.chunks_processed >= count
        assert metrics.total_items >= count - 1
        assert metrics.average_latency_ms > 0
        assert metrics.peak_memory_bytes > 1_000_000
        assert metrics.data_type_breakdown["text"] >= 2 * count - 1
        assert metrics.chunks_dropped == 0
        assert (metrics.cache_hits, metrics.cache_misses) == (0, 1)
        assert metrics.cached_nodes_count == 1


async def test_metrics_follow_where_no_output_does(client):
    stream = await client.open(manifest({"k": "Keep"}))
    await stream.ready()
    for sequence in range(10):
        await stream.send("k", "x", sequence)
    metrics = await stream.read_kind("metrics")
    assert metrics.chunks_processed == 10
    assert metrics.total_items == 0
    again = await client.open(manifest({"k": "Keep"}))
    await again.ready()
    for sequence in range(10):
        await again.send("k", "x", sequence)
    metrics = await again.read_kind("metrics")
    assert (metrics.cache_hits, metrics.cache_misses) == (1, 0)
    assert metrics.cache_hit_rate == 0.5
    for each in (stream, again):
        each.call.cancel()
