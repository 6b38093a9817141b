"""The command `remotemedia`: its commands and what holds for all of them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from remotemedia.cli.demo import demo
from remotemedia.cli.doctor import doctor
from remotemedia.cli.explain import explain
from remotemedia.cli.nodes import nodes
from remotemedia.cli.run import run
from remotemedia.cli.serve import serve
from remotemedia.cli.sessions import sessions
from remotemedia.cli.stdout import ReaderGoneError, cannot_write, open_standard_streams
from remotemedia.cli.steer import inject, interrupt, params, tap
from remotemedia.cli.validate import validate

app = typer.Typer(
    name="remotemedia",
    help="Run real-time media and AI pipelines.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # our own errors are told in words, others with --debug
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run)
app.command()(serve)
app.command()(validate)
app.command()(explain)
app.add_typer(nodes)
app.command()(demo)
app.command()(doctor)
app.add_typer(sessions)
app.command()(tap)
app.command()(inject)
app.add_typer(params)
app.command()(interrupt)


def _show_version(wanted: bool) -> None:
    if wanted:
        from remotemedia import __version__

        typer.echo(f"remotemedia {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Run real-time media and AI pipelines."""


def main() -> None:
    """Entry point of the command; never returns."""
    open_standard_streams()
    try:
        _call()
    except SystemExit as end:
        from remotemedia.cli.ending import bound_the_end

        bound_the_end(end.code)
        raise


def _call() -> None:
    from remotemedia.cli.exits import READER_GONE, WENT_WRONG

    try:
        app()
    except ReaderGoneError:
        raise SystemExit(READER_GONE) from None
    except OSError as error:  # commands tell their own: the help, the version
        sys.stderr.write(f"error: {cannot_write(error).message}\n")
        raise SystemExit(WENT_WRONG) from None
