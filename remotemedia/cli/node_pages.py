"""The page of all node types, docs/nodes.md, made from their classes.

`python -m remotemedia.cli.node_pages` writes it; `--check` says whether it is current.
Source: FR-002.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.registry import Registry
from operators.catalog import NODE_TYPES, declare_all
from remotemedia.cli.node_catalog import facts_of, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from remotemedia.cli.node_catalog import NodeFacts, NodeRow, ParamFacts

#: Where the page of a checkout lies.
PAGE: Final = Path(__file__).parents[2] / "docs" / "nodes.md"

_HEAD = """\
# Node types

Every node type of RemoteMedia, by the folder of its operator. `remotemedia nodes show TYPE` says
the same of one, and of those that you or other packages bring along. Params may be written in
`snake_case` or `camelCase`. Those that may change while a node runs are changed by
`session.set_params`.

<!-- Made by python -m remotemedia.cli.node_pages from the operators' classes. -->
"""


def render() -> str:
    """The page's text."""
    registry = Registry()
    declare_all(registry)
    rows = [row for row in rows_of(registry) if _is_first(row.node_type)]
    parts = [_HEAD, *_overview(rows)]
    for group, members in itertools.groupby(rows, key=lambda row: row.group):
        parts.append(f"\n## {group.capitalize()}\n")
        parts += ["\n".join(_section(facts_of(row.node_type, registry))) for row in members]
    return "\n".join(parts).rstrip() + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or check it; the return value is the exit status."""
    parser = argparse.ArgumentParser(prog="python -m remotemedia.cli.node_pages")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if not current")
    if not parser.parse_args(arguments).check:
        PAGE.write_text(render(), encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == render():
        return 0
    sys.stderr.write("docs/nodes.md is not current; run python -m remotemedia.cli.node_pages\n")
    return 1


def _is_first(node_type: str) -> bool:
    """Whether no other name of the same class comes before it."""
    target = NODE_TYPES[node_type]
    return next(name for name, other in NODE_TYPES.items() if other == target) == node_type


def _overview(rows: Sequence[NodeRow]) -> Iterator[str]:
    yield "| node type | takes → gives | runs | |"
    yield "|---|---|---|---|"
    for row in rows:
        anchor = row.node_type.lower()
        kinds = f"{_kinds(row.accepts)} → {_kinds(row.emits)}"
        yield f"| [{row.node_type}](#{anchor}) | {kinds} | {row.executor} | {_cell(row.summary)} |"


def _section(facts: NodeFacts) -> Iterator[str]:
    module, _, name = facts.target.partition(":")
    yield f"### {facts.node_type}\n"
    yield f"`from {module} import {name}`\n"
    yield f"{facts.doc}\n"
    if facts.aliases:
        yield f"Also named {', '.join(facts.aliases)}.\n"
    if facts.ports_by_params or facts.inputs != ["in"] or facts.outputs != ["out"]:
        by_params = "; others by its params" if facts.ports_by_params else ""
        ports = f"Ports: {_names(facts.inputs)} → {_names(facts.outputs)}{by_params}."
        yield f"{ports}\n"
    if facts.params:
        yield "| param | | default | |"
        yield "|---|---|---|---|"
        yield from map(_param, facts.params)
        yield ""
        hot = [param.name for param in facts.params if param.hot]
        if hot:
            yield f"May change while it runs: {_names(hot)}.\n"


def _param(param: ParamFacts) -> str:
    default = "required" if param.required else param.default_text.removeprefix("default ")
    cells = (f"`{param.name}`", param.type, default, param.description)
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def _kinds(kinds: list[str] | None) -> str:
    return "any" if kinds is None else ", ".join(kinds) or "nothing"


def _names(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


if __name__ == "__main__":
    sys.exit(main())
