"""The manifest's model: spellings, unknown fields, and the way back to a document."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.manifest.load import load_manifest

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
TEXTS = st.text(min_size=1, max_size=12)
IDS = st.text("abcXYZ019_-", min_size=1, max_size=8)
#: Fields nobody knows; the letters keep them apart from those that are known.
EXTRAS = st.dictionaries(st.text("qwxyQWXY_ä$", min_size=1, max_size=6), VALUES, max_size=2)


def part(required, optional):
    """An object with required, optional and unknown fields."""
    known = st.fixed_dictionaries(required, optional=optional)
    return st.builds(lambda extras, fields: {**extras, **fields}, EXTRAS, known)


GPUS = part(
    {"type": st.sampled_from(["cuda", "any"])},
    {"min_memory_gb": st.floats(0, 100), "required": st.booleans()},
)
CPUS = part({"cores": st.integers(1, 64)}, {"arch": st.sampled_from(["arm", "any"])})
CAPABILITIES = part({}, {"gpu": GPUS, "cpu": CPUS, "memory_gb": st.none() | st.floats(0, 100)})
PARAMS = st.dictionaries(TEXTS, VALUES, max_size=3)
NODES = part(
    {"id": IDS, "node_type": TEXTS},
    {
        "params": PARAMS,
        "is_streaming": st.booleans(),
        "capabilities": CAPABILITIES,
        "host": st.just("localhost:50051"),
        "runtime_hint": VALUES,
        "executor": st.sampled_from(["local", "process", None]),
        "is_output_node": st.booleans(),
        "process_timeout_ms": st.none() | st.integers(1, 10_000),
    },
)
CONNECTIONS = part(
    {"from": TEXTS, "to": TEXTS},
    {
        "from_port": st.none() | TEXTS,
        "to_port": TEXTS,
        "capacity": st.integers(1, 10_000),
        "overflow": st.sampled_from(["block", "latest"]),
    },
)
METADATA = part(
    {"name": TEXTS},
    {
        "description": st.none() | st.text(max_size=8),
        "created_at": st.just("2025-11-05T00:00:00Z"),
        "multiprocess": PARAMS,
    },
)
MANIFESTS = part(
    {
        "version": st.just("v1"),
        "metadata": METADATA,
        "nodes": st.lists(NODES, min_size=1, max_size=4),
        "connections": st.lists(CONNECTIONS, max_size=4),
    },
    {},
)


@given(MANIFESTS)
def test_a_document_comes_back_as_it_was(document):
    manifest = load_manifest(document)
    assert manifest.to_dict() == document
    assert load_manifest(manifest.to_dict()) == manifest
    assert load_manifest(json.dumps(manifest.to_dict())) == manifest


def camel(text):
    head, *tail = text.split("_")
    return head + "".join(word.title() for word in tail)


@given(MANIFESTS)
def test_camel_case_is_the_same_document(document):
    known = {
        *("node_type", "is_streaming", "runtime_hint", "is_output_node", "process_timeout_ms"),
        *("created_at", "from_port", "to_port"),
    }

    def respell(fields):
        return {camel(key) if key in known else key: value for key, value in fields.items()}

    respelled = {
        **document,
        "metadata": respell(document["metadata"]),
        "nodes": [respell(node) for node in document["nodes"]],
        "connections": [respell(connection) for connection in document["connections"]],
    }
    assert load_manifest(respelled).to_dict() == document


def test_what_is_seen_in_the_field_is_taken():
    manifest = load_manifest(
        {
            "$schema": "https://example.com/manifest.v1.json",
            "_comment": "speech to speech",
            "version": "v1",
            "metadata": {
                "name": "s2s",
                "createdAt": "2025-11-05T00:00:00Z",
                "version": "0.3",
                "author": "someone",
                "multiprocess": {"max_processes_per_session": 10},
            },
            "nodes": [
                {
                    "id": "vad",
                    "nodeType": "SileroVADNode",
                    "isStreaming": True,
                    "params": {"samplingRate": 16000},
                    "execution": {"placement": "anywhere"},
                    "input_types": [1],
                    "comment": "first",
                },
                {"id": "out", "node_type": "PassThrough", "params": None, "is_output_node": None},
            ],
            "connections": [{"from": "vad", "to": "out", "fromPort": "out", "comment": "why"}],
        }
    )
    first, second = manifest.nodes
    assert (first.node_type, first.is_streaming) == ("SileroVADNode", True)
    assert first.model_extra["execution"] == {"placement": "anywhere"}
    assert (second.params, second.is_output_node) == ({}, False)
    (link,) = manifest.connections
    assert (link.source, link.source_port, link.target, link.target_port) == (
        "vad",
        "out",
        "out",
        None,
    )
    assert manifest.metadata.multiprocess == {"max_processes_per_session": 10}
    assert manifest.to_dict()["_comment"] == "speech to speech"


@pytest.mark.parametrize("name", ["x", "x" * 255])
def test_names_have_1_to_255_characters(name):
    document = {
        "version": "v1",
        "metadata": {"name": name},
        "nodes": [{"id": "a", "node_type": "b"}],
        "connections": [],
    }
    assert load_manifest(document).metadata.name == name
