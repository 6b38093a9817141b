"""A pipeline or a document → what the wire carries of it.

Pure but for reading a file that was named. Source: FR-001, SC-001.

The typed manifest has no fields for some of what a document may say. Those travel in the call's
metadata, which servers of ours read and others ignore: `metadata.multiprocess`, a node's executor,
restart, time limit and whether its outputs leave, and the bounds of connections.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import engine.pipeline
from engine.errors import UsageError
from engine.manifest.load import load_manifest
from engine.manifest.model import Manifest
from protos.remotemedia.v1 import execution_pb2
from transports.rpc.conversion.manifest import (
    CONNECTION_FIELDS,
    MULTIPROCESS_HEADER,
    NODE_FIELDS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.manifest.model import Connection, Node

#: What a pipeline can be given as; a `str` is a document's text, never a path.
PipelineLike: TypeAlias = (
    "engine.pipeline.Pipeline | Mapping[str, Any] | Manifest | WireManifest | Path | str"
)

#: Metadata of a call may have 8 KiB, the token included.
_HEADER_BYTES_MAX: Final = 6_144


@dataclass(frozen=True, slots=True)
class WireManifest:
    """A manifest as calls carry it.

    Attributes:
        message: the typed manifest.
        metadata: what goes into the call's metadata.
        sources: the nodes without a predecessor, in the manifest's order.
    """

    message: execution_pb2.PipelineManifest
    metadata: tuple[tuple[str, str], ...]
    sources: tuple[str, ...]

    def ingress(self, node: str | None) -> str:
        """The node an input is for; may be left out if there is only one that takes any.

        Raises:
            UsageError: it is not said, and there are several.
        """
        if node is not None:
            return node
        if len(self.sources) == 1:
            return self.sources[0]
        raise UsageError(
            f"say which node the input is for; ingress nodes: {', '.join(self.sources) or 'none'}"
        )


def named_pipeline(name: str) -> WireManifest:
    """A pipeline of the service's own, see `remotemedia serve --pipeline`.

    Args:
        name: its name there; each input then says which node it is for.
    """
    metadata = execution_pb2.ManifestMetadata(name=name)
    message = execution_pb2.PipelineManifest(version="v1", metadata=metadata)
    return WireManifest(message, (), ())


def wire_manifest(pipeline: PipelineLike) -> WireManifest:
    """What the wire carries of a pipeline.

    Args:
        pipeline: a pipeline, a document, or a file with one.

    Raises:
        ManifestError: the document's structure is wrong.
        UsageError: it cannot be written as a document, or what only metadata can say is too long.
    """
    if isinstance(pipeline, WireManifest):
        return pipeline
    if isinstance(pipeline, engine.pipeline.Pipeline):
        pipeline = pipeline.to_manifest()
    manifest = load_manifest(pipeline)
    message = execution_pb2.PipelineManifest(
        version=manifest.version,
        metadata=execution_pb2.ManifestMetadata(
            name=manifest.metadata.name,
            description=manifest.metadata.description or "",
            created_at=manifest.metadata.created_at or "",
        ),
        nodes=[_node(node) for node in manifest.nodes],
        connections=[_connection(connection) for connection in manifest.connections],
    )
    fed = {connection.target.partition(".")[0] for connection in manifest.connections}
    sources = tuple(node.id for node in manifest.nodes if node.id not in fed)
    return WireManifest(message, _extras(manifest), sources)


def _node(node: Node) -> execution_pb2.NodeManifest:
    message = execution_pb2.NodeManifest(
        id=node.id,
        node_type=node.node_type,
        params=json.dumps(node.params),
        is_streaming=node.is_streaming,
        host=node.host or "",
    )
    asked = node.capabilities
    if asked is not None:
        message.capabilities.SetInParent()
        message.capabilities.memory_gb = asked.memory_gb or 0.0
        if asked.gpu is not None:
            message.capabilities.gpu.type = asked.gpu.type
            message.capabilities.gpu.required = asked.gpu.required
            message.capabilities.gpu.min_memory_gb = asked.gpu.min_memory_gb or 0.0
        if asked.cpu is not None:
            message.capabilities.cpu.cores = asked.cpu.cores
            message.capabilities.cpu.arch = asked.cpu.arch or ""
    return message


def _connection(connection: Connection) -> execution_pb2.Connection:
    return execution_pb2.Connection(
        **{
            "from": _end(connection.source, connection.source_port),
            "to": _end(connection.target, connection.target_port),
        }
    )


def _end(node: str, port: str | None) -> str:
    return node if port is None or "." in node else f"{node}.{port}"


def _extras(manifest: Manifest) -> tuple[tuple[str, str], ...]:
    document = manifest.to_dict()
    extras: dict[str, Any] = dict(manifest.metadata.multiprocess)
    nodes = {
        node["id"]: found
        for node in document["nodes"]
        if (found := {name: node[name] for name in NODE_FIELDS if node.get(name) is not None})
    }
    links = {
        str(at): found
        for at, link in enumerate(document["connections"])
        if (found := {name: link[name] for name in CONNECTION_FIELDS if link.get(name) is not None})
    }
    if nodes:
        extras["nodes"] = nodes
    if links:
        extras["connections"] = links
    if not extras:
        return ()
    text = json.dumps(extras, separators=(",", ":"))
    if len(text) > _HEADER_BYTES_MAX:
        raise UsageError(
            f"what the wire says of this manifest in metadata has {len(text)} bytes, and"
            f" {_HEADER_BYTES_MAX} is the most: let operators decide where they run"
        )
    return ((MULTIPROCESS_HEADER, text),)
