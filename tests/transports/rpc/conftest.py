"""Real servers on the loopback interface, and clients of them."""

from __future__ import annotations

import asyncio
import contextlib

import grpc
import pytest

from engine.config import Settings
from protos.remotemedia.v1 import execution_pb2
from tests.transports.rpc.rpc_client import PATIENCE_S, Client
from tests.transports.rpc.rpc_operators import make_registry
from transports.rpc.limits import ServiceLimits
from transports.rpc.server import RpcServer
from transports.rpc.service import PipelineService

#: Of every server here: what is under way ends quickly.
SETTINGS = {"cleanup_grace_s": 3.0}


async def _start_grpc():
    grpc.aio.init_grpc_aio()


# grpc's own thread and descriptors stay until the process ends; else they would come and go with
# the servers, some time after their last call. It needs a running loop, which is not kept.
with contextlib.closing(asyncio.new_event_loop()) as _loop:
    _loop.run_until_complete(_start_grpc())


class Running:
    """A server, and a client of it."""

    def __init__(self, server, client):
        self.server = server
        self.client = client
        self.service = server.service


@pytest.fixture(scope="session", autouse=True)
def grpc_is_warm():
    """grpc opens some of its descriptors with the first call, and keeps them."""

    async def call():
        async with RpcServer(PipelineService(make_registry()), ["127.0.0.1:0"]) as server:
            client = Client(server.addresses[0])
            await client.execution.GetVersion(execution_pb2.VersionRequest(), timeout=PATIENCE_S)
            await client.channel.close()

    asyncio.run(call())


@pytest.fixture
async def serve():
    """Starts servers: `await serve(settings={…}, limits={…}, debug=…)` gives a Running."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(settings=None, limits=None, debug=False, **options):
            service = PipelineService(
                make_registry(),
                Settings(**{**SETTINGS, **(settings or {})}),
                ServiceLimits(**(limits or {})),
                debug=debug,
            )
            server = await stack.enter_async_context(RpcServer(service, ["127.0.0.1:0"], **options))
            client = Client(server.addresses[0])
            stack.push_async_callback(client.channel.close)
            return Running(server, client)

        yield start


@pytest.fixture
async def running(serve):
    """A server with the defaults."""
    return await serve()


@pytest.fixture
def client(running):
    """A client of a server with the defaults."""
    return running.client
