"""Everything a plan knows, as plain data: what runs where and why, and what it will take. Pure.

Source: FR-002, FR-003, FR-005, FR-007, FR-010.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from engine.drawing.wording import RULES
from engine.edges.credit import IN_FLIGHT_MAX

if TYPE_CHECKING:
    from engine.plan import EdgePlan, NodePlan, Plan, StagePlan


def explanation_of(plan: Plan) -> dict[str, Any]:
    """A plan as JSON-compatible data.

    Returns:
        name, stages (with nodes, and links inside), edges, cuts (why two stages are two),
        resources (what it will take, and of how much), ingress, sinks, warnings.
    """
    return {
        "name": plan.name,
        "ingress": list(plan.ingress),
        "sinks": list(plan.sinks),
        "stages": [_stage(stage) for stage in plan.stages],
        "cuts": _cuts(plan),
        "edges": [_edge(edge, plan) for edge in plan.edges],
        "resources": _resources(plan),
        "warnings": [asdict(warning) for warning in plan.warnings],
    }


def _stage(stage: StagePlan) -> dict[str, Any]:
    return {
        "id": stage.id,
        "executor": stage.executor,
        "group": stage.group,
        "worker": stage.worker or None,
        "nodes": [_node(node) for node in stage.nodes],
        "links": [str(link) for link in stage.links],
    }


def _node(node: NodePlan) -> dict[str, Any]:
    return {
        "id": node.id,
        "node_type": node.node_type,
        "target": node.target,
        "executor": node.executor,
        "rule": node.rule,
        "reason": RULES.get(node.rule, node.rule),
        "begins_stage": node.begins_stage,
        "inputs": list(node.inputs),
        "outputs": list(node.outputs),
        "params": dict(node.params),
        "process_timeout_ms": node.process_timeout_ms,
        "restart": None if node.restart is None else asdict(node.restart),
    }


# --- why two stages are two -------------------------------------------------------------------


def _cuts(plan: Plan) -> list[dict[str, str]]:
    stages = {stage.id: stage for stage in plan.stages}
    return [
        {"edge": edge.id, "reason": _why_cut(edge, stages)}
        for edge in plan.edges
        if edge.source_stage is not None and edge.target_stage is not None
    ]


def _why_cut(edge: EdgePlan, stages: dict[str, StagePlan]) -> str:
    source, target = stages[edge.source_stage or ""], stages[edge.target_stage or ""]
    if source.worker != target.worker:
        return _why_apart(edge, source, target)
    node = next(node for node in target.nodes if node.id == edge.target_node)
    if node.begins_stage:
        return f"{node.id} waits or chooses between its inputs: what comes before goes on meanwhile"
    if source.nodes[0].begins_stage:
        head = source.nodes[0].id
        return (
            f"{head} waits: only what it alone feeds may stand behind it, and {node.id} is fed"
            " from elsewhere, too"
        )
    return "as one stage it would stand on a cycle of stages, each waiting for the other's credits"


def _why_apart(edge: EdgePlan, source: StagePlan, target: StagePlan) -> str:
    ends = ((edge.target_node, target), (edge.source_node, source))
    shared = [f"{node} runs in the process {stage.group!r}" for node, stage in ends if stage.group]
    alone = [node for node, stage in ends if stage.worker and not stage.group]
    if len(alone) > 1:
        return f"{edge.source_node} and {edge.target_node} each run in a process of their own"
    return " and ".join([*(f"{node} runs in a process of its own" for node in alone), *shared])


# --- edges ------------------------------------------------------------------------------------


def _edge(edge: EdgePlan, plan: Plan) -> dict[str, Any]:
    shared = edge.kind == "shared_memory"
    return {
        "id": edge.id,
        "source_stage": edge.source_stage,
        "target_stage": edge.target_stage,
        "kind": edge.kind,
        "capacity": edge.capacity,
        "overflow": edge.overflow,
        "credits": edge.capacity,
        "in_flight_max": min(edge.capacity, IN_FLIGHT_MAX) if shared else edge.capacity,
        "arena": (edge.source_stage or "session") if shared else None,
        "arena_bytes": plan.settings.shm_segment_bytes if shared else 0,
    }


def _resources(plan: Plan) -> dict[str, Any]:
    settings = plan.settings
    arenas = {edge.source_stage for edge in plan.edges if edge.kind == "shared_memory"}
    return {
        "processes": len(plan.workers),
        "processes_max": settings.process_limit,
        "arenas": len(arenas),
        "arena_bytes": settings.shm_segment_bytes,
        "arenas_bytes": len(arenas) * settings.shm_segment_bytes,
        "session_memory_mb_max": settings.max_session_memory_mb,
        "packets_max": sum(edge.capacity for edge in plan.edges),
        "init_timeout_s": settings.init_timeout_s,
        "cleanup_grace_s": settings.cleanup_grace_s,
        "hang_timeout_s": settings.hang_timeout_s,
    }
