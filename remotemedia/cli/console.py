"""What people are told, on standard error: notes, warnings, errors, the log.

Source: FR-006, FR-009.

Results are not its business (see `stdout`), progress has a module of its own (see `progress`).
"""

from __future__ import annotations

import logging
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console as RichConsole
from rich.text import Text as RichText

from engine.errors import ManifestError, RemoteMediaError
from engine.graph import UNKNOWN_TYPE
from remotemedia.cli.exits import exit_code_of
from remotemedia.cli.stdout import ReaderGoneError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from engine.errors import Problem

#: A line that a worker printed is marked by this logger's name.
_WORKER_LOGGER = "remotemedia.worker"
_STYLES = {"error": "bold red", "warning": "yellow"}
#: Of a crashed worker's last lines, so many are shown.
_LAST_LINES_MAX = 10
#: Width where standard error is no terminal: wide enough that sentences stay on their line.
_PIPED_WIDTH = 240


class Console:
    """Talks to the person behind the command.

    Attributes:
        debug: whether tracebacks and the whole log are wanted.
        hears_workers: whether lines that workers print are shown; what they say while they are
            being ended (where they were, by the signal that ended them) helps nobody.
        rich: the rich console on standard error.
    """

    def __init__(self, *, debug: bool = False) -> None:
        self.debug = debug
        self.hears_workers = True
        self.rich = RichConsole(stderr=True, highlight=False, soft_wrap=True)
        if not self.rich.is_terminal:
            self.rich.width = _PIPED_WIDTH

    @property
    def is_terminal(self) -> bool:
        """Whether standard error is a terminal."""
        return self.rich.is_terminal

    def note(self, text: str) -> None:
        """Say something in passing."""
        self.rich.print(RichText(text, style="dim" if self.is_terminal else ""))

    def warn(self, text: str) -> None:
        """Say that something is odd."""
        self._labelled("warning", text)

    def warn_of(self, problems: Iterable[Problem]) -> None:
        """Tell a plan's warnings."""
        for problem in problems:
            self.warn(str(problem))

    def error(self, error: BaseException) -> None:
        """Tell an error: one sentence and what belongs to it; the traceback only with --debug."""
        if isinstance(error, ManifestError):
            self._problems(error)
        elif isinstance(error, RemoteMediaError):
            self._labelled("error", error.message)
            self._last_lines(error)
        else:
            self._labelled("error", f"internal: {type(error).__name__}: {error}")
            if not self.debug:
                self.note("this is a fault of the program itself; --debug shows where it happened")
        if self.debug:
            self._tracebacks(error)

    def _labelled(self, label: str, text: str) -> None:
        self.rich.print(RichText.assemble((f"{label}: ", _STYLES[label]), text))

    def _problems(self, error: ManifestError) -> None:
        faults = [problem for problem in error.problems if problem.severity == "error"]
        noun = "problem" if len(faults) == 1 else "problems"
        self._labelled("error", f"{len(faults)} {noun} in the manifest")
        for problem in error.problems:
            label = "" if problem.severity == "error" else "warning: "
            self.rich.print(
                RichText.assemble(
                    "  ",
                    (problem.path, "bold"),
                    f" (node {problem.node_id!r})" if problem.node_id else "",
                    ": ",
                    (label, _STYLES["warning"]),
                    problem.message,
                )
            )
        if any(problem.message.startswith(UNKNOWN_TYPE) for problem in faults):
            self.note("node types of your own are made known by --operators MODULE or FILE.py")

    def _last_lines(self, error: RemoteMediaError) -> None:
        lines = error.context.get("last_lines") or []
        for line in lines[-_LAST_LINES_MAX:]:
            self.note(f"  | {line}")

    def _tracebacks(self, error: BaseException) -> None:
        remote = getattr(error, "remote_traceback", "")
        if remote:
            self.rich.print(RichText(f"\nwhere it happened:\n{remote.rstrip()}"))
        here = "".join(traceback.format_exception(error))
        self.rich.print(RichText(f"\nhere:\n{here.rstrip()}"))

    # --- the log ------------------------------------------------------------------------------

    @contextmanager
    def logging(self) -> Iterator[None]:
        """Show the log meanwhile: warnings and what workers print, or all with --debug."""
        handler = _LogHandler(self)
        root = logging.getLogger()
        worker = logging.getLogger(_WORKER_LOGGER)
        before = root.level, worker.level
        root.addHandler(handler)
        root.setLevel(logging.DEBUG if self.debug else logging.WARNING)
        worker.setLevel(logging.INFO)
        try:
            yield
        finally:
            root.removeHandler(handler)
            root.setLevel(before[0])
            worker.setLevel(before[1])


class _LogHandler(logging.Handler):
    """Shows log records as lines, with tracebacks only if they are wanted."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._show(record)
        except Exception:  # noqa: BLE001 - a handler must not raise into whoever logs
            self.handleError(record)

    def _show(self, record: logging.LogRecord) -> None:
        console = self._console
        if record.name == _WORKER_LOGGER:
            if not (console.hears_workers or console.debug):
                return
            nodes = ", ".join(getattr(record, "node_ids", ()))
            console.note(f"{nodes} | {record.getMessage()}")
            return
        facts = {
            name: value
            for name in ("node_id", "reason", "stage")
            if (value := getattr(record, name, None)) is not None
        }
        said = "".join(f", {name} {value}" for name, value in facts.items())
        text = f"{record.getMessage()}{said}"
        if record.exc_info and record.exc_info[1] is not None:
            cause = record.exc_info[1]
            text = f"{text}: {type(cause).__name__}: {cause}"
        if console.debug:
            text = f"{record.levelname.lower()} {record.name}: {text}"
            console.note(text)
            if record.exc_info and record.exc_info[1] is not None:
                console.note("".join(traceback.format_exception(record.exc_info[1])).rstrip())
        else:
            console.warn(text)


@contextmanager
def told(
    console: Console, tell_json: Callable[[dict[str, Any]], None] | None = None
) -> Iterator[None]:
    """Turn what goes wrong inside into words and an exit code.

    Args:
        console: where it is told.
        tell_json: is given `{"error": …}` as well, where the results are JSON.

    Raises:
        typer.Exit: something went wrong; has the exit code.
    """
    try:
        with console.logging():
            yield
    except (typer.Exit, ReaderGoneError):
        raise
    except Exception as error:  # noqa: BLE001 - the last one to hear of it; nothing is lost
        console.error(error)
        if tell_json is not None:
            tell_json({"error": _as_data(error, debug=console.debug)})
        raise typer.Exit(exit_code_of(error)) from None


def _as_data(error: BaseException, *, debug: bool) -> dict[str, Any]:
    if isinstance(error, RemoteMediaError):
        data = error.to_dict()
    else:
        data = {"code": "internal", "message": f"{type(error).__name__}: {error}", "context": {}}
        data["traceback"] = "".join(traceback.format_exception(error))
    if not debug:
        del data["traceback"]
    return data
