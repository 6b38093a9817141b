"""What a worker is told about the stage it runs: the start spec, as JSON.

Pure. Import paths, JSON and numbers of descriptors cross to a worker; never a pickled object.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from engine.packet import Source
from engine.plan import EdgePlan, Link, NodePlan, StagePlan


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
    """A stage, as a worker needs it.

    Attributes:
        session_id: whose it is.
        stage: what runs.
        checksums: whether what it sends is given a checksum.
        receivers, senders: its ends.
    """

    session_id: str
    stage: StagePlan
    checksums: bool
    receivers: tuple[EdgeSpec, ...]
    senders: tuple[EdgeSpec, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Undo `to_dict` and JSON."""
        stage = data["stage"]
        return cls(
            data["session_id"],
            StagePlan(
                stage["id"],
                stage["executor"],
                tuple(_node_plan(node) for node in stage["nodes"]),
                tuple(Link(**link) for link in stage["links"]),
            ),
            data["checksums"],
            tuple(EdgeSpec.from_dict(edge) for edge in data["receivers"]),
            tuple(EdgeSpec.from_dict(edge) for edge in data["senders"]),
        )


def _node_plan(data: dict[str, Any]) -> NodePlan:
    plan = NodePlan(**data)
    return replace(plan, inputs=tuple(plan.inputs), outputs=tuple(plan.outputs))
