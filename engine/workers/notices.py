"""What a worker's owner is told about it.

Pure: no I/O, no clock. Source: FR-009, FR-010.

    Progress* ─▶ Ready ─▶ (Settled | Steered | Control)* ─▶ Finished ─▶ Exited
         └─────────┴───────────────┴─▶ Failed ─▶ Exited

Failed comes at most once, from anywhere before Exited, which is always the last.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from engine.errors import RemoteMediaError
    from engine.interruption import Settlement


@dataclass(frozen=True, slots=True)
class ProgressNotice:
    """A node's start went on; `fraction` in 0…1, `status` a word."""

    node_id: str
    status: str
    fraction: float
    message: str


@dataclass(frozen=True, slots=True)
class ReadyNotice:
    """Every node of the worker is initialized."""


@dataclass(frozen=True, slots=True)
class SettledNotice:
    """The worker has applied an interrupt."""

    settlement: Settlement


@dataclass(frozen=True, slots=True)
class SteeredNotice:
    """The worker has answered an order; `error` says why it was refused, or is None."""

    number: int
    answer: dict[str, Any]
    error: RemoteMediaError | None


@dataclass(frozen=True, slots=True)
class ControlNotice:
    """A node of the worker tells all behind it something: `Control.to_dict()`."""

    node_id: str
    control: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FailedNotice:
    """The worker failed; it is being ended."""

    error: RemoteMediaError


@dataclass(frozen=True, slots=True)
class FinishedNotice:
    """The worker's stage is done."""

    statistics: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExitedNotice:
    """The process is gone. Both are None where no process ever was."""

    code: int | None
    signal: int | None


WorkerNotice: TypeAlias = (
    ProgressNotice
    | ReadyNotice
    | SettledNotice
    | SteeredNotice
    | ControlNotice
    | FailedNotice
    | FinishedNotice
    | ExitedNotice
)
