"""Control messages of a stream: past the data before them, and before the data behind them."""

from __future__ import annotations

import asyncio
import json

import pytest

from engine.operator import Operator
from engine.payloads import Text
from protos.remotemedia.v1 import admin_pb2, admin_pb2_grpc, common_pb2
from tests.transports.rpc.rpc_client import eventually, manifest, results_of

pytestmark = [pytest.mark.net]

NARROW = (("x-remotemedia-multiprocess", json.dumps({"channel_capacity": 1})),)


def hint(size):
    message = common_pb2.ControlMessage(batch_hint={"suggested_batch_size": size})
    return common_pb2.DataBuffer(control=message)


async def test_inputs_behind_a_control_message_wait_until_it_is_told(running, monkeypatch):
    stream = await running.client.open(manifest({"t": "Told"}))
    await stream.ready()
    (live,) = running.service.sessions
    tell, may_tell = live.session.control, asyncio.Event()

    async def tell_later(*args):
        await may_tell.wait()
        return await tell(*args)

    monkeypatch.setattr(live.session, "control", tell_later)
    await stream.send("t", hint(4), 1)
    await stream.send("t", "a", 2)
    await eventually(lambda: len(live.waiting))
    assert live.session.statistics().nodes["t"].received == 0
    may_tell.set()
    assert results_of([await stream.read()]) == [(2, "t", "a told 4")]
    stream.call.cancel()


async def test_an_interrupt_of_one_node_takes_nothing_from_what_another_is_told(running):
    may_start = asyncio.Event()

    class Held(Operator):
        """Starts when it may, and takes forever at the text "wait"."""

        accepts = frozenset({"text"})

        async def initialize(self, ctx):
            self.told = []
            await may_start.wait()

        async def process(self, packet, ctx):
            if packet.payload.text == "wait":
                await asyncio.sleep(3_600)
            return Text(f"told {self.told}")

        def control(self, message, ctx):
            self.told.append(message.message.suggested_batch_size)

    running.service.registry.register(Held)
    stream = await running.client.open(manifest({"a": "Held", "b": "Held"}), metadata=NARROW)
    for _ in range(5):
        await stream.send("a", "wait")
    await stream.send("a", hint(1))
    await stream.send("b", hint(7))
    await stream.send("b", "say", 9)
    await eventually(lambda: len(running.service.sessions))
    (live,) = running.service.sessions
    await eventually(lambda: live.waiting is not None and len(live.waiting) == 8)
    may_start.set()
    ready = await stream.ready()
    await eventually(lambda: len(live.waiting) == 6)  # one is in, one enters
    stub = admin_pb2_grpc.SessionAdminStub(running.client.channel)
    await stub.Interrupt(admin_pb2.InterruptRequest(session_id=ready.session_id, scope="a"))
    assert results_of([await stream.read()]) == [(9, "b", "told [7]")]
    stream.call.cancel()
