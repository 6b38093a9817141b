"""`remotemedia doctor`: does this machine run it, and if not, why not? Source: FR-004, SC-006."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from remotemedia.cli.options import ConfigOption, DebugOption
from remotemedia.cli.stdout import say, say_rich

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from rich.table import Table

    from remotemedia.checkup.finding import Finding

_STYLES = {"ok": "green", "warning": "yellow", "broken": "bold red"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    config: ConfigOption = None,
    debug: DebugOption = False,
) -> None:
    """Look over this machine and this installation, start a worker, and find what others left.

    Changes nothing. Exits with 0 if everything works (warnings included), 1 if something is broken.
    """
    from remotemedia.checkup.finding import BROKEN
    from remotemedia.cli.console import Console, told
    from remotemedia.cli.exits import DONE, WENT_WRONG
    from remotemedia.cli.packet_text import dump_json

    with told(Console(debug=debug)):
        findings = list(_examine(config))
        broken = any(finding.verdict == BROKEN for finding in findings)
        if as_json:
            described = [finding.to_dict() for finding in findings]
            say(dump_json({"ok": not broken, "findings": described}))
        else:
            _show(findings)
    raise typer.Exit(WENT_WRONG if broken else DONE)


def _examine(config: Path | None) -> Iterator[Finding]:
    from remotemedia.checkup.installation import ours_finding, package_findings, settings_finding
    from remotemedia.checkup.machine import machine_findings
    from remotemedia.checkup.workers import worker_findings

    settings, finding = settings_finding(config)
    yield from machine_findings(settings)
    yield from package_findings()
    yield ours_finding(settings)
    yield finding
    yield from worker_findings(settings)


def _show(findings: list[Finding]) -> None:
    counts = {verdict: sum(f.verdict == verdict for f in findings) for verdict in _STYLES}
    say_rich(_table(findings), ", ".join(f"{count} {verdict}" for verdict, count in counts.items()))


def _table(findings: Iterable[Finding]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("what", no_wrap=True)
    table.add_column("found", overflow="fold")
    area = ""
    for finding in findings:
        if area and finding.area != area:
            table.add_section()
        area = finding.area
        said = Text.assemble(finding.found, (f"\n{finding.meaning}", "dim"))
        if finding.advice:
            said.append(f"\n→ {finding.advice}", style="bold")
        verdict = Text(finding.verdict, style=_STYLES[finding.verdict])
        table.add_row(verdict, Text(finding.name, overflow="fold"), said)
    return table
