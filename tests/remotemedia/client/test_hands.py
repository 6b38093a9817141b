"""Hands on a session of a server, by our own client."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from engine.errors import EdgeClosedError, TransportError, UsageError
from protos.remotemedia.v1 import control_pb2
from remotemedia import Text
from remotemedia.client import Client
from tests.remotemedia.client.documents import document
from tests.transports.rpc.rpc_client import eventually

pytestmark = [pytest.mark.net]

CHAIN = document({"p": "PassThrough", "u": "Upper"}, ["p->u"])


async def test_a_tap_shows_what_leaves_a_node(client):
    async with client.stream(CHAIN) as stream, stream.attach("me") as hands:
        assert hands.session_id == stream.session_id
        async with await hands.tap("p") as tap:
            await stream.send(Text("a"), metadata={"who": "me"})
            packet = await tap.receive()
            assert packet.payload == Text("a")
            assert packet.source.node == "p"
            assert packet.origin.metadata == {"who": "me"}
            assert (await stream.receive()).payload == Text("A")
        assert await tap.receive() is None


async def test_each_tap_of_a_port_gets_all_until_it_is_closed(client):
    async with client.stream(CHAIN) as stream, stream.attach() as hands:
        first, second = await hands.tap("p"), await hands.tap("p")
        await stream.send(Text("a"))
        assert (await first.receive()).payload == (await second.receive()).payload == Text("a")
        await first.aclose()
        assert await first.receive() is None
        await stream.send(Text("b"))
        assert (await second.receive()).payload == Text("b")
        await second.aclose()
        third = await hands.tap("p")
        await stream.send(Text("c"))
        assert (await third.receive()).payload == Text("c")
    assert await third.receive() is None


async def test_a_port_that_may_be_tapped_by_another_name_is_refused(client):
    async with client.stream(CHAIN) as stream, stream.attach() as hands:
        tap = await hands.tap("p")
        with pytest.raises(UsageError, match="name the port of each"):
            await hands.tap("p", "out")
        await stream.send(Text("a"))
        assert (await tap.receive()).payload == Text("a")


async def test_an_interception_takes_the_place_of_another_one(client):
    async with client.stream(CHAIN) as stream, stream.attach() as hands:
        first = await hands.intercept("u", deadline_ms=60_000)
        second = await hands.intercept("u", deadline_ms=60_000)
        assert await first.receive() is None
        await first.aclose()
        await stream.send(Text("a"))
        await (await second.receive()).drop()
        await stream.end_input()
        assert await stream.receive() is None


async def test_what_is_published_enters_at_its_node(client):
    async with client.stream(CHAIN) as stream:
        async with stream.attach() as hands:
            await hands.publish("u", Text("a"))
        assert (await stream.receive()).payload == Text("A")


async def test_outputs_are_decided_about(client):
    async with (
        client.stream(CHAIN) as stream,
        stream.attach() as hands,
        await hands.intercept("u", deadline_ms=60_000) as questions,
    ):
        for text in "abc":
            await stream.send(Text(text))
        await (await questions.receive()).let_pass()
        await (await questions.receive()).drop()
        question = await questions.receive()
        assert question.packet.payload == Text("C")
        await question.replace(Text("instead"))
        assert (await stream.receive()).payload == Text("A")
        assert (await stream.receive()).payload == Text("instead")


async def test_node_states_are_set_and_cleared(client):
    async with client.stream(CHAIN) as stream, stream.attach() as hands:
        await hands.set_node_state("u", "bypass")
        await stream.send(Text("a"))
        assert (await stream.receive()).payload == Text("a")
        await hands.clear_node_state("u")
        await stream.send(Text("a"))
        assert (await stream.receive()).payload == Text("A")
        with pytest.raises(UsageError, match='not "asleep"'):
            await hands.set_node_state("u", "asleep")


async def test_a_tap_that_is_refused_says_why(client):
    async with client.stream(CHAIN) as stream, stream.attach() as hands:
        with pytest.raises(UsageError, match="no node 'x'") as caught:
            await hands.tap("x")
        assert caught.value.context["code"] == "UNKNOWN_NODE"
        with pytest.raises(UsageError, match="no port 'x'"):
            await hands.intercept("u", "x")
        with pytest.raises(UsageError, match="no node 'x'"):
            await hands.clear_node_state("x")


async def test_a_publication_that_is_refused_is_raised_at_the_end(client):
    async with client.stream(CHAIN) as stream:
        with pytest.raises(UsageError, match="no node 'x'"):
            async with stream.attach() as hands:
                await hands.publish("x", Text("a"))


async def test_a_publication_that_is_refused_is_raised_by_the_next_order(client):
    async with client.stream(CHAIN) as stream, stream.attach() as hands:
        await hands.publish("x", Text("a"))
        with pytest.raises(UsageError, match="no node 'x'"):
            await hands.set_node_state("u", "bypass")


async def test_an_order_that_was_cancelled_disturbs_no_other(client):
    async with client.stream(CHAIN) as stream, stream.attach() as hands:
        for turns in range(20):
            setting = asyncio.ensure_future(hands.set_node_state("u", "bypass"))
            for _ in range(turns):
                await asyncio.sleep(0)
            setting.cancel()
            await asyncio.wait([setting])
        await hands.clear_node_state("u")
        await stream.send(Text("a"))
        assert (await stream.receive()).payload == Text("A")


async def test_an_order_to_a_session_that_ends_says_so(client):
    over = EdgeClosedError | UsageError  # by the server's word, or by the end of its
    async with client.stream(CHAIN) as stream, stream.attach() as hands:
        ordering = asyncio.ensure_future(hands.tap("u"))
        await client.close_session(stream.session_id)
        await asyncio.wait([ordering])
        assert ordering.exception() is None or isinstance(ordering.exception(), over)
        with pytest.raises((EdgeClosedError, UsageError), match=r"is closed|has ended"):
            await hands.tap("u")


async def test_the_end_of_the_session_ends_all(client):
    async with client.stream(CHAIN) as stream, stream.attach() as hands:
        tap = await hands.tap("u")
        await stream.send(Text("a"))
        await stream.end_input()
        assert [packet.payload async for packet in stream] == [Text("A")]
        assert [packet.payload async for packet in tap] == [Text("A")]
        assert hands.closed.reason == control_pb2.CLOSE_REASON_CODE_NORMAL
        with pytest.raises(EdgeClosedError):
            await hands.publish("u", Text("b"))


async def test_a_session_that_is_not_there_is_a_usage_error(client):
    with pytest.raises(UsageError, match="no session"):
        async with client.attach(str(uuid.uuid4())):
            raise AssertionError


async def test_a_server_that_is_not_there_is_a_transport_error():
    async with Client("127.0.0.1:1") as client:
        with pytest.raises(TransportError):
            await client.attach("x").start()


async def test_a_tap_that_nobody_reads_keeps_the_newest(client):
    async with client.stream(CHAIN) as stream, stream.attach() as hands:
        tap = await hands.tap("u")
        for number in range(300):
            await stream.send(Text(f"{number}"))
            await stream.receive()
        await eventually(lambda: tap.dropped >= 44)
        assert (await tap.receive()).payload == Text("44")


async def test_hands_that_are_not_attached_say_so(client):
    async with client.stream(CHAIN) as stream:
        hands = stream.attach()
        with pytest.raises(UsageError, match="attach first"):
            await hands.publish("u", Text("a"))
        await hands.aclose()
        async with hands:
            with pytest.raises(UsageError, match="attached once"):
                await hands.start()
