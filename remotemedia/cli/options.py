"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ManifestArgument = Annotated[
    Path, typer.Argument(metavar="MANIFEST", help="The manifest, a JSON or YAML file.")
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Settings; by default what REMOTEMEDIA_CONFIG names, or ./runtime.toml.",
    ),
]
OperatorsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--operators",
        metavar="MODULE",
        help="Make the operators of a module or a .py file known. May be given several times.",
    ),
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks and the whole log.")]
