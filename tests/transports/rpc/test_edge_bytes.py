"""What waits in a session is bounded in bytes, however many packets a client lets wait."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.transports.rpc.rpc_client import eventually, manifest, results_of
from transports.rpc.service import EDGE_BYTES_MAX

pytestmark = [pytest.mark.net]

LIMIT = 10_000
CHUNK = "x" * 1_000
#: What a client asks for.
WIDE = (("x-remotemedia-multiprocess", json.dumps({"channel_capacity": 10_000})),)


def waiting_bytes(live):
    edges = live.session.statistics().edges.values()
    return sum(edge.queued for edge in edges) * len(CHUNK)


async def test_what_waits_for_a_node_is_bounded_and_the_sender_waits(serve):
    running = await serve(settings={"edge_bytes_max": LIMIT}, limits={"pending_bytes_max": 5_000})
    stream = await running.client.open(manifest({"n": "NeverAt"}), metadata=WIDE)
    await stream.ready()
    (live,) = running.service.sessions
    sent = 0

    async def send():
        nonlocal sent
        await stream.send("n", "wait")
        while True:
            await stream.send("n", CHUNK, sent)
            sent += 1

    sending = asyncio.create_task(send())
    try:
        await eventually(lambda: waiting_bytes(live) >= LIMIT)
        await eventually(lambda: len(live.waiting) >= 3)
        await asyncio.sleep(0.05)  # more would come now
        assert waiting_bytes(live) == LIMIT
        assert len(live.waiting) <= 5
    finally:
        sending.cancel()
        stream.call.cancel()


async def test_what_a_slow_reader_leaves_is_bounded(serve):
    running = await serve(settings={"edge_bytes_max": LIMIT})
    stream = await running.client.open(manifest({"u": "Upper"}), metadata=WIDE)
    await stream.ready()
    texts = [f"{number} {CHUNK}".upper() for number in range(200)]
    sending = asyncio.create_task(_send_all(stream, texts))
    (live,) = running.service.sessions
    await eventually(lambda: live.session.statistics().outputs > 0)
    assert waiting_bytes(live) <= 2 * (LIMIT + 2 * len(CHUNK))
    responses = await stream.rest()
    await sending
    assert [result[2] for result in results_of(responses)] == texts


async def _send_all(stream, texts):
    for number, text in enumerate(texts):
        await stream.send("u", text, number)
    await stream.close()


async def test_a_service_has_a_bound_unless_it_is_given_another(serve):
    assert (await serve()).service.settings.edge_bytes_max == EDGE_BYTES_MAX
    other = await serve(settings={"edge_bytes_max": 5})
    assert other.service.settings.edge_bytes_max == 5


async def test_bytes_of_local_edges_are_counted(running):
    stream = await running.client.open(manifest({"u": "Upper"}))
    await stream.ready()
    await stream.send("u", "abc")
    await stream.read_kind("result")
    (live,) = running.service.sessions
    edges = live.session.statistics().edges
    assert {edge.payload_bytes for edge in edges.values()} == {3}
    stream.call.cancel()
