"""What a run amounted to: counts and times per node, as data and as a table.

Source: NFR-001, US1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.table import Table

from engine.observe.statistics import NodeStatistics

if TYPE_CHECKING:
    from engine.observe.statistics import SessionStatistics
    from engine.plan import Plan

#: Where nodes run of which only a server knows more.
ON_SERVER: Final = "server"


@dataclass(frozen=True, slots=True)
class NodeSummary:
    """One node's part in a run.

    Attributes:
        id: the node.
        node_type: its type.
        executor: "local" or "process", or ON_SERVER.
        rule: the rule that placed it: "manifest", "operator", "pattern", "default", "disabled".
        pid: the process it ran in last; None if it has none.
        received: packets taken.
        emitted: packets handed out.
        busy_ms: time inside the operator's synchronous code.
        waited_ms: time its asynchronous calls were open.
    """

    id: str
    node_type: str
    executor: str
    rule: str
    pid: int | None
    received: int
    emitted: int
    busy_ms: float
    waited_ms: float

    @property
    def place(self) -> str:
        """Where it ran, for people."""
        if self.executor == ON_SERVER:
            return "the server"
        if self.pid is None:
            return "no process"
        return f"process {self.pid}" if self.executor == "process" else f"here ({self.pid})"

    def to_dict(self) -> dict[str, Any]:
        """All but the id."""
        return {
            "node_type": self.node_type,
            "executor": self.executor,
            "rule": self.rule,
            "pid": self.pid,
            "received": self.received,
            "emitted": self.emitted,
            "busy_ms": round(self.busy_ms, 3),
            "waited_ms": round(self.waited_ms, 3),
        }


def summarize(plan: Plan, statistics: SessionStatistics) -> list[NodeSummary]:
    """One row per node, in the plan's order."""
    counts = statistics.nodes
    rows = []
    for stage in plan.stages:
        pid = statistics.pids.get(stage.id)
        for node in stage.nodes:
            count = counts.get(node.id) or NodeStatistics()
            rows.append(
                NodeSummary(
                    id=node.id,
                    node_type=node.node_type,
                    executor=node.executor,
                    rule=node.rule,
                    pid=pid,
                    received=count.received,
                    emitted=count.emitted,
                    busy_ms=count.busy_ns / 1e6,
                    waited_ms=count.waited_ns / 1e6,
                )
            )
    return rows


def table_of(rows: list[NodeSummary]) -> Table:
    """The rows for people."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("node", "type", "where"):
        table.add_column(name, no_wrap=True)
    for name in ("received", "emitted", "busy"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.id,
            row.node_type,
            row.place,
            str(row.received),
            str(row.emitted),
            f"{row.busy_ms:.1f} ms",
        )
    return table
