"""Which nodes would wait for ever for branches that do not keep step.

Pure: no I/O, no clock. Source: FR-006, FR-007.

    source ─┬─▶ detect ──▶ a ┐            detect drops packets, so the node would hold b back while
            └────────────▶ b ┴─▶ pair     it waits for an a, and with b the source that a comes from

A node that takes its inputs in step and holds back the one that leads (`Operator.in_step`) needs
branches that emit one packet for each they get, wherever two branches come from one node.

A node that is started again after a failure may drop a packet that it fails with. One for one
otherwise, it is refused before such a node for another reason: nothing waits for ever, but
everything behind the dropped packet is paired with a wrong partner, and nobody is told. That goes
for inputs from different sources too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from engine.graph import Graph, GraphNode, Link


def rate_problems(graph: Graph, restarted: Collection[str] = ()) -> list[Problem]:
    """The nodes that would wait for ever, or pair what does not belong together.

    Args:
        graph: need not be complete where a known problem is an error.
        restarted: ids of the nodes that are started again when they fail.

    Returns:
        A problem for each such node, with what would help.
    """
    waiting = [node for node in graph.nodes if node.spec.cls.in_step(_params(node))]
    if not waiting:
        return []
    branches = _Branches(graph, restarted)
    return [problem for node in waiting if (problem := branches.problem_of(node)) is not None]


def _params(node: GraphNode) -> object:
    """A node's params as its class takes them; None where they are wrong, which is told already."""
    try:
        return node.spec.cls.Params.model_validate(node.params)
    except ValueError:
        return None


class _Branches:
    """Sets of nodes, as bits of a number each, found in one walk over the graph.

    A node `w` that does not emit one for one breaks the step of two ports if it lies on the way to
    one of them, and a node before it reaches the other past it.
    """

    def __init__(self, graph: Graph, restarted: Collection[str]) -> None:
        self._order = graph.order
        bits = {node: 1 << place for place, node in enumerate(graph.order)}
        nodes = {node.id: node for node in graph.nodes}
        #: Nodes that a link leads to which may drop packets: they do not get one for one.
        self._short = {item.link.target_node for item in graph.connections if item.may_drop}
        self._uneven = sum(
            bits[node]
            for node in graph.order
            if nodes[node].spec.cls.rate != "one_to_one" or node in self._short
        )
        self._bits = bits
        #: Nodes that are started again → where the links from them lead.
        self._restarted: dict[str, list[str]] = {
            node: [] for node in graph.order if node in restarted
        }
        #: Links that lead to a node.
        self._into: dict[str, list[Link]] = {node: [] for node in graph.order}
        for link in graph.links:
            if link.source_node in bits and link.target_node in bits:  # else it is on a cycle
                self._into[link.target_node].append(link)
                if link.source_node in self._restarted:
                    self._restarted[link.source_node].append(link.target_node)
        behind = self._behind(bits)
        #: The node, and those before it.
        self._upto: dict[str, int] = {}
        #: Those with a node before them that reaches this one past them.
        self._past: dict[str, int] = {}
        for node in graph.order:
            sources = [link.source_node for link in self._into[node]]
            self._upto[node] = bits[node] | _union(self._upto, sources)
            self._past[node] = (behind[node] | _union(self._past, sources)) & ~bits[node]

    def _behind(self, bits: Mapping[str, int]) -> dict[str, int]:
        """For each node those behind it."""
        behind = dict.fromkeys(self._order, 0)
        for node in reversed(self._order):
            for link in self._into[node]:
                behind[link.source_node] |= bits[node] | behind[node]
        return behind

    def problem_of(self, node: GraphNode) -> Problem | None:
        """What is wrong with the branches that lead to a node, if anything."""
        if node.id in self._short:
            text = (
                "waits for its inputs to keep step, and a link to it may drop packets; choose"
                " another policy for one of them"
            )
            return Problem(f"nodes[{node.index}].params", text, "error", node.id)
        feeders: dict[str, list[str]] = {}
        for link in self._into.get(node.id, ()):
            feeders.setdefault(link.target_port, []).append(link.source_node)
        for port, sources in feeders.items():
            on_the_way = _union(self._upto, sources) & self._uneven
            for other, others in feeders.items():
                breaking = on_the_way & _union(self._past, others)
                if other != port and breaking:
                    return _problem(node, port, other, self._order[breaking.bit_length() - 1])
        return self._dropping(node, feeders)

    def _dropping(self, node: GraphNode, feeders: Mapping[str, list[str]]) -> Problem | None:
        """A node on the way to some inputs that may drop a packet of one of them alone."""
        if len(feeders) <= 1:
            return None
        ports = {port: _union(self._upto, sources) for port, sources in feeders.items()}
        some = every = past = 0
        for port, sources in feeders.items():
            every = ports[port] if not some else every & ports[port]
            some |= ports[port]
            past |= _union(self._past, sources)
        for restarted, targets in self._restarted.items():
            bit = self._bits[restarted]
            # By two links at once: a packet may have gone on by one of them when it is dropped.
            ways = [target for target in targets if target == node.id or some & self._bits[target]]
            if some & bit and (past & bit or not every & bit or len(ways) > 1):
                port = next(port for port, upto in ports.items() if upto & bit)
                return _dropping_problem(node, port, restarted)
        return None


def _union(sets: Mapping[str, int], nodes: list[str]) -> int:
    union = 0
    for node in nodes:
        union |= sets[node]
    return union


def _problem(node: GraphNode, port: str, other: str, breaking: str) -> Problem:
    return Problem(
        f"nodes[{node.index}].params",
        f"waits for its inputs to keep step, and would wait for ever: {breaking!r}, on the way to"
        f" {port!r}, or a link to it, may drop packets or add some, while {other!r} gets them all;"
        f' choose another policy, or declare rate = "one_to_one" if {breaking!r} always emits one'
        " for one",
        "error",
        node.id,
    )


def _dropping_problem(node: GraphNode, port: str, restarted: str) -> Problem:
    return Problem(
        f"nodes[{node.index}].params",
        f"pairs its inputs in step, and {restarted!r}, on the way to {port!r}, has restart: a"
        " packet that it fails with twice is dropped, and all behind it would be paired with the"
        f" wrong ones; leave restart out of {restarted!r}, or join by time (TimeJoin)",
        "error",
        node.id,
    )
