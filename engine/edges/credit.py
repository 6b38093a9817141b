"""Who holds the credits of one edge: the accounting of its two ends.

Pure: no I/O, no clock. Source: FR-007, SC-007.

The law: issued = held by producer + in flight + held by consumer, at every step. Each end knows its
part:

    SenderCredits                                  ReceiverCredits
      available ── take ──▶ queued ── sent ──▶ ~~~ descriptors ~~~ ──▶ received: held
          ▲ ▲                 │                                           │ release
          │ └─── withdraw ────┘                                           ▼
          └───── returned ◀── ~~~~~~~~~~~ credit messages ~~~~~~~~ ◀── collected (collect)
                 peer_lost

    sender:    capacity  = available + queued + in_flight
    together:  in_flight = descriptors under way + held + collected + credits under way

`in_flight` is the sender's view: all that was sent and has not come back, wherever it is. End of
stream needs no credit and is not counted here.
"""

from __future__ import annotations

#: Descriptors that may be out at once; what else has a credit waits at the producer, where an
#: overflow policy, an age limit or an interrupt can still reach it.
IN_FLIGHT_MAX = 64


class SenderCredits:
    """The producer's part. One thread only.

    Args:
        capacity: credits issued to the edge, at least 1.
        in_flight_max: packets that may be sent before credits come back, at least 1; 1 or 2 on
            edges that drop.

    Attributes:
        capacity: as given; never changes.
        in_flight_max: as given; never changes.
        available: credits to take.
        queued: packets that have a credit and wait here.
        in_flight: packets sent whose credit has not come back.

    Raises:
        ValueError: an argument is below 1.
    """

    __slots__ = ("available", "capacity", "in_flight", "in_flight_max", "queued")

    def __init__(self, capacity: int, in_flight_max: int = IN_FLIGHT_MAX) -> None:
        if capacity < 1 or in_flight_max < 1:
            raise ValueError(
                f"capacity {capacity} and in_flight_max {in_flight_max} must both be at least 1"
            )
        self.capacity = capacity
        self.in_flight_max = in_flight_max
        #: available + queued + in_flight = capacity, always; none is negative.
        self.available = capacity
        self.queued = 0
        #: At most in_flight_max.
        self.in_flight = 0

    @property
    def can_send(self) -> bool:
        """Whether the window has room for one more packet."""
        return self.in_flight < self.in_flight_max

    def take(self) -> bool:
        """Give a packet a credit; it is queued from now on. False: there is none."""
        if not self.available:
            return False
        self.available -= 1
        self.queued += 1
        return True

    def sent(self, count: int = 1) -> None:
        """Note that queued packets have been sent.

        Raises:
            ValueError: fewer are queued, or the window has less room.
        """
        if not 0 <= count <= self.queued or self.in_flight + count > self.in_flight_max:
            raise ValueError(f"cannot have sent {count}: {self!r}")
        self.queued -= count
        self.in_flight += count

    def returned(self, count: int) -> None:
        """Take credits home that the consumer has sent back.

        Raises:
            ValueError: more than are in flight: the peer is broken, or this message is from before
                `peer_lost`.
        """
        if not 0 <= count <= self.in_flight:
            raise ValueError(f"cannot get {count} back: {self!r}")
        self.in_flight -= count
        self.available += count

    def withdraw(self, count: int = 1) -> None:
        """Take the credits of packets home that were dropped or purged before they were sent.

        Raises:
            ValueError: fewer are queued.
        """
        if not 0 <= count <= self.queued:
            raise ValueError(f"cannot withdraw {count}: {self!r}")
        self.queued -= count
        self.available += count

    def peer_lost(self) -> int:
        """Take everything in flight home: the consumer is gone. How many that were.

        Credit messages of the lost consumer must not be applied afterwards.
        """
        count = self.in_flight
        self.in_flight = 0
        self.available += count
        return count

    def check(self) -> None:
        """Verify the law on this side.

        Raises:
            AssertionError: it does not hold; a mistake of ours.
        """
        parts = (self.available, self.queued, self.in_flight)
        if min(parts) < 0 or sum(parts) != self.capacity or self.in_flight > self.in_flight_max:
            raise AssertionError(f"credits lost or made: {self!r}")

    def __repr__(self) -> str:
        return (
            f"SenderCredits(capacity={self.capacity}, available={self.available}, "
            f"queued={self.queued}, in_flight={self.in_flight}, "
            f"in_flight_max={self.in_flight_max})"
        )


class ReceiverCredits:
    """The consumer's part. One thread only.

    Credits go back in batches, because a message for each would double the wake-ups. `due` says
    when a batch is full; whoever is about to sleep sends what has been collected in any case. A
    batch must not exceed the sender's in_flight_max: it would never fill, and only going to sleep
    would return it.

    Args:
        capacity: credits issued to the edge, at least 1.
        batch: credits worth a message, 1 to capacity.

    Attributes:
        capacity: as given; never changes.
        batch: as given; never changes.
        held: packets received whose turn has not ended.
        collected: credits to send back.

    Raises:
        ValueError: an argument is out of range.
    """

    __slots__ = ("batch", "capacity", "collected", "held")

    def __init__(self, capacity: int, batch: int) -> None:
        if not 1 <= batch <= capacity:
            raise ValueError(f"a batch of {batch} credits is not from 1 to the capacity {capacity}")
        self.capacity = capacity
        self.batch = batch
        #: held + collected <= capacity, always; none is negative.
        self.held = 0
        self.collected = 0

    @property
    def outstanding(self) -> int:
        """Credits on this side: the producer counts them as in flight."""
        return self.held + self.collected

    @property
    def due(self) -> int:
        """Credits to send back now: what has been collected if that fills a batch, else 0."""
        return self.collected if self.collected >= self.batch else 0

    def received(self, count: int = 1) -> None:
        """Note that packets have arrived; their credits are held.

        Raises:
            ValueError: the edge has fewer credits: the peer is broken.
        """
        if count < 0 or self.held + self.collected + count > self.capacity:
            raise ValueError(f"cannot have received {count}: {self!r}")
        self.held += count

    def release(self, count: int = 1) -> None:
        """Note that the turns of so many packets have ended, in any order.

        Raises:
            ValueError: fewer are held.
        """
        if not 0 <= count <= self.held:
            raise ValueError(f"cannot release {count}: {self!r}")
        self.held -= count
        self.collected += count

    def collect(self) -> int:
        """Take all that has been collected: the number the next credit message carries."""
        count = self.collected
        self.collected = 0
        return count

    def check(self) -> None:
        """Verify the law on this side.

        Raises:
            AssertionError: it does not hold; a mistake of ours.
        """
        if min(self.held, self.collected) < 0 or self.outstanding > self.capacity:
            raise AssertionError(f"credits lost or made: {self!r}")

    def __repr__(self) -> str:
        return (
            f"ReceiverCredits(capacity={self.capacity}, held={self.held}, "
            f"collected={self.collected}, batch={self.batch})"
        )
