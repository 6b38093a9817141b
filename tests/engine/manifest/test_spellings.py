"""A field in both spellings: fine where they agree, a problem where they do not."""

import pytest

from engine.errors import ManifestError
from engine.manifest.load import examine, load_manifest
from engine.manifest.spellings import said_twice


def document(**changes):
    return {
        "version": "v1",
        "metadata": {"name": "voice"},
        "nodes": [{"id": "a", "node_type": "Gain"}, {"id": "b", "node_type": "Gain"}],
        "connections": [{"from": "a", "to": "b"}],
        **changes,
    }


def test_spellings_that_agree_are_one():
    node = {"id": "a", "node_type": "Gain", "nodeType": "Gain", "isStreaming": True}
    assert said_twice(document(nodes=[node], connections=[])) == []
    assert load_manifest(document(nodes=[node], connections=[])).nodes[0].is_streaming


def test_spellings_that_differ_are_told_with_both_values():
    nodes = [
        {"id": "a", "node_type": "Gain", "nodeType": "Echo"},
        {"id": "b", "nodeType": "Gain", "is_output_node": True, "isOutputNode": False},
    ]
    connections = [{"from": "a", "to": "b", "from_port": "out", "fromPort": "left"}]
    with pytest.raises(ManifestError) as caught:
        load_manifest(document(nodes=nodes, connections=connections))
    assert [(str(problem), problem.node_id) for problem in caught.value.problems] == [
        ('nodes[0].nodeType: says "Echo", and \'node_type\' says "Gain"; keep one', "a"),
        ("nodes[1].isOutputNode: says false, and 'is_output_node' says true; keep one", "b"),
        (
            'connections[0].fromPort: says "left", and \'from_port\' says "out"; keep one',
            None,
        ),
    ]


def test_other_faults_are_told_with_them():
    nodes = [{"id": "a b", "node_type": "Gain", "nodeType": "Echo"}, 3]
    metadata = {"name": "", "created_at": "1", "createdAt": "2"}
    _, problems = examine(document(metadata=metadata, nodes=nodes, connections=None))
    assert [problem.path for problem in problems] == [
        "metadata.name",
        "nodes[0].id",
        "nodes[1]",
        "connections",
        "metadata.createdAt",
        "nodes[0].nodeType",
    ]


def test_what_is_no_manifest_has_nothing_twice():
    assert said_twice({"nodes": {"a": 1}, "metadata": [], "connections": [None, 3]}) == []
