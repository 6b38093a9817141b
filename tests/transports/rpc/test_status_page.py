"""/metrics and /healthz, asked over real sockets."""

import asyncio
import socket
import urllib.error
import urllib.request

import pytest

from engine.errors import TransportError
from engine.registry import Registry
from transports.rpc import status_page
from transports.rpc.metrics import ServiceMetrics, make_registry
from transports.rpc.service import PipelineService
from transports.rpc.status_page import StatusPage

pytestmark = [pytest.mark.net]


@pytest.fixture
def service():
    return PipelineService(Registry())


def page_of(service, address="127.0.0.1:0"):
    metrics = ServiceMetrics(service)
    return StatusPage(service, metrics, make_registry(metrics), address)


async def get(page, path, method="GET", **headers):
    """(status, content type, body)."""
    request = urllib.request.Request(f"http://{page.address}{path}", method=method, headers=headers)

    def ask():
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status, response.headers["content-type"], response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["content-type"], error.read().decode()

    return await asyncio.to_thread(ask)


async def test_metrics_are_in_the_form_that_is_asked_for(service):
    async with page_of(service) as page:
        status, kind, body = await get(page, "/metrics")
        assert status == 200
        assert kind.startswith("text/plain")
        assert "\nremotemedia_sessions_open 0.0\n" in body
        _, kind, body = await get(page, "/metrics", Accept="application/openmetrics-text")
        assert kind.startswith("application/openmetrics-text")
        assert body.endswith("# EOF\n")


async def test_health_is_ok_until_the_drain(service):
    async with page_of(service) as page:
        assert (await get(page, "/healthz"))[::2] == (200, "ok\n")
        service.draining = True
        assert (await get(page, "/healthz"))[::2] == (503, "draining\n")


async def test_anything_else_is_refused(service):
    async with page_of(service) as page:
        assert (await get(page, "/"))[0] == 404
        assert (await get(page, "/metrics", "POST"))[0] == 405


async def test_it_listens_on_ipv6_too(service):
    async with page_of(service, "[::1]:0") as page:
        assert page.address.startswith("[::1]:")
        assert (await get(page, "/healthz"))[0] == 200


async def test_a_port_that_is_taken_is_told(service):
    with socket.create_server(("127.0.0.1", 0)) as other:
        page = page_of(service, f"127.0.0.1:{other.getsockname()[1]}")
        with pytest.raises(TransportError, match=r"cannot listen on 127\.0\.0\.1:\d+: Address alr"):
            await page.__aenter__()


async def test_connections_that_say_nothing_give_way(service, monkeypatch):
    monkeypatch.setattr(status_page, "_CONNECTIONS_MAX", 3)
    async with page_of(service) as page:
        host, port = page.address.split(":")
        streams = [await asyncio.open_connection(host, int(port)) for _ in range(5)]
        for reader, _ in streams[:2]:
            assert await reader.read() == b""  # the oldest ones were closed
        assert (await get(page, "/healthz"))[0] == 200
        # The others are still listened to.
        reader, writer = streams[-1]
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        for _, writer in streams:
            writer.close()
            await writer.wait_closed()


async def test_a_connection_that_says_nothing_does_not_hold_up_its_end(service):
    async with page_of(service) as page:
        host, port = page.address.split(":")
        silent = socket.create_connection((host, int(port)))
        assert (await get(page, "/healthz"))[0] == 200
    silent.close()
