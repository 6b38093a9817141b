"""A session on a server, as a program sees it."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from engine.config import Settings
from engine.errors import (
    EdgeClosedError,
    ManifestError,
    NodeError,
    ResourceLimitError,
    TransportError,
    UsageError,
)
from protos.remotemedia.v1 import streaming_pb2
from remotemedia import Audio, BatchHint, Control, Json, Text
from remotemedia.client import Client, Reconnect
from remotemedia.client.reconnect import Unanswered
from tests.remotemedia.client.documents import document
from tests.transports.rpc.rpc_client import eventually
from tests.transports.rpc.rpc_operators import make_registry
from transports.rpc.server import RpcServer
from transports.rpc.service import PipelineService

pytestmark = [pytest.mark.net]

UPPER = document({"u": "Upper"})
QUICK = Reconnect(attempts=200, first_s=0.01, longest_s=0.05)


async def rest(stream):
    return [packet.payload async for packet in stream]


async def send_on(stream, text):
    while True:
        await stream.send(Text(text))


# --- sending and receiving -----------------------------------------------------------------------


async def test_a_stream_is_fed_and_read_like_a_session(client):
    async with client.stream(UPPER, chunk_size=320) as stream:
        assert stream.chunk_size == 320
        assert await stream.send(Text("a"), metadata={"who": "me"}) == 0
        assert await stream.send(Text("b"), "u", timestamp_ns=5_000_000) == 1
        await stream.end_input()
        first, second = [packet async for packet in stream.outputs()]
        assert (first.payload, second.payload) == (Text("A"), Text("B"))
        assert (first.sequence, second.sequence) == (0, 1)
        assert first.source.node == "u"
        assert first.origin.metadata == {"who": "me"}
        assert await stream.receive() is None
    assert stream.close_reason == "Client requested close"
    assert stream.final_metrics.node_metrics["u"].items_processed == 2


async def test_inputs_that_belong_together_are_sent_together(client):
    async with client.stream(document({"p": "Pair"})) as stream:
        await stream.send_group({"left": Text("a"), "right": Text("b")})
        assert (await stream.receive()).payload == Json({"left": "a", "right": "b"})


async def test_several_ingress_nodes_have_to_be_named(client):
    async with client.stream(document({"a": "Upper", "b": "Upper"})) as stream:
        await stream.send(Text("x"), "b")
        assert (await stream.receive()).source.node == "b"
        with pytest.raises(UsageError, match="ingress nodes: a, b"):
            await stream.send(Text("x"))


async def test_outputs_of_one_input_are_counted(client):
    async with client.stream(document({"e": "Expand"})) as stream:
        for value in range(2):
            await stream.send(Json({"value": value}))
        await stream.end_input()
        places = [(packet.sequence, packet.index) async for packet in stream]
    assert places == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]


async def test_the_first_inputs_come_with_the_opening(client):
    async with client.stream(document({"k": "Keep"}), Text("first")) as stream:
        await stream.send(Text("second"))
        await stream.end_input()
        assert await rest(stream) == [Text("first+second")]


async def test_a_control_message_goes_past_the_data(running, client):
    async with client.stream(document({"t": "Told"})) as stream:
        await stream.send(Text("a"))
        (live,) = running.service.sessions
        await eventually(lambda: live.session.statistics().nodes["t"].received)
        await stream.control(Control(BatchHint(3)))
        assert (await stream.receive()).payload == Text("a told 3")


async def test_metrics_come_while_it_runs(client):
    async with client.stream(UPPER) as stream:
        for _ in range(10):
            await stream.send(Text("a"))
        for _ in range(10):
            await stream.receive()
        await stream.end_input()
        assert await stream.receive() is None
        assert stream.metrics.chunks_processed == 10


@pytest.mark.process
async def test_the_start_of_processes_is_told(client):
    steps = []
    async with client.stream(document({"m": "ProcessModel"}), on_progress=steps.append):
        pass
    assert {step.node_id for step in steps} == {"m"}
    assert steps[0].status == "initializing"
    assert ("loading_model", "half of the weights") in {
        (step.status, step.message) for step in steps
    }
    assert (steps[-1].status, steps[-1].fraction) == ("ready", 1.0)


async def test_a_callback_that_raises_changes_nothing(client, caplog):
    def fail(_):
        raise ValueError("no")

    async with client.stream(UPPER, on_progress=fail) as stream:
        await stream.send(Text("a"))
        assert (await stream.receive()).payload == Text("A")


async def test_a_reader_that_rests_stops_the_producer(client, tmp_path):
    counted = tmp_path / "count"
    nodes = {"f": {"node_type": "Flood", "params": {"path": str(counted), "size": 100_000}}}
    async with client.stream(document(nodes)) as stream:
        await stream.send(Text("go"))
        await stream.receive()
        last, same = "", 0
        while same < 20:  # it rests
            await asyncio.sleep(0.02)
            now = counted.read_text() or last
            same = same + 1 if now == last else 0
            last = now
        assert int(last) < 300
        await stream.receive()


# --- how it ends ---------------------------------------------------------------------------------


async def test_a_stream_that_is_left_ends_its_session_at_once(running, client):
    async with client.stream(document({"n": "Never"})) as stream:
        await stream.send(Text("a"))
    await eventually(lambda: not len(running.service.sessions))
    assert await stream.receive() is None
    with pytest.raises(EdgeClosedError):
        await stream.send(Text("b"))


async def test_what_a_cancelled_receive_waited_for_is_not_lost(client):
    async with client.stream(UPPER) as stream:
        receiving = asyncio.create_task(stream.receive())
        await asyncio.sleep(0)
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
        await stream.send(Text("a"))
        assert (await stream.receive()).payload == Text("A")


@pytest.mark.parametrize("place", ["", pytest.param("Process", marks=pytest.mark.process)])
async def test_a_node_that_fails_is_raised_behind_what_came_before(client, place):
    async with client.stream(document({"f": f"{place}Fail"})) as stream:
        await stream.send(Text("a"))
        await stream.send(Text("fail"))
        assert (await stream.receive()).payload == Text("a")
        for _ in range(2):
            with pytest.raises(NodeError, match="cannot digest this"):
                await stream.receive()
        with pytest.raises(NodeError, match="cannot digest this"):
            await stream.send(Text("b"))


async def test_a_manifest_that_cannot_run_is_raised_at_the_start(client):
    with pytest.raises(ManifestError, match="Uper"):
        await client.stream(document({"a": "Uper"})).start()


@pytest.mark.process
async def test_a_start_that_fails_is_raised(client):
    with pytest.raises(NodeError, match="the model is missing"):
        async with client.stream(document({"f": "ProcessFailInInitialize"})):
            raise AssertionError


async def test_an_input_that_has_ended_takes_no_more(client):
    async with client.stream(UPPER) as stream:
        await stream.end_input()
        await stream.end_input()
        with pytest.raises(EdgeClosedError, match="input has ended"):
            await stream.send(Text("a"))


async def test_a_stream_that_is_not_open_says_so(client):
    stream = client.stream(UPPER)
    for method in (stream.send(Text("a")), stream.receive()):
        with pytest.raises(UsageError, match="open the stream first"):
            await method
    await stream.aclose()


async def test_audio_comes_back_as_float32(client):
    samples = np.linspace(-1, 1, 480, dtype=np.float32).reshape(-1, 1)
    async with client.stream(document({"p": "PassThrough"})) as stream:
        await stream.send(Audio(samples, 48_000))
        audio = (await stream.receive()).payload
    assert audio.sample_rate == 48_000
    np.testing.assert_array_equal(audio.samples, samples)


async def test_what_came_before_an_error_is_given_however_slowly_it_is_read(client):
    async with client.stream(document({"f": "Fail"})) as stream:
        for number in range(20):
            await stream.send(Text(f"{number}"))
        await stream.send(Text("fail"))
        with pytest.raises(NodeError, match="cannot digest this"):
            await send_on(stream, "too late")  # nothing is read meanwhile
        for number in range(20):
            assert (await stream.receive()).payload == Text(f"{number}")
        with pytest.raises(NodeError, match="cannot digest this"):
            await stream.receive()


@pytest.mark.parametrize("reconnect", [None, QUICK])
async def test_what_came_before_the_end_is_given_however_slowly_it_is_read(client, reconnect):
    take = {"operators": [{"name": "take", "args": [20]}]}
    nodes = {"t": {"node_type": "ReactivexNode", "params": take}}
    async with client.stream(document(nodes), reconnect=reconnect) as stream:
        with pytest.raises(EdgeClosedError):
            await send_on(stream, "a")
        assert await rest(stream) == [Text("a")] * 20
        assert stream.close_reason == "The pipeline has ended"


@pytest.mark.parametrize("reconnect", [None, QUICK])
async def test_the_status_of_the_server_is_told_and_not_that_of_a_write(client, reconnect):
    async with client.stream(UPPER, reconnect=reconnect) as stream:
        with pytest.raises(ResourceLimitError):
            await send_on(stream, "x" * (11 << 20))
        with pytest.raises(ResourceLimitError):
            await stream.receive()
        assert stream.reconnects == 0


async def test_a_stream_that_is_cancelled_while_nobody_reads_ends(client):
    async with client.stream(UPPER) as stream:
        for _ in range(20):
            await stream.send(Text("a"))
        await eventually(lambda: stream.receive_nowait() is not None)
        stream.cancel()
    assert await stream.receive() is None


async def test_a_service_that_is_stopped_is_no_end(running, client):
    stream = client.stream(document({"n": "Never"}))
    await stream.start()
    await stream.send(Text("a"))
    await running.service.sessions.end_all()
    with pytest.raises(TransportError, match="The service was stopped") as caught:
        await stream.receive()
    assert caught.value.context["status"] == "UNAVAILABLE"
    await stream.aclose()


@pytest.mark.parametrize("reconnect", [None, QUICK])
async def test_who_ended_a_session_is_told(client, reconnect):
    async with client.stream(UPPER, reconnect=reconnect) as stream:
        await stream.send(Text("a"))
        assert (await stream.receive()).payload == Text("A")
        await client.close_session(stream.session_id)
        with pytest.raises(TransportError, match="An operator of the service ended the session"):
            await stream.receive()
        assert stream.reconnects == 0


async def test_a_session_that_an_operator_drains_has_ended_well(running, client):
    async with client.stream(document({"k": "Keep"})) as stream:
        await stream.send(Text("a"))
        (live,) = running.service.sessions
        await eventually(lambda: live.session.statistics().nodes["k"].received)
        await client.close_session(stream.session_id, drain=True)
        assert await rest(stream) == [Text("a")]


async def test_a_stream_that_did_not_start_says_so_again(client):
    stream = client.stream(document({"a": "Uper"}))
    with pytest.raises(ManifestError):
        await stream.start()
    for method in (stream.send(Text("a"), "a"), stream.receive()):
        with pytest.raises(ManifestError):
            await method
    await stream.aclose()


# --- lost connections ----------------------------------------------------------------------------


def make_server(address, **settings):
    service = PipelineService(make_registry(), Settings(cleanup_grace_s=3.0, **settings))
    return RpcServer(service, [address])


async def killed(server):
    """End a server as a crash would: nobody is told anything."""
    await server._server.stop(None)
    await server.stop(0)


async def test_without_reconnect_a_lost_connection_fails_the_stream():
    async with make_server("127.0.0.1:0") as server, Client(server.addresses[0]) as client:
        stream = client.stream(document({"n": "Never"}))
        await stream.start()
        await stream.send(Text("a"))
        await killed(server)
        with pytest.raises(TransportError):
            await stream.receive()
        await stream.aclose()


async def test_a_lost_connection_is_made_again_and_what_is_unanswered_sent_again():
    first = make_server("127.0.0.1:0")
    await first.start()
    address = first.addresses[0]
    # Gives each text when its input ends: nothing is answered before.
    async with (
        Client(address) as client,
        client.stream(document({"k": "Keep"}), reconnect=QUICK) as stream,
    ):
        before = stream.session_id
        for text in "abc":
            await stream.send(Text(text))
        await eventually(
            lambda: all(
                live.session.statistics().nodes["k"].received == 3
                for live in first.service.sessions
            )
        )
        await killed(first)
        async with make_server(address):
            await stream.send(Text("d"))
            await stream.end_input()
            assert await rest(stream) == [Text("a+b+c+d")]
        assert stream.reconnects == 1
        assert stream.session_id != before


async def test_what_was_answered_is_not_sent_again():
    first = make_server("127.0.0.1:0")
    await first.start()
    address = first.addresses[0]
    async with Client(address) as client, client.stream(UPPER, reconnect=QUICK) as stream:
        await stream.send(Text("a"))
        assert (await stream.receive()).payload == Text("A")
        await killed(first)
        async with make_server(address):
            await stream.send(Text("b"))
            assert (await stream.receive()).payload == Text("B")
            await stream.end_input()
            assert await rest(stream) == []
        assert stream.reconnects == 1


async def test_a_reader_that_is_slow_misses_nothing_of_a_lost_connection():
    """Also where the new session holds less than is sent again."""
    first = make_server("127.0.0.1:0")
    await first.start()
    address = first.addresses[0]
    texts = [f"{number} {'x' * 4_000}" for number in range(200)]
    async with (
        Client(address) as client,
        client.stream(document({"p": "PassThrough"}), reconnect=QUICK) as stream,
    ):
        for text in texts[:150]:
            await stream.send(Text(text))  # nothing is read
        await killed(first)

        async def feed():
            for text in texts[150:]:
                await stream.send(Text(text))
            await stream.end_input()

        feeding = asyncio.create_task(feed())
        async with make_server(address, channel_capacity=8):
            assert await rest(stream) == [Text(text) for text in texts]
            await feeding
        assert (stream.reconnects, stream.given_up) == (1, 0)


async def test_sending_waits_for_a_new_connection(caplog):
    first = make_server("127.0.0.1:0")
    await first.start()
    address = first.addresses[0]
    few = Reconnect(attempts=200, first_s=0.01, longest_s=0.05, kept_max=2)
    async with Client(address) as client, client.stream(UPPER, reconnect=few) as stream:
        await killed(first)
        await eventually(lambda: "connection_lost" in caplog.text)
        sending = [asyncio.create_task(stream.send(Text(text))) for text in "abcd"]
        async with make_server(address):
            assert [(await stream.receive()).payload.text for _ in sending] == [*"ABCD"]
            assert [await each for each in sending] == [0, 1, 2, 3]
            await stream.aclose()
        assert stream.given_up == 0


async def test_an_end_of_input_stays_behind_what_waits_for_a_new_connection(caplog):
    first = make_server("127.0.0.1:0")
    await first.start()
    address = first.addresses[0]
    async with Client(address) as client, client.stream(UPPER, reconnect=QUICK) as stream:
        await killed(first)
        await eventually(lambda: "connection_lost" in caplog.text)
        sending = asyncio.create_task(stream.send(Text("late")))
        await asyncio.sleep(0)
        ending = asyncio.create_task(stream.end_input())
        async with make_server(address):
            assert await sending == 0
            await ending
            assert await rest(stream) == [Text("LATE")]


async def test_outputs_of_the_first_inputs_answer_no_other():
    first = make_server("127.0.0.1:0")
    await first.start()
    address = first.addresses[0]
    async with (
        Client(address) as client,
        client.stream(document({"n": "NeverAt"}), Text("first"), reconnect=QUICK) as stream,
    ):
        assert await stream.send(Text("wait")) == 1
        packet = await stream.receive()
        assert (packet.payload, packet.sequence) == (Text("first"), 0)
        await killed(first)
        async with make_server(address) as second:
            assert (await stream.receive()).payload == Text("first")
            (live,) = second.service.sessions
            await eventually(lambda: live.session.statistics().nodes["n"].received == 2)
            await stream.aclose()


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_stream_that_is_left_while_it_waits_to_connect_ends(caplog, cancelled):
    server = make_server("127.0.0.1:0")
    await server.start()
    seldom = Reconnect(first_s=3_600, longest_s=3_600)
    async with Client(server.addresses[0]) as client:
        stream = client.stream(UPPER, reconnect=seldom)
        await stream.start()
        await killed(server)
        await eventually(lambda: "connection_lost" in caplog.text)
        sending = asyncio.create_task(stream.send(Text("a")))
        if cancelled:
            stream.cancel()
        await stream.aclose()
        assert await stream.receive() is None
        with pytest.raises(EdgeClosedError):
            await sending


async def test_a_client_that_is_closed_ends_what_waits_for_a_new_connection(caplog):
    server = make_server("127.0.0.1:0")
    await server.start()
    async with Client(server.addresses[0]) as client:
        stream = client.stream(UPPER, reconnect=QUICK)
        await stream.start()
        receiving = asyncio.create_task(stream.receive())
        await killed(server)
        await eventually(lambda: "connection_lost" in caplog.text)
    with pytest.raises((UsageError, TransportError)):
        await receiving
    await stream.aclose()


async def test_a_service_that_is_stopped_counts_as_lost():
    first = make_server("127.0.0.1:0")
    await first.start()
    address = first.addresses[0]
    async with (
        Client(address) as client,
        client.stream(document({"k": "Keep"}), reconnect=QUICK) as stream,
    ):
        await stream.send(Text("a"))
        await first.service.sessions.end_all()
        await first.stop(0)
        async with make_server(address):
            await stream.send(Text("b"))
            await stream.end_input()
            assert await rest(stream) == [Text("a+b")]


async def test_attempts_end_and_a_server_that_comes_late_is_waited_for():
    patient = Reconnect(attempts=2, first_s=0.01, longest_s=0.01)
    async with Client("127.0.0.1:1") as client:
        with pytest.raises(TransportError):
            await client.stream(UPPER, reconnect=patient).start()
    first = make_server("127.0.0.1:0")
    await first.start()
    address = first.addresses[0]
    await first.stop(0)
    async with Client(address) as client:
        stream = client.stream(UPPER, reconnect=QUICK)
        starting = asyncio.create_task(stream.start())
        async with make_server(address):
            await starting
            await stream.send(Text("a"))
            assert (await stream.receive()).payload == Text("A")
            await stream.aclose()


async def test_an_error_of_the_pipeline_is_no_lost_connection(client):
    async with client.stream(document({"f": "Fail"}), reconnect=QUICK) as stream:
        await stream.send(Text("fail"))
        with pytest.raises(NodeError):
            await stream.receive()
        assert stream.reconnects == 0


# --- which inputs are kept -----------------------------------------------------------------------


def chunk(sequence):
    return streaming_pb2.DataChunk(sequence=sequence)


def test_pauses_double_up_to_the_longest():
    pauses = [*Reconnect(attempts=5, first_s=1.0, longest_s=5.0).pauses_s()]
    assert pauses == [1.0, 2.0, 4.0, 5.0, 5.0]


@pytest.mark.parametrize(
    "fields", [{"attempts": 0}, {"kept_max": -1}, {"first_s": 0}, {"first_s": 2, "longest_s": 1}]
)
def test_what_makes_no_sense_is_refused(fields):
    with pytest.raises(UsageError):
        Reconnect(**fields)


def test_inputs_are_kept_until_a_later_one_is_answered():
    kept = Unanswered(3)
    for sequence in range(5):
        kept.sent(chunk(sequence))
    assert [each.sequence for each in kept] == [2, 3, 4]
    assert kept.given_up == 2
    kept.answered(3)
    assert [each.sequence for each in kept] == [4]
    assert kept.given_up == 0
    kept.answered(1)
    assert len(kept) == 1
    assert not kept.is_empty
    kept.answered(4)
    assert kept.is_empty


def test_an_input_that_was_answered_before_it_was_known_to_be_sent_is_not_kept():
    kept = Unanswered(3)
    kept.answered(0)
    kept.sent(chunk(0))
    assert len(kept) == 0
    assert kept.is_empty


def test_what_was_given_up_is_counted_once():
    kept = Unanswered(1)
    for sequence in range(3):
        kept.sent(chunk(sequence))
    assert kept.take_given_up() == 2
    assert kept.take_given_up() == 0
