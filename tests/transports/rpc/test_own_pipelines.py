"""The service's own pipelines, and what clients' manifests may reach, over a real server."""

import json

import pytest

from engine.config import Settings
from engine.manifest.load import load_manifest
from engine.registry import Registry
from operators.catalog import declare_all
from protos.remotemedia.v1 import common_pb2, execution_pb2
from tests.transports.rpc.rpc_client import Client, json_data, manifest, text, value_of
from transports.rpc.security.access import Access
from transports.rpc.server import RpcServer
from transports.rpc.service import PipelineService

pytestmark = [pytest.mark.net]

SCAN = {
    "version": "v1",
    "metadata": {"name": "its own name", "multiprocess": {"channel_capacity": 7}},
    "nodes": [
        {"id": "scan", "nodeType": "ScanNode", "params": {"accumulator": "operator:concat"}},
        {"id": "end", "node_type": "PassThrough"},
    ],
    "connections": [{"from": "scan", "to": "end"}],
}


def named(name):
    """What a client sends to run one of the service's own."""
    return execution_pb2.PipelineManifest(
        version="v1", metadata=execution_pb2.ManifestMetadata(name=name)
    )


@pytest.fixture
async def service():
    registry = Registry()
    declare_all(registry)
    return PipelineService(
        registry, Settings(), access=Access(), pipelines={"greet": load_manifest(SCAN)}
    )


@pytest.fixture
async def client(service):
    async with RpcServer(service, ["127.0.0.1:0"]) as server:
        client = Client(server.addresses[0])
        yield client
        await client.channel.close()


async def test_a_client_runs_it_by_its_name(client):
    result = await client.execute(named("greet"), {"scan": json_data("a")})
    assert value_of(result.data_outputs["end"]) == "a"
    # Also from the middle, and on a stream.
    result = await client.execute(named("greet"), {"end": text("b")})
    assert value_of(result.data_outputs["end"]) == "b"
    stream = await client.open(named("greet"))
    await stream.ready()
    for word in ("x", "y"):
        await stream.send("scan", json_data(word))
    await stream.close()
    results = [
        value_of(r.result.data_outputs["end"]) for r in await stream.rest() if r.HasField("result")
    ]
    assert results == ["x", "xy"]


async def test_an_unknown_name_is_told_with_the_known_ones(client):
    error = await client.fail(named("other"))
    assert error.error_type == common_pb2.ERROR_TYPE_VALIDATION
    assert 'has no pipeline "other"; it has greet' in error.message


async def test_a_manifest_with_nodes_is_its_own_whatever_its_name(client):
    own = manifest({"a": "PassThrough"}, metadata=execution_pb2.ManifestMetadata(name="greet"))
    result = await client.execute(own, {"a": text("mine")})
    assert value_of(result.data_outputs["a"]) == "mine"


async def test_a_clients_settings_count_before_the_pipelines(service):
    header = json.dumps({"channel_capacity": 3})
    plain, _ = await service.plans.get(named("greet"))
    asked, _ = await service.plans.get(named("greet"), header)
    assert plain.plan.settings.channel_capacity == 7
    assert asked.plan.settings.channel_capacity == 3


async def test_a_client_may_not_do_itself_what_the_pipeline_does(client):
    error = await client.fail(
        manifest({"scan": ("ScanNode", {"accumulator": "operator:concat"})}), {}
    )
    assert error.error_type == common_pb2.ERROR_TYPE_VALIDATION
    assert error.failing_node_id == "scan"
    assert error.message.startswith("Validation error: ")
    assert "allowed_imports" in error.message


async def test_all_that_may_not_be_reached_is_told_on_streams_too(client):
    graph = manifest(
        {"reader": ("MediaReaderNode", {"path": "/etc/passwd"}), "other": "PassThrough"}
    )
    graph.nodes[1].host = "elsewhere:50051"
    stream = await client.open(graph)
    error = await stream.error()
    assert error.error_type == common_pb2.ERROR_TYPE_VALIDATION
    assert "allowed_files" in error.message
    assert "allowed_hosts" in error.message
    assert error.failing_node_id == "reader"


async def test_without_pipelines_an_empty_manifest_is_as_wrong_as_ever():
    service = PipelineService(Registry(), access=Access())
    async with RpcServer(service, ["127.0.0.1:0"]) as server:
        client = Client(server.addresses[0])
        error = await client.fail(named("greet"))
        await client.channel.close()
    assert error.error_type == common_pb2.ERROR_TYPE_VALIDATION
    assert "nodes" in error.message
