"""Real servers, and our own client of them."""

from __future__ import annotations

import contextlib

import pytest

from remotemedia.client import Client
from tests.transports.rpc.conftest import grpc_is_warm, running, serve

__all__ = ["grpc_is_warm", "running", "serve"]


@pytest.fixture
async def client(running):
    """A client of a server with the defaults."""
    async with Client(running.server.addresses[0]) as client:
        yield client


@pytest.fixture
async def client_of():
    """Makes clients: `await client_of(running, token=…)`."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(running, **options):
            return await stack.enter_async_context(Client(running.server.addresses[0], **options))

        yield make
