"""An edge between two stages on one loop: both ends in one object, no copy.

Pure. Law of credits: capacity = credits + queued + held by the consumer. Source: FR-007.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from engine.edges.contract import EdgeStatistics
from engine.edges.hop_times import HopRecorder

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from engine.clock import Clock
    from engine.errors import EdgeError
    from engine.interruption import Unwanted
    from engine.packet import Item

#: One in so many packets is timed: two readings of the clock are a tenth of a local hop.
_TIMED_EVERY = 16


class LocalEdge:
    """Sender and receiver of one local edge, see `engine.edges.contract`.

    Nothing is moved here, so bytes are not counted.
    """

    rings_outside_turns = False

    def __init__(self, edge_id: str, capacity: int, now_ns: Clock | None = None) -> None:
        """Make an edge.

        Args:
            edge_id: its id in the plan.
            capacity: credits, at least 1.
            now_ns: the clock by which hops are timed; None: they are not.
        """
        if capacity < 1:
            raise ValueError(f"edge {edge_id!r}: capacity must be at least 1, got {capacity}")
        self.edge_id = edge_id
        self.capacity = capacity
        self.on_credit: Callable[[], None] | None = None
        self.on_readable: Callable[[], None] | None = None
        self._queue: deque[Item] = deque()
        self._credits = capacity
        self._wanted = False
        self._finished = False
        self._closed = False
        self._error: EdgeError | None = None
        self._sent = 0
        self._now_ns = now_ns
        self._hops = HopRecorder()
        #: The item under way whose hop is timed, and since when.
        self._timed: Item | None = None
        self._timed_since_ns = 0
        self._timed_next = 1 if now_ns is not None else -1
        self._dropped = 0
        self._refused = 0

    # --- sender -------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        if self._credits or self._closed or self._finished:
            return True
        self._wanted = True
        self._refused += 1
        return False

    @property
    def closed(self) -> bool:
        return self._closed

    def try_send(self, item: Item) -> bool:
        if self._closed or self._finished:
            self._dropped += 1
            return True
        if not self._credits:
            self._wanted = True
            self._refused += 1
            return False
        self._credits -= 1
        self._sent += 1
        if self._sent == self._timed_next:
            self._time(item)
        queue = self._queue
        queue.append(item)
        if len(queue) == 1 and self.on_readable is not None:
            self.on_readable()
        return True

    def finish(self) -> None:
        if not self._finished:
            self._finished = True
            if self.on_readable is not None:
                self.on_readable()

    def fail(self, error: EdgeError) -> None:
        if not self._finished:
            self._error = error
            self.finish()

    def reserve(
        self, shape: tuple[int, ...], dtype: npt.DTypeLike
    ) -> npt.NDArray[np.generic] | None:
        """No arena here: ordinary memory is as good."""
        del shape, dtype
        return None

    # --- receiver -----------------------------------------------------------------------------

    @property
    def readable(self) -> bool:
        return bool(self._queue)

    @property
    def next_seq(self) -> int:
        return self._sent - len(self._queue)

    @property
    def ended(self) -> bool:
        return self._finished and not self._queue and self._error is None

    @property
    def error(self) -> EdgeError | None:
        return None if self._queue else self._error

    def try_receive(self) -> Item | None:
        if not self._queue:
            return None
        item = self._queue.popleft()
        if item is self._timed:
            self._timed = None
            assert self._now_ns is not None
            self._hops.record(self._now_ns() - self._timed_since_ns)
        return item

    def release(self, count: int = 1) -> None:
        credits_ = self._credits + count
        if count < 0 or credits_ + len(self._queue) > self.capacity:
            held = self.capacity - self._credits - len(self._queue)
            raise ValueError(f"edge {self.edge_id!r}: cannot release {count}, {held} are held")
        self._credits = credits_
        if self._wanted:
            self._wanted = False
            if self.on_credit is not None:
                self.on_credit()

    def discard(self, unwanted: Unwanted) -> int:
        kept = deque(item for item in self._queue if not unwanted(item.origin))
        dropped = len(self._queue) - len(kept)
        if dropped:
            self._queue = kept
            self._timed = None
            self._dropped += dropped
            self.release(dropped)
        return dropped

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        dropped = len(self._queue)
        self._queue.clear()
        self._timed = None
        self._dropped += dropped
        self.release(dropped)

    # --- both ---------------------------------------------------------------------------------

    def flush(self) -> None:
        """Nothing is batched here."""

    def statistics(self) -> EdgeStatistics:
        queued = len(self._queue)
        return EdgeStatistics(
            sent=self._sent,
            queued=queued,
            in_flight=self.capacity - self._credits - queued,
            dropped=self._dropped,
            refused=self._refused,
            hops=self._hops.times(),
        )

    def _time(self, item: Item) -> None:
        assert self._now_ns is not None
        self._timed, self._timed_since_ns = item, self._now_ns()
        self._timed_next += _TIMED_EVERY
