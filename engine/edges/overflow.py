"""What an edge does when it is full, where it does something else than block.

Pure. Source: FR-007.

Such an edge has a short window to its consumer, and a queue before it in which the policy acts:

    try_send ─▶ queue (capacity − window) ─▶ inner sender, a window of 1 or 2 ─▶ consumer
                  │  drop_oldest   the one that waited longest makes room
                  │  drop_newest   the new one finds none
                  │  latest        all that wait make room
                  │  error         EdgeOverflowError
                  └  max_age_ms    what waited longer is not sent any more; `block` may have it, too

What waits has not been written into the arena, so that what is dropped has cost no copy. The packet
behind a dropped one carries FLAG_GAP. The end of the stream is never dropped.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Literal, Protocol, get_args, runtime_checkable

from engine.errors import EdgeError, EdgeOverflowError
from engine.flags import FLAG_GAP
from engine.packet import Packet

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from engine.edges.contract import EdgeSender, EdgeStatistics
    from engine.interruption import Unwanted
    from engine.packet import Item
    from engine.plan import EdgePlan

#: What a full edge may do.
Overflow = Literal["block", "drop_oldest", "drop_newest", "latest", "error"]
OVERFLOWS: Final[tuple[str, ...]] = get_args(Overflow)
BLOCK: Final = "block"

#: Packets under way to the consumer of an edge that drops: what its policy no longer reaches.
DROPPING_WINDOW: Final = 2
#: Such an edge holds at least one packet under way and one that waits.
DROPPING_CAPACITY_MIN: Final = 2


def may_drop(overflow: str | None, max_age_ms: int | None) -> bool:
    """Whether an edge does something else than block when it is full; None: nobody said so."""
    return overflow not in {None, BLOCK} or max_age_ms is not None


def window_of(overflow: str, capacity: int, max_age_ms: int | None) -> int:
    """The credits of the edge itself: all of its capacity where it only ever blocks."""
    if not may_drop(overflow, max_age_ms):
        return capacity
    return min(DROPPING_WINDOW, capacity - 1)


def with_policy(sender: EdgeSender, edge: EdgePlan, now_ns: Callable[[], int]) -> EdgeSender:
    """The sender that acts by an edge's policy: itself where the edge only ever blocks."""
    if not may_drop(edge.overflow, edge.max_age_ms):
        return sender
    return OverflowSender(sender, edge.overflow, edge.capacity, edge.max_age_ms, now_ns)


def discard_waiting(sender: EdgeSender, unwanted: Unwanted) -> int:
    """Drop what waits before an edge and is not wanted any more; how many that were."""
    return sender.discard(unwanted) if isinstance(sender, OverflowSender) else 0


@runtime_checkable
class Publishing(Protocol):
    """A sender that shows its counts to others.

    Attributes:
        counted: gives the counts it shows.
    """

    counted: Callable[[], EdgeStatistics]


class OverflowSender:
    """The producer's end of an edge that does something else than block when it is full.

    See `engine.edges.contract.EdgeSender`.
    """

    def __init__(
        self,
        inner: EdgeSender,
        overflow: str,
        capacity: int,
        max_age_ms: int | None,
        now_ns: Callable[[], int],
    ) -> None:
        """Stand before a sender, which is its alone from now on.

        Args:
            inner: the edge, with the window of `window_of`.
            overflow: one of OVERFLOWS.
            capacity: packets that may be on the edge, in the window and before it; at least one
                more than the window.
            max_age_ms: how long a packet may wait before it is dropped; None: as long as it takes.
            now_ns: the clock by which it waits.

        Raises:
            ValueError: the capacity leaves no place for a packet to wait.
        """
        if capacity <= inner.capacity:
            raise ValueError(
                f"edge {inner.edge_id!r}: a capacity of {capacity} leaves no place before a window"
                f" of {inner.capacity}"
            )
        self.edge_id = inner.edge_id
        self.capacity = capacity
        self.on_credit: Callable[[], None] | None = None
        self._inner = inner
        self._overflow = overflow
        self._places = capacity - inner.capacity
        self._max_age_ns = None if max_age_ms is None else max_age_ms * 1_000_000
        self._now_ns = now_ns
        #: Items that wait, each with the time since when.
        self._queue: deque[tuple[Item, int]] = deque()
        self._dropped = 0
        self._refused = 0
        self._wanted = False
        #: The next item that is sent, or that is queued, comes behind one that was dropped.
        self._gap_before_next = False
        self._gap_before_new = False
        self._finished = False
        self._error: EdgeError | None = None
        inner.on_credit = self._go_on
        if isinstance(inner, Publishing):
            inner.counted = self.statistics

    # --- sending ----------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        if self._overflow != BLOCK or self._finished:
            return True
        self._drop_aged()
        if len(self._queue) < self._places:
            return True
        self._refuse()
        return False

    @property
    def closed(self) -> bool:
        return self._inner.closed

    def try_send(self, item: Item) -> bool:
        if self._error is not None:
            raise self._error
        if self._finished:
            self._dropped += 1
            return True
        self._pump()
        if not self._queue and self._send(item):
            return True
        if len(self._queue) >= self._places and not self._make_room():
            return self._without_room()
        if self._gap_before_new:
            self._gap_before_new = False
            item = _behind_gap(item)
        self._queue.append((item, self._now_ns()))
        return True

    def finish(self) -> None:
        self._finished = True
        self._pump()
        if not self._queue:
            self._inner.finish()

    def discard(self, unwanted: Unwanted) -> int:
        """Drop what waits and is not wanted any more; how many. It leaves no gap to be marked."""
        kept = deque(entry for entry in self._queue if not unwanted(entry[0].origin))
        dropped = len(self._queue) - len(kept)
        if dropped:
            self._queue = kept
            self._dropped += dropped
            self._go_on()
        return dropped

    def fail(self, error: EdgeError) -> None:
        self._finished = True
        self._drop(len(self._queue))
        self._inner.fail(error)

    def flush(self) -> None:
        self._inner.flush()

    def reserve(
        self, shape: tuple[int, ...], dtype: npt.DTypeLike
    ) -> npt.NDArray[np.generic] | None:
        return self._inner.reserve(shape, dtype)

    def statistics(self) -> EdgeStatistics:
        counts = self._inner.statistics()
        counts.sent += len(self._queue) + self._dropped
        counts.queued += len(self._queue)
        counts.dropped += self._dropped
        counts.refused = self._refused
        return counts

    # --- the policy -------------------------------------------------------------------------------

    def _make_room(self) -> bool:
        """Let what waits make room for a new item, if the policy says so."""
        self._drop_aged()
        if len(self._queue) < self._places:
            return True
        if self._overflow == "drop_oldest":
            self._drop(1)
        elif self._overflow == "latest":
            self._drop(len(self._queue))
        return len(self._queue) < self._places

    def _without_room(self) -> bool:
        """What becomes of a new item that finds no room; whether it has been dealt with."""
        if self._overflow == BLOCK:
            self._refuse()
            return False
        if self._overflow == "error":
            raise EdgeOverflowError(
                f"edge {self.edge_id!r} is full with {self.capacity} packets, and its overflow"
                " policy is 'error'; make what takes them faster, raise the capacity, or choose"
                " another policy",
                edge=self.edge_id,
            )
        self._dropped += 1
        self._gap_before_new = True
        return True

    def _refuse(self) -> None:
        self._refused += 1
        self._wanted = True

    def _drop_aged(self) -> None:
        if self._max_age_ns is None:
            return
        since_ns = self._now_ns() - self._max_age_ns
        aged = 0
        for _, queued_ns in self._queue:
            if queued_ns >= since_ns:
                break
            aged += 1
        self._drop(aged)

    def _drop(self, count: int) -> None:
        """Drop the items that have waited longest."""
        for _ in range(count):
            self._queue.popleft()
            self._dropped += 1
            self._gap_before_next = True

    # --- going on ---------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """The edge has a credit, or room, again."""
        self._pump()
        self._inner.flush()
        if self._finished and not self._queue:
            self._inner.finish()
        if self._wanted and len(self._queue) < self._places:
            self._wanted = False
            if self.on_credit is not None:
                self.on_credit()

    def _pump(self) -> None:
        """Send what waits, as far as the edge takes it."""
        self._drop_aged()
        while self._queue:
            try:
                if not self._send(self._queue[0][0]):
                    return
            except EdgeError as error:  # it can never cross; nobody waits for this answer
                self._error = error
                self.fail(error)
                return
            self._queue.popleft()

    def _send(self, item: Item) -> bool:
        gap = self._gap_before_next or (self._gap_before_new and not self._queue)
        if not self._inner.try_send(_behind_gap(item) if gap else item):
            return False
        self._gap_before_next = False
        if not self._queue:
            self._gap_before_new = False
        return True


def _behind_gap(item: Item) -> Item:
    """The same item, marked as coming behind one that was dropped."""
    if isinstance(item, Packet):
        origin = item.origin.with_flags(item.origin.flags | FLAG_GAP)
        return Packet(item.payload, item.source, item.port, item.index, origin)
    return item.with_origins(lambda origin: origin.with_flags(origin.flags | FLAG_GAP))
