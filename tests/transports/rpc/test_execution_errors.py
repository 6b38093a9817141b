"""Executions that fail: what each error is, and which limit bounds what."""

from __future__ import annotations

import asyncio
import json
import time

import grpc
import pytest

from protos.remotemedia.v1 import common_pb2, execution_pb2
from tests.transports.rpc.rpc_client import eventually, json_data, manifest, text, value_of
from transports.rpc import memory

pytestmark = [pytest.mark.net]

CALCULATOR = manifest({"calc": "CalculatorNode"})
ADD = {"operation": "add", "operands": [1, 2]}


# --- errors --------------------------------------------------------------------------------------


async def test_without_a_manifest_the_call_fails(client):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.execution.ExecutePipeline(execution_pb2.ExecuteRequest())
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_bytes_that_are_no_request_fail_the_call(client):
    call = client.channel.unary_unary("/remotemedia.v1.PipelineExecutionService/ExecutePipeline")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(b"\xff\xff\xff", timeout=30)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


WRONG_MANIFESTS = {
    "no nodes": (manifest({}), "nodes", ""),
    "no name": (manifest({"a": "Upper"}, metadata=None), "metadata.name", ""),
    "no version": (manifest({"a": "Upper"}, version=""), "version", ""),
    "unknown type": (manifest({"a": "Uper"}), "did you mean 'Upper'", "a"),
    "no type": (manifest({"a": ""}), "nodes[0].node_type", "a"),
    "id with a slash": (manifest({"a/b": "Upper"}), "nodes[0].id", "a/b"),
    "id with a newline": (manifest({"a\nb": "Upper"}), "nodes[0].id", "a\nb"),
    "a cycle": (manifest({"a": "Upper", "b": "Upper"}, ["a->b", "b->a"]), "cycle", "a"),
    "dangling": (manifest({"a": "Upper"}, ["a->b"]), "there is no node 'b'", ""),
    "wrong param": (
        manifest({"a": ("AudioChunkerNode", {"chunkSize": "many"})}),
        "nodes[0].params.chunkSize",
        "a",
    ),
    "param out of range": (
        manifest({"a": ("AudioChunkerNode", {"chunk_size": -1})}),
        "nodes[0].params.chunk_size",
        "a",
    ),
    "long name": (
        manifest({"a": "Upper"}, metadata=execution_pb2.ManifestMetadata(name="x" * 256)),
        "metadata.name",
        "",
    ),
}


@pytest.mark.parametrize("name", WRONG_MANIFESTS)
async def test_a_wrong_manifest_is_a_validation_error_that_says_where(client, name):
    graph, said, node = WRONG_MANIFESTS[name]
    error = await client.fail(graph, {})
    assert error.error_type == common_pb2.ERROR_TYPE_VALIDATION
    assert error.message.startswith("Validation error: ")
    assert said in error.message
    assert error.failing_node_id == node
    assert json.loads(error.context)["problems"]
    assert error.stack_trace == ""


async def test_all_problems_of_a_manifest_are_told_at_once(client):
    error = await client.fail(manifest({"a": "Uper", "b": "Lower"}, ["a->c"]))
    assert len(json.loads(error.context)["problems"]) == 3


async def test_an_input_for_a_node_that_is_not_there_is_named(client):
    error = await client.fail(CALCULATOR, {"calculator": json_data(1)})
    assert error.error_type == common_pb2.ERROR_TYPE_VALIDATION
    assert error.failing_node_id == "calculator"
    assert "there is no such node" in error.message


@pytest.mark.parametrize(
    ("buffer", "said"),
    [
        (common_pb2.DataBuffer(), "DataBuffer is empty"),
        (text(b"\xff"), "is not utf-8"),
        (common_pb2.DataBuffer(json=common_pb2.JsonData(json_payload="{")), "is not JSON"),
    ],
)
async def test_a_wrong_buffer_names_its_node(client, buffer, said):
    error = await client.fail(manifest({"a": "Upper"}), {"a": buffer})
    assert error.error_type == common_pb2.ERROR_TYPE_VALIDATION
    assert error.failing_node_id == "a"
    assert said in error.message


@pytest.mark.parametrize(
    "node_type",
    ["OnlyAudio", "WantsAudio", pytest.param("ProcessWantsAudio", marks=pytest.mark.process)],
)
async def test_data_of_a_kind_that_a_node_cannot_take_is_a_type_error(client, node_type):
    error = await client.fail(manifest({"a": node_type}), {"a": text("x")})
    assert error.error_type == common_pb2.ERROR_TYPE_TYPE_VALIDATION
    assert error.failing_node_id == "a"
    assert "audio" in error.message.lower()
    assert "text" in error.message.lower()


async def test_a_node_that_raises_is_named_with_its_traceback(client):
    graph = manifest({"a": "Upper", "f": "Fail"}, ["a->f"])
    error = await client.fail(graph, {"f": text("fail")})
    assert error.error_type == common_pb2.ERROR_TYPE_NODE_EXECUTION
    assert error.failing_node_id == "f"
    assert "cannot digest this" in error.message
    context = json.loads(error.context)
    assert (context["exception"], context["during"]) == ("ValueError", "process")
    assert "rpc_operators.py" in error.stack_trace
    assert "engine/" not in error.stack_trace


@pytest.mark.process
@pytest.mark.parametrize(
    ("node_type", "said", "trace"),
    [
        ("ProcessFail", "cannot digest this", "rpc_operators.py"),
        ("ProcessFailInInitialize", "the model is missing", "rpc_operators.py"),
    ],
)
async def test_a_process_node_that_raises_brings_its_traceback(client, node_type, said, trace):
    error = await client.fail(manifest({"f": node_type}), {"f": text("fail")})
    assert error.error_type == common_pb2.ERROR_TYPE_NODE_EXECUTION
    assert error.failing_node_id == "f"
    assert said in error.message
    assert trace in error.stack_trace


@pytest.mark.process
@pytest.mark.parametrize(("how", "said"), [("exit", "exit code 7"), ("kill", "killed by signal 9")])
async def test_a_crash_says_how_the_process_ended(client, how, said):
    error = await client.fail(manifest({"c": "ProcessCrash"}), {"c": text(how)})
    assert error.error_type == common_pb2.ERROR_TYPE_NODE_EXECUTION
    assert error.failing_node_id == "c"
    assert said in error.message


async def test_an_output_that_the_wire_cannot_say_is_its_nodes_error(client):
    error = await client.fail(manifest({"u": "Unsayable"}), {"u": json_data(1)})
    assert error.error_type == common_pb2.ERROR_TYPE_NODE_EXECUTION
    assert error.failing_node_id == "u"


async def test_a_fault_of_ours_tells_nothing_but_that(serve, monkeypatch):
    running = await serve()
    monkeypatch.setattr(running.service.plans, "get", lambda *_: 1 / 0)
    error = await running.client.fail(CALCULATOR)
    assert error.error_type == common_pb2.ERROR_TYPE_INTERNAL
    assert error.message == "internal error; the server's log says more"
    assert error.stack_trace == ""
    running.service.debug = True
    assert "ZeroDivisionError" in (await running.client.fail(CALCULATOR)).stack_trace


# --- limits --------------------------------------------------------------------------------------


async def test_a_result_that_takes_too_long_is_a_limits_error(running):
    limits = common_pb2.ResourceLimits(max_timeout_ms=50)
    graph = manifest({"n": "Never"})
    error = await running.client.fail(graph, {"n": text("x")}, resource_limits=limits)
    assert error.error_type == common_pb2.ERROR_TYPE_RESOURCE_LIMIT
    assert json.loads(error.context)["limit"] == 50
    assert len(running.service.sessions) == 0


async def test_the_service_caps_what_a_request_asks_for(serve):
    running = await serve(limits={"timeout_s": 0.05, "audio_samples_max": 5})
    limits = common_pb2.ResourceLimits(max_timeout_ms=3_600_000, max_audio_samples=1_000)
    never = manifest({"n": "Never"})
    error = await running.client.fail(never, {"n": text("x")}, resource_limits=limits)
    assert json.loads(error.context)["limit"] == 50
    buffer = common_pb2.DataBuffer(
        audio=common_pb2.AudioBuffer(samples=bytes(24), sample_rate=8_000)
    )
    error = await running.client.fail(never, {"n": buffer}, resource_limits=limits)
    assert error.error_type == common_pb2.ERROR_TYPE_RESOURCE_LIMIT
    assert error.failing_node_id == "n"
    assert json.loads(error.context)["limit"] == 5


@pytest.mark.process
async def test_the_time_to_get_ready_does_not_count(client):
    limits = common_pb2.ResourceLimits(max_timeout_ms=1_000)
    graph = manifest({"u": "Upper", "m": "ProcessSlowStart"}, ["u->m"])
    result = await client.execute(graph, {"u": text("x")}, resource_limits=limits)
    assert value_of(result.data_outputs["m"]) == "X"


@pytest.mark.process
async def test_a_time_that_is_over_while_memory_is_looked_at_is_told(client, monkeypatch):
    def slow_look(pids):
        time.sleep(0.3)
        return {}, {}

    monkeypatch.setattr(memory, "_look", slow_look)
    limits = common_pb2.ResourceLimits(max_timeout_ms=20)
    error = await client.fail(
        manifest({"u": "ProcessUpper"}), {"u": text("x")}, resource_limits=limits
    )
    assert error.error_type == common_pb2.ERROR_TYPE_RESOURCE_LIMIT
    assert "no result after 20 ms" in error.message


@pytest.mark.process
async def test_a_node_that_does_not_get_ready_in_time_is_named(serve):
    running = await serve(settings={"init_timeout_s": 0.5})
    error = await running.client.fail(manifest({"n": "ProcessNeverReady"}), {"n": text("x")})
    assert error.error_type == common_pb2.ERROR_TYPE_NODE_EXECUTION
    assert "Initialization timeout after 0.5s" in error.message
    assert error.failing_node_id == "n"


async def test_outputs_that_no_message_holds_are_a_limits_error(serve, tmp_path):
    running = await serve(limits={"message_bytes_max": 100_000})
    graph = manifest({"f": ("Flood", {"path": str(tmp_path / "count")})})
    error = await running.client.fail(graph, {"f": text("x")})
    assert error.error_type == common_pb2.ERROR_TYPE_RESOURCE_LIMIT
    assert "100000 bytes" in error.message
    assert len(running.service.sessions) == 0


async def test_a_message_over_the_limit_is_refused(serve):
    running = await serve(limits={"message_bytes_max": 100_000})
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.client.respond(manifest({"u": "Upper"}), {"u": text("x" * 100_001)})
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await running.client.execute(manifest({"u": "Upper"}), {"u": text("x" * 90_000)})


@pytest.mark.process
async def test_a_session_may_have_no_more_memory_than_its_request_says(client):
    graph = manifest({"h": "ProcessHog"})
    limits = common_pb2.ResourceLimits(max_memory_bytes=100 * 2**20)
    result = await client.execute(graph, {"h": json_data(10)}, resource_limits=limits)
    assert value_of(result.data_outputs["h"]) == 10 * 2**20
    error = await client.fail(graph, {"h": json_data(500)}, resource_limits=limits)
    assert error.error_type == common_pb2.ERROR_TYPE_RESOURCE_LIMIT
    assert error.failing_node_id == "h"
    assert json.loads(error.context)["limit"] == 100
    assert await client.execute(graph, {"h": json_data(500)})


@pytest.mark.process
async def test_more_processes_than_allowed_are_a_limits_error(serve):
    running = await serve(settings={"max_processes_per_session": 1})
    error = await running.client.fail(manifest({"a": "ProcessUpper", "b": "ProcessUpper"}))
    assert error.error_type == common_pb2.ERROR_TYPE_RESOURCE_LIMIT
    assert json.loads(error.context)["limit"] == 1


async def test_the_manifests_settings_may_come_in_the_calls_metadata(serve):
    running = await serve()
    header = (("x-remotemedia-multiprocess", json.dumps({"max_processes_per_session": 1})),)
    graph = manifest({"a": "ProcessUpper", "b": "ProcessUpper"})
    error = await running.client.fail(graph, metadata=header)
    assert error.error_type == common_pb2.ERROR_TYPE_RESOURCE_LIMIT
    header = (("x-remotemedia-multiprocess", '{"channel_capacity": "many"}'),)
    error = await running.client.fail(graph, metadata=header)
    assert error.error_type == common_pb2.ERROR_TYPE_VALIDATION
    assert "metadata.multiprocess.channel_capacity" in error.message


async def test_too_many_sessions_are_a_status_of_the_call(serve):
    running = await serve(settings={"max_sessions": 1})
    never = asyncio.create_task(running.client.respond(manifest({"n": "Never"}), {"n": text("x")}))
    await eventually(
        lambda: any(live.session.phase == "draining" for live in running.service.sessions)
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.client.respond(CALCULATOR, {"calc": json_data(ADD)})
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    never.cancel()
    await asyncio.gather(never, return_exceptions=True)
    await eventually(lambda: not len(running.service.sessions))
    assert await running.client.execute(CALCULATOR, {"calc": json_data(ADD)})


async def test_a_clients_deadline_ends_the_session(running):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.client.respond(manifest({"n": "Never"}), {"n": text("x")}, within_s=0.2)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await eventually(lambda: not len(running.service.sessions))


@pytest.mark.process
async def test_a_client_that_leaves_leaves_no_process(serve, tmp_path):
    running = await serve()
    path = tmp_path / "count"
    graph = manifest({"f": ("Flood", {"path": str(path)}), "u": "ProcessNeverReady"})
    call = asyncio.create_task(running.client.respond(graph, {"f": text("x")}))
    await eventually(lambda: any(live.session.stages for live in running.service.sessions))
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    await eventually(lambda: not len(running.service.sessions))
