"""engine.edges.contract: what a stage may rely on, the same for every kind of edge."""

from __future__ import annotations

import random
from collections import deque

import numpy as np
import pytest

from engine.errors import EdgeClosedError
from engine.interruption import older_than
from engine.packet import Group
from engine.payloads import Audio, Binary, Json, Text
from tests.engine.edges.conftest import audio, group, packet


def calls_of(end, name):
    """Counts the calls of a callback."""
    calls = []
    setattr(end, name, lambda: calls.append(name))
    return calls


def numbers(items):
    return [item.sequence for item in items]


def unreturned(edge):
    """Credits that are not at home, as the producer sees it."""
    counts = edge.sender.statistics()
    return counts.queued + counts.in_flight


def dropped(edge):
    """What both ends have dropped."""
    ends = {id(end): end for end in (edge.sender, edge.receiver)}
    return sum(end.statistics().dropped for end in ends.values())


async def send_all(edge, items):
    for item in items:
        assert edge.sender.try_send(item)
    await edge.settle()


async def test_packets_arrive_in_order_as_they_were(make_edge):
    edge = make_edge(capacity=10)
    payloads = [audio(1), Text("zwei"), Json({"three": 3}), Binary(b"four"), audio(5, 50_000)]
    await send_all(edge, [packet(payload, n, index=n * 2) for n, payload in enumerate(payloads)])
    received = await edge.pass_on(5)
    assert [item.payload for item in received] == payloads
    assert numbers(received) == list(range(5))
    assert [item.index for item in received] == [0, 2, 4, 6, 8]
    assert edge.receiver.try_receive() is None
    assert not edge.receiver.readable


async def test_samples_cannot_be_written_by_who_receives_them(make_edge):
    edge = make_edge()
    await send_all(edge, [packet(audio(1)), packet(audio(1, 50_000))])
    for item in await edge.pass_on(2):
        with pytest.raises(ValueError, match="read-only"):
            item.payload.samples[0] = 2


async def test_a_group_crosses_whole(make_edge):
    edge = make_edge(capacity=1, ports=("a", "b"))
    pair = group(packet(audio(1), 7, port="a"), packet(Text("b"), 7, port="b"))
    await send_all(edge, [pair])
    assert not edge.sender.try_send(pair)
    got = edge.receiver.try_receive()
    assert type(got) is Group
    assert [(item.port, item.payload) for item in got] == [("a", audio(1)), ("b", Text("b"))]
    assert got.origin.sequence == 7


@pytest.mark.parametrize("capacity", [1, 2, 63, 64, 65, 1000])
async def test_the_capacity_is_what_may_be_under_way(make_edge, capacity):
    edge = make_edge(capacity=capacity)
    sent = 0
    while edge.sender.try_send(packet(audio(1), sent)):
        sent += 1
    assert sent == capacity == edge.sender.capacity
    await edge.settle()
    assert unreturned(edge) == capacity
    received = []
    while edge.receiver.readable:
        received += await edge.pass_on()
    assert numbers(received) == list(range(capacity))
    assert edge.sender.try_send(packet(audio(1)))


async def test_a_credit_comes_home_when_the_turn_ends_not_when_the_packet_arrives(make_edge):
    edge = make_edge(capacity=1)
    await send_all(edge, [packet(audio(1))])
    assert edge.receiver.try_receive() is not None
    await edge.settle()
    assert not edge.sender.try_send(packet(audio(2)))
    edge.receiver.release()
    await edge.settle()
    assert edge.sender.try_send(packet(audio(2)))


async def test_a_refused_stage_is_told_once(make_edge):
    edge = make_edge(capacity=2)
    calls = calls_of(edge.sender, "on_credit")
    await send_all(edge, [packet(audio(1)), packet(audio(2))])
    assert not edge.sender.try_send(packet(audio(3)))
    assert not edge.sender.try_send(packet(audio(3)))
    assert edge.sender.statistics().refused == 2
    await edge.settle()
    assert not calls
    await edge.pass_on(2)
    assert len(calls) == 1
    await send_all(edge, [packet(audio(3))])
    await edge.pass_on()
    assert len(calls) == 1


async def test_asking_in_vain_counts_as_a_refusal(make_edge):
    edge = make_edge(capacity=1)
    calls = calls_of(edge.sender, "on_credit")
    assert edge.sender.ready
    await send_all(edge, [packet(audio(1))])
    assert not edge.sender.ready
    await edge.pass_on()
    assert len(calls) == 1
    assert edge.sender.ready


async def test_several_turns_end_at_once(make_edge):
    edge = make_edge(capacity=3)
    await send_all(edge, [packet(audio(n)) for n in range(3)])
    for _ in range(3):
        edge.receiver.try_receive()
    assert not edge.sender.ready
    edge.receiver.release(3)
    await edge.settle()
    await send_all(edge, [packet(audio(n)) for n in range(3)])


async def test_a_consumer_hears_of_packets_and_of_the_end(make_edge):
    edge = make_edge()
    calls = calls_of(edge.receiver, "on_readable")
    await send_all(edge, [packet(audio(1))])
    assert calls
    assert edge.receiver.readable
    await edge.pass_on()
    calls.clear()
    edge.sender.finish()
    await edge.settle()
    assert calls


async def test_the_end_comes_after_everything_and_needs_no_credit(make_edge):
    edge = make_edge(capacity=3)
    await send_all(edge, [packet(audio(n), n) for n in range(3)])
    edge.sender.finish()
    edge.sender.finish()
    await edge.settle()
    received = []
    while not edge.receiver.ended:
        received += await edge.pass_on()
    assert numbers(received) == [0, 1, 2]
    assert edge.receiver.error is None
    assert edge.receiver.try_receive() is None


async def test_a_failure_is_seen_instead_of_the_end(make_edge):
    edge = make_edge(capacity=3)
    calls = calls_of(edge.receiver, "on_readable")
    await send_all(edge, [packet(audio(n), n) for n in range(2)])
    calls.clear()
    edge.sender.fail(EdgeClosedError("stage 'a' failed", edge="", stage="a"))
    await edge.settle()
    assert calls
    assert edge.receiver.error is None
    assert numbers(await edge.pass_on(2)) == [0, 1]
    assert isinstance(edge.receiver.error, EdgeClosedError)
    assert edge.receiver.error.message == "stage 'a' failed"
    assert not edge.receiver.ended


async def test_who_has_ended_cannot_fail_and_the_other_way_round(make_edge):
    ended, failed = make_edge(), make_edge()
    ended.sender.finish()
    ended.sender.fail(EdgeClosedError("late"))
    failed.sender.fail(EdgeClosedError("first"))
    failed.sender.fail(EdgeClosedError("second"))
    failed.sender.finish()
    await ended.settle()
    await failed.settle()
    assert ended.receiver.ended
    assert ended.receiver.error is None
    assert not failed.receiver.ended
    assert failed.receiver.error.message == "first"


async def test_a_consumer_that_leaves_stops_nobody(make_edge):
    edge = make_edge(capacity=2)
    await send_all(edge, [packet(audio(1)), packet(audio(2))])
    assert not edge.sender.ready
    calls = calls_of(edge.sender, "on_credit")
    edge.receiver.close()
    edge.receiver.close()
    await edge.settle()
    assert len(calls) == 1
    assert edge.receiver.try_receive() is None
    await send_all(edge, [packet(audio(n)) for n in range(100)])
    assert dropped(edge) == 102
    assert unreturned(edge) == 0
    edge.sender.finish()
    await edge.settle()


async def test_a_turn_may_end_after_its_consumer_left(make_edge):
    edge = make_edge(capacity=2)
    await send_all(edge, [packet(audio(1)), packet(audio(2))])
    item = edge.receiver.try_receive()
    edge.receiver.close()
    await edge.settle()
    assert item.payload == audio(1)
    edge.receiver.release()
    await edge.settle()
    assert unreturned(edge) == 0


async def test_what_is_older_than_a_generation_is_dropped_and_paid_back(make_edge):
    edge = make_edge(capacity=6)
    await send_all(edge, [packet(audio(n), n, generation=n % 3) for n in range(6)])
    assert edge.receiver.discard(older_than(1)) == 2
    await edge.settle()
    assert edge.receiver.discard(older_than(1)) == 0
    assert dropped(edge) == 2
    assert numbers(await edge.pass_on(4)) == [1, 2, 4, 5]
    assert not edge.receiver.readable
    sent = 0
    while edge.sender.try_send(packet(audio(1))):
        sent += 1
        await edge.settle()
    assert sent == 6


async def test_discarding_everything_wakes_a_producer_that_waits(make_edge):
    edge = make_edge(capacity=1)
    calls = calls_of(edge.sender, "on_credit")
    await send_all(edge, [packet(audio(1))])
    assert not edge.sender.ready
    await edge.settle()
    assert edge.receiver.discard(older_than(5)) == 1
    await edge.settle()
    assert len(calls) == 1


async def test_the_end_survives_discarding(make_edge):
    edge = make_edge()
    await send_all(edge, [packet(audio(1))])
    edge.sender.finish()
    await edge.settle()
    assert edge.receiver.discard(older_than(1)) == 1
    assert edge.receiver.ended


async def test_reserved_memory_is_writable_or_none(make_edge):
    edge = make_edge()
    array = edge.sender.reserve((10, 2), np.float32)
    if array is None:
        array = np.empty((10, 2), np.float32)
    array[:] = 3
    await send_all(edge, [packet(Audio(array, 8000))])
    assert (await edge.pass_on())[0].payload == Audio(np.full((10, 2), 3, np.float32), 8000)


async def test_statistics_count_what_happened(make_edge):
    edge = make_edge(capacity=2)
    before = edge.sender.statistics()
    await send_all(edge, [packet(audio(1)), packet(audio(2))])
    assert not edge.sender.try_send(packet(audio(3)))
    counts = edge.sender.statistics()
    assert (counts.sent, counts.dropped, counts.refused) == (2, 0, 1)
    await edge.pass_on(2)
    assert unreturned(edge) == 0
    assert before.sent == 0  # a snapshot


@pytest.mark.parametrize("seed", range(10))
async def test_any_order_of_events_keeps_order_and_loses_nothing(make_edge, seed):
    rnd = random.Random(seed)
    edge = make_edge(capacity=rnd.choice([1, 3, 70]))
    sent, received, turns, expected = 0, 0, 0, deque()
    for _ in range(600):
        match rnd.choice(["send", "send", "receive", "release", "settle", "discard"]):
            case "send":
                generation = sent // 50
                if edge.sender.try_send(packet(audio(sent, 30), sent, generation=generation)):
                    expected.append(sent)
                    sent += 1
            case "receive":
                item = edge.receiver.try_receive()
                if item is not None:
                    assert item.sequence == expected.popleft() == item.payload.samples[0, 0]
                    received += 1
                    turns += 1
            case "release" if turns:
                count = rnd.randint(1, turns)
                edge.receiver.release(count)
                turns -= count
            case "settle":
                await edge.settle()
            case "discard" if rnd.random() < 0.2:
                for _ in range(edge.receiver.discard(older_than(sent // 50))):
                    assert expected.popleft() // 50 < sent // 50
        assert unreturned(edge) <= edge.sender.capacity
    edge.receiver.release(turns)
    edge.sender.finish()
    await edge.settle()
    while not edge.receiver.ended:
        for item in await edge.pass_on():
            assert item.sequence == expected.popleft()
    assert not expected
    await edge.settle()
    assert edge.sender.ready
