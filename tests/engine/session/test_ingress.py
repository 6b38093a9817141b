"""Where packets enter: their media time and their metadata."""

from __future__ import annotations

import asyncio

import numpy as np

from engine.config import Settings
from engine.operator import Operator
from engine.payloads import Audio, Text
from engine.pipeline import Pipeline

MS = 1_000_000


class Two(Operator):
    inputs = ("a", "b")

    def process(self, packet, ctx):
        return packet


def _audio(duration_ms):
    return Audio(np.zeros(duration_ms * 8, np.float32), 8000)


def _session(operator, **settings):
    return (Pipeline("x", settings=Settings(**settings)) | operator).session()


async def _times(session):
    await session.end_input()
    return [packet.timestamp_ns // MS async for packet in session.outputs()]


async def test_the_audio_of_each_port_is_laid_end_to_end():
    async with _session(Two()) as session:
        for _ in range(2):
            await session.send(_audio(10), port="a")
            await session.send(_audio(30), port="b")
        times = await _times(session)
    assert times == [0, 0, 10, 30]


async def test_a_group_begins_where_the_longest_of_its_ports_ends():
    async with _session(Two()) as session:
        await session.send(_audio(10), port="a")
        await session.send_group({"a": _audio(20), "b": _audio(20)})
        await session.send(_audio(10), port="b")
        times = await _times(session)
    assert times == [0, 10, 10, 30]


async def test_audio_that_waited_for_a_credit_is_laid_behind_what_was_sent_meanwhile():
    async with _session(Two(), channel_capacity=1) as session:
        sending = [asyncio.create_task(session.send(_audio(10), port="a")) for _ in range(8)]
        packets = [await session.receive() for _ in sending]
        assert await asyncio.gather(*sending) == list(range(8))
    assert [packet.timestamp_ns // MS for packet in packets] == list(range(0, 80, 10))


async def test_a_time_that_was_said_stays_while_it_waits():
    async with _session(Two(), channel_capacity=1) as session:
        sending = [
            asyncio.create_task(session.send(_audio(10), port="a", timestamp_ns=number * MS))
            for number in range(8)
        ]
        packets = [await session.receive() for _ in sending]
        await asyncio.gather(*sending)
    assert [packet.timestamp_ns // MS for packet in packets] == list(range(8))


async def test_metadata_is_what_it_was_when_it_was_sent():
    metadata = {"speaker": "a"}
    async with _session(Two()) as session:
        await session.send(Text("x"), port="a", metadata=metadata)
        metadata["speaker"] = "b"
        await session.send_group({"a": Text("y")}, metadata=metadata)
        metadata.clear()
        await session.end_input()
        told = [dict(packet.metadata) async for packet in session.outputs()]
    assert told == [{"speaker": "a"}, {"speaker": "b"}]
