"""What a session, its stages and its edges have counted. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.edges.contract import EdgeStatistics
    from engine.executors.contract import RunningStage
    from engine.stage import NodeStatistics, StageStatistics


@dataclass(frozen=True, slots=True)
class SessionStatistics:
    """A snapshot.

    Attributes:
        session_id: the session.
        outputs: packets taken out of it.
        stages: stage id → counts; those of a process stage come when it has finished.
        edges: edge id → counts of its producing end; only edges whose producer is in this process.
        pids: stage id → process it runs in, 0 for this one.
    """

    session_id: str
    outputs: int
    stages: dict[str, StageStatistics] = field(default_factory=dict)
    edges: dict[str, EdgeStatistics] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        session_id: str,
        outputs: int,
        stages: Iterable[RunningStage],
        edges: dict[str, EdgeStatistics],
    ) -> SessionStatistics:
        """Collect what the parts have counted."""
        stages = tuple(stages)
        return cls(
            session_id,
            outputs,
            {stage.plan.id: stage.statistics() for stage in stages},
            edges,
            {stage.plan.id: stage.pid for stage in stages},
        )

    @property
    def nodes(self) -> dict[str, NodeStatistics]:
        """Node id → counts."""
        return {
            node_id: counts
            for stage in self.stages.values()
            for node_id, counts in stage.nodes.items()
        }
