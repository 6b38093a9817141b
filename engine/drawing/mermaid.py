"""A plan as Mermaid text. Pure: no I/O, no clock.

Source: mermaid.js.org, "Flowcharts".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.drawing.wording import edge_label, edge_ports, port_label, shown, stage_title
from engine.packet import DEFAULT_INPUT, DEFAULT_OUTPUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.plan import EdgePlan, NodePlan, Plan, StagePlan

_CLASSES: Final = (
    "classDef local fill:#e8f0fe,stroke:#4a6fa5,color:#1b2a41",
    "classDef process fill:#fdf0dc,stroke:#b7791f,stroke-width:2px,color:#4a2f05",
    "classDef end_ fill:#f4f4f5,stroke:#8a8a93,color:#3f3f46",
)
#: Besides letters and digits, what means nothing to Mermaid inside quotes.
_PLAIN: Final = frozenset(" _-.,:/+")


def to_mermaid(plan: Plan) -> str:
    """The plan as a Mermaid flowchart: stages are subgraphs, other names nodes.

    Node ids never stand for themselves: "end" or "graph" would be Mermaid's own words.
    """
    names = {
        node.id: f"n{number}"
        for number, node in enumerate(node for stage in plan.stages for node in stage.nodes)
    }
    nodes = {node.id: node for stage in plan.stages for node in stage.nodes}
    lines = ["flowchart LR"]
    for number, stage in enumerate(plan.stages):
        lines += _stage_lines(number, stage, names)
    lines += _edge_lines(plan, names, nodes)
    for executor in ("local", "process"):
        of_it = [names[node.id] for node in nodes.values() if node.executor == executor]
        if of_it:
            lines.append(f"class {','.join(of_it)} {executor}")
    return "\n".join([lines[0], *(f"    {line}" for line in [*lines[1:], *_CLASSES])]) + "\n"


def _stage_lines(number: int, stage: StagePlan, names: dict[str, str]) -> Iterator[str]:
    yield f'subgraph s{number}["{_escaped(stage_title(stage))}"]'
    for node in stage.nodes:
        label = f"<b>{_escaped(shown(node.id))}</b><br/>{_escaped(shown(node.node_type))}"
        yield f'    {names[node.id]}["{label}"]'
    ports = {node.id: node for node in stage.nodes}
    for link in stage.links:
        start = port_label(link.source_port, ports[link.source_node].outputs, DEFAULT_OUTPUT)
        end = port_label(link.target_port, ports[link.target_node].inputs, DEFAULT_INPUT)
        arrow = _arrow("-->", _between(start, end))
        yield f"    {names[link.source_node]} {arrow} {names[link.target_node]}"
    yield "end"


def _edge_lines(plan: Plan, names: dict[str, str], nodes: dict[str, NodePlan]) -> Iterator[str]:
    ends: list[str] = []
    for number, edge in enumerate(plan.edges):
        label = _label(edge, plan, nodes)
        if edge.source_stage is None:
            ends.append(f"e{number}")
            yield f'e{number}(["input"]) {_arrow("-->", label)} {names[edge.target_node]}'
        elif edge.target_stage is None:
            ends.append(f"e{number}")
            yield f'{names[edge.source_node]} {_arrow("-->", label)} e{number}(["output"])'
        else:
            arrow = "==>" if edge.kind == "shared_memory" else "-->"
            arrow = _arrow(arrow, label)
            yield f"{names[edge.source_node]} {arrow} {names[edge.target_node]}"
    if ends:
        yield f"class {','.join(ends)} end_"


def _label(edge: EdgePlan, plan: Plan, nodes: dict[str, NodePlan]) -> str:
    start, end = edge_ports(edge, nodes)
    return ", ".join(part for part in (_between(start, end), edge_label(edge, plan)) if part)


def _between(start: str, end: str) -> str:
    return f"{start} → {end}" if start and end else start or (f"→ {end}" if end else "")


def _arrow(arrow: str, label: str) -> str:
    return f'{arrow}|"{_escaped(label)}"|' if label else arrow


def _escaped(text: str) -> str:
    """Text inside quotes: everything that might mean something is an entity."""
    return "".join(
        char if char.isalnum() or char in _PLAIN or char in "→…" else f"#{ord(char)};"
        for char in text
    )
