"""A stage's plan → one reactivex chain of adapters between its edges.

Pure. Source: FR-003, FR-012. Everything is connected before anything is fed, so nothing emitted is
missed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.adapters import make_adapter
from engine.errors import NodeError, UsageError
from engine.registry import resolve
from engine.stage_ends import Entry, Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from engine.adapters import OperatorAdapter
    from engine.edges.contract import EdgeReceiver, EdgeSender
    from engine.operator import Operator
    from engine.plan import EdgePlan, NodePlan, StagePlan
    from engine.stage import Stage


def make_operators(plan: StagePlan) -> dict[str, Operator]:
    """Make a session's own operator instances for a stage; initializes nothing."""
    return {node.id: _made(node) for node in plan.nodes}


def _made(node: NodePlan) -> Operator:
    try:
        cls = resolve(node.target)
    except UsageError as error:
        told = UsageError(
            f"node {node.id!r}: {error.message}", **{**error.context, "node_id": node.id}
        )
        raise told from error.__cause__ or error
    try:
        return cls(**node.params)
    except TypeError as error:
        raise NodeError.of(node.id, error, during="__init__") from error


def compile_stage(
    plan: StagePlan,
    operators: Mapping[str, Operator],
    stage: Stage,
    receivers: Sequence[tuple[EdgePlan, EdgeReceiver]],
    senders: Sequence[tuple[EdgePlan, EdgeSender]],
) -> Stage:
    """Wire a stage's operators to each other and to its edges.

    Args:
        plan: the stage's plan.
        operators: node id → instance.
        stage: an empty stage on its host.
        receivers: the in edges, with their plans.
        senders: the out edges, with their plans.

    Returns:
        The stage, ready to be run once its operators are initialized.
    """
    adapters = {
        node.id: make_adapter(
            node.id, operators[node.id], stage, _stamped_ports(node.id, plan, senders)
        )
        for node in plan.nodes
    }
    for link in plan.links:  # in the manifest's order, which is the order of a fan-out
        adapters[link.target_node].feed(
            link.target_port, adapters[link.source_node].outlets[link.source_port]
        )
    exits = [
        _connect_exit(edge, sender, adapters[edge.source_node], stage) for edge, sender in senders
    ]
    entries = [_entry(edge, receiver, adapters[edge.target_node]) for edge, receiver in receivers]
    feeding = {link.source_node for link in plan.links}
    sending = {edge.source_node for edge, _ in senders}
    for adapter in adapters.values():
        adapter.is_leaf = adapter.node_id in sending or adapter.node_id not in feeding
        adapter.only_sends = adapter.node_id in sending and adapter.node_id not in feeding
        adapter.context.reserve = _reserve(adapter.node_id, senders)
    stage.assemble(
        list(adapters.values()),
        entries,
        exits,
        leaves=sum(adapter.is_leaf for adapter in adapters.values()),
    )
    return stage


def _stamped_ports(
    node_id: str, plan: StagePlan, senders: Sequence[tuple[EdgePlan, EdgeSender]]
) -> dict[str, str]:
    """Output port → input port of its first consumer, which needs no stamping of its own then."""
    ports: dict[str, str] = {}
    for link in plan.links:
        if link.source_node == node_id:
            ports.setdefault(link.source_port, link.target_port)
    for edge, _ in senders:
        if edge.source_node == node_id:
            ports.setdefault(edge.source_port, edge.target_port)
    return ports


def _connect_exit(
    edge: EdgePlan, sender: EdgeSender, adapter: OperatorAdapter, stage: Stage
) -> Exit:
    outlet = adapter.outlets[edge.source_port]
    stamped = edge.target_port if outlet.port != edge.target_port else None
    exit_ = Exit(stage, adapter, sender, stamped)
    outlet.connect(exit_)
    return exit_


def _entry(edge: EdgePlan, receiver: EdgeReceiver, adapter: OperatorAdapter) -> Entry:
    """The stage's side of an in edge.

    An ingress feeds every port of its node, as each packet says; a node without any is fed its end.
    """
    ports = (edge.target_port,) if edge.target_port else adapter.operator.inputs or ("",)
    for port in ports:
        adapter.add_source(port)
    return Entry(receiver, adapter, ports)


def _reserve(
    node_id: str, senders: Sequence[tuple[EdgePlan, EdgeSender]]
) -> Callable[[tuple[int, ...], npt.DTypeLike], npt.NDArray[Any] | None] | None:
    """Where `ctx.empty` takes memory: the arena behind the node's first out edge with one."""
    for edge, sender in senders:
        if edge.source_node == node_id and edge.kind == "shared_memory":
            return sender.reserve
    return None
