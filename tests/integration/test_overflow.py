"""Edges that drop, between real places: what comes through is in order, marked and counted."""

from __future__ import annotations

import asyncio
import itertools

import numpy as np
import pytest

from engine.config import Settings
from engine.edges.credit import IN_FLIGHT_MAX
from engine.errors import EdgeOverflowError
from engine.flags import FLAG_GAP
from engine.payloads import Audio, Json
from remotemedia import Pipeline
from tests.integration.graph_operators import Hold, Pass

pytestmark = pytest.mark.process

PLACES = [("local", "local"), ("local", "process"), ("process", "local"), ("process", "process")]


def _pipeline(places, policy, capacity=4):
    source, target = places
    return (
        Pipeline("drops", settings=Settings())
        | Pass().named("number").on(source).into(capacity=capacity, **policy)
        | Hold().on(target)
    )


async def _drain(session):
    await session.end_input()
    return [packet async for packet in session.outputs()]


async def _send_numbers(session):
    for number in range(1, 200):
        await session.send(Json({"number": number}))
    await _drain(session)


@pytest.mark.parametrize("places", PLACES, ids=" → ".join)
@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "latest"])
async def test_a_stopped_consumer_stops_nobody(places, overflow, tmp_path):
    """The consumer waits in its first packet for a file, so that everything behind it piles up."""
    go_on = tmp_path / "go on"
    pipeline = _pipeline(places, {"overflow": overflow})
    async with pipeline.session() as session:
        await session.send(Json({"number": 0, "until": str(go_on)}))
        async with asyncio.timeout(30):
            for number in range(1, 200):
                await session.send(Json({"number": number}))
            # Nearly all has reached the edge that drops; the last credits return in a batch.
            edges = session.statistics().edges
            while edges["→number"].in_flight > IN_FLIGHT_MAX // 4:
                await asyncio.sleep(0.01)
                edges = session.statistics().edges
        go_on.touch()
        packets = await _drain(session)
        counts = session.statistics().edges["number.out→hold.in"]
    assert counts.dropped == 200 - len(packets)
    assert counts.sent == 200
    numbers = [packet.payload.value["number"] for packet in packets]
    assert numbers[0] == 0
    assert numbers == sorted(set(numbers))
    assert 2 <= len(numbers) <= 10 + IN_FLIGHT_MAX // 4
    assert overflow == "drop_newest" or numbers[-1] == 199
    gaps = [packet.payload.value["gap"] for packet in packets[1:]]
    assert gaps == [b != a + 1 for a, b in itertools.pairwise(numbers)]
    assert any(gaps) or overflow == "drop_newest"


async def test_a_full_edge_may_end_the_session(tmp_path):
    pipeline = _pipeline(("local", "process"), {"overflow": "error"})
    async with pipeline.session() as session:
        await session.send(Json({"number": 0, "until": str(tmp_path / "never")}))
        with pytest.raises(EdgeOverflowError, match=r"edge 'number\.out→hold\.in' is full"):
            await _send_numbers(session)


async def test_dropped_audio_costs_the_arena_nothing(tmp_path):
    """What waits before the window has not been written: an arena of eight packets is enough."""
    go_on = tmp_path / "go on"
    settings = Settings(shm_segment_bytes=1 << 20)
    block = np.zeros(32_768, np.float32)
    pipeline = (
        Pipeline("drops", settings=settings)
        | Pass().named("number").into(capacity=100, overflow="drop_oldest")
        | Hold().on("process")
    )
    async with pipeline.session() as session:
        await session.send(Json({"number": 0, "until": str(go_on)}))
        async with asyncio.timeout(30):
            for _ in range(300):
                await session.send(Audio(block, 16_000))
        go_on.touch()
        packets = await _drain(session)
    assert 2 <= len(packets) <= 104
    assert any(packet.flags & FLAG_GAP or packet.payload.value["gap"] for packet in packets[1:])
