"""Servers in a thread of their own, for tests without a loop."""

from __future__ import annotations

from contextlib import contextmanager

from engine.config import Settings
from engine.session.blocking import LoopThread
from tests.transports.rpc import conftest as _grpc_starts_once  # noqa: F401
from tests.transports.rpc.rpc_operators import make_registry
from transports.rpc.server import RpcServer
from transports.rpc.service import PipelineService


@contextmanager
def serving(**options):
    """A server with the operators of the door's tests."""

    async def start():
        service = PipelineService(make_registry(), Settings(cleanup_grace_s=3.0))
        server = RpcServer(service, ["127.0.0.1:0"], **options)
        await server.start()
        return server

    with LoopThread("test-server") as thread:
        server = thread.call(start)
        try:
            yield server
        finally:
            thread.complete(server.stop, 0)
