"""From a manifest to a validated graph: every node has its operator, every link its ports.

Pure but for importing operator modules through the registry.
Source: FR-001, FR-006, SC-005, NFR-001.

One call finds all problems: what is wrong with one node hides nothing about the others.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from engine.edges.overflow import BLOCK, OVERFLOWS, may_drop
from engine.errors import Problem, UsageError
from engine.manifest.limits import DOCUMENT
from engine.manifest.model import ProcessGroup
from engine.manifest.params import normalize_params
from engine.operator import Operator, Ports, ports_of
from engine.packet import DEFAULT_INPUT, DEFAULT_OUTPUT
from engine.wording import nearest, suggestion

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence
    from typing import TypeVar

    from engine.manifest.model import Connection, Manifest, Node, Restart
    from engine.registry import OperatorSpec, Registry

    _Key = TypeVar("_Key", bound=Hashable)

#: Where a node may run.
EXECUTORS = ("local", "process")
#: What a full link does where nobody says anything else.
DEFAULT_OVERFLOW = BLOCK

#: How a sentence about an unknown type begins.
UNKNOWN_TYPE = "there is no node type"
#: How Python says what a connection's field says.
_IN_PYTHON = {
    "from": " (in Python: .taking('port') on what follows)",
    "to": " (in Python: .into('port') on what comes before)",
}

#: More errors than this are not looked for, and more warnings are not told.
ERRORS_MAX = 100
WARNINGS_MAX = 100
#: Names are suggested for this many problems: comparing them all takes long in a large manifest.
SUGGESTIONS_MAX = 20


@dataclass(frozen=True, slots=True)
class Link:
    """A connection between two ports."""

    source_node: str
    source_port: str
    target_node: str
    target_port: str

    def __str__(self) -> str:
        return f"{self.source_node}.{self.source_port}→{self.target_node}.{self.target_port}"


@dataclass(frozen=True, slots=True)
class GraphLink:
    """A link, with what the manifest says about it.

    Attributes:
        link: the two ports.
        capacity: packets it may hold, or None for the session's own.
        overflow: what it does when full, or None for the default.
        max_age_ms: how long a packet may wait on it, or None.
        index: its place among the manifest's connections.
    """

    link: Link
    capacity: int | None
    overflow: str | None
    max_age_ms: int | None
    index: int

    @property
    def may_drop(self) -> bool:
        """Whether the manifest lets it drop packets."""
        return may_drop(self.overflow, self.max_age_ms)


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A node with its operator.

    Attributes:
        id: the node's id.
        node_type: its type.
        spec: the operator that stands for the type.
        params: validated, by the operator's own names.
        ports: its ports with these params.
        executor: where the manifest wants it to run, or None.
        group: the name of the process it shares, or None.
        is_output: whether its outputs leave the session although other nodes take them too.
        process_timeout_ms: bound on one turn, or None.
        index: its place among the manifest's nodes.
        restart: what happens when its process fails; None: the session fails.
    """

    id: str
    node_type: str
    spec: OperatorSpec
    params: Mapping[str, Any]
    ports: Ports
    executor: str | None
    is_output: bool
    process_timeout_ms: int | None
    index: int
    group: str | None = None
    restart: Restart | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    """A directed graph of nodes; acyclic unless the problems found with it say otherwise.

    Attributes:
        nodes: in the manifest's order.
        connections: in the manifest's order, each pair of ports once.
        order: ids in topological order; among nodes that could come next, the manifest's order.
    """

    nodes: tuple[GraphNode, ...]
    connections: tuple[GraphLink, ...]
    order: tuple[str, ...]

    @property
    def links(self) -> tuple[Link, ...]:
        """The links alone."""
        return tuple(connection.link for connection in self.connections)


def build_graph(
    manifest: Manifest, registry: Registry, known: Sequence[Problem] = ()
) -> tuple[Graph, tuple[Problem, ...]]:
    """Resolve types, params and connections.

    Args:
        manifest: the document; may be what `examine` salvaged of a faulty one.
        registry: the operators there are.
        known: problems already found in it, which are not told again.

    Returns:
        The graph of what is sound, complete if no problem is an error; and the problems.
    """
    builder = _Builder(registry, frozenset(problem.path for problem in known))
    for index, node in enumerate(manifest.nodes):
        if builder.full:
            break
        builder.add_node(index, node)
    # Without a list of nodes every connection would be blamed for a fault that is not its own.
    if "nodes" not in builder.faulty:
        for index, connection in enumerate(manifest.connections):
            if builder.full:
                break
            builder.add_connection(index, connection)
    return builder.finish()


def topological_order(successors: Mapping[_Key, Iterable[_Key]]) -> list[_Key]:
    """Order keys so that each comes before its successors.

    Args:
        successors: for each key, those that come after it; every one of them is a key as well.

    Returns:
        The keys; among those that could come next, the first in the mapping's order. Keys on a
        cycle, or behind one, are left out.
    """
    rank = {key: index for index, key in enumerate(successors)}
    waiting = dict.fromkeys(successors, 0)
    for targets in successors.values():
        for target in targets:
            waiting[target] += 1
    keys = list(successors)
    ready = [rank[key] for key, count in waiting.items() if count == 0]
    order = []
    while ready:
        key = keys[heapq.heappop(ready)]
        order.append(key)
        for target in successors[key]:
            waiting[target] -= 1
            if waiting[target] == 0:
                heapq.heappush(ready, rank[target])
    return order


def cycles(successors: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Cycles of a graph: for each link that closes one, the nodes along it, the first one once.

    Breaking all of them at those links makes the graph acyclic.
    """
    targets = {target for group in successors.values() for target in group}
    found: list[list[str]] = []
    done: set[str] = set()
    # From the sources first: then the links found are those that lead back.
    for start in sorted(successors, key=lambda node: node in targets):
        if start not in done:
            _walk(start, successors, done, found)
    return found


def _walk(
    start: str, successors: Mapping[str, Sequence[str]], done: set[str], found: list[list[str]]
) -> None:
    path = {start: iter(successors[start])}
    while path:
        node, targets = next(reversed(path.items()))
        target = next(targets, None)
        if target is None:
            del path[node]
            done.add(node)
        elif target in path:
            nodes = list(path)
            found.append(nodes[nodes.index(target) :])
        elif target not in done:
            path[target] = iter(successors[target])


@dataclass(frozen=True, slots=True)
class _End:
    """One end of a connection: a node, and the port that was asked for there."""

    side: Literal["from", "to"]
    node: str
    port: str | None
    path: str


class _Builder:
    """Collects nodes, links and problems of one manifest.

    Attributes:
        faulty: paths that are known to be wrong already.
    """

    def __init__(self, registry: Registry, faulty: frozenset[str]) -> None:
        self.faulty = faulty
        self._registry = registry
        self._problems: list[Problem] = []
        self._errors = self._warnings = self._suggestions = 0
        #: Where each id was first used.
        self._index: dict[str, int] = {}
        #: Operator of each id; None where there is none to be had.
        self._specs: dict[str, OperatorSpec | None] = {}
        #: Ports of each id; missing where its params are wrong.
        self._ports: dict[str, Ports] = {}
        self._nodes: list[GraphNode] = []
        self._links: dict[Link, GraphLink] = {}
        #: For each pair of nodes the connection that links them first, whatever its ports.
        self._pairs: dict[tuple[str, str], int] = {}

    @property
    def full(self) -> bool:
        """Whether so much is wrong that it is no use to look further."""
        return self._errors >= ERRORS_MAX

    def _add(self, problem: Problem) -> None:
        if problem.severity == "error":
            self._errors += 1
        else:
            self._warnings += 1
            if self._warnings > WARNINGS_MAX:
                return
        self._problems.append(problem)

    def _error(self, path: str, message: str, node_id: str | None = None) -> None:
        self._add(Problem(path, message, "error", node_id or None))

    def _warn(self, path: str, message: str, node_id: str | None = None) -> None:
        self._add(Problem(path, message, "warning", node_id or None))

    def _suggestion(self, word: str, choices: Iterable[str], noun: str) -> str:
        self._suggestions += 1
        return suggestion(word, choices, noun) if self._suggestions <= SUGGESTIONS_MAX else ""

    # --- nodes --------------------------------------------------------------------------------

    def add_node(self, index: int, node: Node) -> None:
        path = f"nodes[{index}]"
        spec = self._operator(node, path)
        params: dict[str, Any] = {}
        ports: Ports | None = None
        if spec is not None and f"{path}.params" not in self.faulty:
            params, problems = normalize_params(
                spec.cls.Params, node.params, f"{path}.params", node.id, self._suggestion
            )
            for problem in problems:
                self._add(problem)
            if not any(problem.severity == "error" for problem in problems):
                ports = self._ports_of(spec, params, node, path)
        executor = self._executor(node, path)
        if node.host is not None and f"{path}.host" not in self.faulty:
            text = "is ignored: this version runs every node on its own server"
            self._warn(f"{path}.host", text, node.id)
        if node.id in self._index:
            text = f"{node.id!r} is the id of nodes[{self._index[node.id]}] already"
            self._error(f"{path}.id", text, node.id)
            return
        if not node.id:
            return
        self._index[node.id] = index
        self._specs[node.id] = spec
        if ports is not None:
            self._ports[node.id] = ports
        if spec is not None:
            self._nodes.append(
                GraphNode(
                    id=node.id,
                    node_type=node.node_type,
                    spec=spec,
                    params=params,
                    ports=ports or Ports(spec.cls.inputs, spec.cls.outputs),
                    executor=executor,
                    is_output=node.is_output_node,
                    process_timeout_ms=node.process_timeout_ms,
                    index=index,
                    group=node.executor.process
                    if isinstance(node.executor, ProcessGroup)
                    else None,
                    restart=node.restart,
                )
            )

    def _operator(self, node: Node, path: str) -> OperatorSpec | None:
        """The operator of a node, or None, with the problem noted."""
        if not node.node_type:
            return None
        path = f"{path}.node_type"
        try:
            spec = self._registry.get(node.node_type)
        except UsageError as error:
            self._error(path, error.message, node.id)
            return None
        if spec is None:
            hint = self._suggestion(node.node_type, self._registry, "node types")
            self._error(path, f"{UNKNOWN_TYPE} {node.node_type!r}{hint}", node.id)
        elif spec.cls.process is Operator.process and not hasattr(spec.cls, "stage_adapter"):
            self._error(path, f"{spec.cls.__name__} defines no process(packet, ctx)", node.id)
            return None
        return spec

    def _ports_of(
        self, spec: OperatorSpec, params: Mapping[str, Any], node: Node, path: str
    ) -> Ports | None:
        """The ports of a node, or None, with the problem noted."""
        try:
            return ports_of(spec.cls, params)
        except UsageError as error:
            self._error(f"{path}.params", error.message, node.id)
            return None

    def _executor(self, node: Node, path: str) -> str | None:
        """The executor the manifest names, if there is one of that name."""
        if isinstance(node.executor, ProcessGroup):
            return "process"
        if node.executor is None or node.executor in EXECUTORS:
            return node.executor
        hint = self._suggestion(node.executor, EXECUTORS, "executors of this version")
        text = f"there is no executor {node.executor!r}{hint}"
        self._error(f"{path}.executor", text, node.id)
        return None

    # --- connections --------------------------------------------------------------------------

    def add_connection(self, index: int, connection: Connection) -> None:
        path = f"connections[{index}]"
        self._check_overflow(connection, path)
        source = self._end("from", connection.source, connection.source_port, path)
        target = self._end("to", connection.target, connection.target_port, path)
        if source is None or target is None:
            return
        if source.node == target.node:
            self._error(path, f"connects {source.node!r} to itself", source.node)
            return
        self._pairs.setdefault((source.node, target.node), index)
        source_port, target_port = self._port(source), self._port(target)
        if source_port is None or target_port is None:
            return
        link = Link(source.node, source_port, target.node, target_port)
        if link in self._links:
            text = f"{link} is ignored: connections[{self._links[link].index}] is the same"
            self._warn(path, text)
            return
        self._check_kinds(link, path)
        self._links[link] = GraphLink(
            link, connection.capacity, connection.overflow, connection.max_age_ms, index
        )

    def _check_overflow(self, connection: Connection, path: str) -> None:
        word = connection.overflow
        if word is None or word in OVERFLOWS:
            return
        hint = self._suggestion(word, OVERFLOWS, "policies")
        self._error(f"{path}.overflow", f"there is no overflow policy {word!r}{hint}")

    def _end(
        self, side: Literal["from", "to"], name: str, port: str | None, path: str
    ) -> _End | None:
        """The node an end of a connection names, or None, with the problem noted."""
        if not name:
            return None
        node, dot, suffix = name, "", ""
        if name not in self._index:
            node, dot, suffix = name.partition(".")
        if node not in self._index:
            hint = self._suggestion(node, self._index, "nodes")
            self._error(f"{path}.{side}", f"there is no node {node!r}{hint}")
            return None
        if not dot:
            return _End(side, node, port, path)
        if port is not None and port != suffix:
            text = f"{name!r} names the port {suffix!r}, {side}_port names {port!r}; keep one"
            self._error(f"{path}.{side}", text, node)
            return None
        return _End(side, node, suffix, path)

    def _port(self, end: _End) -> str | None:
        """The port an end means, "" where that is not known, or None with the problem noted."""
        known = self._ports.get(end.node)
        paths = (f"{end.path}.{end.side}_port", f"{end.path}.{end.side}Port")
        if known is None or any(path in self.faulty for path in paths):
            return end.port or ""
        ports = known.outputs if end.side == "from" else known.inputs
        default = DEFAULT_OUTPUT if end.side == "from" else DEFAULT_INPUT
        port = end.port
        if port is None:
            port = ports[0] if len(ports) == 1 else default
        if port in ports:
            return port
        noun = "output" if end.side == "from" else "input"
        choice = f"its {noun} ports are {', '.join(ports)}" if ports else f"it has no {noun} ports"
        if end.port is not None and ports and (near := nearest(end.port, ports)):
            choice = f"did you mean {near!r}? {choice}"
        if end.port is None and ports:
            how = f"{end.side}_port{_IN_PYTHON[end.side]}"
            text = f"{end.node!r} has several {noun} ports: say which by {how}; {choice}"
        elif end.port is None:
            text = f"{end.node!r} cannot be connected here: {choice}"
        else:
            text = f"{end.node!r} has no {noun} port {port!r}; {choice}"
        self._error(paths[0], text, end.node)
        return None

    def _check_kinds(self, link: Link, path: str) -> None:
        """Note payload kinds that the source emits and the target does not take."""
        source, target = self._specs[link.source_node], self._specs[link.target_node]
        if source is None or target is None:
            return
        emits, accepts = source.cls.emits, target.cls.accepts
        if emits is None or accepts is None:
            return
        refused = emits - accepts
        strict = target.cls.strict
        if not refused or (refused != emits and not strict):
            return
        text = (
            f"{link.source_node!r} emits {_listed(emits)},"
            f" {link.target_node!r} takes {_listed(accepts)}"
        )
        if strict and refused == emits:
            self._error(path, text, link.target_node)
        else:
            self._warn(path, text, link.target_node)

    # --- the whole ----------------------------------------------------------------------------

    def finish(self) -> tuple[Graph, tuple[Problem, ...]]:
        successors: dict[str, list[str]] = {node: [] for node in self._index}
        for source, target in self._pairs:
            successors[source].append(target)
        order = topological_order(successors)
        if len(order) < len(successors):
            self._blame_cycles(successors)
        if self.full:
            self._error(DOCUMENT, "has more problems; these are the first")
        if not self._errors:
            self._warn_of_unfed_ports()
        return self._sound(order), tuple(self._problems)

    def _blame_cycles(self, successors: Mapping[str, Sequence[str]]) -> None:
        for nodes in cycles(successors):
            if self.full:
                return
            index = self._pairs[nodes[-1], nodes[0]]
            text = f"closes the cycle {' → '.join([*nodes, nodes[0]])}; a graph has no cycles"
            self._error(f"connections[{index}]", text, nodes[0])

    def _warn_of_unfed_ports(self) -> None:
        """Where one port of a node is fed and another is not, that may be an oversight."""
        fed: dict[str, set[str]] = {}
        for link in self._links:
            fed.setdefault(link.target_node, set()).add(link.target_port)
        for node in self._nodes:
            unfed = [port for port in node.ports.inputs if port not in fed.get(node.id, ())]
            if node.id in fed and unfed:
                ports = ", ".join(map(repr, unfed))
                text = f"nothing feeds the input {ports} of {node.id!r}; connect something to it"
                self._warn(f"nodes[{node.index}]", text, node.id)

    def _sound(self, order: Sequence[str]) -> Graph:
        sound = {node.id for node in self._nodes}
        return Graph(
            tuple(self._nodes),
            tuple(
                connection
                for link, connection in self._links.items()
                if link.source_node in sound and link.target_node in sound
            ),
            tuple(node for node in order if node in sound),
        )


def _listed(kinds: frozenset[str]) -> str:
    return " and ".join(sorted(kinds)) or "nothing"
