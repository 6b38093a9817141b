"""How a stream ends: by its client, by a node, by a client that does not behave."""

from __future__ import annotations

import asyncio
import json

import grpc
import pytest

from engine.operator import Operator
from protos.remotemedia.v1 import common_pb2
from tests.transports.rpc.rpc_client import (
    CANCEL,
    eventually,
    json_data,
    manifest,
    results_of,
    value_of,
)

pytestmark = [pytest.mark.net]

UPPER = manifest({"u": "Upper"})
STREAM_PIPELINE = "/remotemedia.v1.StreamingPipelineService/StreamPipeline"
INVALID = common_pb2.ERROR_TYPE_VALIDATION
HINT = common_pb2.DataBuffer(
    control=common_pb2.ControlMessage(batch_hint={"suggested_batch_size": 4})
)


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


async def test_cancel_is_heard_behind_more_than_the_pipeline_holds(running):
    stream = await running.client.open(manifest({"n": "Never"}))
    await stream.ready()
    for sequence in range(500):
        await stream.send("n", "a", sequence)
    await stream.control(CANCEL)
    responses = await stream.rest()
    assert responses[-1].closed.reason == "Client requested cancel"


async def test_cancel_is_heard_while_a_node_is_told_something(running, monkeypatch):
    stream = await running.client.open(manifest({"t": "Told"}))
    await stream.ready()
    (live,) = running.service.sessions
    monkeypatch.setattr(live.session, "control", lambda *_: asyncio.Event().wait())
    for _ in range(3):
        await stream.send("t", HINT)
    await stream.control(CANCEL)
    (closed,) = await stream.rest()
    assert closed.closed.reason == "Client requested cancel"


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


async def test_an_error_of_our_own_is_told_without_its_text(client, monkeypatch, caplog):
    def break_down(*_):
        raise KeyError("a secret")

    monkeypatch.setattr("transports.rpc.stream.fill_output", break_down)
    stream = await client.open(UPPER)
    await stream.ready()
    await stream.send("u", "a")
    error = await stream.error()
    assert error.error_type == common_pb2.ERROR_TYPE_INTERNAL
    assert "secret" not in str(error)
    assert "internal_error" in caplog.text


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


async def test_an_idle_stream_ends_though_its_client_does_not_read(serve, monkeypatch):
    monkeypatch.setattr("transports.rpc.stream.LAST_WORDS_S", 0.05)
    running = await serve(limits={"idle_timeout_s": 0.2})
    stream = await running.client.open(manifest({"e": ("Expand", {"times": 2_000})}))
    await stream.ready()
    (live,) = running.service.sessions
    await stream.send("e", json_data("x" * 5_000))
    await eventually(live.ended.is_set)
    assert live.error.context["resource"] == "idle_timeout_s"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.rest()
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_stream_that_starts_is_not_idle(serve):
    class Slow(Operator):
        async def initialize(self, ctx):
            await asyncio.sleep(0.5)

        def process(self, packet, ctx):
            return packet

    running = await serve(limits={"idle_timeout_s": 0.2})
    running.service.registry.register(Slow)
    stream = await running.client.open(manifest({"s": "Slow"}))
    await stream.ready()
    await stream.send("s", "a", 5)
    assert results_of([await stream.read()]) == [(5, "s", "a")]
    stream.call.cancel()


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


async def test_an_output_that_no_message_holds_is_a_limits_error(serve, tmp_path, caplog):
    running = await serve(limits={"message_bytes_max": 70_000})
    flood = {"path": str(tmp_path / "count"), "size": 80_000}
    stream = await running.client.open(manifest({"e": ("Flood", flood)}))
    await stream.ready()
    await stream.send("e", "x")
    *_, last = await stream.rest()
    assert last.error.error_type == common_pb2.ERROR_TYPE_RESOURCE_LIMIT
    assert "more than the 70000 that a message may have" in last.error.message
    assert "session_failed: an output of node 'e' has" in caplog.text
