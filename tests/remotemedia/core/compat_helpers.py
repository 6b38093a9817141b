"""What the tests of the older Python API share: its nodes in manifests, and what comes out."""

from itertools import pairwise

from engine.config import Settings
from engine.packet import lineage_key
from engine.pipeline import Pipeline
from remotemedia.cli.operator_modules import registry_with
from tests.remotemedia.core.field import (
    bare_nodes,
    shape_nodes,
    speech_nodes,
    value_nodes,
)

MODULES = (speech_nodes, value_nodes, bare_nodes, shape_nodes)
SETTINGS = Settings(cleanup_grace_s=3.0)
#: Longer than any session here takes, on a busy machine.
PATIENCE_S = 60.0
EXECUTORS = ("local", "process")


def registry():
    """All node classes of the field, as `--operators` makes them known."""
    return registry_with([module.__name__ for module in MODULES], SETTINGS)


def chain(*nodes, executor=None):
    """A pipeline of nodes one behind the other: each is a type, or (type, params)."""
    described = [(node, {}) if isinstance(node, str) else node for node in nodes]
    entries = [
        {"id": f"n{index}", "node_type": node_type, "params": params}
        | ({"executor": executor} if executor else {})
        for index, (node_type, params) in enumerate(described)
    ]
    manifest = {
        "version": "v1",
        "metadata": {"name": "old nodes"},
        "nodes": entries,
        "connections": [{"from": a["id"], "to": b["id"]} for a, b in pairwise(entries)],
    }
    return Pipeline.from_manifest(manifest, registry=registry(), settings=SETTINGS)


def run(pipeline, inputs):
    """(payload, metadata) of all outputs, by lineage."""
    packets = sorted(pipeline.run(inputs), key=lineage_key)
    return [(packet.payload, dict(packet.metadata)) for packet in packets]


def everywhere(*nodes, inputs):
    """The payloads that come out, which must be the same on every executor."""
    results = {executor: run(chain(*nodes, executor=executor), inputs) for executor in EXECUTORS}
    assert results["local"] == results["process"]
    return [payload for payload, _ in results["local"]]
