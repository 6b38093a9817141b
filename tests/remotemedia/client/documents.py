"""Documents to run."""

from __future__ import annotations


def document(nodes, links=(), **metadata):
    """A manifest's document.

    Args:
        nodes: id → node type, or fields of the node.
        links: "a->b", or fields of the connection.
        metadata: of the manifest, beside its name.
    """
    described = []
    for node_id, what in nodes.items():
        fields = {"node_type": what} if isinstance(what, str) else what
        described.append({"id": node_id, **fields})
    connections = []
    for link in links:
        if isinstance(link, str):
            source, target = link.split("->")
            connections.append({"from": source, "to": target})
        else:
            connections.append(link)
    return {
        "version": "v1",
        "metadata": {"name": "test", **metadata},
        "nodes": described,
        "connections": connections,
    }
