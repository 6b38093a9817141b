"""engine.edges.local: an edge inside one loop, and the law of credits on it."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.edges.local import LocalEdge
from engine.errors import EdgeError
from engine.interruption import older_than
from engine.packet import Group, Origin, Packet, Source
from engine.payloads import Text


def packet(number=0, generation=0, port="in"):
    origin = Origin("session", number, 0, 0, generation)
    return Packet(Text(str(number)), Source("a"), port, 0, origin)


def state(edge):
    """(credits, queued, held by the consumer), which together are the capacity."""
    statistics = edge.statistics()
    assert edge._credits + statistics.queued + statistics.in_flight == edge.capacity
    return (edge._credits, statistics.queued, statistics.in_flight)


def test_a_packet_takes_a_credit_with_it_and_its_turn_returns_it():
    edge = LocalEdge("e", 2)
    one = packet(1)
    assert state(edge) == (2, 0, 0)
    assert edge.try_send(one)
    assert state(edge) == (1, 1, 0)
    assert edge.readable
    assert edge.try_receive() is one
    assert state(edge) == (1, 0, 1)
    edge.release()
    assert state(edge) == (2, 0, 0)
    assert edge.try_receive() is None


def test_without_a_credit_nothing_happens():
    edge = LocalEdge("e", 1)
    assert edge.ready
    assert edge.try_send(packet(1))
    assert not edge.ready
    assert not edge.try_send(packet(2))
    assert state(edge) == (0, 1, 0)
    assert edge.statistics().refused == 2  # asking in vain is one, too
    assert edge.statistics().sent == 1


def test_a_group_takes_one_credit():
    edge = LocalEdge("e", 1)
    group = Group({"l": packet(1, port="l"), "r": packet(1, port="r")})
    assert edge.try_send(group)
    assert state(edge) == (0, 1, 0)
    assert edge.try_receive() is group


def test_a_refused_producer_is_told_once_that_a_credit_is_back():
    told = []
    edge = LocalEdge("e", 2)
    edge.on_credit = lambda: told.append(edge.ready)
    edge.try_send(packet(1))
    edge.try_send(packet(2))
    edge.try_receive()
    edge.release()
    assert told == []  # nobody was refused
    edge.try_send(packet(3))
    assert not edge.try_send(packet(4))
    assert not edge.try_send(packet(4))
    edge.try_receive()
    edge.release()
    edge.try_receive()
    edge.release()
    assert told == [True]


def test_asking_whether_it_is_ready_counts_as_a_refusal():
    told = []
    edge = LocalEdge("e", 1)
    edge.on_credit = lambda: told.append(True)
    edge.try_send(packet(1))
    assert not edge.ready
    edge.try_receive()
    edge.release()
    assert told == [True]


def test_a_consumer_is_told_when_there_is_something_again():
    told = []
    edge = LocalEdge("e", 8)
    edge.on_readable = lambda: told.append("readable")
    for number in range(3):
        edge.try_send(packet(number))
    assert told == ["readable"]
    while edge.try_receive():
        pass
    edge.try_send(packet(3))
    assert told == ["readable"] * 2
    edge.finish()
    edge.finish()
    assert told == ["readable"] * 3


def test_the_end_needs_no_credit_and_comes_behind_all_packets():
    edge = LocalEdge("e", 1)
    edge.try_send(packet(1))
    edge.finish()
    assert not edge.ended
    edge.try_receive()
    assert edge.ended
    assert edge.error is None
    assert state(edge) == (0, 0, 1)
    edge.release()
    assert state(edge) == (1, 0, 0)


def test_what_is_sent_behind_the_end_goes_nowhere():
    edge = LocalEdge("e", 1)
    edge.finish()
    assert edge.try_send(packet(1))
    assert edge.ended
    assert edge.statistics().dropped == 1
    assert state(edge) == (1, 0, 0)


def test_behind_the_end_nothing_is_refused_not_even_without_a_credit():
    edge = LocalEdge("e", 1)
    edge.try_send(packet(1))
    edge.finish()
    assert edge.ready
    assert edge.try_send(packet(2))
    assert edge.statistics().dropped == 1
    assert state(edge) == (0, 1, 0)


@pytest.mark.parametrize("count", [-1, 2])
def test_only_what_is_held_can_be_released(count):
    edge = LocalEdge("e", 4)
    edge.try_send(packet(1))
    edge.try_send(packet(2))
    edge.try_receive()
    with pytest.raises(ValueError, match=f"'e': cannot release {count}, 1 are held"):
        edge.release(count)
    assert state(edge) == (2, 1, 1)


def test_a_failure_is_seen_behind_all_packets_instead_of_an_end():
    edge = LocalEdge("e", 2)
    error = EdgeError("broken")
    edge.try_send(packet(1))
    edge.fail(error)
    edge.fail(EdgeError("second"))
    edge.finish()
    assert edge.error is None
    edge.try_receive()
    assert edge.error is error
    assert not edge.ended


def test_a_failure_behind_the_end_is_not_seen():
    edge = LocalEdge("e", 2)
    edge.finish()
    edge.fail(EdgeError("late"))
    assert edge.ended
    assert edge.error is None


def test_a_consumer_that_leaves_lets_the_producer_go_on():
    told = []
    edge = LocalEdge("e", 2)
    edge.on_credit = lambda: told.append("credit")
    edge.try_send(packet(1))
    edge.try_send(packet(2))
    assert not edge.try_send(packet(3))
    edge.try_receive()
    edge.close()
    edge.close()
    assert told == ["credit"]
    assert state(edge) == (1, 0, 1)
    for number in range(10):
        assert edge.ready
        assert edge.try_send(packet(number))
    assert edge.statistics().dropped == 11
    assert not edge.readable
    edge.release()
    assert state(edge) == (2, 0, 0)
    edge.finish()
    assert edge.ended


def test_a_consumer_that_leaves_holding_everything_lets_the_producer_go_on():
    told = []
    edge = LocalEdge("e", 1)
    edge.on_credit = lambda: told.append("credit")
    edge.try_send(packet(1))
    edge.try_receive()
    assert not edge.ready
    edge.close()
    assert told == ["credit"]
    assert edge.ready


def test_older_generations_are_dropped_and_their_credits_returned():
    told = []
    edge = LocalEdge("e", 4)
    edge.on_credit = lambda: told.append("credit")
    for number, generation in enumerate((0, 1, 0, 2)):
        edge.try_send(packet(number, generation))
    assert not edge.ready
    assert edge.discard(older_than(1)) == 2
    assert told == ["credit"]
    assert state(edge) == (2, 2, 0)
    assert [edge.try_receive().sequence for _ in range(2)] == [1, 3]
    assert edge.discard(older_than(9)) == 0
    assert edge.statistics().dropped == 2


def test_a_group_is_dropped_whole():
    edge = LocalEdge("e", 4)
    edge.try_send(Group({"l": packet(1, port="l"), "r": packet(1, port="r")}))
    assert edge.discard(older_than(1)) == 1
    assert state(edge) == (4, 0, 0)


def test_the_end_survives_what_is_dropped():
    edge = LocalEdge("e", 4)
    edge.try_send(packet(1))
    edge.finish()
    edge.discard(older_than(1))
    assert edge.ended


def test_there_is_no_arena():
    edge = LocalEdge("e", 1)
    assert edge.reserve((3,), "float32") is None
    edge.flush()


@pytest.mark.parametrize("capacity", [0, -1])
def test_an_edge_holds_at_least_one_packet(capacity):
    with pytest.raises(ValueError, match="edge 'e': capacity must be at least 1"):
        LocalEdge("e", capacity)


class LawOfCredits(RuleBasedStateMachine):
    """Whatever both ends do: capacity = credits + queued + held, and nothing is lost or doubled."""

    @initialize(capacity=st.integers(1, 4))
    def make(self, capacity):
        self.edge = LocalEdge("e", capacity)
        self.credit_told = 0
        self.edge.on_credit = self.told_of_credit
        self.queue = []
        self.held = 0
        self.number = 0
        self.refused = False
        self.closed = False
        self.finished = False

    def told_of_credit(self):
        self.credit_told += 1

    @rule(generation=st.integers(0, 3))
    def send(self, generation):
        item = packet(self.number, generation)
        self.number += 1
        full = len(self.queue) + self.held == self.edge.capacity
        accepted = self.edge.try_send(item)
        assert accepted == (self.closed or self.finished or not full)
        if accepted and not self.closed and not self.finished:
            self.queue.append(item)
        if not accepted:
            self.refused = True

    @rule()
    def receive(self):
        item = self.edge.try_receive()
        assert item is (self.queue.pop(0) if self.queue else None)
        self.held += item is not None

    @precondition(lambda self: self.held)
    @rule()
    def release(self):
        self.held -= 1
        told = self.credit_told
        self.edge.release()
        assert self.credit_told == told + self.refused
        self.refused = False

    @rule(generation=st.integers(0, 3))
    def discard(self, generation):
        kept = [item for item in self.queue if item.generation >= generation]
        dropped = len(self.queue) - len(kept)
        self.queue = kept
        told = self.credit_told
        assert self.edge.discard(older_than(generation)) == dropped
        assert self.credit_told == told + (self.refused and dropped > 0)
        self.refused = self.refused and not dropped

    @rule()
    def finish(self):
        self.finished = True
        self.edge.finish()

    @rule()
    def close(self):
        was_closed, self.closed = self.closed, True
        self.queue = []
        told = self.credit_told
        self.edge.close()
        assert self.credit_told == told + (self.refused and not was_closed)
        self.refused = False

    @invariant()
    def law(self):
        if not hasattr(self, "edge"):
            return
        assert state(self.edge) == (
            self.edge.capacity - len(self.queue) - self.held,
            len(self.queue),
            self.held,
        )
        assert self.edge.readable == bool(self.queue)
        assert self.edge.ended == (self.finished and not self.queue)


TestLawOfCredits = LawOfCredits.TestCase
