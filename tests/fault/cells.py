"""The kill matrix as data: who is hit, when, by what; and what its caller then sees.

Pure. Source: FR-008, SC-006.
"""

from __future__ import annotations

import itertools
import signal
from dataclasses import dataclass, field

#: The worker service's process; its zygote; the three workers of a chain; who uses the session.
VICTIMS = ("server", "zygote", "first", "middle", "last", "caller")
WORKERS = ("first", "middle", "last")
#: What the worker that is hit is doing; the middle one, where none is.
MOMENTS = (
    "importing",
    "initializing",
    "idle",
    "in process",
    "holding a view",
    "writing a slot",
    "waiting for a credit",
    "draining",
    "stopping",
)
MEANS = ("SIGKILL", "SIGTERM", "SIGSTOP", "os._exit", "exception")
STARTING = ("importing", "initializing")
EXIT_CODE = 3


@dataclass(frozen=True, order=True)
class Cell:
    """One way to do harm."""

    victim: str
    moment: str
    means: str

    def __str__(self) -> str:
        return f"{self.victim}-{self.moment}-{self.means}".replace(" ", "_")

    @property
    def position(self) -> str:
        """The worker that is at the moment."""
        return self.victim if self.victim in WORKERS else "middle"

    @property
    def signal(self) -> int | None:
        """The signal the test sends, or None: the victim ends itself."""
        return getattr(signal, self.means, None)


@dataclass(frozen=True)
class Outcome:
    """What is seen of a cell.

    Attributes:
        label: a word or two for the table.
        error: class of the error the caller sees, "" where it sees none.
        blames_victim: whether the error names the victim's node.
        context: what the error's context has.
        says: a word of its message.
        status: how the server's process ends; None: it lives on.
        goes_on: whether the session goes on once the frozen process does.
    """

    label: str
    error: str = ""
    blames_victim: bool = False
    context: dict[str, object] = field(default_factory=dict)
    says: str = ""
    status: int | None = None
    goes_on: bool = False


def _void_reasons() -> dict[tuple[str, str, str], str]:
    """Cells that cannot be, with the reason; "*" stands for every moment."""
    reasons = {
        ("zygote", "*", "os._exit"): "the zygote runs no code that could call it",
        ("zygote", "*", "exception"): "the zygote runs no code of users",
        ("caller", "*", "SIGSTOP"): "a frozen client is a slow one: it closes nothing",
    }
    for moment in (*STARTING, "stopping"):
        reasons["caller", moment, "exception"] = "its code waits in start or aclose"
    for worker in WORKERS:
        reasons[worker, "idle", "exception"] = "an idle worker runs no code that could raise"
        reasons[worker, "waiting for a credit", "exception"] = "a suspended generator cannot raise"
    return reasons


VOID = _void_reasons()


def void_reason(cell: Cell) -> str:
    """Why a cell cannot be; "" where it can."""
    exact = VOID.get((cell.victim, cell.moment, cell.means), "")
    return exact or VOID.get((cell.victim, "*", cell.means), "")


EVERY = tuple(Cell(*parts) for parts in itertools.product(VICTIMS, MOMENTS, MEANS))
CELLS = tuple(cell for cell in EVERY if not void_reason(cell))


def expected(cell: Cell) -> Outcome:
    """What must be seen of a cell that is not void."""
    match cell.victim:
        case "server":
            return _server_outcome(cell)
        case "zygote":
            return _zygote_outcome(cell)
        case "caller":
            return _caller_outcome(cell)
    return _worker_outcome(cell)


_GOES_ON = Outcome("goes on", goes_on=True)
_NO_ERROR = Outcome("no error")


def _server_outcome(cell: Cell) -> Outcome:
    if cell.means == "SIGSTOP":
        return _GOES_ON
    status = {"os._exit": EXIT_CODE, "exception": 1}.get(cell.means)
    return Outcome("caller gone", status=-cell.signal if status is None else status)


def _zygote_outcome(cell: Cell) -> Outcome:
    if cell.means == "SIGSTOP":
        return _GOES_ON
    if cell.moment == "stopping":
        return _NO_ERROR
    return Outcome("WorkerCrashedError", "WorkerCrashedError", says="zygote")


def _caller_outcome(cell: Cell) -> Outcome:
    if cell.means == "exception":
        return Outcome("its own", "LookupError")
    return Outcome("CancelledError", "CancelledError")


def _worker_outcome(cell: Cell) -> Outcome:
    if cell.moment == "stopping":
        return _NO_ERROR
    if cell.means == "exception":
        kind = "UsageError" if cell.moment == "importing" else "NodeError"
        return Outcome(kind, kind, blames_victim=True, says="on purpose")
    if cell.means == "SIGSTOP" and cell.moment in STARTING:
        return Outcome("InitTimeoutError", "InitTimeoutError", blames_victim=True)
    crash = "WorkerCrashedError"
    if cell.means == "SIGSTOP":
        return Outcome(f"{crash}, silent", crash, blames_victim=True, says="silent")
    if cell.means == "os._exit":
        context = {"exit_code": EXIT_CODE, "signal": None}
        return Outcome(f"{crash}, code {EXIT_CODE}", crash, blames_victim=True, context=context)
    context = {"exit_code": None, "signal": cell.signal}
    label = f"{crash}, signal {cell.signal}"
    return Outcome(label, crash, blames_victim=True, context=context)


def _pairs(cell: Cell) -> set[tuple[str, str]]:
    return set(itertools.combinations((cell.victim, cell.moment, cell.means), 2))


def covering_sample() -> tuple[Cell, ...]:
    """Cells in which each two of victim, moment and means that can meet do so; always the same."""
    missing = set().union(*map(_pairs, CELLS))
    chosen = []
    while missing:
        best = max(CELLS, key=lambda cell: len(_pairs(cell) & missing))
        chosen.append(best)
        missing -= _pairs(best)
    return tuple(sorted(chosen, key=CELLS.index))
