"""ExecutePipeline and GetVersion, as clients see them."""

from __future__ import annotations

import asyncio
import json
import os

import numpy as np
import pytest

from protos.remotemedia.v1 import common_pb2, execution_pb2
from tests.transports.rpc.rpc_client import json_data, manifest, text, value_of

pytestmark = [pytest.mark.net]

CALCULATOR = manifest({"calc": "CalculatorNode"})
ADD = {"operation": "add", "operands": [1, 2]}


# --- inputs and outputs -----------------------------------------------------------------------


async def test_the_output_of_a_sink_has_its_id_as_the_key(client):
    result = await client.execute(CALCULATOR, {"calc": json_data(ADD)})
    assert {key: value_of(data) for key, data in result.data_outputs.items()} == {
        "calc": {"result": 3, **ADD}
    }
    assert result.status == common_pb2.EXECUTION_STATUS_SUCCESS


async def test_only_sinks_give_outputs(client):
    graph = manifest({"a": "Upper", "b": "Upper", "c": "Upper"}, ["a->b", "a->c"])
    result = await client.execute(graph, {"a": text("x")})
    assert set(result.data_outputs) == {"b", "c"}


async def test_several_outputs_of_a_sink_are_all_there_in_order(client):
    graph = manifest({"e": ("Expand", {"times": 3})})
    result = await client.execute(graph, {"e": json_data("v")})
    found = {key: value_of(data)["index"] for key, data in result.data_outputs.items()}
    assert found == {"e": 2, "e/0": 0, "e/1": 1, "e/2": 2}


async def test_a_sink_that_gave_nothing_has_no_key(client):
    graph = manifest({"e": ("Expand", {"times": 0})})
    assert not (await client.execute(graph, {"e": json_data("v")})).data_outputs


async def test_an_input_takes_the_place_of_what_the_predecessors_give(client):
    graph = manifest({"a": "Upper", "b": "Upper", "c": "Keep"}, ["a->b", "b->c"])
    result = await client.execute(graph, {"a": text("first"), "c": text("instead")})
    assert {key: value_of(data) for key, data in result.data_outputs.items()} == {"c": "instead"}
    assert [row.node_id for row in result.node_results] == ["a", "b", "c"]
    result = await client.execute(graph, {"b": text("middle")})
    assert value_of(result.data_outputs["c"]) == "MIDDLE"


async def test_every_other_node_takes_what_its_predecessors_give(client):
    graph = manifest({"a": "Upper", "b": "Upper", "k": "Keep"}, ["a->k", "b->k"])
    result = await client.execute(graph, {"a": text("x"), "b": text("y")})
    assert sorted(value_of(result.data_outputs["k"])) == ["+", "X", "Y"]


async def test_a_source_without_an_input_gets_the_end_of_it_only(client):
    graph = manifest({"s": "Source", "u": "Upper"}, ["s->u"])
    result = await client.execute(graph)
    assert value_of(result.data_outputs["u"]) == "FROM NOTHING"


async def test_metadata_survives_the_whole_way(client):
    graph = manifest({"a": "PassThrough", "b": "PassThrough"}, ["a->b"])
    sent = common_pb2.DataBuffer(
        text=common_pb2.TextBuffer(text_data=b"hallo", language="de", channel="ui"),
        metadata={"who": "me"},
    )
    got = (await client.execute(graph, {"a": sent})).data_outputs["b"]
    assert dict(got.metadata) == {"who": "me"}
    assert (got.text.language, got.text.channel) == ("de", "ui")
    sent = common_pb2.DataBuffer(json=common_pb2.JsonData(json_payload="1", schema_type="One"))
    assert (await client.execute(graph, {"a": sent})).data_outputs["b"].json.schema_type == "One"
    sent = common_pb2.DataBuffer(binary=common_pb2.BinaryBuffer(data=b"x", mime_type="image/png"))
    assert (await client.execute(graph, {"a": sent})).data_outputs["b"].binary == sent.binary


async def test_audio_of_integers_is_answered_in_float32(client):
    graph = manifest({"a": "PassThrough"})
    samples = np.array([-32_768, 16_384], "<i2")
    sent = common_pb2.DataBuffer(
        audio=common_pb2.AudioBuffer(
            samples=samples.tobytes(), sample_rate=8_000, num_samples=2, format=2, channels=1
        )
    )
    for result in (
        await client.execute(graph, {"a": sent}),
        await client.execute(manifest({"a": "Tone"}), {"a": text("x")}),
    ):
        audio = result.data_outputs["a"].audio
        assert audio.format == common_pb2.AUDIO_FORMAT_F32
        assert np.array_equal(np.frombuffer(audio.samples, "<f4"), [-1.0, 0.5])
        assert (audio.num_samples, audio.channels, audio.sample_rate) == (2, 1, 8_000)


# --- truth --------------------------------------------------------------------------------------


@pytest.mark.process
async def test_a_process_that_sleeps_has_no_processor_time_for_that(client):
    result = await client.execute(manifest({"a": "ProcessWork"}), {"a": text("x")})
    slept_ms = result.metrics.node_metrics["a"].execution_time_ms
    assert slept_ms >= 300
    assert 0 < result.metrics.cpu_time_ms < slept_ms / 2


async def test_metrics_tell_what_was_measured(client):
    graph = manifest({"a": "Upper", "e": "PassThrough"}, ["a->e"])
    result = await client.execute(graph, {"a": text("x" * 1_000)})
    metrics = result.metrics
    assert metrics.wall_time_ms > 0
    assert 0 < metrics.cpu_time_ms <= metrics.wall_time_ms
    assert metrics.memory_used_bytes > 1_000_000
    assert metrics.proto_to_runtime_ms > 0
    assert metrics.runtime_to_proto_ms > 0
    both = metrics.proto_to_runtime_ms + metrics.runtime_to_proto_ms
    assert metrics.serialization_time_ms == pytest.approx(both)
    assert dict(metrics.data_type_breakdown) == {"text": 2}
    assert set(metrics.node_metrics) == {"a", "e"}
    for node in metrics.node_metrics.values():
        assert node.items_processed == 1
        assert node.execution_time_ms > 0
        assert node.memory_bytes >= 1_000
        assert json.loads(node.custom_metrics)["items_emitted"] == 1


async def test_there_is_a_row_for_each_node(client):
    graph = manifest({"a": ("Expand", {"times": 0}), "b": "Upper"}, ["a->b"])
    result = await client.execute(graph, {"a": json_data(1)})
    rows = {row.node_id: row.status for row in result.node_results}
    assert rows == {"a": common_pb2.NODE_STATUS_SUCCESS, "b": common_pb2.NODE_STATUS_SKIPPED}


@pytest.mark.process
async def test_a_process_nodes_memory_is_that_of_its_process(client):
    graph = manifest({"a": "ProcessWhere", "b": "Where"}, [])
    result = await client.execute(graph, {"a": json_data(1), "b": json_data(1)})
    assert value_of(result.data_outputs["b"]) == os.getpid()
    assert value_of(result.data_outputs["a"]) != os.getpid()
    assert result.metrics.node_metrics["a"].memory_bytes > 500_000
    assert result.metrics.node_metrics["b"].memory_bytes < 500_000


@pytest.mark.process
async def test_two_process_nodes_work_at_the_same_time(client):
    graph = manifest({"a": "ProcessWork", "b": "ProcessWork"})
    result = await client.execute(graph, {"a": json_data(1), "b": json_data(1)})
    (a_began, a_ended), (b_began, b_ended) = (
        value_of(result.data_outputs[node]) for node in ("a", "b")
    )
    assert max(a_began, b_began) < min(a_ended, b_ended)


@pytest.mark.process
@pytest.mark.parametrize(
    "asked", [{"nodes": {"a": {"executor": "local"}}}, {"enabled": False}], ids=["node", "all"]
)
async def test_what_computes_for_long_has_its_process_whatever_a_client_says(client, caplog, asked):
    header = (("x-remotemedia-multiprocess", json.dumps(asked)),)
    graph = manifest({"a": "ProcessWhere", "b": "Where"})
    result = await client.execute(graph, {"a": text("x"), "b": text("x")}, metadata=header)
    assert value_of(result.data_outputs["a"]) != os.getpid()
    assert value_of(result.data_outputs["b"]) == os.getpid()
    assert "placement_ignored" in caplog.text


# --- many ----------------------------------------------------------------------------------------


async def test_of_a_hundred_calls_at_once_the_bad_one_fails_alone(client):
    good = [client.respond(CALCULATOR, {"calc": json_data(ADD)}) for _ in range(99)]
    bad = client.respond(
        CALCULATOR, {"calc": json_data({"operation": "divide", "operands": [1, 0]})}
    )
    responses = await asyncio.gather(*good[:50], bad, *good[50:])
    errors = [response for response in responses if response.HasField("error")]
    assert len(errors) == 1
    assert errors[0].error.failing_node_id == "calc"
    results = [response.result for response in responses if response.HasField("result")]
    assert all(value_of(result.data_outputs["calc"])["result"] == 3 for result in results)


async def test_a_manifest_is_planned_once(running):
    for _ in range(3):
        await running.client.execute(CALCULATOR, {"calc": json_data(ADD)})
    assert (running.service.plans.misses, running.service.plans.hits) == (1, 2)


async def test_a_thousand_nodes_are_planned_and_one_more_refused(client):
    nodes = {f"n{number}": "PassThrough" for number in range(1_000)}
    links = [f"n{number}->n{number + 1}" for number in range(999)]
    result = await client.execute(manifest(nodes, links), {"n0": text("x")})
    assert value_of(result.data_outputs["n999"]) == "x"
    error = await client.fail(manifest({**nodes, "more": "PassThrough"}, links))
    assert error.error_type == common_pb2.ERROR_TYPE_VALIDATION
    assert "a manifest may have 1,000" in error.message


# --- versions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "compatible"),
    [("", True), ("v1", True), ("v1.2.0", True), ("1.0.0", True), ("v2", False)],
)
async def test_the_version_says_what_the_service_is(client, version, compatible):
    request = execution_pb2.VersionRequest(client_version=version)
    response = await client.execution.GetVersion(request)
    info = response.version_info
    assert info.protocol_version == "v1"
    assert list(info.supported_protocols) == ["v1"]
    assert info.runtime_version
    assert info.build_timestamp
    assert list(info.supported_node_types) == sorted(info.supported_node_types)
    assert "CalculatorNode" in info.supported_node_types
    assert response.compatible is compatible
    assert bool(response.compatibility_message) is not compatible


async def test_a_client_of_another_version_is_told_so(client):
    error = await client.fail(CALCULATOR, client_version="v2")
    assert error.error_type == common_pb2.ERROR_TYPE_VERSION_MISMATCH


async def test_one_call_after_the_other_is_one_session_at_a_time(serve):
    """The next call never finds the last one's session still counted."""
    running = await serve(settings={"max_sessions": 1})
    for _ in range(20):
        assert await running.client.execute(CALCULATOR, {"calc": json_data(ADD)})
