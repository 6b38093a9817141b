"""A timer of a stage's clock, ordered by when it is due.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.adapters import OperatorAdapter


def _nothing() -> None:
    """What a cancelled timer would call."""


class Timer:
    """One call that an adapter has asked for; those due at the same time keep their order."""

    __slots__ = ("adapter", "callback", "cancelled", "due_ns", "order")

    def __init__(
        self, due_ns: int, order: int, adapter: OperatorAdapter, callback: Callable[[], None]
    ) -> None:
        self.due_ns = due_ns
        self.order = order
        self.adapter = adapter
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        """Never call; what it would have called is forgotten."""
        self.cancelled = True
        self.callback = _nothing  # which may hold a packet

    def __lt__(self, other: Timer) -> bool:
        return (self.due_ns, self.order) < (other.due_ns, other.order)
