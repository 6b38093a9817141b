"""The typed manifest → the document that manifests in files are, too.

Pure: no I/O, no clock. Source: FR-001, FR-005, SC-001, SC-008.

Clients differ in what they leave out, so an absent value is left out of the document as well, and
`params` that are not JSON count as {}. What only a document can say comes in the call's metadata:
`metadata.multiprocess` and, under names that no setting has, fields of nodes and connections:

    {"max_processes": 4, "nodes": {"a": {"executor": "process"}}, "connections": {"0": {…}}}
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Final

from engine.errors import ManifestError, Problem
from engine.manifest.limits import DEFAULT_LIMITS, DOCUMENT
from engine.manifest.model import VERSION
from engine.wording import quoted
from protos.remotemedia.v1 import execution_pb2

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

logger = logging.getLogger("remotemedia.rpc")

#: Call metadata: `metadata.multiprocess` of the manifest, as JSON.
MULTIPROCESS_HEADER: Final = "x-remotemedia-multiprocess"
#: Fields that the typed manifest does not have, and the metadata brings.
NODE_FIELDS: Final = ("executor", "is_output_node", "process_timeout_ms", "restart")
CONNECTION_FIELDS: Final = ("capacity", "overflow", "max_age_ms")
#: What clients of the typed manifest write for the version.
_VERSIONS: Final = frozenset({VERSION, "1.0"})


def document_of(
    manifest: execution_pb2.PipelineManifest, multiprocess: str | None = None
) -> dict[str, Any]:
    """The document of a typed manifest.

    Args:
        manifest: as it came; checked where the document is.
        multiprocess: the call's MULTIPROCESS_HEADER.

    Raises:
        ManifestError: it is larger than a document may be, or `multiprocess` is no JSON object.
    """
    problem = DEFAULT_LIMITS.problem_of_size(manifest.ByteSize())
    if problem is not None:
        raise ManifestError([problem])
    metadata = _present(
        name=manifest.metadata.name,
        description=manifest.metadata.description,
        created_at=manifest.metadata.created_at,
    )
    extras = _multiprocess(multiprocess) if multiprocess is not None else {}
    of_nodes = _by_name("nodes", extras.pop("nodes", {}), [node.id for node in manifest.nodes])
    positions = [str(at) for at in range(len(manifest.connections))]
    of_connections = _by_name("connections", extras.pop("connections", {}), positions)
    if extras:
        metadata["multiprocess"] = extras
    version = VERSION if manifest.version in _VERSIONS else manifest.version
    return {
        "version": version,
        "metadata": metadata,
        "nodes": [
            {**_node(node), **_extra(of_nodes, node.id, NODE_FIELDS)} for node in manifest.nodes
        ],
        "connections": [
            {
                "from": getattr(connection, "from"),
                "to": connection.to,
                **_extra(of_connections, str(at), CONNECTION_FIELDS),
            }
            for at, connection in enumerate(manifest.connections)
        ],
    }


def without_inputs(document: Mapping[str, Any], nodes: Collection[str]) -> dict[str, Any]:
    """A document in which some nodes take nothing from others.

    Args:
        document: made by `document_of`.
        nodes: their ids.
    """
    return {
        **document,
        "connections": [
            connection
            for connection in document["connections"]
            if connection["to"].partition(".")[0] not in nodes
        ],
    }


def node_ids(document: Mapping[str, Any]) -> list[str]:
    """The ids of a document's nodes, in its order."""
    return [node["id"] for node in document["nodes"]]


def sinks(document: Mapping[str, Any]) -> list[str]:
    """The nodes whose outputs leave the session, in the document's order."""
    taken = {connection["from"].partition(".")[0] for connection in document["connections"]}
    return [
        node["id"]
        for node in document["nodes"]
        if node["id"] not in taken or node.get("is_output_node")
    ]


def _node(node: execution_pb2.NodeManifest) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": node.id,
        "node_type": node.node_type,
        "params": _params(node),
        "is_streaming": node.is_streaming,
        **_present(host=node.host),
    }
    if node.HasField("capabilities"):
        found["capabilities"] = _capabilities(node.capabilities)
    if node.runtime_hint in execution_pb2.RuntimeHint.values() and node.runtime_hint:
        name = execution_pb2.RuntimeHint.Name(node.runtime_hint)
        found["runtime_hint"] = name.removeprefix("RUNTIME_HINT_").lower()
    return found


def _params(node: execution_pb2.NodeManifest) -> Any:
    """The params, {} where their text is no JSON: some clients send "[object Object]"."""
    if not node.params.strip():
        return {}
    try:
        params = json.loads(node.params, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        # Never the text itself: params may have keys and passwords in them.
        logger.warning(
            "params_not_json: the params of node %.100r are not JSON and count as {}:"
            " %d characters, wrong from character %s",
            node.id,
            len(node.params),
            getattr(error, "pos", "?"),
            extra={"node_id": node.id[:100]},
        )
        return {}
    return {} if params is None else params


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _capabilities(asked: execution_pb2.CapabilityRequirements) -> dict[str, Any]:
    found: dict[str, Any] = _present(memory_gb=asked.memory_gb)
    if asked.HasField("gpu"):
        found["gpu"] = {
            "type": asked.gpu.type or "any",
            "required": asked.gpu.required,
            **_present(min_memory_gb=asked.gpu.min_memory_gb),
        }
    if asked.HasField("cpu"):
        found["cpu"] = {"cores": asked.cpu.cores or 1, **_present(arch=asked.cpu.arch)}
    return found


def _present(**fields: Any) -> dict[str, Any]:
    """The fields that were set, which the wire tells by their not being empty."""
    return {name: value for name, value in fields.items() if value}


def _by_name(what: str, extras: Any, names: Collection[str]) -> dict[str, dict[str, Any]]:
    """What the call's metadata says of nodes or connections that are there, by their names."""
    if not isinstance(extras, dict):
        _warn_ignored(f"{what} must be an object, by {'id' if what == 'nodes' else 'position'}")
        return {}
    known = {*names}
    for name in extras.keys() - known:
        _warn_ignored(f"{what} has {quoted(name)}, and the manifest has none of that name")
    for name, fields in extras.items():
        if not isinstance(fields, dict):
            _warn_ignored(f"{what}.{quoted(name)} must be an object")
    return {
        name: fields
        for name, fields in extras.items()
        if name in known and isinstance(fields, dict)
    }


def _extra(
    extras: Mapping[str, dict[str, Any]], key: str, fields: Collection[str]
) -> dict[str, Any]:
    """What the call's metadata says of a node or a connection."""
    found = extras.get(key, {})
    for name in found.keys() - {*fields}:
        _warn_ignored(f"{quoted(key)} has {quoted(name)}; known are {', '.join(fields)}")
    return {name: found[name] for name in fields if name in found}


def _warn_ignored(why: str) -> None:
    logger.warning("metadata_ignored: %s: %s", MULTIPROCESS_HEADER, why)


def _multiprocess(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ManifestError(
            [Problem(DOCUMENT, f"the call's {MULTIPROCESS_HEADER} is not JSON: {error}")]
        ) from error
    if not isinstance(found, dict):
        raise ManifestError(
            [Problem(DOCUMENT, f"the call's {MULTIPROCESS_HEADER} must be a JSON object")]
        )
    return found
