"""Where packets enter: their media time and their metadata."""

from __future__ import annotations

import asyncio

import numpy as np

from engine.config import Settings
from engine.operator import Operator
from engine.payloads import Audio, Json, Text
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


class Pair(Operator):
    inputs = ("a", "b")
    joins = True

    def process(self, group, ctx):
        return [Json([group[port].timestamp_ns // MS, group[port].sequence]) for port in group]


async def _values(session, sending):
    """What comes out until all is sent and the input has ended."""

    async def send():
        await asyncio.gather(*sending)
        await session.end_input()

    ending = asyncio.create_task(send())
    found = [packet.payload.value async for packet in session.outputs()]
    await ending
    return found


async def test_members_of_a_group_may_have_times_of_their_own():
    async with _session(Pair(), channel_capacity=1) as session:
        payloads, times = {"a": _audio(10), "b": Text("x")}, {"b": 70 * MS}

        async def send():
            for _ in range(3):  # more than there are credits for
                await session.send_group(payloads, timestamp_ns=times)

        found = await _values(session, [send()])
    assert found == [[0, 0], [70, 0], [10, 1], [70, 1], [20, 2], [70, 2]]


async def test_an_interrupt_that_comes_while_a_group_waits_does_not_drop_it():
    async with _session(Pair(), channel_capacity=1) as session:
        payloads, times = {"a": Text("a"), "b": Text("b")}, {"a": 1 * MS, "b": 2 * MS}
        sending = [
            asyncio.create_task(session.send_group(payloads, timestamp_ns=times)) for _ in range(3)
        ]
        await asyncio.sleep(0)  # one has entered, the others wait
        await session.interrupt()
        found = await _values(session, sending)
    assert found == [[1, 1], [2, 1], [1, 2], [2, 2]]
