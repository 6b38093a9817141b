"""`remotemedia demo`: spoken commands, understood and answered. Source: US1."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from remotemedia.cli.options import DebugOption

#: One is chosen where none is given; it is shown, so that a run can be repeated.
_SEEDS = 1_000_000


def demo(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where the sound files are written.")
    ] = Path("out/demo"),
    interrupts: Annotated[
        int | None,
        typer.Option(
            "--interrupts",
            metavar="COUNT",
            min=1,
            help="Interrupt so many replies at random instants instead, and show what was heard.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", metavar="NUMBER", help="The same number makes the same choices again."
        ),
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Run the demonstration: spoken commands go in, spoken replies come out.

    Needs no microphone, no network and no key, and less than a minute. Exits with 0 if every
    command was understood; with --interrupts, if each was answered and nothing stale came out.
    """
    from remotemedia.cli.console import Console, told
    from remotemedia.cli.exits import DONE, WENT_WRONG

    with told(Console(debug=debug)):
        from remotemedia.demo.show import show, show_interrupts

        if interrupts is None:
            right = show(out)
        else:
            seed = secrets.randbelow(_SEEDS) if seed is None else seed
            right = show_interrupts(out, interrupts=interrupts, seed=seed)
    raise typer.Exit(DONE if right else WENT_WRONG)
