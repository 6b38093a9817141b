"""Graphs by hand, and running them."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib

import pytest

from engine.config import Settings
from engine.edges.ipc import write_stream
from engine.packet import lineage_key
from engine.payloads import Audio, Binary
from engine.pipeline import Pipeline
from tests.integration.graph_operators import make_registry

#: Longer than any session here takes, on a busy machine.
PATIENCE_S = 60.0

SETTINGS = Settings(cleanup_grace_s=3.0)


def graph(nodes, links, *, placed="local", **settings):
    """A pipeline of a manifest.

    Args:
        nodes: id → node type, or (node type, params), or (node type, params, fields of the node).
        links: "a->b", or "a.port->b.port".
        placed: "local", "process", or node id → executor.
        settings: what differs from SETTINGS.
    """
    described = []
    for node_id, what in nodes.items():
        node_type, params, fields = (*((what,) if isinstance(what, str) else what), {}, {})[:3]
        executor = placed if isinstance(placed, str) else placed.get(node_id, "local")
        described.append(
            {"id": node_id, "node_type": node_type, "params": params, "executor": executor} | fields
        )
    manifest = {
        "version": "v1",
        "metadata": {"name": "test"},
        "nodes": described,
        "connections": [_connection(link) for link in links],
    }
    return Pipeline.from_manifest(
        manifest,
        registry=make_registry(),
        settings=dataclasses.replace(SETTINGS, **settings),
    )


def _connection(link):
    ends = {}
    for name, end in zip(("from", "to"), link.split("->"), strict=True):
        node, _, port = end.partition(".")
        ends[name] = node
        if port:
            ends["from_port" if name == "from" else "to_port"] = port
    return ends


def digest(payload):
    """Everything a payload says."""
    if type(payload) is Audio:
        samples = payload.samples
        bits = hashlib.sha256(samples).hexdigest() if samples.size else ""
        return f"{samples.dtype} {samples.shape} {payload.sample_rate} {bits}"
    if type(payload) is Binary:
        return f"{payload.mime_type} {hashlib.sha256(payload.data).hexdigest()}"
    stream = write_stream(payload.to_arrow())
    return f"{payload!r} {hashlib.sha256(stream).hexdigest()}"


def results(packets):
    """Outputs as they are compared between placements: by lineage, with their checksums."""
    return [(lineage_key(packet), digest(packet.payload)) for packet in sorted_by_lineage(packets)]


def sorted_by_lineage(packets):
    return sorted(packets, key=lambda packet: (lineage_key(packet), digest(packet.payload)))


async def run(pipeline, inputs):
    """All outputs of a pipeline."""
    async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
        return [packet async for packet in session.stream(inputs)]


@pytest.fixture
def progress_file(tmp_path):
    return str(tmp_path / "progress")
