"""How far it is, on standard error: bars on a terminal, lines elsewhere. Source: FR-009, US1."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol, Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text as RichText

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.progress import TaskID

    from engine.executors.contract import Progress as NodeProgress
    from remotemedia.cli.console import Console

#: Lines about the same file come no more often than this.
_LINE_INTERVAL_S = 5.0


class Display(Protocol):
    """What is told of progress; a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def node(self, progress: NodeProgress) -> None:
        """A node's start went on."""

    def ready(self, sentence: str) -> None:
        """All nodes are ready."""

    def reading(self, name: str, done: float, total: float | None) -> None:
        """A file was read so far.

        Args:
            name: what is read, and for whom.
            done: how much was handed over, in seconds or items.
            total: how much there is, or None where that is not known.
        """

    def finished(self, name: str, sentence: str) -> None:
        """A file has been read."""

    def line(self, text: str) -> bool:
        """Show a result line between the bars; False where the caller may write it itself."""


def display_for(console: Console) -> Display:
    """The display that suits where standard error goes."""
    return _Bars(console) if console.is_terminal else _Lines(console)


class _Lines:
    """Lines, each of which says something new."""

    def __init__(self, console: Console, now_s: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._now_s = now_s
        self._said: dict[str, str] = {}
        self._said_at_s: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def node(self, progress: NodeProgress) -> None:
        text = _step(progress)
        if self._said.get(progress.node_id) != text:
            self._said[progress.node_id] = text
            self._console.note(f"{progress.node_id}: {text}")

    def ready(self, sentence: str) -> None:
        self._console.note(sentence)

    def reading(self, name: str, done: float, total: float | None) -> None:
        now_s = self._now_s()
        if now_s - self._said_at_s.setdefault(name, now_s) >= _LINE_INTERVAL_S:
            self._said_at_s[name] = now_s
            share = f"{done / total:.0%}" if total else f"{done:g}"
            self._console.note(f"{name}: {share}")

    def finished(self, name: str, sentence: str) -> None:
        self._console.note(f"{name}: {sentence}")

    def line(self, text: str) -> bool:
        del text
        return False


class _Bars:
    """Bars that are gone when it is over; what is worth keeping stays as lines above them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[status]}"),
            console=console.rich,
            transient=True,
            redirect_stdout=False,  # results are no business of standard error
            redirect_stderr=False,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def node(self, progress: NodeProgress) -> None:
        self._update(progress.node_id, progress.fraction, 1.0, _step(progress))

    def ready(self, sentence: str) -> None:
        for task in self._tasks.values():
            self._bars.remove_task(task)
        self._tasks.clear()
        self._console.note(sentence)

    def reading(self, name: str, done: float, total: float | None) -> None:
        self._update(name, done, total, f"{done / total:4.0%}" if total else f"{done:g}")

    def finished(self, name: str, sentence: str) -> None:
        task = self._tasks.pop(name, None)
        if task is not None:
            self._bars.remove_task(task)
        self._console.note(f"{name}: {sentence}")

    def line(self, text: str) -> bool:
        self._console.rich.print(RichText(text))
        return True

    def _update(self, name: str, done: float, total: float | None, status: str) -> None:
        task = self._tasks.get(name)
        if task is None:
            task = self._tasks[name] = self._bars.add_task(name, total=total, status=status)
        self._bars.update(task, completed=done, total=total, status=status)


def _step(progress: NodeProgress) -> str:
    if progress.status == "ready":
        return "ready"
    share = f" {progress.fraction:.0%}" if progress.fraction else ""
    message = f": {progress.message}" if progress.message else ""
    return f"{progress.status}{share}{message}"
