"""StreamPipeline, as clients see it: what comes when, and how a stream ends."""

from __future__ import annotations

import asyncio
import json
import uuid

import grpc
import numpy as np
import pytest

from protos.remotemedia.v1 import common_pb2, streaming_pb2
from tests.transports.rpc.rpc_client import (
    CANCEL,
    eventually,
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
async def test_chunks_wait_for_a_slow_start(client):
    stream = await client.open(manifest({"m": "ProcessModel"}))
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


# --- the end ------------------------------------------------------------------------------------


async def test_close_lets_everything_out_and_says_what_was_done(running):
    stream = await running.client.open(manifest({"k": "Keep", "u": "Upper"}, ["k->u"]))
    ready = await stream.ready()
    for sequence, word in enumerate(("a", "b")):
        await stream.send("k", word, sequence)
    await stream.close()
    result, closed = await stream.rest()
    assert results_of([result]) == [(1, "u", "A+B")]
    assert closed.closed.session_id == ready.session_id
    assert closed.closed.reason == "Client requested close"
    metrics = closed.closed.final_metrics
    assert metrics.node_metrics["k"].items_processed == 2
    assert metrics.node_metrics["u"].items_processed == 1
    assert dict(metrics.data_type_breakdown) == {"text": 3}
    assert metrics.wall_time_ms > 0
    assert len(running.service.sessions) == 0


async def test_a_half_close_is_a_close(client):
    stream = await client.open(manifest({"k": "Keep"}))
    await stream.send("k", "a")
    await stream.call.done_writing()
    *_, result, closed = await stream.rest()
    assert results_of([result]) == [(0, "k", "a")]
    assert closed.closed.reason == "Client requested close"


async def test_cancel_drops_what_is_under_way(running):
    stream = await running.client.open(manifest({"n": "Never"}))
    await stream.ready()
    await stream.send("n", "a")
    await stream.control(CANCEL)
    (closed,) = await stream.rest()
    assert closed.closed.reason == "Client requested cancel"
    assert len(running.service.sessions) == 0


async def test_cancel_is_heard_while_the_pipeline_is_full(serve):
    running = await serve(settings={"channel_capacity": 1})
    stream = await running.client.open(manifest({"n": "Never"}))
    await stream.ready()
    for sequence in range(20):
        await stream.send("n", "a", sequence)
    await stream.control(CANCEL)
    responses = await stream.rest()
    assert responses[-1].closed.reason == "Client requested cancel"


@pytest.mark.process
async def test_cancel_is_heard_while_the_session_starts(running):
    stream = await running.client.open(manifest({"n": "ProcessNeverReady"}))
    while "loading_model" not in value_of(
        (await stream.read_kind("result")).data_outputs["_status"]
    ):
        pass
    await stream.control(CANCEL)
    responses = await stream.rest()
    assert responses[-1].closed.reason == "Client requested cancel"
    assert not any(response.HasField("ready") for response in responses)


async def test_cancel_is_heard_behind_a_close(client):
    stream = await client.open(manifest({"n": "Never"}))
    await stream.ready()
    await stream.send("n", "a")
    await stream.close()
    await stream.control(CANCEL)
    (closed,) = await stream.rest()
    assert closed.closed.reason == "Client requested cancel"


async def test_what_comes_behind_a_close_is_ignored(client):
    stream = await client.open(UPPER)
    await stream.send("u", "a")
    await stream.close()
    await stream.send("u", "b")
    await stream.init(UPPER)
    responses = await stream.rest()
    assert results_of(responses) == [(0, "u", "A")]
    assert responses[-1].HasField("closed")


async def test_a_node_that_raises_ends_the_stream(client):
    stream = await client.open(manifest({"f": "Fail"}))
    await stream.ready()
    await stream.send("f", "fine", 1)
    assert results_of([await stream.read()]) == [(1, "f", "fine")]
    await stream.send("f", "fail", 2)
    error = await stream.error()
    assert error.error_type == common_pb2.ERROR_TYPE_NODE_EXECUTION
    assert error.failing_node_id == "f"
    assert "cannot digest this" in error.message
    assert "rpc_operators.py" in error.stack_trace
    assert json.loads(error.context)["exception"] == "ValueError"


@pytest.mark.process
@pytest.mark.parametrize(("how", "said"), [("exit", "exit code 7"), ("kill", "killed by signal 9")])
async def test_a_crash_ends_the_stream(client, how, said):
    stream = await client.open(manifest({"u": "Upper", "c": "ProcessCrash"}))
    await stream.ready()
    await stream.send("c", how)
    error = await stream.error()
    assert error.error_type == common_pb2.ERROR_TYPE_NODE_EXECUTION
    assert error.failing_node_id == "c"
    assert said in error.message


@pytest.mark.process
async def test_one_crash_among_ten_sessions_harms_no_other(client):
    graph = manifest({"c": "ProcessCrash"})
    streams = await asyncio.gather(*(client.open(graph) for _ in range(10)))
    for stream in streams:
        await stream.ready()
    await streams[3].send("c", "kill")
    error = await streams[3].error()
    assert error.failing_node_id == "c"
    for number, stream in enumerate(streams):
        if number != 3:
            await stream.send("c", f"t{number}", number)
            assert results_of([await stream.read()]) == [(number, "c", f"t{number}")]
            await stream.close()
            assert (await stream.rest())[-1].HasField("closed")


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


# --- clients that do not behave -----------------------------------------------------------------


async def test_a_client_that_does_not_read_stops_the_pipeline(running, tmp_path):
    path, size = tmp_path / "count", 10_000
    graph = manifest({"f": ("Flood", {"path": str(path), "size": size})})
    stream = await running.client.open(graph)
    await stream.send("f", "go")

    async def count():
        await eventually(lambda: path.exists() and path.read_text())
        return int(path.read_text() or 0)

    previous = -1
    while (now := await count()) != previous:  # until it stands still
        previous = now
        await asyncio.sleep(0.3)
    # The edge to the exit holds 100, the socket's windows, ours and the client's, a few more.
    assert now * size < 8_000_000
    for _ in range(300):  # and it goes on once the client reads
        await stream.read()
    assert await count() > now
    stream.call.cancel()
    await eventually(lambda: not len(running.service.sessions))


@pytest.mark.process
@pytest.mark.parametrize("how", ["cancel", "channel"])
async def test_a_client_that_leaves_leaves_nothing_behind(running, how):
    stream = await running.client.open(manifest({"u": "ProcessUpper"}))
    await stream.ready()
    await stream.send("u", "a")
    (live,) = running.service.sessions
    if how == "cancel":
        stream.call.cancel()
    else:
        await running.client.channel.close()
    async with asyncio.timeout(5):  # the cleanup budget
        await live.ended.wait()
    assert len(running.service.sessions) == 0


@pytest.mark.process
async def test_a_client_that_leaves_while_the_session_starts_leaves_nothing_behind(running):
    stream = await running.client.open(manifest({"n": "ProcessNeverReady"}))
    await stream.read_kind("result")
    (live,) = running.service.sessions
    stream.call.cancel()
    async with asyncio.timeout(5):
        await live.ended.wait()


async def test_an_idle_stream_ends(serve):
    running = await serve(limits={"idle_timeout_s": 0.2})
    stream = await running.client.open(UPPER)
    await stream.ready()
    error = await stream.error()
    assert error.error_type == common_pb2.ERROR_TYPE_RESOURCE_LIMIT
    assert "idle for 0.2 s" in error.message
    assert len(running.service.sessions) == 0


async def test_a_stream_with_data_is_not_idle(serve):
    running = await serve(limits={"idle_timeout_s": 0.5})
    stream = await running.client.open(UPPER)
    await stream.ready()
    for sequence in range(8):
        await stream.send("u", "a", sequence)
        assert results_of([await stream.read()]) == [(sequence, "u", "A")]
        await asyncio.sleep(0.1)
    await stream.close()
    assert (await stream.rest())[-1].HasField("closed")


async def test_too_many_sessions_are_a_status_of_the_call(serve):
    running = await serve(settings={"max_sessions": 1})
    first = await running.client.open(UPPER)
    await first.ready()
    second = await running.client.open(UPPER)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await second.read()
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await first.send("u", "a")
    assert results_of([await first.read()]) == [(0, "u", "A")]
    await first.close()
    await first.rest()
    third = await running.client.open(UPPER)
    await third.ready()
    third.call.cancel()


async def test_a_session_is_found_by_the_id_the_client_was_given(running):
    stream = await running.client.open(UPPER)
    session_id = (await stream.ready()).session_id
    live = running.service.sessions.get(session_id)
    assert live.session.id == session_id
    assert live.method == "StreamPipeline"
    assert running.service.sessions.get(session_id.replace("-", "").upper()) is live
    assert running.service.sessions.get("nobody") is None
    await stream.close()
    await stream.rest()
    assert running.service.sessions.get(session_id) is None
