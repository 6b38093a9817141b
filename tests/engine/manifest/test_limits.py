"""Sanity bounds on a document."""

import json

import pytest

from engine.errors import ManifestError
from engine.manifest.limits import ManifestLimits
from engine.manifest.load import load_manifest


def document(nodes=1, connections=0, params=None):
    return {
        "version": "v1",
        "metadata": {"name": "x"},
        "nodes": [
            {"id": f"n{index}", "node_type": "Gain", "params": params or {}}
            for index in range(nodes)
        ],
        "connections": [{"from": "n0", "to": "n0"}] * connections,
    }


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


def refused(source, **limits):
    with pytest.raises(ManifestError) as caught:
        load_manifest(source, ManifestLimits(**limits))
    return [str(problem) for problem in caught.value.problems]


def test_a_text_over_the_limit_is_not_even_parsed(tmp_path):
    text = "x" * 101
    path = tmp_path / "large.json"
    path.write_text(text)
    for source in (text, text.encode(), path):
        (problem,) = refused(source, document_bytes_max=100)
        assert "more than 100 bytes" in problem


def test_too_many_nodes_and_connections_are_told_together():
    problems = refused(document(nodes=3, connections=5), nodes_max=2, connections_max=4)
    assert problems == [
        "nodes: there are 3, and a manifest may have 2",
        "connections: there are 5, and a manifest may have 4",
    ]


def test_a_thousand_nodes_are_fine():
    assert len(load_manifest(document(nodes=1_000)).nodes) == 1_000
    assert "1,001" in refused(document(nodes=1_001))[0]


@pytest.mark.parametrize("as_text", [True, False])
def test_nesting_is_bounded(as_text):
    def source(depth):
        whole = document(params={"deep": nested(depth)})
        return json.dumps(whole) if as_text else whole

    # The document, the list of nodes, the node and its params are four levels themselves.
    assert load_manifest(source(60))
    assert "64 levels deep" in refused(source(61))[0]


def test_a_document_that_contains_itself_is_refused():
    params = {}
    params["self"] = [params, params]
    assert "levels deep" in refused(document(params=params))[0]


def test_a_document_that_unfolds_endlessly_is_refused():
    value = [1, 1]
    for _ in range(50):
        value = [value, value]
    assert "values" in refused(document(params={"value": value}), values_max=1_000)[0]
