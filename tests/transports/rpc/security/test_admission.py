"""Tokens and quotas, asked of every call of a real server."""

import asyncio
import json
import logging

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from protos.remotemedia.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    control_pb2,
    control_pb2_grpc,
    execution_pb2,
    streaming_pb2,
)
from tests.transports.rpc.control_client import READING_NOTHING_AHEAD, Attached
from tests.transports.rpc.rpc_client import (
    CANCEL,
    PATIENCE_S,
    Client,
    eventually,
    json_data,
    manifest,
)
from transports.rpc import attachment as attachment_module
from transports.rpc.security import admission as admission_module
from transports.rpc.security import quotas as quotas_module
from transports.rpc.security.admission import Admission
from transports.rpc.security.quotas import Quotas
from transports.rpc.security.tokens import Tokens

pytestmark = [pytest.mark.net]

CALCULATOR = manifest({"calc": "CalculatorNode"})
ADD = {"calc": json_data({"operation": "add", "operands": [1, 2]})}
ECHO = manifest({"a": "PassThrough"})
FIRST, SECOND, BOSS = "first-secret", "second-secret", "boss-secret"


def bearer(token):
    return (("authorization", f"Bearer {token}"),)


@pytest.fixture
async def guarded(serve):
    return await serve(interceptors=[Admission(Tokens([FIRST, SECOND], [BOSS]))])


async def one(message):
    yield message


#: Every method there is, by a call of it with some metadata.
CALLS = {
    "ExecutePipeline": lambda client, m: client.execution.ExecutePipeline(
        execution_pb2.ExecuteRequest(manifest=CALCULATOR, data_inputs=ADD), metadata=m
    ),
    "GetVersion": lambda client, m: client.execution.GetVersion(
        execution_pb2.VersionRequest(), metadata=m
    ),
    "StreamPipeline": lambda client, m: read_all(
        client.streaming.StreamPipeline(
            one(
                streaming_pb2.StreamRequest(
                    init=streaming_pb2.StreamInit(manifest=ECHO, client_version="v1")
                )
            ),
            metadata=m,
        )
    ),
    "Attach": lambda client, m: read_all(
        control_pb2_grpc.PipelineControlStub(client.channel).Attach(
            one(control_pb2.ControlFrame()), metadata=m
        )
    ),
    "ListSessions": lambda client, m: admin_pb2_grpc.SessionAdminStub(client.channel).ListSessions(
        admin_pb2.ListSessionsRequest(), metadata=m
    ),
    "Check": lambda client, m: health_pb2_grpc.HealthStub(client.channel).Check(
        health_pb2.HealthCheckRequest(), metadata=m
    ),
    "Watch": lambda client, m: read_one(
        health_pb2_grpc.HealthStub(client.channel).Watch(
            health_pb2.HealthCheckRequest(), metadata=m
        )
    ),
    "ServerReflectionInfo": lambda client, m: read_all(
        reflection_pb2_grpc.ServerReflectionStub(client.channel).ServerReflectionInfo(
            one(reflection_pb2.ServerReflectionRequest(list_services="")), metadata=m
        )
    ),
    "nobody's": lambda client, m: client.channel.unary_unary("/a.B/C")(b"", metadata=m),
}
#: What those of them that fail with a token say.
OTHERWISE = {
    "Attach": grpc.StatusCode.INVALID_ARGUMENT,
    "nobody's": grpc.StatusCode.UNIMPLEMENTED,
}


async def read_all(call):
    return [response async for response in call]


async def read_one(call):
    response = await call.read()
    call.cancel()
    return response


async def status_of(call):
    try:
        async with asyncio.timeout(PATIENCE_S):
            await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


class _Clock:
    """Time that passes only while somebody waits for it."""

    def __init__(self):
        self.now_s = 0.0

    def monotonic(self):
        return self.now_s

    async def sleep(self, delay_s):
        self.now_s += delay_s


@pytest.mark.parametrize("method", CALLS)
async def test_every_call_needs_a_token(guarded, method):
    call, refused = CALLS[method], grpc.StatusCode.UNAUTHENTICATED
    assert await status_of(call(guarded.client, ())) is refused
    assert await status_of(call(guarded.client, bearer("wrong"))) is refused
    expected = OTHERWISE.get(method, grpc.StatusCode.OK)
    assert await status_of(call(guarded.client, bearer(SECOND))) is expected


async def test_nothing_of_a_token_is_logged(guarded, caplog):
    with caplog.at_level(logging.DEBUG):
        for token in (FIRST, "wrong-secret"):
            await status_of(CALLS["ExecutePipeline"](guarded.client, bearer(token)))
    said = json.dumps([str(vars(record)) for record in caplog.records])
    assert "unauthenticated" in said
    assert "client-1" in said
    assert "secret" not in said


async def test_refusals_do_not_fill_the_log(guarded, caplog, monkeypatch):
    clock = _Clock()
    monkeypatch.setattr(admission_module, "monotonic", clock.monotonic)
    for _ in range(5):
        await status_of(CALLS["Check"](guarded.client, bearer("wrong")))
    clock.now_s = 1.5
    await status_of(CALLS["Check"](guarded.client, ()))
    records = [record for record in caplog.records if record.getMessage() == "unauthenticated"]
    assert [record.unsaid for record in records] == [0, 4]


async def test_a_session_is_seen_by_its_client_and_by_operators(guarded):
    stream = await guarded.client.open(ECHO, metadata=bearer(FIRST))
    session_id = (await stream.ready()).session_id
    stub = admin_pb2_grpc.SessionAdminStub(guarded.client.channel)

    async def seen(token):
        response = await stub.ListSessions(
            admin_pb2.ListSessionsRequest(), metadata=bearer(token), timeout=PATIENCE_S
        )
        return [session.session_id for session in response.sessions]

    async def got(token):
        request = admin_pb2.GetSessionRequest(session_id=session_id)
        return await status_of(stub.GetSession(request, metadata=bearer(token)))

    assert [await seen(token) for token in (FIRST, SECOND, BOSS)] == [
        [session_id],
        [],
        [session_id],
    ]
    assert await got(FIRST) is grpc.StatusCode.OK
    assert await got(SECOND) is grpc.StatusCode.NOT_FOUND
    assert await got(BOSS) is grpc.StatusCode.OK
    hello = control_pb2.ControlFrame(hello=control_pb2.Hello(session_id=session_id))
    attach = control_pb2_grpc.PipelineControlStub(guarded.client.channel).Attach
    call = attach(one(hello), metadata=bearer(SECOND))
    assert await status_of(read_all(call)) is grpc.StatusCode.NOT_FOUND
    await stream.close()
    await stream.rest()


async def test_a_client_may_have_so_many_streams_open(serve):
    admission = Admission(Tokens([FIRST, SECOND]), Quotas(calls_max=2))
    client = (await serve(interceptors=[admission])).client
    streams = [await client.open(ECHO, metadata=bearer(FIRST)) for _ in range(2)]
    for stream in streams:
        await stream.ready()
    third = CALLS["ExecutePipeline"]
    assert await status_of(third(client, bearer(FIRST))) is grpc.StatusCode.RESOURCE_EXHAUSTED
    # Neither another client nor a call of another kind is meant.
    assert await status_of(third(client, bearer(SECOND))) is grpc.StatusCode.OK
    assert await status_of(CALLS["GetVersion"](client, bearer(FIRST))) is grpc.StatusCode.OK
    streams[0].call.cancel()
    await streams[1].close()
    await streams[1].rest()
    account = admission._accounts["client-1"]
    await eventually(lambda: account.calls == 0)
    assert await status_of(third(client, bearer(FIRST))) is grpc.StatusCode.OK


async def test_a_client_may_have_so_many_attachments_open(serve, monkeypatch):
    monkeypatch.setattr(quotas_module, "ATTACHED_MAX", 2)
    monkeypatch.setattr(attachment_module, "_GOODBYE_S", 0.05)
    admission = Admission(None, Quotas(calls_max=1))
    running = await serve(interceptors=[admission])
    lazy = Client(running.server.addresses[0], **READING_NOTHING_AHEAD)

    async def attach(stream):
        attached = Attached(lazy.channel)
        await attached.hello((await stream.ready()).session_id)
        return attached

    stream = await running.client.open(ECHO)
    attached = await attach(stream)
    await attached.subscribe("a")
    await attached.done()
    for _ in range(10):
        await stream.send("a", "x" * 200_000)
        await stream.read_kind("result")
    (live,) = running.service.sessions
    await stream.control(CANCEL)
    await stream.rest()
    await eventually(lambda: live.attached == 0)

    # What was not read of the first session still counts.
    stream = await running.client.open(ECHO)
    second = await attach(stream)
    third = CALLS["Attach"](running.client, ())
    assert await status_of(third) is grpc.StatusCode.RESOURCE_EXHAUSTED
    attached.call.cancel()
    second.call.cancel()
    account = admission._accounts[""]
    await eventually(lambda: account.attachments == 0)
    third = CALLS["Attach"](running.client, ())
    assert await status_of(third) is OTHERWISE["Attach"]
    await lazy.channel.close()


async def test_calls_that_come_together_are_counted_too(serve):
    client = (await serve(interceptors=[Admission(None, Quotas(calls_max=3))])).client
    streams = [await client.open(ECHO) for _ in range(10)]

    async def begin(stream):
        try:
            await stream.ready()
        except (AssertionError, grpc.aio.AioRpcError):
            return await stream.call.code()
        return None

    codes = await asyncio.gather(*(begin(stream) for stream in streams))
    assert sorted(map(str, codes)).count("None") == 3
    assert codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED) == 7


async def test_new_calls_beyond_the_rate_are_refused(serve):
    quotas = Quotas(messages_per_s=1e-6)  # one, and then none for days
    client = (await serve(interceptors=[Admission(None, quotas)])).client
    call = CALLS["ExecutePipeline"]
    assert await status_of(call(client, ())) is grpc.StatusCode.OK
    statuses = [await status_of(call(client, ())) for _ in range(3)]
    assert statuses[1:] == [grpc.StatusCode.RESOURCE_EXHAUSTED] * 2


async def test_a_stream_beyond_its_rate_is_slowed_down_and_loses_nothing(serve, monkeypatch):
    clock = _Clock()
    monkeypatch.setattr(admission_module, "monotonic", clock.monotonic)
    monkeypatch.setattr(admission_module, "asyncio", clock)
    quotas = Quotas(bytes_per_s=50_000)
    client = (await serve(interceptors=[Admission(None, quotas)])).client
    stream = await client.open(ECHO)
    await stream.ready()
    for sequence in range(10):
        await stream.send("a", "x" * 10_000, sequence)
    await stream.close()
    results = [r.result for r in await stream.rest() if r.HasField("result")]
    assert [result.sequence for result in results] == list(range(10))
    # 100 kB at 50 kB/s, of which the first second's worth was free; the last one waits for nobody.
    assert clock.now_s == pytest.approx(1.0, rel=0.25)


async def test_without_tokens_and_quotas_calls_pass_untouched(serve):
    client = (await serve(interceptors=[Admission()])).client
    for method, call in CALLS.items():
        expected = OTHERWISE.get(method, grpc.StatusCode.OK)
        assert await status_of(call(client, ())) is expected
