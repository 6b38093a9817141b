"""PipelineControl.Attach, as clients see it."""

from __future__ import annotations

import asyncio
import uuid

import grpc
import pytest

from protos.remotemedia.v1 import common_pb2, control_pb2
from tests.transports.rpc.control_client import IN, READING_NOTHING_AHEAD, Attached, address
from tests.transports.rpc.rpc_client import (
    CANCEL,
    Client,
    eventually,
    json_data,
    manifest,
    results_of,
    text,
    value_of,
)
from transports.rpc import attachment
from transports.rpc.limits import ATTACHED_MAX

pytestmark = [pytest.mark.net]

PLACES = [
    pytest.param("", id="local"),
    pytest.param("Process", id="process", marks=pytest.mark.process),
]
CHAIN = {"p": "PassThrough", "u": "Upper", "q": "PassThrough"}
LINKS = ["p->u", "u->q"]


@pytest.fixture
def attach(running):
    return lambda: Attached(running.client.channel)


@pytest.fixture
async def lazy(running):
    """Attaches clients that hold the server up as soon as they do not read."""
    client = Client(running.server.addresses[0], **READING_NOTHING_AHEAD)
    yield lambda: Attached(client.channel)
    await client.channel.close()


async def open_chain(running, place=""):
    """A stream of p -> u -> q, and its session's id."""
    stream = await running.client.open(manifest({**CHAIN, "u": f"{place}Upper"}, LINKS))
    return stream, (await stream.ready()).session_id


async def attached_to(attach, session_id):
    attached = attach()
    await attached.hello(session_id)
    return attached


async def result(stream):
    """What the next result says."""
    while (response := await stream.read()).WhichOneof("response") == "metrics":
        pass
    assert response.WhichOneof("response") == "result", response
    ((_, buffer),) = response.result.data_outputs.items()
    return value_of(buffer)


# --- attaching -----------------------------------------------------------------------------------


async def test_hello_is_answered_with_what_it_named(running, attach):
    _, session_id = await open_chain(running)
    attached = await attach().hello(session_id, "console 7")
    assert (attached.session_id, attached.attach_id) == (session_id, "console 7")


@pytest.mark.parametrize("session_id", [str(uuid.uuid4()), "", "no such thing"])
async def test_an_unknown_session_fails_the_call(attach, session_id):
    attached = attach()
    await attached.write(hello=control_pb2.Hello(session_id=session_id))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await attached.read()
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    "frame",
    [
        {"subscribe": control_pb2.Subscribe(addr=address("u"))},
        {"clear_node_state": control_pb2.ClearNodeState(node_id="u")},
        {},
    ],
)
async def test_a_first_frame_that_is_no_hello_fails_the_call(attach, frame):
    attached = attach()
    await attached.write(**frame)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await attached.read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_no_frame_at_all_fails_the_call(attach):
    attached = attach()
    await attached.call.done_writing()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await attached.read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_only_so_many_clients_are_attached_to_a_session(running, attach):
    _, session_id = await open_chain(running)
    clients = [await attached_to(attach, session_id) for _ in range(ATTACHED_MAX)]
    one_more = attach()
    await one_more.write(hello=control_pb2.Hello(session_id=session_id))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await one_more.read()
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    clients[0].call.cancel()
    (live,) = running.service.sessions
    await eventually(lambda: live.attached == ATTACHED_MAX - 1)
    await attached_to(attach, session_id)


async def test_an_attachment_without_a_hello_is_not_kept(serve):
    running = await serve(limits={"init_wait_s": 0.05})
    attached = Attached(running.client.channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await attached.read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


# --- taps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
async def test_a_tap_shows_what_leaves_a_node(running, attach, place):
    stream, session_id = await open_chain(running, place)
    attached = await attached_to(attach, session_id)
    await attached.subscribe("u")
    await attached.done()
    await stream.send("p", "a")
    tap = await attached.read_kind("tap")
    assert (tap.addr.node_id, tap.addr.direction) == ("u", control_pb2.CONTROL_DIRECTION_OUT)
    assert value_of(tap.data) == "A"
    assert await result(stream) == "A"


async def test_an_address_comes_back_as_it_was_written(running, attach):
    stream, session_id = await open_chain(running)
    attached = await attached_to(attach, session_id)
    await attached.subscribe("u", port="out")
    await attached.subscribe("p")
    await attached.done()
    await stream.send("p", "a")
    taps = [await attached.read_kind("tap") for _ in range(2)]
    assert {(tap.addr.node_id, tap.addr.port) for tap in taps} == {("u", "out"), ("p", "")}


@pytest.mark.parametrize("place", PLACES)
async def test_unsubscribe_closes_the_tap(running, attach, place):
    stream, session_id = await open_chain(running, place)
    attached = await attached_to(attach, session_id)
    await attached.subscribe("u")
    await attached.done()
    await stream.send("p", "a")
    await attached.read_kind("tap")
    await attached.unsubscribe("u")
    await attached.done()
    live = running.service.sessions.get(session_id)
    assert not [each for each in live.session._steering._listeners if not each.ended]
    await stream.send("p", "b")
    assert [await result(stream), await result(stream)] == ["A", "B"]
    await attached.done()  # nothing else came


async def test_subscribing_twice_shows_everything_once(running, attach):
    stream, session_id = await open_chain(running)
    attached = await attached_to(attach, session_id)
    await attached.subscribe("u")
    await attached.subscribe("u", port="out")
    await attached.unsubscribe("q")  # nothing was subscribed there
    await attached.done()
    await stream.send("p", "a")
    assert value_of((await attached.read_kind("tap")).data) == "A"
    assert await result(stream) == "A"
    await attached.done()


async def test_several_clients_may_be_attached_at_once(running, attach):
    stream, session_id = await open_chain(running)
    clients = [await attached_to(attach, session_id) for _ in range(3)]
    for each in clients:
        await each.subscribe("u")
        await each.done()
    await stream.send("p", "a")
    for each in clients:
        assert value_of((await each.read_kind("tap")).data) == "A"


async def test_a_client_that_does_not_read_misses_taps_and_holds_nobody_up(running, attach):
    stream, session_id = await open_chain(running)
    attached = await attached_to(attach, session_id)
    await attached.subscribe("u")
    await attached.done()
    count, large = 200, "x" * 200_000
    for number in range(count):
        await stream.send("p", f"{number} {large}")
        assert (await result(stream)).startswith(f"{number} ")
    await stream.close()
    await stream.rest()
    seen = []
    while (event := await attached.read()).WhichOneof("event") == "tap":
        seen.append(int(value_of(event.tap.data).split()[0]))
    assert event.WhichOneof("event") == "session_closed"
    assert seen == sorted(seen)
    assert seen[-1] == count - 1
    assert len(seen) < count


# --- publishing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
async def test_what_is_published_enters_at_its_node(running, attach, place):
    stream, session_id = await open_chain(running, place)
    attached = await attached_to(attach, session_id)
    await attached.publish("u", text("a", metadata={"from": "me"}))
    response = await stream.read_kind("result")
    assert value_of(response.data_outputs["q"]) == "A"
    assert response.data_outputs["q"].metadata["from"] == "me"


async def test_what_is_published_keeps_its_order_with_node_states(running, attach):
    stream, session_id = await open_chain(running)
    attached = await attached_to(attach, session_id)
    await attached.set_state("u", control_pb2.NODE_STATE_BYPASS)
    await attached.publish("u", "a")
    assert await result(stream) == "a"


async def test_what_a_client_sent_before_it_left_is_still_done(running, attach):
    stream, session_id = await open_chain(running)
    attached = await attached_to(attach, session_id)
    for number in range(20):
        await attached.publish("p", f"t{number}")
    await attached.call.done_writing()
    assert [await result(stream) for _ in range(20)] == [f"T{number}" for number in range(20)]
    assert await attached.read() is None
    assert await attached.call.code() is grpc.StatusCode.OK


async def test_what_would_fail_the_session_is_refused(running, attach):
    stream = await running.client.open(manifest({"a": "OnlyAudio"}))
    attached = await attached_to(attach, (await stream.ready()).session_id)
    await attached.publish("a", "text")
    error = await attached.read_kind("error")
    assert error.code == control_pb2.CONTROL_ERROR_CODE_PROTOCOL
    assert "takes audio, got text" in error.message
    await stream.close()
    assert [each.WhichOneof("response") for each in await stream.rest()] == ["closed"]


# --- interceptions -------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("decision", "comes_out"),
    [
        ({"pass": True}, ["A", "END"]),
        ({"replace": text("instead")}, ["instead", "END"]),
        ({"drop": True}, ["END"]),
    ],
)
async def test_a_decision_is_carried_out(running, attach, place, decision, comes_out):
    stream, session_id = await open_chain(running, place)
    attached = await attached_to(attach, session_id)
    await attached.intercept("u")
    await attached.done()
    await stream.send("p", "a")
    question = await attached.read_kind("intercept_request")
    assert value_of(question.data) == "A"
    await attached.reply(question.correlation_id, **decision)
    await stream.send("p", "end")
    question = await attached.read_kind("intercept_request")
    await attached.reply(question.correlation_id, **{"pass": True})
    assert [await result(stream) for _ in comes_out] == comes_out


async def test_a_tap_sees_an_output_before_it_is_replaced(running, attach):
    stream, session_id = await open_chain(running)
    attached = await attached_to(attach, session_id)
    await attached.subscribe("u")
    await attached.intercept("u")
    await attached.done()
    await stream.send("p", "a")
    assert value_of((await attached.read_kind("tap")).data) == "A"
    question = await attached.read_kind("intercept_request")
    await attached.reply(question.correlation_id, replace=text("b"))
    assert await result(stream) == "b"


async def test_what_is_not_decided_in_time_passes(running, attach):
    stream, session_id = await open_chain(running)
    attached = await attached_to(attach, session_id)
    await attached.intercept("u", deadline_ms=0)  # the default
    await attached.done()
    await stream.send("p", "a")
    question = await attached.read_kind("intercept_request")
    assert await result(stream) == "A"
    await attached.reply(question.correlation_id, drop=True)  # too late, which is no fault
    await attached.remove_intercept("u")
    await attached.done()
    await stream.send("p", "b")
    assert await result(stream) == "B"
    await attached.done()


async def test_questions_whose_time_is_over_wait_for_nobody(running, lazy):
    stream, session_id = await open_chain(running)
    attached = await attached_to(lazy, session_id)
    await attached.intercept("u", deadline_ms=1)
    await attached.done()
    count, large = 5, "X" * 200_000
    for _ in range(count):
        await stream.send("p", large)
        assert await result(stream) == large
    await attached.write(set_node_state=control_pb2.SetNodeState(node_id="nobody"))
    asked = 0
    while (event := await attached.read()).WhichOneof("event") == "intercept_request":
        asked += 1
    assert event.WhichOneof("event") == "error"
    assert asked < count


async def test_what_waits_passes_when_the_interception_is_removed(running, attach):
    stream, session_id = await open_chain(running)
    attached = await attached_to(attach, session_id)
    await attached.intercept("u")
    await attached.done()
    await stream.send("p", "a")
    await attached.read_kind("intercept_request")
    await attached.remove_intercept("u")
    assert await result(stream) == "A"


@pytest.mark.parametrize("place", PLACES)
async def test_a_client_that_vanishes_leaves_nothing(running, attach, place):
    stream, session_id = await open_chain(running, place)
    attached = await attached_to(attach, session_id)
    await attached.subscribe("p")
    await attached.intercept("u")
    await attached.done()
    await stream.send("p", "a")
    await attached.read_kind("tap")
    await attached.read_kind("intercept_request")
    attached.call.cancel()
    assert await result(stream) == "A"
    live = running.service.sessions.get(session_id)
    await eventually(lambda: all(each.ended for each in live.session._steering._listeners))
    await stream.send("p", "b")
    assert await result(stream) == "B"


async def test_a_port_that_somebody_intercepts_is_refused_to_others(running, attach):
    _, session_id = await open_chain(running)
    first, second = [await attached_to(attach, session_id) for _ in range(2)]
    await first.intercept("u")
    await first.done()
    await second.intercept("u")
    error = await second.read_kind("error")
    assert error.code == control_pb2.CONTROL_ERROR_CODE_PROTOCOL
    assert "intercepted" in error.message


# --- node states ---------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
async def test_a_nodes_state_is_set_and_cleared(running, attach, place):
    stream, session_id = await open_chain(running, place)
    attached = await attached_to(attach, session_id)
    await attached.set_state("u", control_pb2.NODE_STATE_BYPASS)
    await attached.done()
    await stream.send("p", "a")
    assert await result(stream) == "a"
    await attached.clear_state("u")
    await attached.done()
    await stream.send("p", "b")
    assert await result(stream) == "B"
    await attached.set_state("u", control_pb2.NODE_STATE_DISABLED)
    await attached.done()
    await stream.send("p", "c")
    await stream.close()
    assert results_of(await stream.rest()) == []


# --- what is wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "code", "said"),
    [
        (
            {"subscribe": control_pb2.Subscribe(addr=address("uu"))},
            control_pb2.CONTROL_ERROR_CODE_UNKNOWN_NODE,
            "no node 'uu'",
        ),
        (
            {"publish": control_pb2.Publish(addr=address("x", IN), data=text("a"))},
            control_pb2.CONTROL_ERROR_CODE_UNKNOWN_NODE,
            "no node 'x'",
        ),
        (
            {"intercept": control_pb2.Intercept(addr=address("x"))},
            control_pb2.CONTROL_ERROR_CODE_UNKNOWN_NODE,
            "no node 'x'",
        ),
        (
            {"set_node_state": control_pb2.SetNodeState(node_id="x", state=1)},
            control_pb2.CONTROL_ERROR_CODE_UNKNOWN_NODE,
            "no node 'x'",
        ),
        (
            {"subscribe": control_pb2.Subscribe(addr=address("u", port="left"))},
            control_pb2.CONTROL_ERROR_CODE_INVALID_ADDRESS,
            "no port 'left'",
        ),
        (
            {"subscribe": control_pb2.Subscribe(addr=address("u", IN))},
            control_pb2.CONTROL_ERROR_CODE_INVALID_ADDRESS,
            "direction OUT",
        ),
        (
            {"publish": control_pb2.Publish(addr=address("u"), data=text("a"))},
            control_pb2.CONTROL_ERROR_CODE_INVALID_ADDRESS,
            "direction IN",
        ),
        (
            {"publish": control_pb2.Publish(addr=address("u", IN))},
            control_pb2.CONTROL_ERROR_CODE_PROTOCOL,
            "DataBuffer is empty",
        ),
        (
            {"set_node_state": control_pb2.SetNodeState(node_id="u", state=9)},
            control_pb2.CONTROL_ERROR_CODE_PROTOCOL,
            "no node state 9",
        ),
        (
            {"hello": control_pb2.Hello(session_id="x")},
            control_pb2.CONTROL_ERROR_CODE_PROTOCOL,
            "sent before",
        ),
        ({}, control_pb2.CONTROL_ERROR_CODE_PROTOCOL, "frame is empty"),
        (
            {"intercept_reply": control_pb2.InterceptReply(correlation_id=7)},
            control_pb2.CONTROL_ERROR_CODE_PROTOCOL,
            "correlation_id 7",
        ),
    ],
)
async def test_a_wrong_frame_is_an_error_event_and_the_attachment_goes_on(
    running, attach, frame, code, said
):
    _, session_id = await open_chain(running)
    attached = await attached_to(attach, session_id)
    await attached.write(**frame)
    error = await attached.read_kind("error")
    assert error.code == code
    assert said.lower() in error.message.lower()
    body = next(iter(frame.values()), None)
    if hasattr(body, "addr"):
        assert error.addr == body.addr
    await attached.done()


# --- the session's end ---------------------------------------------------------------------------


async def test_a_session_that_ends_well_is_closed_normally(running, attach):
    stream, session_id = await open_chain(running)
    attached = await attached_to(attach, session_id)
    await attached.subscribe("u")
    await attached.done()
    await stream.send("p", "a")
    await stream.close()
    await stream.rest()
    assert value_of((await attached.read_kind("tap")).data) == "A"
    closed = await attached.read_kind("session_closed")
    assert closed.reason == control_pb2.CLOSE_REASON_CODE_NORMAL
    assert await attached.read() is None
    assert await attached.call.code() is grpc.StatusCode.OK


async def test_a_cancelled_session_is_closed_normally(running, attach):
    stream, session_id = await open_chain(running)
    attached = await attached_to(attach, session_id)
    await stream.control(CANCEL)
    closed = await attached.read_kind("session_closed")
    assert closed.reason == control_pb2.CLOSE_REASON_CODE_NORMAL


@pytest.mark.parametrize("place", PLACES)
async def test_a_session_that_fails_is_closed_with_its_error(running, attach, place):
    stream = await running.client.open(manifest({"f": f"{place}Fail"}))
    attached = await attached_to(attach, (await stream.ready()).session_id)
    await stream.send("f", "fail")
    await stream.rest()
    closed = await attached.read_kind("session_closed")
    assert closed.reason == control_pb2.CLOSE_REASON_CODE_ERROR
    assert "cannot digest this" in closed.detail


async def test_executions_can_be_attached_to_as_well(running, attach):
    graph = manifest({"n": "Never"})
    calling = asyncio.create_task(running.client.respond(graph, {"n": json_data(1)}))
    sessions = running.service.sessions
    await eventually(lambda: any(live.session.phase == "draining" for live in sessions))
    (live,) = sessions
    attached = await attached_to(attach, live.id)
    calling.cancel()
    closed = await attached.read_kind("session_closed")
    assert closed.reason in {
        control_pb2.CLOSE_REASON_CODE_NORMAL,
        control_pb2.CLOSE_REASON_CODE_ERROR,
    }


async def test_a_client_that_does_not_read_to_the_end_is_given_up(running, lazy, monkeypatch):
    monkeypatch.setattr(attachment, "_GOODBYE_S", 0.05)
    stream, session_id = await open_chain(running)
    attached = await attached_to(lazy, session_id)
    await attached.subscribe("u")
    await attached.done()
    live = running.service.sessions.get(session_id)
    for _ in range(10):
        await stream.send("p", "x" * 200_000)
        await result(stream)
    await stream.close()
    await stream.rest()
    await eventually(lambda: live.attached == 0)
    with pytest.raises(grpc.aio.AioRpcError, match="not read") as caught:
        await asyncio.gather(*(attached.read() for _ in range(10)))
    assert caught.value.code() is grpc.StatusCode.ABORTED


# --- control messages in a stream ----------------------------------------------------------------


async def test_a_control_message_in_a_stream_goes_past_the_data(running):
    stream = await running.client.open(manifest({"t": "Told"}))
    await stream.ready()
    for number in range(3):
        await stream.send("t", f"t{number}", number)
    await eventually(lambda: _received(running) >= 1)
    hint = common_pb2.ControlMessage(batch_hint={"suggested_batch_size": 4})
    await stream.send("t", common_pb2.DataBuffer(control=hint))
    responses = []
    while len(responses) < 3:
        response = await stream.read()
        responses.append(value_of(response.result.data_outputs["t"]))
    assert responses == ["t0 told 4", "t1 told 4", "t2 told 4"]


def _received(running):
    (live,) = running.service.sessions
    return live.session.statistics().nodes["t"].received
