"""What a worker's owner is told about it.

Pure: no I/O, no clock. Source: FR-009, FR-010.

    Progress* ─▶ Ready ─▶ Settled* ─▶ Finished ─▶ Exited    Failed comes at most once, from anywhere
         └─────────┴────────┴─▶ Failed ─▶ Exited    before Exited, which is always the last.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from engine.errors import RemoteMediaError


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
    """The worker has applied an interrupt; `dropped` counts by edge or node what it dropped."""

    generation: int
    dropped: dict[str, Any] = field(default_factory=dict)


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
    ProgressNotice | ReadyNotice | SettledNotice | FailedNotice | FinishedNotice | ExitedNotice
)
