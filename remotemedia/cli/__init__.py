"""The command line: `remotemedia run`, `serve`, `validate`, `explain`, `nodes`, `demo`.

One module per command.

This package loads typer and nothing else; what a command needs is imported when it runs, so that
`--help` and completion are quick. Source: FR-001, FR-006, US1.

    exit code  0    done; also when a first Ctrl-C or SIGTERM ended the input and the rest came out
               1    it went wrong: a node raised, a worker died, a file could not be written
               2    it was asked wrongly: a manifest, a param, an option, an input file
               130  a second Ctrl-C (143: SIGTERM) ended it at once, or a first one while starting
               141  whoever read standard output has gone away
"""

from __future__ import annotations

from remotemedia.cli.app import app, main

__all__ = ["app", "main"]
