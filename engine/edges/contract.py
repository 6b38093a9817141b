"""The two ends of an edge, as a stage sees them.

Pure: protocols only. Source: FR-007, SC-007, NFR-003.

Law of credits: issued = held by producer + in flight + held by consumer, at every step. End of
stream is a
state of the edge, outside the law: it needs no credit and no slot and is never dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from engine.edges.hop_times import NO_HOPS, HopTimes

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from engine.errors import EdgeError
    from engine.interruption import Unwanted
    from engine.packet import Item


@dataclass(slots=True)
class EdgeStatistics:
    """What one end of an edge has counted so far.

    Attributes:
        sent: items accepted by the sender (or received, on the receiver's end).
        queued: items waiting at the producer.
        in_flight: items sent whose credit has not come back; between processes, as a session tells
            it, at most those that the consumer has not taken.
        payload_bytes: bytes of all payloads sent.
        copies: payloads that were copied where a view was possible in principle: by the producer,
            and by a consumer on the session's loop; those of one in another process are not known.
        dropped: items dropped by an overflow policy, an age limit or an interrupt.
        refused: times the sender had no credit.
        hops: how long hops took; counted where the edge is received.
    """

    sent: int = 0
    queued: int = 0
    in_flight: int = 0
    payload_bytes: int = 0
    copies: int = 0
    dropped: int = 0
    refused: int = 0
    hops: HopTimes = NO_HOPS


class EdgeSender(Protocol):
    """The producer's end."""

    edge_id: str
    capacity: int
    #: Called once after a refusal when a credit is back. It must only schedule, never run a stage.
    on_credit: Callable[[], None] | None

    @property
    def ready(self) -> bool:
        """Whether try_send would be accepted now.

        False counts as a refusal: on_credit will be called.
        """

    @property
    def closed(self) -> bool:
        """Whether the consumer has left: what is sent goes nowhere."""

    def try_send(self, item: Item) -> bool:
        """Send, taking a credit. False: there is none, or no room; nothing happened. Never blocks.

        Once the receiver has closed, items are accepted, go nowhere, and are counted as dropped.

        Raises:
            EdgeError: this item can never cross: it is larger than the arena, or has no Arrow form.
        """

    def finish(self) -> None:
        """End the stream after all that was accepted, without a credit; twice is once."""

    def fail(self, error: EdgeError) -> None:
        """End the edge abnormally: the receiver sees the error instead of an end of stream."""

    def flush(self) -> None:
        """Ring the doorbell for what was batched."""

    def reserve(
        self, shape: tuple[int, ...], dtype: npt.DTypeLike
    ) -> npt.NDArray[np.generic] | None:
        """A writable array in the outgoing arena, or None where there is no room or no arena."""

    def statistics(self) -> EdgeStatistics:
        """A snapshot of the counts."""


class EdgeReceiver(Protocol):
    """The consumer's end."""

    edge_id: str
    #: Called when items, the end or an error may have arrived. It must only schedule, never run a
    #: stage, unless `rings_outside_turns`.
    on_readable: Callable[[], None] | None
    #: Whether on_readable is called by the loop alone, never from within anybody's turn.
    rings_outside_turns: bool

    @property
    def readable(self) -> bool:
        """Whether try_receive would give an item now."""

    @property
    def next_seq(self) -> int:
        """Ordinal on this edge of what try_receive gives next, from 0."""

    @property
    def ended(self) -> bool:
        """Whether the stream ended and everything before the end was received."""

    @property
    def error(self) -> EdgeError | None:
        """Why the edge ended abnormally, once everything before it was received."""

    def try_receive(self) -> Item | None:
        """The next item, or None. Its credit is held until `release`."""

    def release(self, count: int = 1) -> None:
        """Give credits back: that many turns have ended. Any order; batched."""

    def discard(self, unwanted: Unwanted) -> int:
        """Drop the queued items that are not wanted, credits returned; how many those were."""

    def flush(self) -> None:
        """Send back the credits collected so far."""

    def close(self) -> None:
        """Leave; what is queued and what is sent later is dropped and counted; twice is once."""

    def statistics(self) -> EdgeStatistics:
        """A snapshot of the counts."""
