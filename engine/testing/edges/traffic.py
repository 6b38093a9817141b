"""What passes over a checked edge, and who holds it to the law of credits at each step.

Source: FR-007, SC-007.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engine.interruption import older_than
from engine.packet import NO_METADATA, Group, Origin, Packet
from engine.payloads import Audio
from engine.testing.edges.pairs import SESSION_ID, SOURCE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from engine.packet import Item
    from engine.payloads import Payload
    from engine.testing.edges.pairs import EdgePair

    #: Makes the pair of a check: `make(capacity, ports=…)`.
    MakeEdge = Callable[..., EdgePair]

SAMPLE_RATE = 16_000


class BreachError(Exception):
    """What was seen of an edge that breaks a rule of its contract."""


class Check(NamedTuple):
    """One rule of the contract, and what shows whether an edge keeps it.

    Attributes:
        name: by which it is called.
        rule: the rule, as a sentence.
        run: raises BreachError with what was seen.
    """

    name: str
    rule: str
    run: Callable[[MakeEdge], Awaitable[None]]


class Checks(list[Check]):
    """The checks of a module, in their order."""

    def rule(self, sentence: str) -> Callable[[Any], Any]:
        """Add a function as the check of a rule; its name begins with `check_`."""

        def add(run: Any) -> Any:
            self.append(Check(run.__name__.removeprefix("check_"), sentence, run))
            return run

        return add


def expect(condition: object, seen: str) -> None:
    """Say what was seen where it is not what the rule demands.

    Raises:
        BreachError: the condition is false.
    """
    if not condition:
        raise BreachError(seen)


def audio(value: int, frames: int = 8) -> Audio:
    """A payload that says in each of its samples which one it is."""
    return Audio(np.full(frames, value, np.float32), SAMPLE_RATE)


def packet(
    number: int,
    payload: Payload | None = None,
    *,
    port: str = "in",
    index: int = 0,
    generation: int = 0,
    metadata: Mapping[str, str] = NO_METADATA,
) -> Packet:
    """The item of a number, from the producer every edge here has."""
    origin = Origin(SESSION_ID, number, number * 1_000, number, generation, 0, metadata)
    return Packet(audio(number) if payload is None else payload, SOURCE, port, index, origin)


def group(*members: Packet) -> Group:
    """Packets for different ports that belong together."""
    return Group({member.port: member for member in members})


def number_of(item: Item) -> int:
    """The number an item was made with."""
    return item.origin.sequence


class Traffic:
    """A producer and a consumer of one edge, and the books that are kept of both.

    Attributes:
        pair: the edge.
        sent: numbers of the items accepted, in order.
        received: items taken, in order.
        held: items taken whose turn has not ended.
        discarded: items dropped by an interrupt.
        refused: times try_send said no.
        credit_calls, readable_calls: times each callback was called.
        open: whether the law of credits can be looked at: nobody has left or failed.
    """

    def __init__(self, pair: EdgePair) -> None:
        self.pair = pair
        self.sent: list[int] = []
        self.received: list[Item] = []
        self.held = 0
        self.discarded = 0
        self.refused = 0
        self.credit_calls = 0
        self.readable_calls = 0
        self.open = True
        pair.sender.on_credit = self._told_of_credit
        pair.receiver.on_readable = self._told_of_items

    def _told_of_credit(self) -> None:
        self.credit_calls += 1

    def _told_of_items(self) -> None:
        self.readable_calls += 1

    @property
    def away(self) -> int:
        """Credits that are not at home, as the producer counts them."""
        counts = self.pair.sender.statistics()
        return counts.queued + counts.in_flight

    @property
    def owed(self) -> int:
        """Credits of items that have not been released or discarded: the truth."""
        return len(self.sent) - (len(self.received) - self.held) - self.discarded

    @property
    def dropped(self) -> int:
        """Items dropped at either end, as both ends count them."""
        pair = self.pair
        dropped = pair.sender.statistics().dropped
        return dropped if pair.counts_once else dropped + pair.receiver.statistics().dropped

    def send(self, item: Item) -> bool:
        """Offer an item; whether it was accepted."""
        accepted = self.pair.sender.try_send(item)
        if accepted:
            self.sent.append(number_of(item))
        else:
            self.refused += 1
        self.look()
        return accepted

    def send_numbers(self, count: int, **header: Any) -> None:
        """Send so many items on, all of which must be accepted."""
        for _ in range(count):
            number = len(self.sent)
            expect(
                self.send(packet(number, **header)),
                f"item {number} was refused with {self.owed} of {self.capacity} credits out",
            )

    def fill(self) -> int:
        """Send until the edge refuses; how many it took. Gives up far above its capacity."""
        before = len(self.sent)
        while len(self.sent) - before <= self.capacity and self.send(packet(len(self.sent))):
            pass
        return len(self.sent) - before

    @property
    def capacity(self) -> int:
        """Credits issued to the edge."""
        return self.pair.sender.capacity

    def take(self) -> Item | None:
        """Receive an item, if there is one; its turn begins."""
        item = self.pair.receiver.try_receive()
        if item is not None:
            self.received.append(item)
            self.held += 1
            self.look()
        return item

    def release(self, count: int = 1) -> None:
        """End so many turns."""
        self.pair.receiver.release(count)
        self.held -= count
        self.look()

    def discard_older(self, generation: int) -> int:
        """Interrupt: drop what is queued and older; how many that were."""
        dropped = self.pair.receiver.discard(older_than(generation))
        self.discarded += dropped
        self.look()
        return dropped

    async def settle(self) -> None:
        """Let all that is under way arrive."""
        await self.pair.settle()
        self.look()

    async def drain(self) -> list[Item]:
        """Take all there is, each turn ending at once; what that was."""
        before = len(self.received)
        await self.settle()
        while len(self.received) <= len(self.sent) and self.take() is not None:
            self.release()
            if not self.pair.receiver.readable:
                await self.settle()
        return self.received[before:]

    async def come_home(self) -> None:
        """End all turns, and let every credit return, which a refused producer asks for."""
        await self.drain()
        if self.held:
            self.release(self.held)
        self.pair.sender.flush()
        await self.settle()

    def look(self) -> None:
        """Hold both ends to the law of credits, as far as it shows from outside.

        Raises:
            BreachError: credits were made or lost.
        """
        expect(
            0 <= self.away <= self.capacity,
            f"{self.away} of {self.capacity} credits are away from the producer",
        )
        if self.open:
            expect(
                self.owed <= self.away,
                f"{self.owed} items are under way or held, and only {self.away} credits are away",
            )

    def numbers(self) -> list[int]:
        """Numbers of the items received."""
        return [number_of(item) for item in self.received]

    def lost(self) -> list[int]:
        """Numbers that were accepted and never came."""
        return sorted((Counter(self.sent) - Counter(self.numbers())).elements())

    def surplus(self) -> list[int]:
        """Numbers that came though they were not sent so often."""
        return sorted((Counter(self.numbers()) - Counter(self.sent)).elements())
