"""`remotemedia nodes`: which node types there are, and what each is. Source: FR-002, US1."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Annotated

import typer

from remotemedia.cli.options import ConfigOption, DebugOption, OperatorsOption
from remotemedia.cli.stdout import say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.registry import Registry
    from remotemedia.cli.node_catalog import NodeFacts, NodeRow, ParamFacts

nodes = typer.Typer(
    name="nodes",
    help="Show which node types there are.",
    no_args_is_help=True,
    add_completion=False,
)

_RULES = {
    "operator": "its own default",
    "pattern": "as every Python node whose name ends with Node",
    "default": "as every node that says nothing else",
}


@nodes.command("list")
def list_nodes(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON array, an object per node type.")
    ] = False,
    config: ConfigOption = None,
    operators: OperatorsOption = None,
    debug: DebugOption = False,
) -> None:
    """List the node types: what each takes and gives, and where it runs.

    Those that cannot be had are listed with the reason.
    """
    from remotemedia.cli.console import Console, told
    from remotemedia.cli.node_catalog import rows_of
    from remotemedia.cli.packet_text import dump_json

    with told(Console(debug=debug)):
        rows = rows_of(_registry(config, operators))
        if as_json:
            say(dump_json([row.to_dict() for row in rows]))
        else:
            say("\n".join(_list_lines(rows)))


@nodes.command("show")
def show_node(
    node_type: Annotated[str, typer.Argument(metavar="TYPE", help="A node type.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    config: ConfigOption = None,
    operators: OperatorsOption = None,
    debug: DebugOption = False,
) -> None:
    """Show all about a node type: documentation, ports, kinds, params.

    Exits with 0, or 2 if there is no such type or its class cannot be had.
    """
    from remotemedia.cli.console import Console, told
    from remotemedia.cli.node_catalog import facts_of
    from remotemedia.cli.packet_text import dump_json

    with told(Console(debug=debug)):
        facts = facts_of(node_type, _registry(config, operators))
        if as_json:
            say(dump_json(facts.to_dict()))
        else:
            say("\n".join(_fact_lines(facts)))


def _registry(config: Path | None, operators: list[str] | None) -> Registry:
    from engine.config import load_settings
    from remotemedia.cli.operator_modules import registry_with

    return registry_with(operators or [], load_settings(config))


# --- as text ----------------------------------------------------------------------------------


def _list_lines(rows: list[NodeRow]) -> Iterator[str]:
    name_width = max((len(row.node_type) for row in rows), default=0)
    kinds_width = max((len(_kinds(row)) for row in rows if not row.fault), default=0)
    for number, (group, members) in enumerate(itertools.groupby(rows, key=lambda row: row.group)):
        if number:
            yield ""
        yield group
        for row in members:
            about = f"cannot be had: {row.fault}"
            if not row.fault:
                about = f"{_kinds(row):<{kinds_width}}  {row.executor:<7}  {row.summary}"
            yield f"  {row.node_type:<{name_width}}  {about}".rstrip()


def _kinds(row: NodeRow) -> str:
    return f"{_said(row.accepts)} → {_said(row.emits)}"


def _said(kinds: list[str] | None) -> str:
    if kinds is None:
        return "any"
    return ", ".join(kinds) or "nothing"


def _fact_lines(facts: NodeFacts) -> Iterator[str]:
    yield facts.node_type
    yield from (f"  {line}".rstrip() for line in facts.doc.splitlines())
    yield ""
    rows = list(_rows_of(facts))
    width = max(len(name) for name, _ in rows)
    yield from (f"{name:<{width}}  {text}" for name, text in rows)
    yield ""
    yield "params" if facts.params else "no params"
    yield from itertools.chain.from_iterable(_param_lines(param) for param in facts.params)
    if facts.unknown_params:
        yield "  and others, which are handed on"


def _rows_of(facts: NodeFacts) -> Iterator[tuple[str, str]]:
    by_params = " (by its params)" if facts.ports_by_params else ""
    strict = "; another kind is an error" if facts.strict else ""
    joined = ", taken together" if facts.joins else ""
    yield "takes", f"{_said(facts.accepts)} at {_ports(facts.inputs)}{joined}{by_params}{strict}"
    yield "gives", f"{_said(facts.emits)} at {_ports(facts.outputs)}{by_params}"
    yield "runs", f"{facts.executor}, {_RULES.get(facts.rule, facts.rule)}"
    yield "works", ", ".join(_habits(facts))
    yield "class", f"{facts.target}{f' of {facts.origin}' if facts.origin else ''}"
    if facts.aliases:
        yield "also", ", ".join(facts.aliases)


def _habits(facts: NodeFacts) -> Iterator[str]:
    yield (
        "one packet out for each in" if facts.rate == "one_to_one" else "any number of packets out"
    )
    if facts.stateful:
        held = f" (at most {facts.held_max} packets)" if facts.held_max is not None else ""
        yield f"keeps something between packets{held}"
    if facts.process != "sync":
        yield f"waits (up to {facts.concurrency} at once)" if facts.concurrency > 1 else "waits"
    if facts.begins_stage:
        yield "begins a stage where it runs local"


def _ports(ports: list[str]) -> str:
    return ", ".join(ports) or "no port"


def _param_lines(param: ParamFacts) -> Iterator[str]:
    others = param.spellings[1:]
    also = f" (also {', '.join(others)})" if others else ""
    yield f"  {param.name}{also}"
    hot = "; may change while it runs" if param.hot else ""
    yield f"      {param.type}; {param.default_text}{hot}"
    if param.description:
        yield f"      {' '.join(param.description.split())}"
