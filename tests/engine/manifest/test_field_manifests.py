"""Manifests as other hands write them: all are read, and nothing in them is lost."""

from pathlib import Path

import pytest

from engine.config import Settings
from engine.manifest.document import load_document
from engine.manifest.load import load_manifest
from engine.prepare import check
from engine.registry import Registry
from operators.catalog import declare_all

FILES = sorted((Path(__file__).parent / "field").iterdir())
CAMEL = {
    "nodeType": "node_type",
    "isStreaming": "is_streaming",
    "isOutputNode": "is_output_node",
    "runtimeHint": "runtime_hint",
    "processTimeoutMs": "process_timeout_ms",
    "createdAt": "created_at",
    "fromPort": "from_port",
    "toPort": "to_port",
    "minMemoryGb": "min_memory_gb",
    "memoryGb": "memory_gb",
}
#: What an absent object or flag is read as.
ABSENT = {"params": {}, "multiprocess": {}, "is_streaming": False, "is_output_node": False}


def snake(fields, inner=()):
    """The fields of one object, in this project's spelling; `inner` are objects to go on in."""
    renamed = {CAMEL.get(key, key): value for key, value in fields.items()}
    for key, value in renamed.items():
        if value is None and key in ABSENT:
            renamed[key] = ABSENT[key]
        elif key in inner and isinstance(value, dict):
            renamed[key] = snake(value, inner)
    return renamed


def in_our_spelling(document):
    return {
        **document,
        "metadata": snake(document["metadata"]),
        "nodes": [snake(node, ("capabilities", "gpu", "cpu")) for node in document["nodes"]],
        "connections": [snake(connection) for connection in document["connections"]],
    }


@pytest.fixture(scope="module")
def registry():
    registry = Registry()
    declare_all(registry)
    return registry


def test_there_are_manifests_of_both_kinds():
    suffixes = [path.suffix for path in FILES]
    assert suffixes.count(".json") >= 10
    assert suffixes.count(".yaml") + suffixes.count(".yml") >= 5


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_is_lost(path):
    document = load_document(path).manifest
    manifest = load_manifest(path)
    assert manifest.to_dict() == in_our_spelling(document)
    assert load_manifest(manifest.to_dict()) == manifest


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_runs_where_its_operators_are(path, registry):
    settings = Settings(max_processes_per_session=None)
    _, problems = check(path, registry, settings)
    for problem in problems:
        if problem.severity == "error":  # nothing but what this version has no operator for
            assert problem.path.endswith(".node_type"), problem
            assert "there is no node type" in problem.message


def test_yaml_means_what_json_would():
    document = load_document(next(path for path in FILES if path.name == "voice_agent.yaml"))
    metadata = document.manifest["metadata"]
    assert metadata["created_at"] == "2025-11-05"
    assert metadata["reviewed_at"] == "2025-11-05T10:30:00Z"
    assert metadata["version"] == 0.3
    assert metadata["aliases"] == ["on", "off", "yes", "no", "y", "n"]
    assert metadata["start"] == "1:30"
    first, second, third = document.manifest["nodes"]
    assert first["params"] == {"quality": "High", "target_rate": 16000, "channels": 1}
    assert second["params"] == {"threshold": 0.5, "min_silence_duration_ms": 100}
    assert third["params"]["grammar"].endswith("<answer> = yes | no;\n")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        (
            "wrapped_with_input.json",
            [{"value": 1}, 2, {"operation": "multiply", "operands": [3, 4]}],
        ),
        ("wrapped.yaml", ["hello", "no"]),
        ("compose_style.yml", None),
    ],
)
def test_the_input_of_a_wrapper_can_be_had(name, data):
    (path,) = [path for path in FILES if path.name == name]
    assert load_document(path).input_data == data
