"""engine.edges.credit over engine.edges.arena: credits in packets and in bytes, whatever happens.

Two edges of one arena, both ends of each, and the wires between them, all pure: what a shell would
do is done here by hand, one step at a time, in any order. Source: FR-007, SC-007.

    producer          wire            consumer
    queue ── pump ──▶ items ── … ──▶ queue ─ begin ─▶ turns ─ end ─▶ credit    views ─ die ─▶ slot
      ▲                                                                    │
      └──────────────────── credit messages: count, slots ◀───────────────┘
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from engine.edges.arena import PAGE_BYTES, SLOTS_START, Arena
from engine.edges.credit import ReceiverCredits, SenderCredits

SEGMENT_BYTES = 8 * PAGE_BYTES
EDGES = st.integers(0, 1)


@dataclass(eq=False)
class Item:
    """A packet on an edge; the same slot may be on the other edge, too."""

    number: int
    generation: int
    slot: int


@dataclass(eq=False)
class Edge:
    """Both ends of an edge, and what is under way between them."""

    sender: SenderCredits
    receiver: ReceiverCredits
    waiting: deque[Item] = field(default_factory=deque)
    wire: deque[Item] = field(default_factory=deque)
    queue: deque[Item] = field(default_factory=deque)
    turns: list[Item] = field(default_factory=list)
    #: Items whose views outlive, or may outlive, their turns.
    views: list[Item] = field(default_factory=list)
    #: Slots the consumer has done with, and not said so.
    freed: list[int] = field(default_factory=list)
    #: Messages to the producer: credits, slots, whether the consumer says that it leaves.
    replies: deque[tuple[int, list[int], bool]] = field(default_factory=deque)
    closed: bool = False
    #: The producer knows that nobody reads.
    left: bool = False
    dead: bool = False

    def slots(self) -> Counter[int]:
        """Holds on slots, one by one, wherever they are."""
        items = [*self.waiting, *self.wire, *self.queue, *self.views]
        items += [item for item in self.turns if item not in self.views]
        said = [slot for _, slots, _ in self.replies for slot in slots]
        return Counter([item.slot for item in items] + self.freed + said)


class CreditMachine(RuleBasedStateMachine):
    """Whatever the ends do: no credit and no byte is made or lost."""

    @initialize(
        capacities=st.tuples(st.integers(1, 8), st.integers(1, 8)),
        window=st.integers(1, 8),
        ends_after=st.sampled_from([3, 15, 10**6]),
    )
    def open(self, capacities, window, ends_after):
        #: Packets from which on somebody may leave; else most runs would be over soon.
        self.ends_after = ends_after
        self.view = memoryview(bytearray(SEGMENT_BYTES))
        self.arena = Arena(self.view)
        self.edges = [
            Edge(SenderCredits(capacity, window), ReceiverCredits(capacity, 1 + capacity // 4))
            for capacity in capacities
        ]
        self.numbers = 0
        self.generation = 0
        self.contents: dict[int, bytes] = {}
        self.producer_lives = True

    # --- the producer -----------------------------------------------------------------------------

    @precondition(lambda self: self.producer_lives)
    @rule(
        to=st.sampled_from([(0,), (1,), (0, 1)]),
        size_bytes=st.one_of(st.integers(1, 200), st.integers(1, SEGMENT_BYTES // 3)),
        times=st.integers(1, 4),
        arrives=st.booleans(),
    )
    def send(self, to, size_bytes, times, arrives):
        for _ in range(times):
            self.send_one(to, size_bytes)
        for number in to if arrives else ():
            self.pump(number)
            self.deliver(number, 4)
            self.begin_turns(number, keep=False, count=4)

    def send_one(self, to, size_bytes):
        """Write once, whoever gets it; without a credit or room on all, nothing happens."""
        edges = [self.edges[number] for number in to]
        edges = [edge for edge in edges if not edge.left]
        if not edges or not all(edge.sender.available for edge in edges):
            return
        slot = self.arena.allocate(size_bytes, len(edges))
        if slot is None:
            return
        self.numbers += 1
        content = bytes([self.numbers % 256]) * size_bytes
        self.arena.slot(slot)[:] = content
        self.contents[slot] = content
        for edge in edges:
            assert edge.sender.take()
            edge.waiting.append(Item(self.numbers, self.generation, slot))

    @precondition(lambda self: self.producer_lives)
    @rule(number=EDGES)
    def pump(self, number):
        edge = self.edges[number]
        while edge.waiting and edge.sender.can_send:
            edge.sender.sent()
            edge.wire.append(edge.waiting.popleft())

    @precondition(lambda self: self.producer_lives)
    @rule(number=EDGES, oldest=st.booleans())
    def drop(self, number, oldest):
        """An overflow policy, or an age limit."""
        edge = self.edges[number]
        if edge.waiting:
            self.withdraw(edge, edge.waiting[0 if oldest else -1])

    def withdraw(self, edge: Edge, item: Item) -> None:
        edge.waiting.remove(item)
        edge.sender.withdraw()
        self.free(item.slot)

    def free(self, slot: int) -> None:
        if self.arena.release(slot):
            del self.contents[slot]

    @precondition(lambda self: self.producer_lives)
    @rule(number=EDGES)
    def cancel(self, number):
        """The producer is stopped, or has failed: what waits is not sent any more."""
        edge = self.edges[number]
        while edge.waiting:
            self.withdraw(edge, edge.waiting[0])

    @rule()
    def interrupt(self):
        """What is older and can be reached is dropped at both ends; what is under way is not."""
        self.generation += 1
        for edge in self.edges:
            while self.producer_lives and edge.waiting:
                self.withdraw(edge, edge.waiting[0])
            stale, edge.queue = edge.queue, deque()
            for item in stale:
                edge.receiver.release()
                edge.freed.append(item.slot)

    @precondition(lambda self: self.producer_lives and any(edge.replies for edge in self.edges))
    @rule(number=EDGES)
    def reply_arrives(self, number):
        edge = self.edges[number]
        if not edge.replies:
            return
        count, slots, leaves = edge.replies.popleft()
        if not edge.left:  # else its credits came home when it left
            edge.sender.returned(count)
        for slot in slots:
            self.free(slot)
        if leaves:
            self.cancel(number)
            edge.sender.peer_lost()
            edge.left = True

    # --- the consumer -----------------------------------------------------------------------------

    @rule(number=EDGES, count=st.integers(1, 4))
    def deliver(self, number, count):
        edge = self.edges[number]
        for _ in range(min(count, len(edge.wire))):
            item = edge.wire.popleft()
            edge.receiver.received()
            if edge.closed:  # it was under way when the consumer closed
                edge.receiver.release()
                edge.freed.append(item.slot)
            else:
                edge.queue.append(item)

    @rule(number=EDGES, keep=st.just(True), count=st.integers(1, 4))
    def begin_turns(self, number, keep, count):
        edge = self.edges[number]
        for _ in range(min(count, len(edge.queue))):
            item = edge.queue.popleft()
            edge.turns.append(item)
            if keep:
                edge.views.append(item)

    @rule(number=EDGES, data=st.data(), count=st.integers(1, 4))
    def end_turns(self, number, data, count):
        """Any turns, not the oldest."""
        edge = self.edges[number]
        for _ in range(min(count, len(edge.turns))):
            item = edge.turns.pop(data.draw(st.integers(0, len(edge.turns) - 1)))
            edge.receiver.release()
            if item not in edge.views:
                edge.freed.append(item.slot)

    @rule(number=EDGES, data=st.data())
    def a_view_dies(self, number, data):
        edge = self.edges[number]
        if edge.views:
            item = edge.views.pop(data.draw(st.integers(0, len(edge.views) - 1)))
            if item not in edge.turns:
                edge.freed.append(item.slot)

    @rule(number=EDGES, resting=st.booleans())
    def reply(self, number, resting):
        """A full batch at once, the rest before it sleeps."""
        edge = self.edges[number]
        if not edge.dead and (resting or edge.receiver.due):
            self.say(edge)

    def say(self, edge: Edge, *, leaves: bool = False) -> None:
        slots, edge.freed = edge.freed, []
        edge.replies.append((edge.receiver.collect(), slots, leaves))

    @precondition(lambda self: self.numbers > self.ends_after)
    @rule(number=EDGES)
    def close(self, number):
        edge = self.edges[number]
        if edge.closed:
            return
        edge.closed = True
        while edge.queue:
            edge.receiver.release()
            edge.freed.append(edge.queue.popleft().slot)
        self.say(edge, leaves=True)

    # --- deaths -----------------------------------------------------------------------------------

    @precondition(lambda self: self.producer_lives and self.numbers > self.ends_after)
    @rule(number=EDGES)
    def consumer_dies(self, number):
        """All its slots and credits come home at once; what it said before is not read any more."""
        edge = self.edges[number]
        if edge.dead:
            return
        self.cancel(number)
        for slot in edge.slots().elements():
            self.free(slot)
        edge.sender.peer_lost()
        capacity, window = edge.sender.capacity, edge.sender.in_flight_max
        receiver = ReceiverCredits(capacity, edge.receiver.batch)
        dead = Edge(SenderCredits(capacity, window), receiver, closed=True, left=True, dead=True)
        assert edge.sender.available == capacity
        self.edges[number] = dead

    @precondition(lambda self: self.producer_lives and self.numbers > 2 * self.ends_after)
    @rule()
    def producer_dies(self):
        """What it had not sent is gone; consumers finish what they hold, and it stays as it was."""
        self.producer_lives = False
        for edge in self.edges:
            edge.waiting.clear()
            edge.replies.clear()

    # --- what always holds ------------------------------------------------------------------------

    @invariant()
    def issued_is_what_all_three_hold(self):
        if not hasattr(self, "edges"):
            return
        for edge in self.edges:
            edge.receiver.check()
            assert edge.receiver.held == len(edge.queue) + len(edge.turns)
            if not self.producer_lives:
                continue
            edge.sender.check()
            assert edge.sender.queued == len(edge.waiting)
            if not edge.left:
                held_by_producer = edge.sender.available + edge.sender.queued
                in_flight = len(edge.wire) + sum(count for count, _, _ in edge.replies)
                held_by_consumer = edge.receiver.outstanding
                assert edge.sender.capacity == held_by_producer + in_flight + held_by_consumer
                assert edge.sender.in_flight == in_flight + held_by_consumer

    @invariant()
    def bytes_are_held_by_exactly_those_who_have_them(self):
        if not hasattr(self, "edges") or not self.producer_lives:
            return
        holds = sum((edge.slots() for edge in self.edges), Counter())
        assert holds.keys() == self.contents.keys()
        assert self.arena._holders == holds
        rooms = sum(-(-len(content) // 64) * 64 for content in self.contents.values())
        assert self.arena.used_bytes == rooms
        assert self.arena.used_bytes + self.arena.free_bytes == SEGMENT_BYTES - SLOTS_START

    @invariant()
    def nothing_that_is_held_is_written_over(self):
        if hasattr(self, "edges"):
            for edge in self.edges:
                for item in (*edge.wire, *edge.queue, *edge.turns, *edge.views):
                    content = self.contents[item.slot]
                    assert content[0] == item.number % 256
                    assert self.view[item.slot : item.slot + len(content)] == content

    @invariant()
    def items_keep_their_order(self):
        if hasattr(self, "edges"):
            for edge in self.edges:
                numbers = [item.number for item in (*edge.queue, *edge.wire, *edge.waiting)]
                assert numbers == sorted(set(numbers))

    def teardown(self):
        """All turns end and all views die: whatever happened, all is at home."""
        if not hasattr(self, "edges") or not self.producer_lives:
            return
        for number, edge in enumerate(self.edges):
            while edge.waiting or edge.wire or edge.queue or edge.replies or edge.freed:
                self.pump(number)
                self.deliver(number, 4)
                while edge.queue:
                    edge.turns.append(edge.queue.popleft())
                self.let_go(edge)
                self.say(edge)
                while edge.replies:
                    self.reply_arrives(number)
            self.let_go(edge)
            self.say(edge)
            self.reply_arrives(number)
            assert edge.sender.available == edge.sender.capacity
        assert self.arena.is_empty
        assert self.arena.allocate(SEGMENT_BYTES - SLOTS_START) == SLOTS_START

    def let_go(self, edge: Edge) -> None:
        views, edge.views = edge.views, []
        edge.freed += [item.slot for item in views if item not in edge.turns]
        edge.freed += [item.slot for item in edge.turns]
        edge.receiver.release(len(edge.turns))
        edge.turns.clear()


TestCreditsInPacketsAndBytes = CreditMachine.TestCase
TestCreditsInPacketsAndBytes.settings = settings(
    max_examples=120, stateful_step_count=60, deadline=None
)
