"""`remotemedia demo`: spoken commands, understood and answered. Source: US1."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from remotemedia.cli.options import DebugOption


def demo(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where the sound files are written.")
    ] = Path("out/demo"),
    debug: DebugOption = False,
) -> None:
    """Run the demonstration: spoken commands go in, spoken replies come out.

    Needs no microphone, no network and no key, and less than a minute. Exits with 0 if every
    command was understood.
    """
    from remotemedia.cli.console import Console, told
    from remotemedia.cli.exits import DONE, WENT_WRONG

    with told(Console(debug=debug)):
        from remotemedia.demo.show import show

        understood = show(out)
    raise typer.Exit(DONE if understood else WENT_WRONG)
