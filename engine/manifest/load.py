"""From JSON or YAML text, a mapping or a file to a `Manifest`, with every problem found on the way.

Pure but for reading a file that was named. Source: FR-001, FR-006, SC-005, NFR-001.

`examine` goes on where it can: from a document with structural problems it makes a manifest of what
is sound, so that types, params and connections are still looked at and all problems come in one
answer. In such a manifest the empty string stands for an id, a type or a node that could not be
read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from pydantic import ValidationError

from engine.errors import ManifestError, Problem
from engine.manifest.document import DocumentSource, read_document
from engine.manifest.limits import DEFAULT_LIMITS, DOCUMENT, ManifestLimits
from engine.manifest.model import VERSION, Connection, Manifest, Metadata, Node
from engine.manifest.spellings import said_twice
from engine.wording import path_of, quoted, sentence

#: What a manifest can be read from; a `str` is JSON or YAML text, never a path.
Source: TypeAlias = DocumentSource | Manifest

#: More problems than this are not told one by one.
PROBLEMS_MAX = 100


def load_manifest(source: Source, limits: ManifestLimits = DEFAULT_LIMITS) -> Manifest:
    """Read a manifest and check its structure.

    Args:
        source: JSON or YAML text, its bytes, a mapping (not to be changed afterwards), or a file's
            path; also wrapped as `{"manifest": {…}, "input_data": […]}`, see `load_document`.
        limits: what it may measure.

    Raises:
        ManifestError: it is no JSON or YAML, or its structure is wrong; has all problems.
        UsageError: there is no such file, or it cannot be read.
    """
    manifest, problems = examine(source, limits)
    if manifest is None or problems:
        raise ManifestError(problems)
    return manifest


def examine(
    source: Source, limits: ManifestLimits = DEFAULT_LIMITS
) -> tuple[Manifest | None, tuple[Problem, ...]]:
    """Read what can be read of a manifest, and say what is wrong with its structure.

    Args:
        source: see `load_manifest`.
        limits: what it may measure.

    Returns:
        The manifest, or what is sound of it, or None where nothing is; and the problems.

    Raises:
        UsageError: there is no such file, or it cannot be read.
    """
    if isinstance(source, Manifest):
        return source, ()
    document, problems = read_document(source, limits)
    if document is None:
        return None, problems
    twice = said_twice(document.manifest)
    try:
        return Manifest.model_validate(document.manifest), tuple(twice)
    except ValidationError as error:
        found = _problems(error, document.manifest)
    return _salvage(document.manifest), (*found, *twice)


def _problems(error: ValidationError, document: Mapping[str, Any]) -> list[Problem]:
    problems = []
    for item in error.errors(include_url=False)[:PROBLEMS_MAX]:
        text = sentence(item)
        if item["loc"] == ("version",) and item["type"] != "missing":
            text = f"must be {quoted(VERSION)}, got {quoted(item['input'])}"
        problems.append(
            Problem(path_of(item["loc"]), text, node_id=_node_id(document, item["loc"]))
        )
    if error.error_count() > PROBLEMS_MAX:
        problems.append(Problem(DOCUMENT, "has more problems; these are the first"))
    return problems


def _node_id(document: Mapping[str, Any], location: Sequence[int | str]) -> str | None:
    """Id of the node a location lies in, if it has one that can be read."""
    match location:
        case ("nodes", int(index), *_):
            node = document["nodes"][index]
            return _text(node, "id") or None
    return None


def _salvage(document: Mapping[str, Any]) -> Manifest:
    """A manifest of what is sound in a document; nothing in it is guaranteed but the types."""
    metadata = document.get("metadata")
    return Manifest.model_construct(
        version="v1",
        metadata=Metadata.model_construct(
            name=_text(metadata, "name") or "", multiprocess=_mapping(metadata, "multiprocess")
        ),
        nodes=[_salvage_node(node) for node in _items(document, "nodes")],
        connections=[_salvage_connection(item) for item in _items(document, "connections")],
    )


def _salvage_node(raw: Any) -> Node:
    try:
        return Node.model_validate(raw)
    except ValidationError:
        return Node.model_construct(
            id=_text(raw, "id") or "",
            node_type=_text(raw, "node_type", "nodeType") or "",
            params=_mapping(raw, "params"),
            host=_text(raw, "host") or None,
            executor=_text(raw, "executor") or None,
        )


def _salvage_connection(raw: Any) -> Connection:
    try:
        return Connection.model_validate(raw)
    except ValidationError:
        return Connection.model_construct(
            source=_text(raw, "from") or "",
            target=_text(raw, "to") or "",
            source_port=_text(raw, "from_port", "fromPort") or None,
            target_port=_text(raw, "to_port", "toPort") or None,
            overflow=_text(raw, "overflow") or None,
        )


def _items(document: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = document.get(name)
    return value if isinstance(value, list | tuple) else ()


def _text(raw: Any, *names: str) -> str | None:
    """The first of some fields that is there, if it is a string."""
    if isinstance(raw, Mapping):
        for name in names:
            if name in raw:
                return raw[name] if isinstance(raw[name], str) else None
    return None


def _mapping(raw: Any, name: str) -> dict[str, Any]:
    value = raw.get(name) if isinstance(raw, Mapping) else None
    items = value.items() if isinstance(value, Mapping) else ()
    return {key: item for key, item in items if isinstance(key, str)}
