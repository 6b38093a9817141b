"""The typed manifest as a document, with what clients leave out and get wrong."""

from __future__ import annotations

import json
import logging

import pytest

from engine.config import Settings
from engine.errors import ManifestError
from engine.prepare import prepare
from engine.registry import Registry
from operators.catalog import declare_all
from protos.remotemedia.v1 import execution_pb2 as wire
from transports.rpc.conversion.manifest import document_of, sinks, without_inputs


def manifest(*nodes, connections=(), **fields):
    defaults = {"version": "v1", "metadata": wire.ManifestMetadata(name="m")}
    return wire.PipelineManifest(
        **{**defaults, **fields},
        nodes=nodes,
        connections=[wire.Connection(**{"from": a, "to": b}) for a, b in connections],
    )


def node(node_id="a", node_type="PassThrough", **fields):
    return wire.NodeManifest(id=node_id, node_type=node_type, **fields)


def planned(message):
    registry = Registry()
    declare_all(registry)
    return prepare(document_of(message), registry, Settings())


@pytest.mark.parametrize("version", ["v1", "1.0"])
def test_both_versions_are_taken(version):
    assert planned(manifest(node(), version=version)).name == "m"


@pytest.mark.parametrize("version", ["", "v2", "1.1"])
def test_another_version_is_refused(version):
    with pytest.raises(ManifestError, match='must be "v1"'):
        planned(manifest(node(), version=version))


def test_all_fields_reach_the_document():
    message = manifest(
        node(
            params='{"chunkSize": 4}',
            is_streaming=True,
            host="h:1",
            runtime_hint=wire.RUNTIME_HINT_CPYTHON,
            capabilities=wire.CapabilityRequirements(
                gpu=wire.GpuRequirement(type="cuda", min_memory_gb=2, required=True),
                cpu=wire.CpuRequirement(cores=2, arch="arm"),
                memory_gb=3,
            ),
            input_types=[1, 99],
        ),
        node("b"),
        connections=[("a", "b")],
        metadata=wire.ManifestMetadata(name="m", description="d", created_at="2025"),
    )
    assert document_of(message, '{"channel_capacity": 5}') == {
        "version": "v1",
        "metadata": {
            "name": "m",
            "description": "d",
            "created_at": "2025",
            "multiprocess": {"channel_capacity": 5},
        },
        "nodes": [
            {
                "id": "a",
                "node_type": "PassThrough",
                "params": {"chunkSize": 4},
                "is_streaming": True,
                "host": "h:1",
                "runtime_hint": "cpython",
                "capabilities": {
                    "gpu": {"type": "cuda", "required": True, "min_memory_gb": 2.0},
                    "cpu": {"cores": 2, "arch": "arm"},
                    "memory_gb": 3.0,
                },
            },
            {"id": "b", "node_type": "PassThrough", "params": {}, "is_streaming": False},
        ],
        "connections": [{"from": "a", "to": "b"}],
    }


@pytest.mark.parametrize("params", ["[object Object]", "{", "NaN", "[" * 100_000])
def test_params_that_are_not_json_count_as_none_with_a_warning(params, caplog):
    with caplog.at_level(logging.WARNING, logger="remotemedia.rpc"):
        plan = planned(manifest(node(params=params)))
    assert plan.stages[0].nodes[0].params == {}
    assert "params_not_json" in caplog.text


def test_params_that_are_not_json_are_not_logged(caplog):
    with caplog.at_level(logging.DEBUG):
        planned(manifest(node(params='{"api_key": "sk-123",}')))
    assert "22 characters, wrong from character 21" in caplog.text
    assert "sk-123" not in str([vars(record) for record in caplog.records])


@pytest.mark.parametrize("params", ["", "  ", "null", "{}"])
def test_absent_params_are_none_without_a_warning(params, caplog):
    planned(manifest(node(params=params)))
    assert caplog.text == ""


def test_params_of_json_that_are_no_object_are_an_error():
    with pytest.raises(ManifestError, match="must be an object"):
        planned(manifest(node(params="[1]")))


@pytest.mark.parametrize("name", ["chunkSize", "chunk_size"])
def test_both_spellings_of_a_param_are_taken(name):
    plan = planned(manifest(node(node_type="AudioChunkerNode", params=f'{{"{name}": 64}}')))
    assert plan.stages[0].nodes[0].params == {"chunk_size": 64}


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"nodes": {"zz": {"executor": "process"}}}, 'nodes has "zz"'),
        ({"nodes": {"a": {"exekutor": "process"}}}, '"a" has "exekutor"; known are executor,'),
        ({"nodes": {"a": "process"}}, 'nodes."a" must be an object'),
        ({"nodes": ["a"]}, "nodes must be an object, by id"),
        ({"connections": {"7": {"capacity": 1}}}, 'connections has "7"'),
        ({"connections": 7}, "connections must be an object, by position"),
    ],
)
def test_what_the_calls_metadata_says_of_nothing_is_a_warning(header, words, caplog):
    document = document_of(manifest(node("a")), json.dumps(header))
    assert document["nodes"][0].keys() == document_of(manifest(node("a")))["nodes"][0].keys()
    assert words in caplog.text


@pytest.mark.parametrize("header", ["{", "[]", "1"])
def test_settings_in_the_calls_metadata_must_be_an_object(header):
    with pytest.raises(ManifestError, match="x-remotemedia-multiprocess"):
        document_of(manifest(node()), header)


def test_a_manifest_may_be_no_larger_than_one_in_a_file():
    with pytest.raises(ManifestError, match="the most a manifest may have"):
        document_of(manifest(node(params=" " * 5_000_000)))


def test_a_node_that_is_given_an_input_takes_nothing_from_others():
    message = manifest(node("a"), node("b"), node("c"), connections=[("a", "b"), ("b.out", "c.in")])
    document = document_of(message)
    assert sinks(document) == ["c"]
    assert without_inputs(document, {"c"})["connections"] == [{"from": "a", "to": "b"}]
    assert without_inputs(document, {"b"})["connections"] == [{"from": "b.out", "to": "c.in"}]
