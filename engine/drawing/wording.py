"""What a drawing says of nodes, stages and edges. Pure: no I/O, no clock."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

from engine.packet import DEFAULT_INPUT, DEFAULT_OUTPUT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.plan import EdgePlan, NodePlan, Plan, StagePlan

#: Longer names are cut in the drawing.
SHOWN_CHARS_MAX: Final = 32

#: The rule that placed a node, in words.
RULES: Final = {
    "manifest": "the manifest says so",
    "operator": "the operator's default",
    "pattern": "a Python node whose type ends with Node",
    "default": "nothing says otherwise",
    "disabled": "processes are disabled",
}


def shown(text: str) -> str:
    """A name on one line, cut to what a drawing has room for; what cannot be seen is a space."""
    line = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in text)
    return line if len(line) <= SHOWN_CHARS_MAX else f"{line[: SHOWN_CHARS_MAX - 1]}…"


def stage_title(stage: StagePlan) -> str:
    """Where a stage runs."""
    if stage.group is not None:
        return shown(f"process {stage.group}")
    return "own process" if stage.executor == "process" else stage.executor


def node_remark(node: NodePlan) -> str:
    """All that is known of a node, for a tooltip."""
    where = f"{node.executor}: {RULES.get(node.rule, node.rule)}"
    waits = "\nbegins a stage: it waits, or chooses its inputs" if node.begins_stage else ""
    return f"{node.id}: {node.node_type}\n{node.target}\n{where}{waits}"


def port_label(port: str, ports: tuple[str, ...], default: str) -> str:
    """What is written where an edge touches a node; nothing where there is no other port."""
    return "" if len(ports) < 2 and port == default else shown(port)  # noqa: PLR2004 - a choice


def edge_ports(edge: EdgePlan, nodes: Mapping[str, NodePlan]) -> tuple[str, str]:
    """What is written at the start and at the end of an edge; "" for nothing."""
    if edge.source_stage is None:
        return "", ""
    start = port_label(edge.source_port, nodes[edge.source_node].outputs, DEFAULT_OUTPUT)
    if edge.target_stage is None:
        return start, ""
    return start, port_label(edge.target_port, nodes[edge.target_node].inputs, DEFAULT_INPUT)


def edge_label(edge: EdgePlan, plan: Plan) -> str:
    """What is unusual about an edge: what it does when full, and how much it holds."""
    words = [] if edge.overflow == "block" else [edge.overflow.replace("_", " ")]
    if edge.capacity != plan.settings.channel_capacity:
        words.append(f"holds {edge.capacity}")
    return shown(", ".join(words))


def summary(plan: Plan) -> str:
    """How much there is."""
    nodes = sum(len(stage.nodes) for stage in plan.stages)
    processes = len(plan.workers)
    counts = [counted(nodes, "node"), f"in {counted(len(plan.stages), 'stage')}"]
    more = f", {counted(processes, 'process')}" if processes else ""
    return f"{' '.join(counts)}{more}"


def counted(number: int, noun: str) -> str:
    """A number and its noun."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"
