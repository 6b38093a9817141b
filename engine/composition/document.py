"""Flow ↔ manifest: what Python composed as a document, and a document as what Python composes.

Pure: no I/O, no clock. Source: US1, FR-001. Nothing is lost either way: fields that nobody knows
stay with their node or connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticSerializationError

from engine.composition.flow import Flow, FlowLink, FlowNode, Head, Tail
from engine.composition.naming import node_ids
from engine.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_NODE_FIELDS = frozenset({"id", "node_type", "params"})
_LINK_FIELDS = frozenset({"from", "to"})


def sections_of(flow: Flow, *, portable: bool) -> dict[str, Any]:
    """The `nodes` and `connections` of a manifest that says the same.

    Args:
        flow: at least one node.
        portable: whether the params must be JSON; a plan for this process takes functions, too.

    Raises:
        UsageError: params of a node cannot be written down; two nodes have one id.
    """
    ids = node_ids(flow.nodes)
    nodes = [
        _entry(node, node_id, portable=portable)
        for node, node_id in zip(flow.nodes, ids, strict=True)
    ]
    connections = [
        {"from": ids[link.source], "to": ids[link.target], **link.fields} for link in flow.links
    ]
    return {"nodes": nodes, "connections": connections}


def flow_of_manifest(document: Mapping[str, Any]) -> Flow:
    """A manifest's graph as a flow; its ingress nodes are the heads, its sinks the tails.

    Args:
        document: a manifest by the names of `Manifest.to_dict`.

    Raises:
        UsageError: a connection names a node that is not there.
    """
    nodes = tuple(
        FlowNode(
            entry["node_type"],
            params=entry.get("params"),
            id=entry["id"],
            fields={name: value for name, value in entry.items() if name not in _NODE_FIELDS},
        )
        for entry in document["nodes"]
    )
    places = {node.id: place for place, node in enumerate(nodes)}
    links = tuple(_link(entry, places) for entry in document["connections"])
    fed = {link.target for link in links}
    taken = {link.source for link in links}
    return Flow(
        nodes,
        links,
        tuple(Head(place) for place in range(len(nodes)) if place not in fed),
        tuple(Tail(place) for place in range(len(nodes)) if place not in taken),
    )


def _entry(node: FlowNode, node_id: str, *, portable: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": node_id, "node_type": node.node_type}
    if node.operator is None:
        if node.params is not None:
            entry["params"] = dict(node.params)
    else:
        entry["params"] = _params(node.operator, node_id, portable=portable)
    return {**entry, **node.fields}


def _params(operator: Any, node_id: str, *, portable: bool) -> dict[str, Any]:
    if type(operator).portable:
        try:
            params: dict[str, Any] = operator.params.model_dump(mode="json", exclude_unset=True)
        except PydanticSerializationError as error:
            raise UsageError(
                f"the params of node {node_id!r} hold something that JSON cannot say: {error};"
                " params are numbers, texts, lists and objects of these",
                node_id=node_id,
            ) from error
        return params
    if portable:
        raise UsageError(
            f"node {node_id!r} cannot be written to a manifest: it is made of a function of this"
            " process; move the function to a module and name it as 'module:function'",
            node_id=node_id,
        )
    return {name: getattr(operator.params, name) for name in operator.params.model_fields_set}


def _link(entry: Mapping[str, Any], places: Mapping[str | None, int]) -> FlowLink:
    source, source_port = _end(entry, "from", places)
    target, target_port = _end(entry, "to", places)
    fields = {name: value for name, value in entry.items() if name not in _LINK_FIELDS}
    if source_port is not None:
        fields.setdefault("from_port", source_port)
    if target_port is not None:
        fields.setdefault("to_port", target_port)
    return FlowLink(source, target, fields)


def _end(
    entry: Mapping[str, Any], side: str, places: Mapping[str | None, int]
) -> tuple[int, str | None]:
    """The place of the node a connection names by `id` or `id.port`, and that port."""
    name: str = entry[side]
    if name in places:
        return places[name], None
    node_id, dot, port = name.partition(".")
    if node_id not in places or not dot:
        known: Sequence[str] = [str(node) for node in places]
        raise UsageError(
            f"a connection goes {side} {name!r}, which is no node; the nodes are {', '.join(known)}"
        )
    return places[node_id], port
