"""A pipeline of a service's own, for `run --server`: a manifest that names it and has no nodes.

Pure. Source: FR-001, US1.

Its nodes are known to the service alone: the options say which are fed and whose outputs go to
files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.config import Settings
from engine.errors import UsageError
from engine.plan import Plan
from remotemedia.cli.remote_session import ANYTHING, stage_of
from remotemedia.client.manifests import named_pipeline
from transports.rpc.conversion.manifest import MULTIPROCESS_HEADER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from remotemedia.client.manifests import WireManifest


def named_in(document: Mapping[str, Any]) -> str | None:
    """The name of the service's pipeline that a document means; None: it has nodes of its own."""
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    return name if isinstance(name, str) and name and not document.get("nodes") else None


def wire_of_named(name: str, document: Mapping[str, Any]) -> WireManifest:
    """What the wire carries of it."""
    wire = named_pipeline(name)
    settings = document["metadata"].get("multiprocess")
    if not settings:
        return wire
    return replace(wire, metadata=((MULTIPROCESS_HEADER, json.dumps(settings)),))


def shape_of_named(
    name: str, inputs: Sequence[str], outputs: Sequence[str], input_data: object
) -> Plan:
    """What is known here of it.

    Args:
        name: its name.
        inputs: the --input options.
        outputs: the --output options.
        input_data: what the document was wrapped with.

    Raises:
        UsageError: an option does not name its node.
    """
    fed = [*dict.fromkeys(_nodes_of("--input", inputs, name))]
    if not inputs and isinstance(input_data, Mapping):
        fed = [str(node) for node in input_data]
    written = [*dict.fromkeys(_nodes_of("--output", outputs, name))]
    return Plan(
        name=name,
        stages=tuple(stage_of(node, "", ANYTHING) for node in dict.fromkeys((*fed, *written))),
        edges=(),
        ingress=tuple(fed),
        sinks=tuple(written),
        settings=Settings(),
    )


def _nodes_of(option: str, texts: Sequence[str], name: str) -> Iterator[str]:
    for text in texts:
        node, equals, _ = text.partition("=")
        if not equals:
            raise UsageError(
                f"{option} {text}: say which node it is for, as NODE={text}; the server alone"
                f" knows the nodes of {name}"
            )
        yield node
