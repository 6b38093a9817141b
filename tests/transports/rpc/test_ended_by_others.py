"""What clients are told whose sessions are ended by others than themselves."""

import asyncio

import grpc
import pytest

from protos.remotemedia.v1 import admin_pb2, admin_pb2_grpc
from tests.transports.rpc.rpc_client import PATIENCE_S, eventually, manifest, text

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
