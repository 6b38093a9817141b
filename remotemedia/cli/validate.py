"""`remotemedia validate`: is this a manifest that would run, and how? Source: FR-006, SC-005."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remotemedia.cli.options import (
    ConfigOption,
    DebugOption,
    ManifestArgument,
    OperatorsOption,
)
from remotemedia.cli.stdout import say

if TYPE_CHECKING:
    from engine.errors import RemoteMediaError
    from engine.plan import Plan


def validate(
    manifest: ManifestArgument,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the verdict as one JSON object.")
    ] = False,
    config: ConfigOption = None,
    operators: OperatorsOption = None,
    debug: DebugOption = False,
) -> None:
    """Check a manifest and show what would run where; nothing is started.

    Tells all problems at once. Exits with 0 if it would run, 2 if not.
    """
    from engine.errors import RemoteMediaError
    from remotemedia.cli.console import Console, told
    from remotemedia.cli.exits import exit_code_of

    console = Console(debug=debug)
    with told(console):
        try:
            plan = plan_of(manifest, config, operators or [])
        except RemoteMediaError as error:
            if not as_json:
                raise
            _print_verdict(None, error)
            raise typer.Exit(exit_code_of(error)) from error
        if as_json:
            _print_verdict(plan, None)
        else:
            say(plan.describe())


def plan_of(manifest: Path, config: Path | None, operators: list[str]) -> Plan:
    """The plan of a manifest, with the settings and operators a command was given.

    Raises:
        RemoteMediaError: it would not run.
    """
    from engine.config import load_settings
    from engine.prepare import prepare
    from remotemedia.cli.operator_modules import registry_with

    settings = load_settings(config)
    return prepare(manifest, registry_with(operators, settings), settings)


def _print_verdict(plan: Plan | None, error: RemoteMediaError | None) -> None:
    from dataclasses import asdict

    from engine.errors import ManifestError, Problem
    from remotemedia.cli.packet_text import dump_json

    problems: tuple[Problem, ...] = ()
    if plan is not None:
        problems = plan.warnings
    elif isinstance(error, ManifestError):
        problems = error.problems
    elif error is not None:
        problems = (Problem("manifest", error.message),)
    verdict = {
        "ok": plan is not None,
        "problems": [asdict(problem) for problem in problems],
        "plan": plan.describe() if plan is not None else None,
    }
    say(dump_json(verdict))
