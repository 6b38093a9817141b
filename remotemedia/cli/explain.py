"""`remotemedia explain`: everything about how a manifest would run. Source: FR-002, FR-010, US1."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remotemedia.cli.options import ConfigOption, DebugOption, ManifestArgument, OperatorsOption
from remotemedia.cli.stdout import say

if TYPE_CHECKING:
    from engine.plan import Plan

_SUFFIX = ".svg"


def explain(
    manifest: ManifestArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as one JSON object.")] = False,
    as_mermaid: Annotated[
        bool, typer.Option("--mermaid", help="Print a Mermaid flowchart instead.")
    ] = False,
    svg: Annotated[
        Path | None,
        typer.Option("--svg", metavar="FILE", help="Draw it into an .svg file instead."),
    ] = None,
    config: ConfigOption = None,
    operators: OperatorsOption = None,
    debug: DebugOption = False,
) -> None:
    """Explain how a manifest would run; nothing is started.

    Which node runs where and why, which stages there are and why they are cut where they are, what
    each edge holds, and what it will take of the limits. Exits with 0 if it would run, 2 if not.
    """
    from engine.drawing import to_mermaid, to_svg
    from engine.errors import UsageError
    from remotemedia.cli.console import Console, told
    from remotemedia.cli.explanation import explanation_of
    from remotemedia.cli.explanation_text import lines_of
    from remotemedia.cli.packet_text import dump_json
    from remotemedia.cli.validate import plan_of

    console = Console(debug=debug)
    with told(console):
        if as_json + as_mermaid + (svg is not None) > 1:
            raise UsageError("--json, --mermaid and --svg exclude one another; give one of them")
        if svg is not None:
            _check_place(svg)
        plan = plan_of(manifest, config, operators or [])
        if svg is not None:
            _write(svg, to_svg(plan))
            console.note(f"{svg}: {_drawn(plan)}")
        elif as_mermaid:
            say(to_mermaid(plan), end="")
        elif as_json:
            say(dump_json(explanation_of(plan)))
        else:
            say("\n".join(lines_of(explanation_of(plan))))


def _drawn(plan: Plan) -> str:
    from engine.drawing.wording import summary

    return f"{plan.name}, {summary(plan)}"


def _check_place(path: Path) -> None:
    from engine.errors import UsageError

    if path.suffix.lower() != _SUFFIX:
        raise UsageError(f"--svg {path}: name the file {path.stem or 'plan'}{_SUFFIX}")
    if not path.parent.is_dir():
        raise UsageError(f"--svg {path}: there is no directory {path.parent}")


def _write(path: Path, text: str) -> None:
    from engine.errors import RemoteMediaError

    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RemoteMediaError(f"cannot write {path}: {error.strerror}", path=str(path)) from error
