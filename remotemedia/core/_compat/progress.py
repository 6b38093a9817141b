"""InitProgress: how far a node's start is, as callers of the older API are told. Source: FR-009."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.executors.contract import Progress


class InitStatus(StrEnum):
    """Steps of a start that every node has; a node publishes words of its own beside them."""

    STARTING = "starting"
    IMPORTING = "importing"
    INITIALIZING = "initializing"
    LOADING_MODEL = "loading_model"
    CONNECTING = "connecting"
    READY = "ready"
    ERROR = "error"
    FAILED = "failed"


class StatusWord(str):
    """A word of a node's own; like a member of InitStatus it has a value."""

    __slots__ = ()

    @property
    def value(self) -> str:
        """The word."""
        return str(self)


def status_of(word: str) -> InitStatus | StatusWord:
    """The status a word stands for."""
    return InitStatus(word) if word in {*InitStatus} else StatusWord(word)


@dataclass(frozen=True)
class InitProgress:
    """How far a node's start is.

    Attributes:
        node_id: the node.
        node_type: its type.
        status: an InitStatus, or a word of the node's own; both are strings.
        progress: 0…1.
        message: what it is doing.
        timestamp: seconds of the clock.
    """

    node_id: str
    node_type: str
    status: InitStatus | StatusWord | str
    progress: float
    message: str = ""
    timestamp: float = field(default_factory=time.time)

    @classmethod
    def of(cls, progress: Progress, node_type: str) -> InitProgress:
        """What the engine says, in the older words."""
        status = status_of(progress.status)
        return cls(progress.node_id, node_type, status, progress.fraction, progress.message)
