"""What a session, its stages and its nodes have counted; snapshots.

Pure: no I/O, no clock. An edge's own counts are in `engine.edges.contract`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.edges.contract import EdgeStatistics
    from engine.executors.contract import RunningStage


@dataclass(slots=True)
class NodeStatistics:
    """What a node has done so far.

    Attributes:
        received: packets taken (a group counts its members).
        emitted: packets handed out.
        busy_ns: time inside the operator's synchronous code.
        waited_ns: time its asynchronous calls were open.
    """

    received: int = 0
    emitted: int = 0
    busy_ns: int = 0
    waited_ns: int = 0


#: So many numbers.
_OF_NODE = len(fields(NodeStatistics))


@dataclass(slots=True)
class StageStatistics:
    """A snapshot of a stage's counts.

    Attributes:
        turns: stimuli it was fed.
        paused_ns: time it waited for credits.
        nodes: node id → counts.
        restarts: how often its process was started again.
        dropped: packets given up because two processes in a row failed with them.
    """

    turns: int = 0
    paused_ns: int = 0
    nodes: dict[str, NodeStatistics] = field(default_factory=dict)
    restarts: int = 0
    dropped: int = 0

    @classmethod
    def of(cls, node_ids: Sequence[str], counts: Sequence[int]) -> Self:
        """What a stage has counted, from `Stage.counts`."""
        turns, paused_ns, *of_nodes = counts
        nodes = {
            node_id: NodeStatistics(*of_nodes[begin : begin + _OF_NODE])
            for node_id, begin in zip(node_ids, range(0, len(of_nodes), _OF_NODE), strict=True)
        }
        return cls(turns, paused_ns, nodes)


def counts_of(nodes: int) -> int:
    """How many numbers `Stage.counts` gives for a stage of so many nodes."""
    return 2 + _OF_NODE * nodes


@dataclass(frozen=True, slots=True)
class SessionStatistics:
    """A snapshot.

    Attributes:
        session_id: the session.
        outputs: packets taken out of it.
        stages: stage id → counts; of a process, those it published last, between two turns.
        edges: edge id → counts of its producing end, and how long its hops took.
        pids: stage id → process it runs in: this one for a local stage. A stage has no entry while
            it has no process: before its first, and between two. One whose process has ended keeps
            its last.
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
        counts: dict[str, StageStatistics] = {}
        pids: dict[str, int] = {}
        for stage in stages:
            of_stage = stage.statistics()
            counts |= of_stage
            pid = os.getpid() if stage.plan.executor == "local" else stage.pid
            if pid:
                pids |= dict.fromkeys(of_stage, pid)
            edges |= stage.edge_statistics()
        return cls(session_id, outputs, counts, edges, pids)

    @property
    def nodes(self) -> dict[str, NodeStatistics]:
        """Node id → counts."""
        return {
            node_id: counts
            for stage in self.stages.values()
            for node_id, counts in stage.nodes.items()
        }
