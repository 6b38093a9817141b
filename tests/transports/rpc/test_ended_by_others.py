"""What clients are told whose sessions are ended by others than themselves."""

import asyncio

import grpc
import pytest

from protos.remotemedia.v1 import admin_pb2, admin_pb2_grpc
from tests.transports.rpc.rpc_client import PATIENCE_S, eventually, json_data, manifest, text
from transports.rpc.errors import CLOSED, STOPPED

pytestmark = [pytest.mark.net]

NEVER = manifest({"a": "Never"})


@pytest.fixture
async def execution(running):
    """An execution that does not end by itself."""
    task = asyncio.create_task(running.client.respond(NEVER, {"a": text("x")}))
    await eventually(
        lambda: any(live.session.phase == "draining" for live in running.service.sessions)
    )
    yield task
    task.cancel()


async def refused(task):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async with asyncio.timeout(PATIENCE_S):
            await task
    return caught.value.code(), caught.value.details()


async def test_an_execution_that_is_cut_short_is_no_success(running, execution):
    await running.service.sessions.end_all()
    assert await refused(execution) == (grpc.StatusCode.UNAVAILABLE, "The service was stopped")


async def test_an_operator_may_end_one(running, execution):
    (live,) = running.service.sessions
    stub = admin_pb2_grpc.SessionAdminStub(running.client.channel)
    await stub.CloseSession(admin_pb2.CloseSessionRequest(session_id=live.id), timeout=PATIENCE_S)
    code, details = await refused(execution)
    assert code is grpc.StatusCode.UNAVAILABLE
    assert "operator" in details


async def test_a_stream_is_told_why_it_is_closed(running):
    stream = await running.client.open(manifest({"a": "PassThrough"}))
    await stream.ready()
    await running.service.sessions.end_all()
    *_, last = await stream.rest()
    assert last.closed.reason == "The service was stopped"


@pytest.mark.process
@pytest.mark.parametrize("who", ["service", "operator"])
async def test_what_is_ended_while_it_starts_is_told_the_same(running, who):
    graph = manifest({"a": "ProcessNeverReady"})
    execution = asyncio.create_task(running.client.respond(graph, {"a": text("x")}))
    stream = await running.client.open(graph)
    sessions = running.service.sessions
    await eventually(lambda: [live.session.phase for live in sessions] == ["starting"] * 2)
    if who == "service":
        await sessions.end_all()
    else:
        stub = admin_pb2_grpc.SessionAdminStub(running.client.channel)
        for live in sessions:
            request = admin_pb2.CloseSessionRequest(session_id=live.id)
            await stub.CloseSession(request, timeout=PATIENCE_S)
    reason = STOPPED if who == "service" else CLOSED
    assert await refused(execution) == (grpc.StatusCode.UNAVAILABLE, reason)
    *_, last = await stream.rest()
    assert last.closed.reason == reason


async def test_an_error_that_came_before_the_end_is_told(running, monkeypatch):
    stream = await running.client.open(manifest({"f": "Fail"}))
    await stream.ready()
    (live,) = running.service.sessions
    failed = live.session.stage_failed

    def fail_and_stop(*args):
        failed(*args)
        live.stop(STOPPED)

    monkeypatch.setattr(live.session, "stage_failed", fail_and_stop)
    await stream.send("f", "fail")
    assert "cannot digest this" in (await stream.error()).message


async def test_a_client_that_does_not_read_is_ended_as_well(running, monkeypatch):
    monkeypatch.setattr("transports.rpc.stream.LAST_WORDS_S", 0.05)
    stream = await running.client.open(manifest({"e": ("Expand", {"times": 2_000})}))
    await stream.ready()
    (live,) = running.service.sessions
    await stream.send("e", json_data("x" * 5_000))
    before = -1
    while (now := live.session.statistics().outputs) != before or not now:  # until it is held up
        before = now
        await asyncio.sleep(0.1)
    live.stop(CLOSED)
    async with asyncio.timeout(PATIENCE_S):
        await live.ended.wait()
    assert await refused(asyncio.create_task(stream.rest())) == (
        grpc.StatusCode.UNAVAILABLE,
        CLOSED,
    )


@pytest.mark.parametrize("method", ["stream", "execution"])
async def test_a_client_that_leaves_is_no_error_of_its_session(running, method):
    errors = []
    running.service.sessions.on_end = lambda live: errors.append(live.error)
    if method == "stream":
        call = (await running.client.open(NEVER)).call
    else:
        call = asyncio.create_task(running.client.respond(NEVER, {"a": text("x")}))
    await eventually(
        lambda: any(live.session.phase != "created" for live in running.service.sessions)
    )
    call.cancel()
    await eventually(lambda: errors)
    assert errors == [None]
