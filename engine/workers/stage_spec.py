"""What a worker is told about the stages it runs: the start spec, as JSON.

Pure. Import paths, JSON and numbers of descriptors cross to a worker; never a pickled object.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from engine.packet import Source
from engine.plan import EdgePlan, Link, NodePlan, RestartRule, StagePlan


@dataclass(frozen=True, slots=True)
class EdgeSpec:
    """One end of a shared-memory edge.

    Attributes:
        plan: the edge.
        ports: the input ports a packet may be for, the same on both ends.
        source: the output whose packets it carries.
        doorbell: position of its socket among the stage's descriptors.
        arena: position of the producer's arena among them.
        arena_edges: how many edges share that arena.
        position: of the edge among them.
    """

    plan: EdgePlan
    ports: tuple[str, ...]
    source: Source
    doorbell: int
    arena: int
    arena_edges: int
    position: int

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Undo `dataclasses.asdict` and JSON."""
        return cls(
            EdgePlan(**data["plan"]),
            tuple(data["ports"]),
            Source(*data["source"]),
            data["doorbell"],
            data["arena"],
            data["arena_edges"],
            data["position"],
        )


@dataclass(frozen=True, slots=True)
class StageSpec:
    """The stages of a worker, as it needs them.

    Attributes:
        session_id: whose they are.
        stages: what runs: one, or those of a group, in topological order.
        checksums: whether what they send is given a checksum.
        receivers, senders: their ends of edges to other places.
        inner: the edges between them.
    """

    session_id: str
    stages: tuple[StagePlan, ...]
    checksums: bool
    receivers: tuple[EdgeSpec, ...]
    senders: tuple[EdgeSpec, ...]
    inner: tuple[EdgePlan, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Undo `to_dict` and JSON."""
        return cls(
            data["session_id"],
            tuple(_stage_plan(stage) for stage in data["stages"]),
            data["checksums"],
            tuple(EdgeSpec.from_dict(edge) for edge in data["receivers"]),
            tuple(EdgeSpec.from_dict(edge) for edge in data["senders"]),
            tuple(EdgePlan(**edge) for edge in data["inner"]),
        )


def _stage_plan(data: dict[str, Any]) -> StagePlan:
    return StagePlan(
        data["id"],
        data["executor"],
        tuple(_node_plan(node) for node in data["nodes"]),
        tuple(Link(**link) for link in data["links"]),
        data["worker"],
    )


def _node_plan(data: dict[str, Any]) -> NodePlan:
    plan = NodePlan(**data)
    rule = data["restart"]
    return replace(
        plan,
        inputs=tuple(plan.inputs),
        outputs=tuple(plan.outputs),
        restart=None if rule is None else RestartRule(**rule),
    )
