"""What a full edge drops, in which order, and what it says of it; before both kinds of edge."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.edges.local import LocalEdge
from engine.edges.overflow import OverflowSender, discard_waiting, window_of
from engine.errors import EdgeClosedError, EdgeError, EdgeOverflowError
from engine.flags import FLAG_GAP, FLAG_UNINTERRUPTIBLE
from engine.interruption import older_than
from engine.packet import Group, Origin, Packet, Source
from engine.payloads import Text
from engine.testing.edges import LocalPair, SharedMemoryPair, breaches_of_edge
from engine.testing.edges.contract import CHECKS

SOURCE = Source("producer", "out")


def packet(number, port="in"):
    return Packet(Text(str(number)), SOURCE, port, 0, Origin("session", number, 0, 0))


class Clock:
    def __init__(self):
        self.now_ns = 0

    def __call__(self):
        return self.now_ns


class Bench:
    """A sender with a policy before a local edge, whose consumer takes when it is told to."""

    def __init__(self, overflow, capacity=4, max_age_ms=None):
        self.clock = Clock()
        self.edge = LocalEdge("a→b", window_of(overflow, capacity, max_age_ms))
        self.sender = OverflowSender(self.edge, overflow, capacity, max_age_ms, self.clock)
        self.refused = 0

    def send(self, *numbers):
        return [self.sender.try_send(packet(number)) for number in numbers]

    def take(self, count=None):
        """What the consumer gets of the next packets: their numbers, a "!" behind a gap."""
        taken = []
        while (count is None or len(taken) < count) and (item := self.edge.try_receive()):
            taken.append(f"{item.sequence}{'!' if item.flags & FLAG_GAP else ''}")
            self.edge.release()
        return " ".join(taken)


def test_the_window_is_short_where_something_may_be_dropped():
    assert window_of("block", 100, None) == 100
    assert window_of("latest", 100, None) == 2
    assert window_of("block", 100, 50) == 2
    assert [window_of("drop_oldest", capacity, None) for capacity in (2, 3, 4)] == [1, 2, 2]


def test_there_must_be_a_place_to_wait():
    with pytest.raises(ValueError, match="leaves no place before a window of 2"):
        OverflowSender(LocalEdge("a→b", 2), "latest", 2, None, Clock())


@pytest.mark.parametrize(
    ("overflow", "taken"),
    [
        ("drop_oldest", "0 1 4! 5"),
        ("drop_newest", "0 1 2 3"),
        ("latest", "0 1 4! 5"),
    ],
)
def test_what_is_dropped_by_policy(overflow, taken):
    bench = Bench(overflow)
    assert bench.send(*range(6)) == [True] * 6
    assert bench.take() == taken
    counts = bench.sender.statistics()
    assert (counts.dropped, counts.sent, counts.queued, counts.in_flight) == (2, 6, 0, 0)


def test_latest_keeps_only_the_newest_of_what_waits():
    bench = Bench("latest", capacity=10)
    bench.send(*range(12))
    assert bench.take() == "0 1 10! 11"
    bench = Bench("latest", capacity=3)
    bench.send(*range(12))
    assert bench.take() == "0 1 11!"


def test_the_gap_of_a_dropped_newcomer_lies_before_the_next_one():
    bench = Bench("drop_newest")
    bench.send(*range(5))
    assert bench.take(1) == "0"
    bench.send(5)
    assert bench.take() == "1 2 3 5!"
    bench.send(6)
    assert bench.take() == "6"


def test_the_gap_is_marked_also_where_nothing_waits_any_more():
    bench = Bench("drop_newest")
    bench.send(*range(5))
    assert bench.take() == "0 1 2 3"
    bench.send(5, 6)
    assert bench.take() == "5! 6"


def test_a_full_edge_can_be_an_error():
    bench = Bench("error")
    bench.send(*range(4))
    with pytest.raises(EdgeOverflowError, match="edge 'a→b' is full with 4 packets") as caught:
        bench.send(4)
    assert caught.value.context["edge"] == "a→b"
    assert bench.take() == "0 1 2 3"


def test_what_waits_too_long_is_dropped():
    bench = Bench("block", capacity=4, max_age_ms=100)
    bench.send(0, 1, 2)
    bench.clock.now_ns = 60_000_000
    bench.send(3)
    assert bench.send(4) == [False]
    bench.clock.now_ns = 130_000_000
    assert bench.take() == "0 1 3!"
    assert bench.sender.statistics().dropped == 1


def test_blocking_with_an_age_lets_the_producer_go_on():
    bench = Bench("block", capacity=3, max_age_ms=100)
    woken = []
    bench.sender.on_credit = lambda: woken.append(bench.clock.now_ns)
    assert bench.send(0, 1, 2, 3) == [True, True, True, False]
    assert not bench.sender.ready
    bench.clock.now_ns = 200_000_000
    assert bench.sender.ready
    assert bench.send(3) == [True]
    assert woken == []
    assert bench.send(4) == [False]
    assert bench.take(2) == "0 1"
    assert woken == [200_000_000]
    assert bench.sender.statistics().refused == 3


def test_the_end_comes_behind_what_waits():
    bench = Bench("drop_oldest")
    bench.send(*range(6))
    bench.sender.finish()
    bench.sender.finish()
    assert not bench.edge.ended
    assert bench.take() == "0 1 4! 5"
    assert bench.edge.ended
    assert bench.send(7) == [True]
    assert bench.sender.statistics().dropped == 3


def test_a_failure_comes_at_once():
    bench = Bench("drop_oldest")
    bench.send(*range(4))
    error = EdgeClosedError("gone")
    bench.sender.fail(error)
    assert bench.take() == "0 1"
    assert bench.edge.error is error
    assert bench.sender.statistics().dropped == 2


def test_a_consumer_that_has_left_holds_nobody_up():
    bench = Bench("block", max_age_ms=1_000)
    woken = []
    bench.sender.on_credit = lambda: woken.append(True)
    assert bench.send(*range(5)) == [True] * 4 + [False]
    bench.edge.close()
    assert woken == [True]
    assert bench.send(*range(5, 20)) == [True] * 15
    bench.sender.finish()
    assert bench.edge.ended


def test_a_packet_that_can_never_cross_is_told_when_its_turn_comes():
    class Refusing(LocalEdge):
        def try_send(self, item):
            if self._credits and item.sequence == 2:
                raise EdgeError("too large")
            return super().try_send(item)

    edge = Refusing("a→b", 2)
    sender = OverflowSender(edge, "drop_oldest", 4, None, Clock())
    for number in range(4):
        sender.try_send(packet(number))
    edge.try_receive()
    edge.release()
    assert edge.error is None
    edge.try_receive()
    assert "too large" in str(edge.error)
    with pytest.raises(EdgeError, match="too large"):
        sender.try_send(packet(4))


def test_groups_are_dropped_and_marked_whole():
    bench = Bench("drop_oldest", capacity=2)
    groups = []
    for number in range(3):
        origin = Origin("session", number, 0, 0)
        members = {port: Packet(Text(port), SOURCE, port, 0, origin) for port in ("a", "b")}
        groups.append(Group(members))
        bench.sender.try_send(groups[-1])
    first = bench.edge.try_receive()
    bench.edge.release()
    second = bench.edge.try_receive()
    assert first is groups[0]
    assert [member.sequence for member in second] == [2, 2]
    assert all(member.flags & FLAG_GAP for member in second)
    assert len({id(member.origin) for member in second}) == 1
    assert not groups[2].origin.flags


@given(
    st.sampled_from(["drop_oldest", "drop_newest", "latest"]),
    st.integers(2, 6),
    st.none() | st.integers(1, 5),
    st.lists(st.one_of(st.just("send"), st.just("take"), st.integers(1, 4)), max_size=60),
)
def test_nothing_is_lost_but_what_is_counted(overflow, capacity, max_age_ms, steps):
    """Order holds, each gap is marked, and sent = taken + dropped + still there."""
    bench = Bench(overflow, capacity, max_age_ms)
    sent, taken = 0, deque()
    for step in steps:
        if step == "send":
            assert bench.send(sent) == [True]
            sent += 1
        elif step == "take":
            taken.extend(bench.take(1).split())
        else:
            bench.clock.now_ns += step * 1_000_000
        counts = bench.sender.statistics()
        assert counts.in_flight + counts.queued <= capacity
        assert len(taken) + counts.in_flight + counts.queued + counts.dropped == sent
    bench.sender.finish()
    taken.extend(bench.take().split())
    assert bench.edge.ended
    numbers = [int(word.rstrip("!")) for word in taken]
    assert numbers == sorted(set(numbers))
    expected = -1
    for word, number in zip(taken, numbers, strict=True):
        assert word.endswith("!") == (number != expected + 1)
        expected = number


#: What does not hold of an edge with a queue before it: its capacity is at least two, what waits in
#: the queue is not on its way yet, and goes with a producer that fails or dies.
NOT_WITH_A_QUEUE = {
    "bounds",
    "callbacks_only_schedule",
    "closed_is_no_obstacle",
    "discard",
    "end_outlasts_discarding",
    "end_then_gone",
    "end_without_credit",
    "failure",
    "groups",
    "held_until_release",
    "law",
    "producer_dies",
    "release_in_any_order",
    "twice_is_once",
}


@pytest.mark.parametrize("kind", [LocalPair, SharedMemoryPair])
def test_it_keeps_all_other_rules_of_an_edge(kind):
    def make(capacity=4, ports=("in",), **options):
        capacity = max(2, capacity)
        pair = kind(window_of("block", capacity, 1_000_000), ports, **options)
        pair.sender = OverflowSender(pair.sender, "block", capacity, 1_000_000, Clock())
        pair.counts_once = False
        return pair

    rules = {check.name for check in CHECKS} - NOT_WITH_A_QUEUE
    assert len(rules) > 15
    assert breaches_of_edge(make, rules) == {}


# ----------------------------------------------------------------------------------- interrupts


def of_generation(number, generation, flags=0):
    origin = Origin("session", number, 0, 0, generation, flags)
    return Packet(Text(str(number)), SOURCE, "in", 0, origin)


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "latest", "error"])
def test_what_an_interrupt_makes_stale_leaves_its_place_to_what_is_newer(overflow):
    bench = Bench(overflow, capacity=5)
    for number in range(4):
        bench.sender.try_send(of_generation(number, 0))
    assert bench.sender.try_send(of_generation(4, 0, FLAG_UNINTERRUPTIBLE))
    waiting = bench.sender.statistics().queued - 2
    assert discard_waiting(bench.sender, older_than(1)) == waiting - 1
    for number in (10, 11):
        assert bench.sender.try_send(of_generation(number, 1))
    assert bench.take() == "0 1 4 10 11"
    counts = bench.sender.statistics()
    assert (counts.sent, counts.dropped, counts.queued) == (7, waiting - 1, 0)


def test_an_edge_that_was_full_of_what_is_stale_has_credit_again():
    bench = Bench("block", capacity=3, max_age_ms=1000)
    for number in range(3):
        assert bench.sender.try_send(of_generation(number, 0))
    heard = []
    bench.sender.on_credit = lambda: heard.append(True)
    assert not bench.sender.try_send(of_generation(3, 0))
    assert discard_waiting(bench.sender, older_than(1)) == 1
    assert heard == [True]


def test_the_end_comes_behind_what_was_discarded():
    bench = Bench("drop_oldest", capacity=4)
    for number in range(4):
        bench.sender.try_send(of_generation(number, 0))
    bench.sender.finish()
    discard_waiting(bench.sender, older_than(1))
    assert bench.take() == "0 1"
    assert bench.edge.ended


def test_an_edge_that_only_blocks_has_nothing_waiting_before_it():
    assert discard_waiting(LocalEdge("a→b", 4), older_than(1)) == 0
