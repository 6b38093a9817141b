"""When StreamMetrics are sent, and how many."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from engine.observe.statistics import SessionStatistics
from tests.transports.rpc.rpc_client import eventually
from transports.rpc.stream_metrics import CADENCE, DUE_MAX, StreamCounts
from transports.rpc.stream_writer import ClientGoneError, StreamWriter


class Usage:
    """What processes use: nothing."""

    peak_bytes = 0

    async def sample(self):
        await asyncio.sleep(0)


def counts():
    session = SimpleNamespace(
        id="s", plan=None, statistics=lambda: SessionStatistics.of("s", 0, (), {})
    )
    measurement = SimpleNamespace(kinds={}, note_held=lambda *_: None)
    plans = SimpleNamespace(hits=0, misses=1, nodes=1)
    return StreamCounts(session, measurement, Usage(), plans, plan_kept=False)


class Wire:
    """Takes a message when it may."""

    def __init__(self):
        self.begun = 0
        self.taken = []
        self.open = asyncio.Event()

    async def write(self, message):
        self.begun += 1
        await self.open.wait()
        self.taken.append(message)


async def test_what_is_being_sent_is_sent_to_its_end_and_nothing_more():
    wire, found = Wire(), counts()
    for ordinal in range(1, 3 * CADENCE + 1):
        found.taken(ordinal, wire.write)
        found.answered(ordinal, 1.0)
    await eventually(lambda: wire.begun)
    dropping = asyncio.create_task(found.drop())
    await asyncio.sleep(0)
    assert not dropping.done()
    wire.open.set()
    await dropping
    assert len(wire.taken) == 1


async def test_each_that_is_answered_is_sent():
    wire, found = Wire(), counts()
    wire.open.set()
    for ordinal in range(1, 3 * CADENCE + 1):
        found.taken(ordinal, wire.write)
        found.answered(ordinal, 1.0)
    await found.finish()
    assert len(wire.taken) == 3


async def test_what_waited_in_vain_is_one_message(monkeypatch):
    monkeypatch.setattr("transports.rpc.stream_metrics.PATIENCE_S", 0.0)
    wire, found = Wire(), counts()
    wire.open.set()
    for ordinal in range(1, 20 * CADENCE + 1):
        found.taken(ordinal, wire.write)
    await eventually(lambda: wire.taken)
    await found.finish()
    assert [metrics.chunks_processed for metrics in wire.taken] == [20 * CADENCE]


async def test_only_so_many_wait():
    wire, found = Wire(), counts()
    for ordinal in range(1, 2 * DUE_MAX * CADENCE + 1):
        found.taken(ordinal, wire.write)
    wire.open.set()
    await found.finish()
    assert len(wire.taken) == DUE_MAX


async def test_a_write_that_was_cancelled_is_known_to_block_the_others():
    wire = Wire()
    writer = StreamWriter(None, wire)
    assert not writer.is_blocked
    writing = asyncio.create_task(writer.write("a"))
    await eventually(lambda: wire.begun)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    assert writer.is_blocked


async def test_a_write_that_fails_says_that_nobody_reads():
    async def fail(_):
        raise RuntimeError("gone")

    with pytest.raises(ClientGoneError):
        await StreamWriter(None, SimpleNamespace(write=fail)).write("a")
