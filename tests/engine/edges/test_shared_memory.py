"""engine.edges.shared_memory: lossless, never overwritten, never stuck, whoever does what."""

from __future__ import annotations

import asyncio
import gc
import random
import weakref

import numpy as np
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

from engine.edges.codec import COPY_BYTES_MAX
from engine.edges.credit import IN_FLIGHT_MAX
from engine.edges.descriptor import (
    END_MESSAGE,
    MESSAGE_BYTES_MAX,
    PACKETS,
    WANT_MESSAGE,
    pack_credits,
    pack_item,
)
from engine.errors import EdgeClosedError, EdgeError, PeerDiedError
from engine.flags import FLAG_GAP, FLAG_UNINTERRUPTIBLE
from engine.interruption import older_than
from engine.packet import Group, Packet
from engine.payloads import Audio, Binary, Json, Text
from tests.engine.edges.conftest import SOURCE, Arena, audio, group, packet

#: Frames of float32 that are delivered as a view.
LARGE = 2 * COPY_BYTES_MAX // 4
MIB = 1 << 20


def values(items):
    return [item.payload.samples[0, 0] for item in items]


def place_of(item):
    """Address of a packet's samples."""
    return item.payload.samples.ctypes.data


# --------------------------------------------------------------------------------- what arrives


async def test_packets_arrive_whole_and_in_order(make_link):
    link = make_link(capacity=64)
    rng = np.random.default_rng(1)
    payloads = [
        Audio(rng.integers(-99, 99, (7, 3), np.int16), 8000),
        Audio(rng.random((LARGE, 2), np.float32), 48_000),
        Audio(np.zeros((0, 2), np.int32), 44_100),
        Text("hello ü 𝄞", "de", "ui"),
        Text(""),
        Json({"a": [1, 2.5, None, {"b": "c"}]}, "schema"),
        Binary(rng.bytes(100_000), "image/png"),
        Binary(b""),
    ]
    for number, payload in enumerate(payloads):
        assert link.sender.try_send(packet(payload, number))
    await link.settle()
    received = await link.pass_on(len(payloads))
    assert [item.payload for item in received] == payloads
    assert [item.sequence for item in received] == list(range(len(payloads)))
    assert link.receiver.try_receive() is None
    assert link.sender.statistics().payload_bytes == link.receiver.statistics().payload_bytes


async def test_the_header_arrives(make_link):
    link = make_link(ports=("left", "right"))
    sent = packet(
        Text("x"),
        2**40,
        port="right",
        index=77,
        generation=5,
        metadata={"key": "välue", "empty": ""},
        timestamp_ns=-(2**50),
        ingress_ns=2**50,
        flags=FLAG_GAP | FLAG_UNINTERRUPTIBLE,
    )
    assert link.sender.try_send(sent)
    await link.settle()
    got = link.take()
    assert (got.source, got.port, got.index, got.session_id) == (SOURCE, "right", 77, "session")
    for name in ("sequence", "timestamp_ns", "ingress_ns", "generation", "flags", "metadata"):
        assert getattr(got, name) == getattr(sent, name)


async def test_samples_are_read_only_however_they_came(make_link):
    link = make_link(capacity=2)
    for frames in (10, LARGE):
        assert link.sender.try_send(packet(audio(1, frames)))
    await link.settle()
    for item in await link.pass_on(2):
        assert not item.payload.samples.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            item.payload.samples[0] = 2


async def test_ten_thousand_packets_are_lossless(make_link):
    link = make_link(capacity=100)
    received, sent, checksum = [], 0, 0.0
    while len(received) < 10_000:
        while sent < 10_000 and link.sender.try_send(packet(audio(sent, 50), sent)):
            checksum += sent * 50
            sent += 1
        await link.settle()
        while (item := link.receiver.try_receive()) is not None:
            link.receiver.release()
            received.append(item)
        await link.settle()
        link.check_law()
    assert values(received) == list(range(10_000))
    assert sum(float(item.payload.samples.sum()) for item in received) == checksum
    assert link.arena.used_slots == 0
    assert link.sender.statistics().dropped == 0


# --------------------------------------------------------------------------------- credits


async def test_the_law_of_credits_at_each_step(make_link):
    link = make_link(capacity=3)

    def where():
        sent, got = link.sender._credits, link.receiver._credits
        link.sender._credits.check()
        return (sent.available, sent.queued, sent.in_flight), (got.held, got.collected)

    assert where() == ((3, 0, 0), (0, 0))
    link.sender.try_send(packet(audio(1)))
    assert where() == ((2, 0, 1), (0, 0))  # in the batch
    await link.settle()
    assert where() == ((2, 0, 1), (1, 0))  # in the consumer's queue
    link.receiver.try_receive()
    assert where() == ((2, 0, 1), (1, 0))  # in a turn
    link.receiver.release()
    assert where() == ((2, 0, 1), (0, 1))  # collected
    link.receiver.flush()
    assert where() == ((2, 0, 1), (0, 0))  # under way home
    await link.settle()
    assert where() == ((3, 0, 0), (0, 0))
    assert link.arena.used_slots == 0


async def test_without_a_credit_a_packet_is_refused_and_the_stage_is_told_once(make_link):
    link = make_link(capacity=2)
    calls = []
    link.sender.on_credit = lambda: calls.append(1)
    for number in range(2):
        assert link.sender.ready
        assert link.sender.try_send(packet(audio(number)))
    assert not link.sender.ready
    assert not link.sender.try_send(packet(audio(2)))
    await link.settle()
    assert not calls
    assert values(await link.pass_on(2)) == [0, 1]
    assert calls == [1]
    assert link.sender.try_send(packet(audio(2)))
    await link.settle()
    await link.pass_on()
    assert calls == [1]  # there was no refusal since
    assert link.sender.statistics().refused == 2


async def test_one_credit_goes_back_and_forth(make_link):
    link = make_link(capacity=1)
    for number in range(50):
        assert link.sender.try_send(packet(audio(number)))
        assert not link.sender.try_send(packet(audio(-1)))
        await link.settle()
        assert values([link.receiver.try_receive()]) == [number]
        await link.settle()
        assert not link.sender.ready  # the turn goes on
        link.receiver.release()
        await link.settle()
        link.check_law()


async def test_at_most_64_are_under_way_and_the_rest_waits_at_the_producer(make_link):
    link = make_link(capacity=1000)
    for number in range(1000):
        assert link.sender.try_send(packet(audio(number), number))
    assert not link.sender.try_send(packet(audio(-1)))
    await link.settle()
    counts = link.sender.statistics()
    assert (counts.in_flight, counts.queued) == (IN_FLIGHT_MAX, 1000 - IN_FLIGHT_MAX)
    assert link.receiver.statistics().queued == IN_FLIGHT_MAX
    received = []
    while link.receiver.readable:
        received += await link.pass_on()
        assert link.sender.statistics().in_flight <= IN_FLIGHT_MAX
        link.check_law()
    assert values(received) == list(range(1000))


async def test_credits_come_back_in_batches_where_nobody_waits_for_them(make_link):
    link = make_link(capacity=64)
    for number in range(40):
        link.sender.try_send(packet(audio(number)))
    await link.settle()
    returned = []
    for _ in range(40):
        await link.pass_on()
        returned.append(40 - link.sender.statistics().in_flight)
    assert sorted(set(returned)) == [0, 16, 32]


async def test_a_producer_that_waits_gets_what_is_collected_after_the_turn(make_link):
    link = make_link(capacity=64)
    for number in range(64):
        link.sender.try_send(packet(audio(number)))
    await link.settle()
    await link.pass_on(3)
    assert link.sender.statistics().in_flight == 64
    assert not link.sender.ready
    await link.settle()  # the request arrives
    await link.settle()  # and is answered behind the turn that is due, whether or not it comes
    assert link.sender.statistics().in_flight == 61


async def test_releasing_more_than_was_received_is_a_mistake(make_link):
    link = make_link()
    with pytest.raises(ValueError, match="cannot release"):
        link.receiver.release()


async def test_statistics_are_snapshots(make_link):
    link = make_link()
    before = link.sender.statistics(), link.receiver.statistics()
    link.sender.try_send(packet(audio(1)))
    await link.settle()
    await link.pass_on()
    assert [counts.sent for counts in before] == [0, 0]
    assert link.sender.statistics().sent == link.receiver.statistics().sent == 1


# --------------------------------------------------------------------------------- groups


async def test_a_group_crosses_whole(make_link):
    link = make_link(capacity=2, ports=("a", "b", "c"))
    sent = group(
        packet(audio(1), 3, port="c", metadata={"m": "c"}),
        packet(Text("two"), 3, port="a", index=5),
        packet(audio(3, LARGE), 3, port="b"),
    )
    assert link.sender.try_send(sent)
    assert link.sender.statistics().in_flight == 1
    await link.settle()
    got = link.take()
    assert type(got) is Group
    assert list(got.members) == ["c", "a", "b"]
    assert [item.payload for item in got] == [item.payload for item in sent]
    assert [item.index for item in got] == [0, 5, 0]
    assert got.origin.sequence == 3
    assert got.members["c"].metadata == {"m": "c"}
    await link.settle()
    link.check_law()


async def test_a_group_of_one_stays_a_group(make_link):
    link = make_link()
    link.sender.try_send(group(packet(audio(1))))
    link.sender.try_send(packet(audio(2)))
    await link.settle()
    assert [type(item) for item in await link.pass_on(2)] == [Group, Packet]


async def test_a_group_without_room_for_all_is_refused_whole(make_link):
    link = make_link(ports=("a", "b"), arena_bytes=MIB)
    quarter = MIB // 4 // 4
    assert link.sender.try_send(packet(audio(0, 2 * quarter), port="a"))
    pair = group(packet(audio(1, quarter), port="a"), packet(audio(2, quarter), port="b"))
    assert not link.sender.try_send(pair)
    assert link.arena.used_slots == 1
    assert link.sender.statistics().sent == 1
    assert link.sender.statistics().payload_bytes == 2 * quarter * 4
    await link.settle()
    del [await link.pass_on()][:]
    await link.settle()
    assert link.sender.try_send(pair)
    await link.settle()
    assert [item.payload.samples[0, 0] for item in link.take()] == [1, 2]


@pytest.mark.parametrize(
    "wrong",
    [
        packet(audio(0, MIB), port="b"),
        packet(Json({1, 2}), port="b"),
        packet(audio(0), port="nowhere"),
        packet(audio(0), port="b", metadata={"a": 1}),
        packet(audio(0), port="b", metadata={"a": "x" * 20_000}),
        packet(audio(0), port="b", timestamp_ns=2**70),
    ],
    ids=["too large", "no Arrow form", "no such port", "no strings", "too long", "no number"],
)
async def test_a_member_that_can_never_cross_stops_its_group_and_leaks_nothing(make_link, wrong):
    link = make_link(ports=("a", "b"), capacity=2)
    for item in (group(packet(audio(1), port="a"), wrong), wrong):
        with pytest.raises(EdgeError) as caught:
            link.sender.try_send(item)
        assert caught.value.context["edge"] == "edge 0"
    assert link.arena.used_slots == 0
    assert link.sender._credits.available == 2
    assert link.sender.try_send(packet(audio(5), port="a"))  # the edge goes on
    await link.settle()
    assert values(await link.pass_on()) == [5]
    assert not link.receiver.error


async def test_too_large_a_group_is_an_error(make_link):
    ports = tuple(f"p{number}" for number in range(128))
    link = make_link(ports=ports)
    with pytest.raises(EdgeError, match="128 packets"):
        link.sender.try_send(group(*(packet(audio(1), port=port) for port in ports)))
    assert link.arena.used_slots == 0


# --------------------------------------------------------------------------------- room


async def test_a_full_arena_refuses_and_tells_when_there_is_room(make_link):
    link = make_link(capacity=100, arena_bytes=MIB)
    calls = []
    link.sender.on_credit = lambda: calls.append(1)
    sent = 0
    while link.sender.try_send(packet(audio(sent, 10_000), sent)):
        sent += 1
    assert sent == (MIB - 4096) // 40_768  # 40,000 bytes, head and tail, in steps of 64
    await link.settle()
    assert not calls
    assert values(await link.pass_on()) == [0]
    assert calls == [1]
    assert link.sender.try_send(packet(audio(sent, 10_000), sent))
    await link.settle()
    assert values(await link.pass_on(sent)) == list(range(1, sent + 1))
    assert link.arena.used_slots == 0


async def test_room_that_another_edge_frees_is_told_to_who_waits(make_arena):
    arena = make_arena(MIB)
    one, other = arena.link(), arena.link()
    calls = []
    one.sender.on_credit = lambda: calls.append("one")
    other.sender.on_credit = lambda: calls.append("other")
    assert one.sender.try_send(packet(audio(1, 200_000)))
    assert not other.sender.try_send(packet(audio(2, 200_000)))
    await one.settle()
    assert not calls
    await one.pass_on()
    assert calls == ["other"]
    assert other.sender.try_send(packet(audio(2, 200_000)))
    await other.settle()
    assert values(await other.pass_on()) == [2]


async def test_a_payload_larger_than_the_arena_is_an_error_and_leaks_nothing(make_link):
    link = make_link(arena_bytes=MIB)
    for payload in (audio(1, MIB), Binary(bytes(2 * MIB)), Text("x" * 2 * MIB)):
        with pytest.raises(EdgeError, match="raise shm_segment_size") as caught:
            link.sender.try_send(packet(payload))
        assert caught.value.context["edge"] == "edge 0"
    assert link.arena.used_slots == 0
    assert link.sender._credits.available == link.sender.capacity
    counts = link.sender.statistics()
    assert (counts.sent, counts.payload_bytes, counts.refused) == (0, 0, 0)


async def test_a_fan_out_writes_once(make_arena):
    arena = make_arena()
    links = [arena.link() for _ in range(3)]
    payload = audio(7, LARGE)
    for link in links:
        assert link.sender.try_send(packet(payload))
    assert arena.used_slots == 1
    for link in links:
        await link.settle()
    taken = [link.take() for link in links]
    assert len({place_of(item) for item in taken}) == 1
    for link in links:
        await link.settle()
        assert arena.used_slots == 1
        del taken[0]
        await link.settle()
        link.sender._ask()
        await link.settle()
    assert arena.used_slots == 0


async def test_a_payload_sent_again_in_a_later_turn_is_not_what_was_freed(make_link):
    link = make_link()
    payload = audio(7, LARGE)
    for _ in range(2):
        assert link.sender.try_send(packet(payload))
        await link.settle()
        assert values(await link.pass_on()) == [7]
        assert link.sender.try_send(packet(audio(8, LARGE)))
        await link.settle()
        assert values(await link.pass_on()) == [8]


async def test_the_same_payload_twice_on_one_edge(make_link):
    link = make_link()
    payload = audio(7, LARGE)
    for _ in range(3):
        assert link.sender.try_send(packet(payload))
    assert link.arena.used_slots == 1
    await link.settle()
    assert values(await link.pass_on(3)) == [7, 7, 7]
    link.sender._ask()
    await link.settle()
    assert link.arena.used_slots == 0


# --------------------------------------------------------------------------------- the end


async def test_the_end_comes_behind_the_queue_and_needs_no_credit(make_link):
    link = make_link(capacity=100)
    for number in range(100):
        assert link.sender.try_send(packet(audio(number)))
    link.sender.finish()
    link.sender.finish()
    await link.settle()
    received = []
    while not link.receiver.ended:
        assert link.receiver.readable
        received += await link.pass_on()
    assert values(received) == list(range(100))
    assert link.receiver.error is None
    assert not link.receiver.readable


async def test_an_end_without_packets(make_link):
    link = make_link(capacity=1)
    calls = []
    link.receiver.on_readable = lambda: calls.append(1)
    link.sender.finish()
    await link.settle()
    assert calls
    assert link.receiver.ended


async def test_what_is_sent_after_the_end_goes_nowhere(make_link):
    link = make_link(capacity=1)
    link.sender.try_send(packet(audio(1)))
    link.sender.finish()
    assert link.sender.ready
    assert link.sender.try_send(packet(audio(2)))
    assert link.sender.statistics().dropped == 1
    await link.settle()
    assert values(await link.pass_on()) == [1]
    assert link.receiver.ended


async def test_waiting_until_the_end_has_been_sent(make_link):
    link = make_link(capacity=100)
    for number in range(100):
        link.sender.try_send(packet(audio(number)))
    link.sender.finish()
    waiting = asyncio.create_task(link.sender.wait_drained())
    await link.settle()
    assert not waiting.done()
    await link.pass_on(64)
    async with asyncio.timeout(5):
        await waiting
    assert link.receiver.statistics().queued == 36


@pytest.mark.parametrize("how", ["close", "hang up", "dispose"])
async def test_waiting_for_the_end_ends_when_nobody_reads(make_link, how):
    link = make_link(capacity=100)
    for number in range(100):
        link.sender.try_send(packet(audio(number)))
    link.sender.finish()
    waiting = asyncio.create_task(link.sender.wait_drained())
    await link.settle()
    leave = {
        "close": link.receiver.close,
        "hang up": link.receiver.dispose,
        "dispose": link.sender.dispose,
    }
    leave[how]()
    async with asyncio.timeout(5):
        await waiting


async def test_a_failure_comes_instead_of_the_end_after_what_was_under_way(make_link):
    link = make_link(capacity=100)
    for number in range(100):
        link.sender.try_send(packet(audio(number)))
    link.sender.fail(EdgeClosedError("the producer failed", edge="edge 0"))
    await link.settle()
    received = []
    while link.receiver.readable:
        assert link.receiver.error is None
        received += await link.pass_on()
    assert values(received) == list(range(IN_FLIGHT_MAX))
    assert isinstance(link.receiver.error, EdgeClosedError)
    assert not link.receiver.ended
    assert link.arena.used_slots == 0
    assert link.sender.statistics().dropped == 36
    link.check_law()


async def test_a_failure_after_the_end_changes_nothing(make_link):
    link = make_link()
    link.sender.finish()
    link.sender.fail(EdgeError("too late"))
    await link.settle()
    assert link.receiver.ended
    assert link.receiver.error is None


async def test_a_failure_gives_its_room_to_the_edges_beside_it(make_arena):
    arena = make_arena(MIB)
    one, other = arena.link(capacity=1000), arena.link()
    calls = []
    other.sender.on_credit = lambda: calls.append(1)
    while one.sender.try_send(packet(audio(1, 2_000))):
        pass
    assert not other.sender.try_send(packet(audio(2, 2_000)))
    one.sender.fail(EdgeError("failed"))
    assert calls == [1]
    assert other.sender.try_send(packet(audio(2, 2_000)))


# ------------------------------------------------------------------------------- leaving consumers


async def test_a_closed_consumer_is_no_obstacle(make_link):
    link = make_link(capacity=3)
    calls = []
    link.sender.on_credit = lambda: calls.append(1)
    for number in range(3):
        link.sender.try_send(packet(audio(number)))
    assert not link.sender.ready
    await link.settle()
    link.receiver.close()
    link.receiver.close()
    assert link.receiver.try_receive() is None
    await link.settle()
    assert calls == [1]
    for number in range(100):
        assert link.sender.ready
        assert link.sender.try_send(packet(audio(number)))
    assert link.sender.statistics().dropped == 100
    assert link.receiver.statistics().dropped == 3
    assert link.sender._credits.available == 3
    assert link.arena.used_slots == 0


async def test_what_was_on_its_way_to_a_consumer_that_closed_is_freed(make_arena):
    arena = make_arena(MIB)
    one, other = arena.link(capacity=1000), arena.link()
    for number in range(100):
        one.sender.try_send(packet(audio(number, 100)))
    one.sender.flush()  # under way, not received
    for number in range(5):
        one.sender.try_send(packet(audio(number, 100)))
    one.receiver.close()
    await arena.settle()
    assert arena.used_slots == 0
    assert one.sender.statistics().dropped + one.receiver.statistics().dropped == 105
    assert other.sender.try_send(packet(audio(1, 200_000)))


async def test_views_of_a_closed_consumer_return_their_slots_when_they_die(make_link):
    link = make_link()
    link.sender.try_send(packet(audio(1, LARGE)))
    link.sender.try_send(packet(audio(2)))
    await link.settle()
    held = link.receiver.try_receive()
    link.receiver.close()
    await link.settle()
    assert link.arena.used_slots == 1
    assert held.payload == audio(1, LARGE)
    del held
    link.receiver.release()  # its turn ends after all
    await link.settle()
    assert link.arena.used_slots == 0


@pytest.mark.parametrize("while_held", [True, False])
async def test_a_consumer_that_dies_gives_everything_back(make_link, while_held):
    link = make_link(capacity=100)
    calls = []
    link.sender.on_credit = lambda: calls.append(1)
    for number in range(100):
        link.sender.try_send(packet(audio(number, 100)))
    assert not link.sender.ready
    if while_held:
        await link.settle()
        link.receiver.try_receive()
    link.receiver._doorbell.close()  # what the system does to a process that dies
    await link.arena.settle()
    assert calls == [1]
    assert link.sender.try_send(packet(audio(1)))
    assert link.arena.used_slots == 0
    assert link.sender._credits.available == 100
    link.sender.finish()
    async with asyncio.timeout(5):
        await link.sender.wait_drained()


async def test_a_dead_consumer_is_no_obstacle_to_the_others_of_its_arena(make_arena):
    arena = make_arena(MIB)
    dead, alive = arena.link(capacity=100), arena.link(capacity=100)
    calls = []
    alive.sender.on_credit = lambda: calls.append(1)
    while dead.sender.try_send(packet(audio(0, 10_000))):
        pass
    assert not alive.sender.try_send(packet(audio(1, 10_000)))
    dead.receiver._doorbell.close()  # what the system does to a process that dies
    await arena.settle()
    assert calls == [1]
    assert alive.sender.try_send(packet(audio(1, 10_000)))


# ------------------------------------------------------------------------------- leaving producers


async def test_a_consumer_finishes_what_a_dead_producer_sent(make_link):
    link = make_link(capacity=100)
    calls = []
    link.receiver.on_readable = lambda: calls.append(1)
    for number in range(10):
        link.sender.try_send(packet(audio(number, LARGE if number == 3 else 10)))
    link.sender.flush()
    link.sender._doorbell.close()  # what the system does to a process that dies
    await link.arena.settle()
    assert calls
    received = []
    while link.receiver.readable:
        assert link.receiver.error is None
        received.append(link.take())
        link.receiver.flush()
    assert values(received) == list(range(10))
    assert isinstance(link.receiver.error, PeerDiedError)
    assert link.receiver.error.context["edge"] == "edge 0"
    assert not link.receiver.ended
    link.receiver.close()


async def test_a_producer_that_ends_and_leaves_has_not_died(make_link):
    link = make_link()
    link.sender.try_send(packet(audio(1)))
    link.sender.finish()
    link.sender.dispose()
    await link.settle()
    assert values([link.take()]) == [1]
    assert link.receiver.ended
    assert link.receiver.error is None


async def test_views_outlive_the_edge(make_arena):
    arena = make_arena()
    link = arena.link()
    link.sender.try_send(packet(audio(1, LARGE)))
    await link.settle()
    view = link.take().payload.samples[5:10]
    link.sender.finish()
    await link.settle()
    arena.close()
    del arena, link
    gc.collect()
    assert view.tolist() == [[1.0]] * 5


# --------------------------------------------------------------------------------- leased views


async def test_large_samples_are_views_of_the_arena_and_small_ones_copies(make_link):
    link = make_link()
    for frames in (COPY_BYTES_MAX // 4, COPY_BYTES_MAX // 4 + 1):
        link.sender.try_send(packet(audio(1, frames)))
    await link.settle()
    arena = np.frombuffer(link.receiver._view, np.uint8)
    small, large = await link.pass_on(2)
    assert not np.shares_memory(small.payload.samples, arena)
    assert np.shares_memory(large.payload.samples, arena)
    assert link.receiver.statistics().copies == 0
    del arena


@pytest.mark.parametrize(
    "derive",
    [
        lambda samples: samples,
        lambda samples: samples[100:200],
        lambda samples: samples[::7],
        lambda samples: samples.reshape(-1),
        lambda samples: samples.reshape(4, -1)[2],
        lambda samples: samples.T,
        lambda samples: samples[10:, 0].view(np.int32),
        memoryview,
        lambda samples: np.asarray(memoryview(samples)[3:5]),
        lambda samples: Audio(samples[5:10], 8000),
        iter,
    ],
)
async def test_whatever_is_derived_from_a_view_keeps_its_slot(make_link, derive):
    link = make_link(arena_bytes=MIB)
    link.sender.try_send(packet(audio(1, LARGE)))
    await link.settle()
    derived = [derive(link.take().payload.samples)]
    gc.collect()
    link.sender._ask()
    await link.settle()
    assert link.arena.used_slots == 1
    derived.clear()
    link.sender._ask()
    await link.settle()
    assert link.arena.used_slots == 0


async def test_a_slot_returns_after_the_turn_and_after_the_last_view(make_link):
    link = make_link(capacity=2)
    link.sender.try_send(packet(audio(1, LARGE)))
    await link.settle()
    item = link.receiver.try_receive()
    views = [item.payload.samples[:10], item.payload.samples[10:20]]
    del item
    link.receiver.release()
    await link.settle()
    link.sender._ask()
    await link.settle()
    assert link.sender._credits.available == 2  # the credit is home, the slot is not
    while views:
        assert link.arena.used_slots == 1
        views.pop()
        await link.settle()
        link.sender._ask()
        await link.settle()
    assert link.arena.used_slots == 0


async def test_many_freed_bytes_are_told_without_being_asked(make_link):
    link = make_link(capacity=100, arena_bytes=16 * MIB)
    for number in range(9):
        link.sender.try_send(packet(audio(number, LARGE)))
    await link.settle()
    await link.pass_on(7)
    await link.settle()
    assert link.arena.used_slots == 9
    await link.pass_on(2)
    await link.settle()
    assert link.arena.used_slots == 0
    assert link.sender.statistics().in_flight == 0


class Counting(list):
    """A holder that also remembers what should be in what it holds."""

    def hold(self, item):
        self.append((item.payload.samples, item.payload.samples[0, 0]))

    def check(self):
        for samples, value in self:
            assert samples[0, 0] == samples[-1, 0] == value


async def run_with_holder(link, count, frames_of, keep):
    """Send and receive so many; the consumer keeps what `keep` says; nothing may stop or change."""
    held, sent, received = Counting(), 0, 0
    idle = 0
    while received < count:
        before = sent, received
        while sent < count and link.sender.try_send(packet(audio(sent, frames_of(sent)), sent)):
            sent += 1
        await link.settle()
        while (item := link.receiver.try_receive()) is not None:
            assert item.sequence == received
            assert item.payload.samples.shape[0] == frames_of(received)
            assert item.payload.samples[0, 0] == item.payload.samples[-1, 0] == received
            if keep(received):
                held.hold(item)
            received += 1
            link.receiver.release()
            del item
        await link.settle()
        idle = 0 if (sent, received) != before else idle + 1
        assert idle < 3, f"stuck after {sent} sent, {received} received"
    held.check()
    return held


@pytest.mark.parametrize("every", [10, 1])
async def test_holding_views_of_ten_thousand_never_stops_the_edge(make_link, every):
    link = make_link(capacity=100, arena_bytes=8 * MIB)
    held = await run_with_holder(
        link, 10_000, lambda _: 17_000, lambda n: n % every == 0 and n < 4000
    )
    counts = link.receiver.statistics()
    assert counts.copies > 0
    leased = sum(np.shares_memory(samples, link.receiver._view) for samples, _ in held)
    assert 0 < leased * 17_000 * 4 <= 8 * MIB // 4 + 17_000 * 4
    link.check_law()
    held.clear()
    link.sender._ask()
    await link.settle()
    assert link.arena.used_slots == 0


@pytest.mark.parametrize("seed", range(3))
async def test_holding_views_of_any_size_never_stops_the_edge(make_link, seed):
    rnd = random.Random(seed)
    link = make_link(capacity=20, arena_bytes=4 * MIB)
    sizes = [rnd.choice([10, LARGE, LARGE + 100, 100_000, 900_000]) for _ in range(1000)]
    keep = {n for n in range(1000) if rnd.random() < 0.1}
    held = await run_with_holder(link, 1000, sizes.__getitem__, keep.__contains__)
    held.clear()
    link.sender._ask()
    await link.settle()
    assert link.arena.used_slots == 0


async def test_copies_are_said_once(make_link, caplog):
    link = make_link(arena_bytes=MIB)
    held = await run_with_holder(link, 20, lambda _: LARGE, lambda _: True)
    warnings = [record for record in caplog.records if "views_outlive_turns" in record.message]
    assert len(warnings) == 1
    assert "edge 0" in warnings[0].message
    assert link.receiver.statistics().copies == 20 - 2
    del held


async def test_edges_of_one_arena_share_what_may_be_leased(make_arena):
    arena = make_arena(4 * MIB)
    links = [arena.link(arena_edges=4) for _ in range(4)]
    held = [await run_with_holder(link, 30, lambda _: LARGE, lambda _: True) for link in links]
    leased = arena.used_slots * LARGE * 4
    assert leased <= 4 * MIB // 4 + 4 * LARGE * 4
    del held


async def test_a_view_in_the_way_of_a_large_payload_is_no_deadlock(make_link):
    link = make_link(arena_bytes=MIB)
    link.sender.try_send(packet(audio(1, 20_000)))
    await link.settle()
    kept = link.take()
    await link.settle()
    large = audio(2, 250_000)  # fits the arena, and never beside the view
    calls = []
    link.sender.on_credit = lambda: calls.append(1)
    for number in range(3):
        sent = link.sender.try_send(packet(large, number))
        if not sent:
            await link.settle()
            assert calls
            sent = link.sender.try_send(packet(large, number))
        assert sent
        await link.settle()
        assert link.receiver.statistics().queued == 1
        assert (await link.pass_on())[0].payload == large
    assert kept.payload == audio(1, 20_000)
    assert link.sender.statistics().copies == 3
    del kept
    assert link.sender.try_send(packet(audio(3)))
    await link.settle()
    assert values(await link.pass_on()) == [3]
    link.check_law()


async def test_a_group_that_can_never_fit_the_arena_at_once_crosses_all_the_same(make_link):
    link = make_link(ports=("a", "b", "c"), arena_bytes=MIB)
    link.sender.try_send(packet(audio(0), port="a"))
    pair = group(
        packet(audio(1, 200_000), port="a"),
        packet(Text("x" * 700_000), port="b"),
        packet(audio(3, 0), port="c"),
    )
    assert not link.sender.try_send(pair)
    await link.settle()
    await link.pass_on()
    assert link.sender.try_send(pair)
    await link.settle()
    assert [item.payload for item in link.take()] == [item.payload for item in pair]


async def test_what_went_by_the_socket_is_dropped_like_the_rest(make_link):
    link = make_link(ports=("a", "b"), arena_bytes=MIB)

    def pair(generation):
        members = [
            packet(audio(number, 200_000), port=port, generation=generation)
            for number, port in enumerate("ab")
        ]
        return group(*members)

    assert link.sender.try_send(pair(0))
    await link.settle()
    assert link.receiver.discard(older_than(1)) == 1
    await link.settle()
    assert not link.receiver._loose
    link.sender._ask()
    await link.settle()
    assert link.sender.try_send(pair(1))
    await link.settle()
    link.receiver.close()
    await link.settle()
    assert not link.receiver._loose
    assert link.arena.used_slots == 0


# --------------------------------------------------------------------------------- ctx.empty


async def test_a_reserved_array_is_sent_where_it_lies(make_link):
    link = make_link()
    array = link.sender.reserve((LARGE, 2), np.float32)
    array[:] = 5
    address = array.ctypes.data
    base = np.frombuffer(link.arena.writer._segment.view, np.uint8).ctypes.data
    payload = Audio(array, 16_000)
    assert payload.samples.ctypes.data == address
    assert link.sender.try_send(packet(payload))
    assert link.arena.used_slots == 1
    await link.settle()
    got = link.take()
    theirs = np.frombuffer(link.receiver._view, np.uint8).ctypes.data
    assert place_of(got) - theirs == address - base
    assert got.payload == payload
    del got
    await link.settle()
    link.sender._ask()
    await link.settle()
    assert link.arena.used_slots == 1  # the producer still has it
    del array, payload
    assert link.arena.used_slots == 0


async def test_a_reserved_array_of_one_dimension_or_a_plain_number(make_link):
    link = make_link()
    for shape in ((100,), 100):
        array = link.sender.reserve(shape, np.int16)
        assert array.shape == (100,)
        array[:] = 3
        assert link.sender.try_send(packet(Audio(array, 8000)))
        del array
    assert link.arena.used_slots == 2
    await link.settle()
    assert values(await link.pass_on(2)) == [3, 3]
    link.sender._ask()
    await link.settle()
    assert link.arena.used_slots == 0


async def test_a_reserved_array_that_is_dropped_frees_its_slot(make_link):
    link = make_link()
    array = link.sender.reserve((LARGE,), np.float32)
    part = array[10:20]
    del array
    assert link.arena.used_slots == 1
    del part
    assert link.arena.used_slots == 0


async def test_a_reserved_array_is_frozen_by_sending_it(make_link):
    link = make_link()
    array = link.sender.reserve((10,), np.float32)
    array[:] = 1
    link.sender.try_send(packet(Audio(array, 8000)))
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 2


async def test_a_reserved_array_somebody_can_still_write_is_copied(make_link):
    link = make_link()
    array = link.sender.reserve((LARGE,), np.float32)
    array[:] = 1
    writable = array[:]
    link.sender.try_send(packet(Audio(array, 8000)))
    writable[:] = 2
    await link.settle()
    assert values(await link.pass_on()) == [1]


async def test_a_part_of_a_reserved_array_harms_no_other_part(make_link):
    link = make_link()
    array = link.sender.reserve((2 * LARGE,), np.float32)
    array[:LARGE], array[LARGE:] = 1, 2
    array.flags.writeable = False
    array.base.flags.writeable = False
    first, second = Audio(array[:LARGE], 8000), Audio(array[LARGE:], 8000)
    assert link.sender.try_send(packet(first))
    assert link.sender.try_send(packet(second))
    await link.settle()
    assert [item.payload for item in await link.pass_on(2)] == [
        audio_at(1, LARGE, 8000),
        audio_at(2, LARGE, 8000),
    ]
    assert array[LARGE] == 2


def audio_at(value, frames, rate):
    return Audio(np.full(frames, value, np.float32), rate)


async def test_a_reserved_array_sent_under_two_rates_arrives_with_both(make_link):
    link = make_link()
    array = link.sender.reserve((LARGE,), np.float32)
    array[:] = 4
    one = Audio(array, 8000)
    others = [Audio(one.samples, 16_000), Audio(one.samples.reshape(-1, 2), 8000), one]
    for payload in (one, *others):
        assert link.sender.try_send(packet(payload))
    await link.settle()
    assert [item.payload for item in await link.pass_on(4)] == [one, *others]


async def test_reserving_without_room_gives_nothing_and_never_waits(make_link):
    link = make_link(arena_bytes=MIB)
    held = []
    while (array := link.sender.reserve((LARGE,), np.float32)) is not None:
        held.append(array)
    assert len(held) == (MIB - 4096) // (LARGE * 4 + 1088)
    assert link.sender.reserve((MIB,), np.float32) is None
    del array
    held.pop()
    assert link.sender.reserve((LARGE,), np.float32) is not None


@pytest.mark.parametrize(
    ("shape", "dtype"), [((0,), "f4"), ((-1,), "f4"), ((3, 0), "i2"), ((3,), object)]
)
async def test_what_no_arena_can_hold_is_left_to_ordinary_memory(make_link, shape, dtype):
    link = make_link()
    assert link.sender.reserve(shape, dtype) is None
    assert link.arena.used_slots == 0


async def test_another_thread_gets_ordinary_memory(make_link):
    link = make_link()
    assert await asyncio.to_thread(link.sender.reserve, (10,), np.float32) is None
    assert link.sender.reserve((10,), np.float32) is not None


async def test_reserved_arrays_that_fill_the_arena_are_no_deadlock(make_link):
    link = make_link(arena_bytes=MIB)
    held = [link.sender.reserve((LARGE,), np.float32) for _ in range(7)]
    assert link.sender.try_send(packet(audio(1, LARGE)))
    await link.settle()
    assert values(await link.pass_on()) == [1]
    for array in held:
        array[:] = 9
        assert link.sender.try_send(packet(Audio(array, 8000)))
        await link.settle()
        assert values(await link.pass_on()) == [9]


# --------------------------------------------------------------------------------- interrupts


async def test_what_is_older_than_a_generation_is_discarded_and_paid_back(make_link):
    link = make_link(capacity=10)
    for number in range(6):
        link.sender.try_send(packet(audio(number, 1000), generation=number % 3))
    await link.settle()
    assert link.receiver.discard(older_than(2)) == 4
    link.check_law()
    assert link.receiver.statistics().dropped == 4
    await link.settle()
    link.sender._ask()
    await link.settle()
    assert link.arena.used_slots == 2
    assert values(await link.pass_on(2)) == [2, 5]
    assert link.receiver.discard(older_than(9)) == 0


# --------------------------------------------------------------------------------- damage


def near_side(link):
    """The producer's socket, to say by hand what no producer would."""
    return link.sender._doorbell._socket


def far_side(link):
    return link.receiver._doorbell._socket


MEMBER = (4096, 4096, 800, 696, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    "message",
    [
        b"\x63",
        bytes([PACKETS, 1, 2, 3]),
        bytes([PACKETS]) + pack_item(5, [(MEMBER, b"")], grouped=False, sent_ns=0),
        bytes([PACKETS]) + pack_item(0, [(MEMBER, b"")], grouped=False, sent_ns=0),
        bytes([PACKETS]) + pack_item(0, [((2**60, *MEMBER[1:]), b"")], grouped=False, sent_ns=0),
        bytes([PACKETS])
        + pack_item(0, [((64, 0, 2**60, *MEMBER[3:]), b"")], grouped=False, sent_ns=0),
        bytes([PACKETS]) + pack_item(0, [((4096, 64, *MEMBER[2:]), b"")], grouped=False, sent_ns=0),
        bytes([PACKETS])
        + pack_item(0, [((*MEMBER[:4], 9, *MEMBER[5:]), b"")], grouped=False, sent_ns=0),
        bytes([PACKETS])
        + pack_item(0, [((*MEMBER[:6], 9, *MEMBER[7:]), b"")], grouped=False, sent_ns=0),
        bytes([PACKETS]) + pack_item(0, [((0, *MEMBER[1:]), b"")], grouped=False, sent_ns=0),
        bytes([PACKETS])
        + b"".join(pack_item(n, [(MEMBER, b"")], grouped=False, sent_ns=0) for n in range(20)),
    ],
    ids=[
        "unknown",
        "cut off",
        "out of order",
        "no stream",
        "outside",
        "endless",
        "before its slot",
        "unknown kind",
        "unknown port",
        "missing data",
        "more than credits",
    ],
)
async def test_a_damaged_message_is_an_error_of_the_edge(make_link, message):
    link = make_link(capacity=10)
    calls = []
    link.receiver.on_readable = lambda: calls.append(1)
    near_side(link).send(message)
    await link.settle()
    assert calls
    assert link.receiver.try_receive() is None
    assert isinstance(link.receiver.error, EdgeError)
    assert "edge 0" in link.receiver.error.message
    assert not link.receiver.ended
    assert not link.receiver.readable


async def test_nothing_counts_behind_damage(make_link):
    link = make_link(capacity=10)
    link.sender.try_send(packet(Text("overwritten below")))
    slot = link.arena.writer._last[1][0]
    for number in range(3):
        link.sender.try_send(packet(audio(number)))
    link.arena.writer._arena.slot(slot)[:64] = bytes(64)
    await link.settle()
    assert link.receiver.try_receive() is None
    error = link.receiver.error
    assert isinstance(error, EdgeError)
    link.sender.try_send(packet(audio(4)))
    near_side(link).send(END_MESSAGE)
    await link.settle()
    assert link.receiver.try_receive() is None
    assert link.receiver.error is error
    assert not link.receiver.ended


@pytest.mark.parametrize(
    "message",
    [
        b"\x63",
        b"\x02\x01",
        pack_credits(1, []),
        pack_credits(0, [4096]),
        pack_credits(0, [0]),
        pack_credits(0, [2**63]),
    ],
)
async def test_a_consumer_that_returns_what_it_has_not_is_left(make_link, message):
    link = make_link(capacity=10)
    far_side(link).send(message)
    await link.settle()
    assert isinstance(link.receiver.error, EdgeError)
    assert "the consumer sent" in link.receiver.error.message
    assert link.sender.try_send(packet(audio(1)))
    assert link.sender.statistics().dropped == 1
    link.sender._credits.check()


async def test_a_consumer_cannot_free_the_slot_of_another(make_arena):
    arena = make_arena()
    wrong, right = arena.link(), arena.link()
    assert right.sender.try_send(packet(audio(1, LARGE)))
    slot = arena.writer._last[1][0]
    far_side(wrong).send(pack_credits(0, [slot]))
    await wrong.settle()
    assert arena.used_slots == 1
    assert isinstance(wrong.receiver.error, EdgeError)
    await right.settle()
    assert values(await right.pass_on()) == [1]


async def test_a_want_that_finds_nothing_is_answered_once(make_link):
    link = make_link()
    near_side(link).send(WANT_MESSAGE)
    await link.settle()
    far_side(link).setblocking(False)
    await link.settle()
    assert link.receiver.error is None
    assert link.sender._credits.available == 10


async def test_messages_stay_below_what_a_socket_takes(make_link):
    link = make_link(capacity=64)
    sizes = []
    send = link.sender._doorbell.send

    def measured(message):
        sizes.append(len(message))
        send(message)

    link.sender._doorbell.send = measured
    for number in range(64):
        metadata = {"note": "x" * 16_000}
        assert link.sender.try_send(packet(audio(number), metadata=metadata))
    await link.settle()
    assert max(sizes) <= MESSAGE_BYTES_MAX
    assert len(sizes) < 64
    assert [item.metadata for item in await link.pass_on(64)] == [metadata] * 64


async def test_an_edge_leaves_no_cycle_that_keeps_payloads(make_link):
    link = make_link()
    payload = audio(1, LARGE)
    dead = weakref.ref(payload.samples)
    link.sender.try_send(packet(payload))
    del payload
    await link.settle()
    assert dead() is None


# --------------------------------------------------------------------------------- all at once


class EdgesMachine(RuleBasedStateMachine):
    """Two edges of one arena: sending, receiving, keeping, reserving and leaving in any order.

    Every packet says in each of its samples which one it is, so whatever is lost, doubled, out of
    order or overwritten shows.
    """

    ARENA_BYTES = MIB

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.arena = None

    @initialize(capacities=st.tuples(st.sampled_from([1, 2, 5, 100]), st.sampled_from([1, 70])))
    def open(self, capacities):
        self.run(self._open(capacities))

    async def _open(self, capacities):
        self.arena = Arena(self.ARENA_BYTES)
        self.links = [self.arena.link(capacity, arena_edges=2) for capacity in capacities]
        self.sent = [[] for _ in self.links]
        self.got = [0 for _ in self.links]
        self.open_turns = [0 for _ in self.links]
        self.kept = Counting()
        self.reserved = []
        self.closed = [False for _ in self.links]
        self.woken = [False for _ in self.links]
        for number, link in enumerate(self.links):
            link.sender.on_credit = lambda number=number: self.woken.__setitem__(number, True)
        self.refused = [False for _ in self.links]
        self.counter = 0

    def run(self, coroutine):
        self.loop.run_until_complete(coroutine)

    def send(self, number, payload):
        link = self.links[number]
        self.woken[number] = False
        self.refused[number] = not link.sender.try_send(packet(payload, len(self.sent[number])))
        if not self.refused[number] and not link.sender._closed:
            self.sent[number].append(payload.samples[0, 0])

    NUMBERS = st.integers(0, 1)

    @rule(number=NUMBERS, frames=st.sampled_from([1, 100, LARGE, 40_000, 120_000, 250_000]))
    def send_one(self, number, frames):
        self.counter += 1
        self.send(number, audio(self.counter, frames))

    @rule(frames=st.sampled_from([10, LARGE]))
    def send_to_both(self, frames):
        self.counter += 1
        payload = audio(self.counter, frames)
        for number in (0, 1):
            self.send(number, payload)

    @rule(frames=st.sampled_from([10, LARGE]))
    def reserve(self, frames):
        array = self.links[0].sender.reserve((frames,), np.float32)
        if array is not None:
            self.counter += 1
            array[:] = self.counter
            self.reserved.append(array)

    @precondition(lambda self: self.reserved)
    @rule(number=NUMBERS, keep=st.booleans())
    def send_reserved(self, number, keep):
        array = self.reserved[0] if keep else self.reserved.pop(0)
        self.send(number, Audio(array, 8000))

    @precondition(lambda self: self.reserved)
    @rule()
    def drop_reserved(self):
        self.reserved.pop()

    @rule(number=NUMBERS, keep=st.booleans(), release=st.booleans())
    def receive(self, number, keep, release):
        item = self.links[number].receiver.try_receive()
        if item is None:
            return
        samples = item.payload.samples
        assert item.sequence == self.got[number]
        expected = self.sent[number][self.got[number]]
        assert samples[0, 0] == samples[-1, 0] == expected
        self.got[number] += 1
        if keep:
            self.kept.hold(item)
        if release:
            self.links[number].receiver.release()
        else:
            self.open_turns[number] += 1

    @rule(number=NUMBERS)
    def end_turns(self, number):
        self.links[number].receiver.release(self.open_turns[number])
        self.open_turns[number] = 0

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def let_go(self, data):
        self.kept.pop(data.draw(st.integers(0, len(self.kept) - 1)))

    @rule(number=NUMBERS)
    def settle(self, number):
        self.run(self.links[number].settle())

    @rule(number=NUMBERS)
    def ring(self, number):
        self.links[number].sender.flush()
        self.links[number].receiver.flush()

    @precondition(lambda self: not any(self.closed))
    @rule(number=NUMBERS)
    def leave(self, number):
        self.links[number].receiver.close()
        self.closed[number] = True

    @invariant()
    def nothing_is_overwritten(self):
        if self.arena is not None:
            self.kept.check()

    @invariant()
    def the_law_holds(self):
        if self.arena is None:
            return
        for link in self.links:
            link.sender._credits.check()
            link.receiver._credits.check()

    def teardown(self):
        try:
            if self.arena is not None:
                self.run(self._drain())
        finally:
            if self.arena is not None:
                self.arena.close()
            self.loop.close()

    async def _drain(self):
        """Whatever happened, everything accepted arrives, and everything comes home."""
        for number in (0, 1):
            self.end_turns(number)
            self.links[number].sender.finish()
        for _ in range(2000):
            for number, link in enumerate(self.links):
                await link.settle()
                while link.receiver.readable:
                    self.receive(number, keep=False, release=True)
            if all(link.receiver.ended or closed for link, closed in self.ends()):
                break
        else:
            pytest.fail("stuck")
        for number, (link, closed) in enumerate(self.ends()):
            if not closed:
                assert self.got[number] == len(self.sent[number])
                assert link.receiver.error is None
        self.kept.check()
        self.kept.clear()
        self.reserved.clear()
        for link in self.links:
            await link.settle()
            link.sender._ask()
            await link.settle()
        for number, (_, closed) in enumerate(self.ends()):
            assert not self.refused[number] or self.woken[number] or closed
        assert self.arena.used_slots == 0
        for link, closed in self.ends():
            if not closed:
                link.check_law()
                assert link.sender._credits.available == link.sender.capacity

    def ends(self):
        return list(zip(self.links, self.closed, strict=True))


EdgesMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestEdgesMachine = EdgesMachine.TestCase
