"""What a stage needs of the place it runs in. Pure: protocols only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from engine.interruption import Settlement
    from engine.payloads import Control
    from engine.stage import Stage


class Gate(Protocol):
    """Holds an asynchronous generator back until its last item has been taken."""

    def open(self) -> None:
        """Let the one who waits go on."""

    def wait(self) -> Awaitable[None]:
        """Wait until it is opened, and close it again."""


class StageHost(Protocol):
    """What a stage needs of the place it runs in."""

    def now_ns(self) -> int:
        """Monotonic time."""

    def wake(self) -> None:
        """Run the stage soon; same thread, coalesced."""

    def run_now(self) -> None:
        """Run the stage before this returns; same thread, and never from within a turn."""

    def wake_threadsafe(self) -> None:
        """Run the stage soon; any thread."""

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> Callable[[], None]:
        """Run a coroutine beside the stage; returns what cancels it."""

    def gate(self) -> Gate:
        """Make a closed gate."""

    def in_thread(self) -> bool:
        """Whether the caller is on the thread that runs the stage."""

    def finished(self, stage: Stage) -> None:
        """The stage is done: completed, failed (`stage.error`) or cancelled."""

    def interrupted(self, stage: Stage, settlement: Settlement) -> None:
        """An interrupt has been applied."""

    def controlled(self, stage: Stage, node_id: str, control: Control) -> None:
        """A node has something to say to all behind it, past the data."""
