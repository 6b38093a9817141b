"""From a validated graph to a plan: which node runs where, in which stage, linked by which edges.

Pure: no I/O, no clock. Source: FR-002, FR-003, FR-005, FR-010; NFR-001.

Where a node runs, the first rule that applies:

    manifest    the manifest's `executor`
    operator    the operator's `default_executor`
    pattern     registered as a Python node and its type ends with "Node": process
    default     local
    disabled    a process node where processes are disabled: local

Which nodes share a stage:

    process     each node a stage of its own; those of one group share a worker, and there the same
                rules as for local nodes say which of them share a stage
    waiting     a local node that waits or chooses begins a stage; behind it, in the same stage,
                come the synchronous nodes that are fed by that stage alone, so that nothing else
                ever stands in line behind what it waits for
    plain       other synchronous local nodes that are linked, as far as the graph of stages stays
                acyclic: on a cycle of stages each would wait for the other's credits

So a worker may host several stages, and stages of one worker may stand on both sides of another
one: A(g) → B → C(g) are three stages in two workers.

A stage is pushed through depth first, a few frames of the interpreter's stack per node; so one has
at most STAGE_DEPTH_MAX nodes in a row, and a longer chain goes on in the next stage.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.edges.overflow import DROPPING_CAPACITY_MIN, may_drop, window_of
from engine.errors import Problem, ResourceLimitError
from engine.graph import DEFAULT_OVERFLOW, EXECUTORS, Link, topological_order
from engine.rates import rate_problems
from engine.wording import nearest, suggestion

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.config import Settings
    from engine.graph import Graph, GraphLink, GraphNode

#: Nodes in a row that share a stage. The interpreter's limit is 1,000 frames, of which a node of
#: five reactivex operators takes 16 and most take one to four.
STAGE_DEPTH_MAX = 32

__all__ = ["EdgePlan", "Link", "NodePlan", "Plan", "StagePlan", "make_plan"]


@dataclass(frozen=True, slots=True)
class RestartRule:
    """What happens when the worker of a node fails.

    Attributes:
        max: how often it is started again, in all.
        backoff_ms: pause before the first time, doubled as long as no turn succeeds in between.
    """

    max: int
    backoff_ms: int


@dataclass(frozen=True, slots=True)
class NodePlan:
    """A node, placed.

    Attributes:
        id: the node's id.
        node_type: its type.
        target: "module:qualname" of its operator.
        params: its params, JSON-compatible, in the operator's own spelling.
        inputs: its input ports.
        outputs: its output ports.
        executor: "local" or "process".
        rule: which rule placed it: "manifest", "operator", "pattern", "default" or "disabled".
        begins_stage: whether it waits or chooses, so that it begins a stage.
        process_timeout_ms: bound on one turn, or None.
        group: the name of the process it shares, or None.
        restart: what happens when its process fails; None: the session fails.
    """

    id: str
    node_type: str
    target: str
    params: Mapping[str, Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    executor: str
    rule: str
    begins_stage: bool = False
    process_timeout_ms: int | None = None
    group: str | None = None
    restart: RestartRule | None = None


@dataclass(frozen=True, slots=True)
class StagePlan:
    """Nodes fused in one place.

    Attributes:
        id: id of its first node.
        executor: "local" or "process".
        nodes: in topological order.
        links: the connections inside it, in the manifest's order.
        worker: id of the first stage of the worker that runs it; "" for the session's own loop.
    """

    id: str
    executor: str
    nodes: tuple[NodePlan, ...]
    links: tuple[Link, ...] = ()
    worker: str = ""

    @property
    def group(self) -> str | None:
        """The name of the process it shares with other stages of that name, or None."""
        return self.nodes[0].group

    @property
    def restart(self) -> RestartRule | None:
        """What happens when its worker fails; None: the session fails."""
        return self.nodes[0].restart


@dataclass(frozen=True, slots=True)
class EdgePlan:
    """The bounded link between two stages, or between the session and a stage.

    Attributes:
        id: unique in the plan: "a.out→b.in", "→a" (ingress), "b.out→" (egress).
        source_stage: id of the producing stage; None: the session's ingress.
        target_stage: id of the consuming stage; None: the session's exit.
        source_node: the emitting node; for an ingress, the node that is fed.
        source_port: its output port; "" for an ingress.
        target_node: the receiving node; for an egress, the node whose output it is.
        target_port: its input port; "" for an ingress (each packet says its own) and an egress.
        kind: "local" (both ends on the session's loop, or on that of one worker) or
            "shared_memory".
        capacity: credits, in packets.
        overflow: what a full edge does, one of `engine.edges.overflow.OVERFLOWS`.
        max_age_ms: how long a packet may wait on it before it is dropped; None: for ever.
    """

    id: str
    source_stage: str | None
    target_stage: str | None
    source_node: str
    source_port: str
    target_node: str
    target_port: str
    kind: str
    capacity: int
    overflow: str = DEFAULT_OVERFLOW
    max_age_ms: int | None = None

    def describe(self) -> str:
        """What it is, holds, and does when it is full."""
        age = "" if self.max_age_ms is None else f", at most {self.max_age_ms} ms"
        return f"{self.kind}, {_count(self.capacity, 'packet')}, {self.overflow}{age}"

    @property
    def window(self) -> int:
        """Credits between its two ends; what it holds beyond them waits before its sender."""
        return window_of(self.overflow, self.capacity, self.max_age_ms)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a session needs to know before it starts; nothing here runs.

    Attributes:
        name: the manifest's name.
        stages: in topological order.
        edges: ingress edges, then edges between stages, then egress edges.
        ingress: ids of the nodes without a predecessor, in the manifest's order.
        sinks: ids of the nodes whose outputs leave the session, in the manifest's order.
        settings: the settings in force for the session.
        warnings: what is odd but runs.
    """

    name: str
    stages: tuple[StagePlan, ...]
    edges: tuple[EdgePlan, ...]
    ingress: tuple[str, ...]
    sinks: tuple[str, ...]
    settings: Settings
    warnings: tuple[Problem, ...] = ()

    @property
    def workers(self) -> dict[str, tuple[StagePlan, ...]]:
        """Id of each worker → the stages it runs, in topological order."""
        hosted: dict[str, tuple[StagePlan, ...]] = {}
        for stage in self.stages:
            if stage.worker:
                hosted[stage.worker] = (*hosted.get(stage.worker, ()), stage)
        return hosted

    def describe(self) -> str:
        """The plan as text: stages and where they run, nodes and why, edges and their bounds."""
        nodes = sum(len(stage.nodes) for stage in self.stages)
        processes = len(self.workers)
        counts = (_count(nodes, "node"), _count(len(self.stages), "stage"))
        lines = [f"{self.name}: {' in '.join(counts)}, {_count(processes, 'process')}", ""]
        for stage in self.stages:
            lines += _stage_lines(stage)
        lines += ["", "edges"]
        width = max(len(edge.id) for edge in self.edges) if self.edges else 0
        lines += [f"  {edge.id:<{width}}  {edge.describe()}" for edge in self.edges]
        if self.warnings:
            lines += ["", "warnings", *(f"  {warning}" for warning in self.warnings)]
        return "\n".join(lines)


_RULES = {
    "manifest": "the manifest says so",
    "operator": "the operator's default",
    "pattern": "a Python node by its name",
    "default": "by default",
    "disabled": "processes are disabled",
}


def _count(number: int, noun: str) -> str:
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def _stage_lines(stage: StagePlan) -> list[str]:
    width = max(len(node.id) for node in stage.nodes)
    group = f" {stage.group}" if stage.group is not None else ""
    return [
        f"stage {stage.id} ({stage.executor}{group})",
        *(
            f"  {node.id:<{width}}  {node.node_type}: {node.executor}, {_RULES[node.rule]}"
            f"{', begins a stage' if _waits(node) else ''}{_restart_text(node)}"
            for node in stage.nodes
        ),
        *(f"  {link}" for link in stage.links),
    ]


def _restart_text(node: NodePlan) -> str:
    rule = node.restart
    return "" if rule is None else f", started again at most {_count(rule.max, 'time')}"


def make_plan(
    graph: Graph, settings: Settings, name: str, known: Sequence[Problem] = ()
) -> tuple[Plan | None, tuple[Problem, ...]]:
    """Place the nodes of a graph, fuse them into stages, and bound the links between those.

    Args:
        graph: what `build_graph` made; need not be complete where a known problem is an error.
        settings: the settings of the session.
        name: the manifest's name.
        known: problems found before; warnings among them are handed on in the plan.

    Returns:
        The plan, or None where a problem is an error; and the known and the new problems.

    Raises:
        ResourceLimitError: nothing is wrong but that the limit of processes would be exceeded.
    """
    placed, problems = _place(graph, settings)
    restarted = {node.id for node in placed.values() if node.restart is not None}
    rates = rate_problems(graph, restarted)
    problems = [*known, *problems, *_link_problems(graph, settings), *rates]
    if any(problem.severity == "error" for problem in problems):
        return None, tuple(problems)
    _check_process_limit(placed, settings)
    stages = _stages(graph, placed)
    sinks = _sinks(graph)
    plan = Plan(
        name=name,
        stages=stages,
        edges=_Edges(graph, settings, stages).all(sinks),
        ingress=_ingress(graph),
        sinks=tuple(node.id for node in sinks),
        settings=settings,
        warnings=tuple(problems),
    )
    return plan, plan.warnings


# --- placement --------------------------------------------------------------------------------


def _place(graph: Graph, settings: Settings) -> tuple[dict[str, NodePlan], list[Problem]]:
    placed: dict[str, NodePlan] = {}
    problems: list[Problem] = []
    for node in graph.nodes:
        executor, rule = _executor(node)
        if executor == "process" and not settings.enabled:
            if rule == "manifest" and not node.spec.cls.process_only:
                text = "processes are disabled here; the node runs on the server's loop"
                problems.append(_problem(node, "executor", text, "warning"))
            executor, rule = "local", "disabled"
        found = (
            _placement_problem(node, executor, rule),
            _restart_problem(node, graph, executor, rule),
            *_restart_field_problems(node),
            _timeout_problem(node, executor),
        )
        problems += [problem for problem in found if problem is not None]
        placed[node.id] = NodePlan(
            id=node.id,
            node_type=node.node_type,
            target=node.spec.target,
            params=node.params,
            inputs=node.ports.inputs,
            outputs=node.ports.outputs,
            executor=executor,
            rule=rule,
            begins_stage=node.spec.begins_stage,
            process_timeout_ms=node.process_timeout_ms,
            group=node.group if executor == "process" else None,
            restart=_restart_rule(node) if executor == "process" else None,
        )
    return placed, problems


def _executor(node: GraphNode) -> tuple[str, str]:
    """Where a node is to run, and the rule that says so."""
    if node.executor is not None:
        return node.executor, "manifest"
    default = node.spec.cls.default_executor
    if default is not None:
        return default, "operator"
    if node.spec.pattern and node.node_type.endswith("Node"):
        return "process", "pattern"
    return "local", "default"


def _placement_problem(node: GraphNode, executor: str, rule: str) -> Problem | None:
    if executor not in EXECUTORS:
        hint = suggestion(executor, EXECUTORS, "executors of this version")
        text = f"{node.node_type} asks for the executor {executor!r}, which there is not{hint}"
        return _problem(node, "node_type", text)
    if executor == "local" and node.spec.cls.process_only:
        return _process_only_problem(node, rule)
    if executor != "process":
        return None
    module, _, qualname = node.spec.target.partition(":")
    if not node.spec.cls.portable:
        text = (
            f"{node.id!r} is made of a function of this process; move the function to a module and"
            " name it as 'module:function', or run the node local"
        )
        return _problem(node, "executor", text)
    if "<locals>" in qualname:
        where = "inside a function"
    elif module == "__main__" and not _main_has_file():
        where = "in a notebook or an interactive session"
    else:
        return None
    text = (
        f"{node.spec.cls.__name__} is defined {where}, where another process cannot find it;"
        " move the class to a module, or run the node local"
    )
    return _problem(node, "executor" if rule == "manifest" else "node_type", text)


def _process_only_problem(node: GraphNode, rule: str) -> Problem:
    text = f"{node.node_type} runs in a process of its own only"
    if rule == "disabled":
        return _problem(node, "node_type", f"{text}, and processes are disabled here (enabled)")
    return _problem(node, "executor", f'{text}; say "executor": "process", or leave executor out')


def _restart_rule(node: GraphNode) -> RestartRule | None:
    restart = node.restart
    return None if restart is None else RestartRule(restart.max, restart.backoff_ms)


def _restart_problem(node: GraphNode, graph: Graph, executor: str, rule: str) -> Problem | None:
    """Why a node cannot be started again although the manifest wants it."""
    cls = node.spec.cls
    if node.restart is None or rule == "disabled":
        return None
    mates = [
        repr(other.id)
        for other in graph.nodes
        if node.group is not None and other.group == node.group and other is not node
    ]
    if executor != "process":
        text = 'only a process is started again; say "executor": "process", or leave restart out'
    elif mates:
        text = (
            f"the node shares the process {node.group!r} with {', '.join(mates)}, which would lose"
            ' what they do; give it a process of its own, "executor": "process"'
        )
    elif hasattr(cls, "stage_adapter"):
        text = (
            f"{cls.__name__} is a chain of reactivex operators, of which nobody knows what they"
            " keep, and a new process would begin without it; leave restart out"
        )
    elif cls.stateful:
        text = (
            f"{cls.__name__} keeps state between packets, and a new process would begin without"
            " it; leave restart out, or set stateful = False if it keeps none"
        )
    else:
        return None
    return _problem(node, "restart", text)


def _restart_field_problems(node: GraphNode) -> list[Problem]:
    """Fields of `restart` that nobody knows: an error where another one was probably meant."""
    if node.restart is None:
        return []
    known = list(type(node.restart).model_fields)
    problems: list[Problem] = []
    for name in node.restart.model_extra or ():
        severity = "warning" if nearest(name, known) is None else "error"
        text = f"is no field of restart{suggestion(name, known, 'fields')}"
        problems.append(_problem(node, f"restart.{name}", text, severity))
    return problems


def _timeout_problem(node: GraphNode, executor: str) -> Problem | None:
    """Say that a bound on turns is none, where no process could be ended for it."""
    if node.process_timeout_ms is None or executor != "local":
        return None
    text = (
        "has no effect: the node runs on the session's loop, and only a process can be ended when"
        ' a turn takes too long; say "executor": "process", or leave it out (timeout_ms of .on)'
    )
    return _problem(node, "process_timeout_ms", text, "warning")


def _main_has_file() -> bool:
    """Whether __main__ is a script that a worker can run again under another name."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return isinstance(file, str) and not file.startswith("<")


def _problem(node: GraphNode, field: str, text: str, severity: str = "error") -> Problem:
    return Problem(f"nodes[{node.index}].{field}", text, severity, node.id)


def _link_problems(graph: Graph, settings: Settings) -> list[Problem]:
    problems: list[Problem] = []
    for connection in graph.connections:
        limit = settings.channel_capacity_max
        if connection.capacity is not None and connection.capacity > limit:
            path = f"connections[{connection.index}].capacity"
            text = f"{connection.capacity} is above the service's limit and is lowered to {limit}"
            problems.append(Problem(path, text, "warning"))
    return problems


def _check_process_limit(placed: Mapping[str, NodePlan], settings: Settings) -> None:
    requested = len({_home(node) for node in placed.values() if node.executor == "process"})
    limit = settings.process_limit
    if requested > limit:
        capped = settings.max_processes_per_session != limit
        raise ResourceLimitError(
            f"the manifest asks for {requested} processes and a session may have {limit}; run nodes"
            ' local, or let them share a process ("executor": {"process": "a name"}), or raise'
            f" {'max_processes_total' if capped else 'max_processes_per_session'}",
            limit=limit,
            requested=requested,
        )


# --- stages -----------------------------------------------------------------------------------


def _home(node: NodePlan) -> tuple[str, str | None, str]:
    """What nodes have in common that run in one place: the loop they run on."""
    return (node.executor, node.group, node.id if _alone(node) else "")


def _alone(node: NodePlan) -> bool:
    return node.executor == "process" and node.group is None


def _waits(node: NodePlan) -> bool:
    return not _alone(node) and node.begins_stage


def _plain(node: NodePlan) -> bool:
    return not _alone(node) and not node.begins_stage


class _Fusion:
    """The graph of stages while it grows, one node after the other in topological order.

    Acyclic after every step: a new node has no successors yet, and two stages are merged only where
    no path leads from one to the other through a third. Stages are numbered as they are begun.
    """

    def __init__(self) -> None:
        self.members: dict[int, list[NodePlan]] = {}
        self.successors: dict[int, set[int]] = {}
        self.stage_of: dict[str, int] = {}
        self._predecessors: dict[int, set[int]] = {}
        #: Pairs of nodes that need an edge between them, since it may drop packets.
        self._apart: set[tuple[str, str]] = set()
        #: How many nodes come before each in a row, at most.
        self._depth: dict[str, int] = {}
        #: Which part of such rows a stage is in; so nothing in it is deeper than one part is long.
        self._tier: dict[int, int] = {}
        self._count = 0

    def keep_apart(self, source: str, target: str) -> None:
        """Say that two nodes must not share a stage, before either of them is added."""
        self._apart.add((source, target))

    def add(self, node: NodePlan, predecessors: Iterable[str]) -> None:
        """Give a node a stage; all its predecessors have theirs.

        Args:
            node: the node.
            predecessors: in the manifest's order, which decides where only one of them can be
                joined.
        """
        predecessors = list(predecessors)
        depth = 1 + max((self._depth[source] for source in predecessors), default=-1)
        self._depth[node.id] = depth
        sources = list(dict.fromkeys(self.stage_of[source] for source in predecessors))
        stage = self._begin(node, sources)
        self._tier[stage] = depth // STAGE_DEPTH_MAX
        if not _plain(node):
            return
        if len(sources) == 1 and _waits(self.members[sources[0]][0]):
            if self._may_share(sources[0], stage):
                self._merge(sources[0], stage)
            return
        for source in sources:
            if not _plain(self.members[source][0]) or not self._may_share(source, stage):
                continue
            if not self._detour(source, stage):
                self._merge(source, stage)
                stage = source

    def _may_share(self, stage: int, other: int) -> bool:
        """Whether they run in one place, are not too deep together, and need not be kept apart."""
        if _home(self.members[stage][0]) != _home(self.members[other][0]):
            return False
        if self._tier[stage] != self._tier[other]:
            return False
        if not self._apart:
            return True
        ours = {node.id for node in self.members[stage]}
        theirs = {node.id for node in self.members[other]}
        return not any(
            (source in ours and target in theirs) or (source in theirs and target in ours)
            for source, target in self._apart
        )

    def _begin(self, node: NodePlan, sources: Iterable[int]) -> int:
        stage = self._count
        self._count += 1
        self.members[stage] = [node]
        self.stage_of[node.id] = stage
        self.successors[stage] = set()
        self._predecessors[stage] = set(sources)
        for source in sources:
            self.successors[source].add(stage)
        return stage

    def _detour(self, source: int, target: int) -> bool:
        """Whether a path leads from one stage to the other through a third."""
        pending = [stage for stage in self.successors[source] if stage != target]
        seen = set(pending)
        while pending:
            following = self.successors[pending.pop()]
            if target in following:
                return True
            fresh = following - seen
            seen |= fresh
            pending += fresh
        return False

    def _merge(self, stage: int, gone: int) -> None:
        """Make two stages one, which keeps the first one's number."""
        members = self.members.pop(gone)
        self.members[stage] += members
        for node in members:
            self.stage_of[node.id] = stage
        for following in self.successors.pop(gone):
            self._predecessors[following].discard(gone)
            if following != stage:
                self._predecessors[following].add(stage)
                self.successors[stage].add(following)
        for preceding in self._predecessors.pop(gone):
            self.successors[preceding].discard(gone)
            if preceding != stage:
                self.successors[preceding].add(stage)
                self._predecessors[stage].add(preceding)


def _stages(graph: Graph, placed: Mapping[str, NodePlan]) -> tuple[StagePlan, ...]:
    predecessors: dict[str, list[str]] = {node: [] for node in graph.order}
    for link in graph.links:
        predecessors[link.target_node].append(link.source_node)
    fusion = _Fusion()
    for connection in graph.connections:
        if connection.may_drop:
            fusion.keep_apart(connection.link.source_node, connection.link.target_node)
    for node in graph.order:
        fusion.add(placed[node], predecessors[node])
    links: dict[int, list[Link]] = {stage: [] for stage in fusion.members}
    for link in graph.links:
        stage = fusion.stage_of[link.source_node]
        if stage == fusion.stage_of[link.target_node]:
            links[stage].append(link)
    rank = {node: index for index, node in enumerate(graph.order)}
    for members in fusion.members.values():
        members.sort(key=lambda node: rank[node.id])
    first = sorted(fusion.members, key=lambda stage: rank[fusion.members[stage][0].id])
    order = topological_order({stage: fusion.successors[stage] for stage in first})
    workers: dict[tuple[str, str | None, str], str] = {}
    return tuple(_stage(fusion.members[stage], links[stage], workers) for stage in order)


def _stage(
    members: Sequence[NodePlan],
    links: Iterable[Link],
    workers: dict[tuple[str, str | None, str], str],
) -> StagePlan:
    """A stage; `workers` has the id of the worker of each home that has been met."""
    head = members[0]
    worker = workers.setdefault(_home(head), head.id) if head.executor == "process" else ""
    return StagePlan(head.id, head.executor, tuple(members), tuple(links), worker)


# --- edges ------------------------------------------------------------------------------------


def _ingress(graph: Graph) -> tuple[str, ...]:
    fed = {link.target_node for link in graph.links}
    return tuple(node.id for node in graph.nodes if node.id not in fed)


def _sinks(graph: Graph) -> tuple[GraphNode, ...]:
    """The nodes whose outputs leave the session; a node without outputs is none of them."""
    taken = {link.source_node for link in graph.links}
    return tuple(
        node
        for node in graph.nodes
        if node.ports.outputs and (node.is_output or node.id not in taken)
    )


class _Edges:
    """Makes the edges of a plan."""

    def __init__(self, graph: Graph, settings: Settings, stages: Iterable[StagePlan]) -> None:
        self._graph = graph
        self._settings = settings
        self._stage_of = {node.id: stage for stage in stages for node in stage.nodes}
        self._overflow = DEFAULT_OVERFLOW if settings.enable_backpressure else "drop_oldest"

    def all(self, sinks: Iterable[GraphNode]) -> tuple[EdgePlan, ...]:
        """Ingress edges, then edges between stages, then egress edges."""
        edges = [self._ingress_edge(node) for node in _ingress(self._graph)]
        for connection in self._graph.connections:
            link = connection.link
            if self._stage_of[link.source_node] is not self._stage_of[link.target_node]:
                edges.append(self._edge_between(connection))
        edges += [self._egress_edge(node.id, port) for node in sinks for port in node.ports.outputs]
        return tuple(edges)

    def _ingress_edge(self, node: str) -> EdgePlan:
        stage = self._stage_of[node]
        return EdgePlan(
            id=f"→{node}",
            source_stage=None,
            target_stage=stage.id,
            source_node=node,
            source_port="",
            target_node=node,
            target_port="",
            kind=_kind(None, stage),
            capacity=self._settings.channel_capacity,
        )

    def _edge_between(self, connection: GraphLink) -> EdgePlan:
        link = connection.link
        source, target = self._stage_of[link.source_node], self._stage_of[link.target_node]
        capacity = connection.capacity or self._settings.channel_capacity
        overflow = connection.overflow or self._overflow
        if may_drop(overflow, connection.max_age_ms):
            capacity = max(capacity, DROPPING_CAPACITY_MIN)
        return EdgePlan(
            id=str(link),
            source_stage=source.id,
            target_stage=target.id,
            source_node=link.source_node,
            source_port=link.source_port,
            target_node=link.target_node,
            target_port=link.target_port,
            kind=_kind(source, target),
            capacity=min(capacity, self._settings.channel_capacity_max),
            overflow=overflow,
            max_age_ms=connection.max_age_ms,
        )

    def _egress_edge(self, node: str, port: str) -> EdgePlan:
        stage = self._stage_of[node]
        return EdgePlan(
            id=f"{node}.{port}→",
            source_stage=stage.id,
            target_stage=None,
            source_node=node,
            source_port=port,
            target_node=node,
            target_port="",
            kind=_kind(stage, None),
            capacity=self._settings.channel_capacity,
        )


def _kind(source: StagePlan | None, target: StagePlan | None) -> str:
    """The kind of an edge between two stages; None: the session itself."""
    return "local" if _loop(source) == _loop(target) else "shared_memory"


def _loop(stage: StagePlan | None) -> str:
    """The worker on whose loop a stage's edges end; "" for the session's.

    Where a worker may be started again, a relay on the session's loop stands before it.
    """
    return "" if stage is None or stage.restart is not None else stage.worker
