"""Where inputs wait between a source that knows no demand and a session that gives credits.

Any thread may put; one loop takes. Bounded, with a named policy for when it is full:

    error         the put raises
    drop_oldest   what waits longest makes room            drop_newest   what comes is dropped
    latest        whatever waits makes room, always        block         the put waits for room
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from engine.errors import EdgeOverflowError, UsageError
from engine.wording import suggestion

if TYPE_CHECKING:
    from collections.abc import Callable

OVERFLOWS: Final = ("error", "drop_oldest", "drop_newest", "latest", "block")
#: What `take` gives where nothing waits.
NOTHING: Final = object()


class Inbox:
    """A bounded queue.

    Attributes:
        received: how many were put, those that were dropped too.
        dropped: how many made room or found none.
        finished: whether nothing more is put.
    """

    def __init__(self, name: str, capacity: int, overflow: str, wake: Callable[[], None]) -> None:
        """Make an empty one.

        Args:
            name: what an error says is full.
            capacity: how many may wait, at least 1.
            overflow: one of OVERFLOWS.
            wake: called, by whoever puts or finishes, when there may be something to take.

        Raises:
            UsageError: there is no such policy, or no such capacity.
        """
        check_policy(overflow, capacity)
        self.received = 0
        self.dropped = 0
        self.finished = False
        self._name = name
        self._capacity = capacity
        self._overflow = overflow
        self._wake = wake
        self._items: deque[Any] = deque()
        self._closed = False
        self._room = threading.Condition()

    def put(self, item: Any) -> None:
        """Add one, as the policy says; once it is closed or finished, nothing happens.

        Raises:
            EdgeOverflowError: it is full and the policy is `error`.
        """
        with self._room:
            while self._overflow == "block" and self._full and not self._shut:
                self._room.wait()
            if self._shut:
                return
            self.received += 1
            if not self._make_room():
                return
            self._items.append(item)
            is_first = len(self._items) == 1
        if is_first:  # whoever takes goes on until nothing is left
            self._wake()

    def take(self) -> Any:
        """The one that waits longest, or NOTHING."""
        with self._room:
            if not self._items:
                return NOTHING
            self._room.notify()
            return self._items.popleft()

    def finish(self) -> None:
        """Say that nothing more is put; what waits can still be taken."""
        with self._room:
            self.finished = True
            self._room.notify_all()
        self._wake()

    def close(self) -> None:
        """Forget what waits; a put that waits for room returns. A second call does nothing."""
        with self._room:
            self._closed = True
            self._items.clear()
            self._room.notify_all()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def _full(self) -> bool:
        return len(self._items) >= self._capacity

    @property
    def _shut(self) -> bool:
        return self._closed or self.finished

    def _make_room(self) -> bool:
        """Apply the policy; whether there is room now."""
        if self._overflow == "latest":
            self.dropped += len(self._items)
            self._items.clear()
        if not self._full:
            return True
        self.dropped += 1
        if self._overflow == "drop_oldest":
            self._items.popleft()
            return True
        if self._overflow == "drop_newest":
            return False
        raise EdgeOverflowError(
            f"the input of {self._name} is full: {self._capacity} wait, and the source goes on; it"
            " knows no demand. Choose a larger capacity, or another overflow: drop_oldest,"
            " drop_newest, latest, or block for a source on a thread of its own",
            edge=self._name,
            capacity=self._capacity,
        )


def check_policy(overflow: str, capacity: int) -> None:
    """See that a policy and a capacity are such.

    Raises:
        UsageError: they are not.
    """
    if overflow not in OVERFLOWS:
        hint = suggestion(overflow, OVERFLOWS, "policies")
        raise UsageError(f"there is no overflow policy {overflow!r}{hint}")
    if capacity < 1:
        raise UsageError(f"capacity must be at least 1, got {capacity}")
