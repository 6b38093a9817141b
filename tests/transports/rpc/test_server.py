"""The server around the services: addresses, health, reflection, limits of messages, the drain."""

from __future__ import annotations

import asyncio
import socket

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from engine.errors import TransportError, UsageError
from engine.registry import Registry
from tests.transports.rpc.rpc_client import Client, eventually, json_data, manifest, text, value_of
from transports.rpc.server import RpcServer, ServiceEntry, server_options
from transports.rpc.service import PipelineService

pytestmark = [pytest.mark.net]

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
CALCULATOR = manifest({"calc": "CalculatorNode"})
ADD = {"calc": json_data({"operation": "add", "operands": [1, 2]})}


async def health(client, name=""):
    stub = health_pb2_grpc.HealthStub(client.channel)
    return (await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=30)).status


async def test_it_listens_on_ipv4_and_ipv6_at_once():
    service = PipelineService(Registry())
    async with RpcServer(service, ["127.0.0.1:0", "[::1]:0"]) as server:
        assert len(server.addresses) == 2
        for address in server.addresses:
            client = Client(address)
            assert await health(client) == SERVING
            await client.channel.close()


async def test_a_second_server_on_a_port_is_refused(running):
    with pytest.raises(TransportError, match="is another server there"):
        await RpcServer(running.service, [running.server.addresses[0]]).start()


async def test_an_address_that_is_not_free_leaves_no_server_behind():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        server = RpcServer(PipelineService(Registry()), ["127.0.0.1:0", address])
        with pytest.raises(TransportError, match=address):
            await server.start()
    await server.stop()


def test_a_server_needs_an_address():
    with pytest.raises(UsageError):
        RpcServer(PipelineService(Registry()), [])


async def test_a_server_is_started_once(running):
    with pytest.raises(UsageError, match="started once"):
        await running.server.start()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "remotemedia.v1.PipelineExecutionService",
        "remotemedia.v1.StreamingPipelineService",
    ],
)
async def test_health_speaks_of_the_server_and_of_each_service(client, name):
    assert await health(client, name) == SERVING


async def test_calls_by_reflection_alone(running):
    """As a command-line client makes them: it knows no definition of ours."""
    channel = grpc.insecure_channel(running.server.addresses[0])

    def call():
        database = ProtoReflectionDescriptorDatabase(channel)
        assert "remotemedia.v1.StreamingPipelineService" in database.get_services()
        pool = DescriptorPool(database)
        from google.protobuf.message_factory import GetMessageClass

        service = pool.FindServiceByName("remotemedia.v1.PipelineExecutionService")
        method = service.FindMethodByName("GetVersion")
        request, response = (
            GetMessageClass(kind) for kind in (method.input_type, method.output_type)
        )
        return channel.unary_unary(
            f"/{service.full_name}/{method.name}",
            request.SerializeToString,
            response.FromString,
        )(request(), timeout=30)

    try:
        assert (await asyncio.to_thread(call)).version_info.protocol_version == "v1"
    finally:
        channel.close()


def test_the_channel_arguments_bound_what_an_unread_stream_holds():
    options = dict(server_options(10_485_760))
    assert options["grpc.max_receive_message_length"] == 10_485_760
    assert options["grpc.http2.bdp_probe"] == 0
    assert options["grpc.http2.lookahead_bytes"] == 65_536
    assert options["grpc.so_reuseport"] == 0
    assert options["grpc.keepalive_time_ms"] == 30_000
    assert options["grpc.keepalive_timeout_ms"] == 10_000


async def test_interceptors_see_every_call(serve):
    seen = []

    class Watch(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation, handler_call_details):
            seen.append(handler_call_details.method.rpartition("/")[2])
            return await continuation(handler_call_details)

    running = await serve(interceptors=[Watch()])
    await running.client.execute(CALCULATOR, ADD)
    stream = await running.client.open(CALCULATOR)
    await stream.ready()
    stream.call.cancel()
    await health(running.client)
    assert seen == ["ExecutePipeline", "StreamPipeline", "Check"]


async def test_more_services_are_offered_with_health_and_reflection(serve):
    from protos.remotemedia.v1 import control_pb2_grpc

    def add(server):
        control_pb2_grpc.add_PipelineControlServicer_to_server(
            control_pb2_grpc.PipelineControlServicer(), server
        )

    name = "remotemedia.v1.PipelineControl"
    running = await serve(services=[ServiceEntry(name, add)])
    assert await health(running.client, name) == SERVING


# --- the drain ----------------------------------------------------------------------------------


async def test_a_drain_lets_open_sessions_end_and_no_new_one_in(serve):
    running = await serve()
    stream = await running.client.open(manifest({"u": "Upper"}))
    await stream.ready()
    stopping = asyncio.create_task(running.server.stop(grace_s=30))
    await eventually(lambda: running.service.draining)
    assert await health(running.client) == NOT_SERVING
    assert await health(running.client, "remotemedia.v1.PipelineExecutionService") == NOT_SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.client.respond(CALCULATOR, ADD)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    refused = await running.client.open(manifest({"u": "Upper"}))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await refused.read()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    await stream.send("u", "a")
    assert value_of((await stream.read_kind("result")).data_outputs["u"]) == "A"
    await stream.close()
    assert (await stream.rest())[-1].closed.reason == "Client requested close"
    await stopping
    await running.server.stop()  # a second time changes nothing


async def test_a_drain_ends_what_goes_on_for_too_long(serve):
    running = await serve()
    stream = await running.client.open(manifest({"u": "Upper"}))
    await stream.ready()
    (live,) = running.service.sessions
    stopping = asyncio.create_task(running.server.stop(grace_s=0.1))
    assert (await stream.rest())[-1].closed.reason == "The service was stopped"
    await stopping
    assert live.ended.is_set()
    assert len(running.service.sessions) == 0


async def test_a_call_that_began_before_the_drain_opens_no_session_in_it(serve, monkeypatch):
    running = await serve()
    plan = running.service.plan

    async def plan_while_the_drain_begins(*args):
        running.service.draining = True
        return await plan(*args)

    monkeypatch.setattr(running.service, "plan", plan_while_the_drain_begins)
    stream = await running.client.open(CALCULATOR)
    for answer in (stream.read, lambda: running.client.respond(CALCULATOR, ADD)):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await answer()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        running.service.draining = False
    assert not running.service.sessions.opened


@pytest.mark.process
async def test_stopping_at_once_leaves_no_process(serve):
    running = await serve()
    stream = await running.client.open(manifest({"u": "ProcessUpper"}))
    await stream.ready()
    waiting = asyncio.create_task(running.server.wait_stopped())
    await running.server.stop(0)
    await waiting
    assert len(running.service.sessions) == 0


async def test_a_server_that_was_never_started_stops():
    server = RpcServer(PipelineService(Registry()))
    await server.stop()
    await server.wait_stopped()


# --- many streams --------------------------------------------------------------------------------


async def test_a_thousand_streams_that_sleep_harm_nobody(serve):
    running = await serve(limits={"init_wait_s": 3_600.0})
    sleeping = [running.client.stream() for _ in range(1_000)]
    for stream in sleeping[::2]:
        await stream.init(manifest({"u": "Upper"}))
    for stream in sleeping[::2]:
        await stream.ready()
    assert len(running.service.sessions) == 500
    result = await running.client.execute(CALCULATOR, ADD)
    assert value_of(result.data_outputs["calc"])["result"] == 3
    last = sleeping[0]
    await last.send("u", text("a"))
    assert value_of((await last.read_kind("result")).data_outputs["u"]) == "A"
    for stream in sleeping:
        stream.call.cancel()
    await eventually(lambda: not len(running.service.sessions))
