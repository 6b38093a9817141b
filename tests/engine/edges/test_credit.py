"""engine.edges.credit: the law of credits, on each end and on both together."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from engine.edges.credit import IN_FLIGHT_MAX, ReceiverCredits, SenderCredits


def sender_with(queued: int, in_flight: int, capacity: int = 10) -> SenderCredits:
    credits_ = SenderCredits(capacity)
    for _ in range(queued + in_flight):
        assert credits_.take()
    credits_.sent(in_flight)
    return credits_


# --------------------------------------------------------------------------------- the sender


def test_a_new_sender_has_all_credits():
    sender = SenderCredits(5)
    assert (sender.available, sender.queued, sender.in_flight) == (5, 0, 0)
    assert sender.in_flight_max == IN_FLIGHT_MAX == 64
    assert sender.can_send


def test_a_packet_without_a_credit_is_refused():
    sender = SenderCredits(2)
    assert [sender.take() for _ in range(3)] == [True, True, False]
    assert (sender.available, sender.queued) == (0, 2)


def test_a_credit_goes_out_and_comes_home():
    sender = SenderCredits(3)
    sender.take()
    sender.sent()
    assert (sender.available, sender.queued, sender.in_flight) == (2, 0, 1)
    sender.returned(1)
    assert (sender.available, sender.queued, sender.in_flight) == (3, 0, 0)


def test_the_window_closes_before_the_credits_end():
    sender = SenderCredits(5, in_flight_max=2)
    for _ in range(4):
        sender.take()
    sender.sent(2)
    assert not sender.can_send
    with pytest.raises(ValueError, match=r"cannot have sent 1: .*in_flight=2, in_flight_max=2"):
        sender.sent()
    sender.returned(1)
    assert sender.can_send


def test_withdrawn_packets_give_their_credits_home():
    sender = sender_with(queued=3, in_flight=2)
    sender.withdraw(2)
    assert (sender.available, sender.queued, sender.in_flight) == (7, 1, 2)
    sender.withdraw()
    assert (sender.available, sender.queued, sender.in_flight) == (8, 0, 2)


def test_a_lost_peer_gives_home_what_was_out_and_leaves_what_waits():
    sender = sender_with(queued=3, in_flight=2)
    assert sender.peer_lost() == 2
    assert (sender.available, sender.queued, sender.in_flight) == (7, 3, 0)
    assert sender.peer_lost() == 0
    with pytest.raises(ValueError, match="cannot get 1 back"):
        sender.returned(1)


def test_nothing_is_a_number_too():
    sender = sender_with(queued=1, in_flight=1)
    sender.sent(0)
    sender.returned(0)
    sender.withdraw(0)
    assert (sender.available, sender.queued, sender.in_flight) == (8, 1, 1)


@pytest.mark.parametrize("count", [4, -1])
@pytest.mark.parametrize("verb", ["sent", "withdraw"])
def test_only_queued_packets_are_sent_or_withdrawn(verb, count):
    sender = sender_with(queued=3, in_flight=2)
    with pytest.raises(ValueError, match=rf"{count}: SenderCredits\(capacity=10.*queued=3"):
        getattr(sender, verb)(count)
    assert (sender.available, sender.queued, sender.in_flight) == (5, 3, 2)


@pytest.mark.parametrize("count", [3, -1])
def test_only_what_is_in_flight_comes_back(count):
    sender = sender_with(queued=3, in_flight=2)
    with pytest.raises(ValueError, match=f"cannot get {count} back: .*in_flight=2"):
        sender.returned(count)
    assert (sender.available, sender.queued, sender.in_flight) == (5, 3, 2)


@pytest.mark.parametrize(("capacity", "in_flight_max"), [(0, 1), (-1, 1), (1, 0)])
def test_a_sender_needs_a_credit_and_a_window(capacity, in_flight_max):
    with pytest.raises(ValueError, match="must both be at least 1"):
        SenderCredits(capacity, in_flight_max)


@pytest.mark.parametrize(
    ("available", "queued", "in_flight"), [(2, 1, 1), (1, 1, 0), (4, 0, -1), (0, 0, 3)]
)
def test_the_sender_check_finds_broken_books(available, queued, in_flight):
    sender = SenderCredits(3, in_flight_max=2)
    sender.check()
    sender.available, sender.queued, sender.in_flight = available, queued, in_flight
    with pytest.raises(AssertionError, match="credits lost or made"):
        sender.check()


# ------------------------------------------------------------------------------- the receiver


def test_a_new_receiver_holds_nothing():
    receiver = ReceiverCredits(4, batch=2)
    assert (receiver.held, receiver.collected, receiver.outstanding) == (0, 0, 0)
    assert receiver.due == 0
    assert receiver.collect() == 0


def test_credits_are_due_when_a_batch_is_full():
    receiver = ReceiverCredits(6, batch=3)
    receiver.received(5)
    receiver.release(2)
    assert receiver.due == 0
    receiver.release()
    assert receiver.due == 3
    receiver.release()
    assert receiver.due == 4
    assert (receiver.held, receiver.collected, receiver.outstanding) == (1, 4, 5)
    assert receiver.collect() == 4
    assert (receiver.held, receiver.collected, receiver.outstanding) == (1, 0, 1)
    assert receiver.due == 0


def test_what_is_collected_can_be_sent_back_before_a_batch_is_full():
    receiver = ReceiverCredits(6, batch=3)
    receiver.received()
    receiver.release()
    assert receiver.collect() == 1


@pytest.mark.parametrize("count", [3, -1])
def test_only_held_packets_are_released(count):
    receiver = ReceiverCredits(6, batch=3)
    receiver.received(2)
    with pytest.raises(ValueError, match=rf"{count}: ReceiverCredits\(capacity=6, held=2"):
        receiver.release(count)
    assert (receiver.held, receiver.collected) == (2, 0)


@pytest.mark.parametrize("count", [2, -1])
def test_a_peer_cannot_send_more_than_it_has_credits(count):
    receiver = ReceiverCredits(3, batch=3)
    receiver.received(2)
    receiver.release()
    with pytest.raises(ValueError, match=f"cannot have received {count}: .*collected=1"):
        receiver.received(count)
    receiver.received()
    assert receiver.outstanding == 3


@pytest.mark.parametrize(("capacity", "batch"), [(4, 0), (4, 5), (0, 0), (0, 1)])
def test_a_batch_is_from_one_to_the_capacity(capacity, batch):
    with pytest.raises(ValueError, match=f"a batch of {batch} credits"):
        ReceiverCredits(capacity, batch)


@pytest.mark.parametrize(("held", "collected"), [(-1, 0), (0, -1), (2, 2)])
def test_the_receiver_check_finds_broken_books(held, collected):
    receiver = ReceiverCredits(3, batch=1)
    receiver.check()
    receiver.held, receiver.collected = held, collected
    with pytest.raises(AssertionError, match="credits lost or made"):
        receiver.check()


# ------------------------------------------------------------------------- both ends, together


class EdgeMachine(RuleBasedStateMachine):
    """Both ends of an edge, and a wire between them that carries packets and credit messages."""

    @initialize(data=st.data(), capacity=st.integers(1, 12), in_flight_max=st.integers(1, 12))
    def start(self, data, capacity, in_flight_max):
        self.capacity, self.in_flight_max = capacity, in_flight_max
        self.batch = data.draw(st.integers(1, capacity), label="batch")
        self.numbers = 0
        self.producer_lives = True
        self.connect_producer()
        self.connect_consumer()

    def connect_producer(self) -> None:
        self.sender = SenderCredits(self.capacity, self.in_flight_max)
        self.queue: list[int] = []

    def connect_consumer(self) -> None:
        self.receiver = ReceiverCredits(self.capacity, self.batch)
        self.wire: list[int] = []
        self.credit_wire: list[int] = []
        self.held: list[int] = []

    @precondition(lambda self: self.producer_lives)
    @rule()
    def take(self):
        if self.sender.take():
            self.numbers += 1
            self.queue.append(self.numbers)
        else:
            assert self.credits_out() + len(self.queue) == self.capacity

    @precondition(lambda self: self.producer_lives and self.queue)
    @rule(data=st.data())
    def send(self, data):
        room = self.in_flight_max - self.credits_out()
        assert self.sender.can_send == (room > 0)
        if not self.sender.can_send:
            return
        count = data.draw(st.integers(1, min(room, len(self.queue))), label="count")
        self.sender.sent(count)
        self.wire += self.queue[:count]
        del self.queue[:count]

    @precondition(lambda self: self.producer_lives and self.queue)
    @rule(data=st.data())
    def withdraw(self, data):
        position = data.draw(st.integers(0, len(self.queue) - 1), label="position")
        del self.queue[position]
        self.sender.withdraw()

    @precondition(lambda self: self.producer_lives)
    @rule()
    def purge(self):
        self.sender.withdraw(len(self.queue))
        self.queue.clear()

    @precondition(lambda self: self.wire)
    @rule(data=st.data())
    def deliver(self, data):
        count = data.draw(st.integers(1, len(self.wire)), label="count")
        self.receiver.received(count)
        self.held += self.wire[:count]
        del self.wire[:count]

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data):
        self.held.remove(data.draw(st.sampled_from(self.held), label="packet"))
        self.receiver.release()

    @rule()
    def return_a_full_batch(self):
        due = self.receiver.due
        if due:
            assert due >= self.batch
            self.send_credits()
        else:
            assert self.receiver.collected < self.batch

    @precondition(lambda self: self.receiver.collected)
    @rule()
    def return_what_there_is_before_sleeping(self):
        self.send_credits()

    def send_credits(self) -> None:
        count = self.receiver.collect()
        if self.producer_lives:  # else the message goes nowhere
            self.credit_wire.append(count)

    @precondition(lambda self: self.credit_wire)
    @rule()
    def credits_arrive(self):
        self.sender.returned(self.credit_wire.pop(0))

    @rule()
    def consumer_dies_and_another_comes(self):
        expected = self.credits_out() if self.producer_lives else 0
        self.connect_consumer()
        assert self.sender.peer_lost() == expected

    @precondition(lambda self: self.producer_lives)
    @rule()
    def producer_dies(self):
        """What it had queued is gone; what is on the wire still arrives."""
        self.producer_lives = False
        self.credit_wire.clear()
        self.connect_producer()

    @precondition(lambda self: not self.producer_lives and not self.wire and not self.held)
    @rule()
    def another_producer_comes_when_the_consumer_has_finished(self):
        self.connect_consumer()
        self.producer_lives = True

    def credits_out(self) -> int:
        """Credits that are not with the producer, counted one by one."""
        return len(self.wire) + len(self.held) + self.receiver.collected + sum(self.credit_wire)

    @invariant()
    def issued_is_what_all_three_hold(self):
        if self.producer_lives:
            held_by_producer = self.sender.available + self.sender.queued
            held_by_consumer = self.receiver.outstanding
            in_flight = len(self.wire) + sum(self.credit_wire)
            assert self.capacity == held_by_producer + in_flight + held_by_consumer

    @invariant()
    def each_end_knows_its_part(self):
        self.sender.check()
        self.receiver.check()
        assert self.sender.queued == len(self.queue)
        assert self.receiver.held == len(self.held)
        if self.producer_lives:
            assert self.sender.in_flight == self.credits_out() <= self.in_flight_max

    def teardown(self) -> None:
        """When all is consumed, all credits are home: none was lost on the way."""
        if not self.producer_lives:
            return
        self.purge()
        self.receiver.received(len(self.wire))
        self.receiver.release(self.receiver.held)
        self.sender.returned(sum(self.credit_wire) + self.receiver.collect())
        assert self.sender.available == self.capacity


TestEdgeCredits = EdgeMachine.TestCase
TestEdgeCredits.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
