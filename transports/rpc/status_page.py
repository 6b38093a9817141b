"""/metrics and /healthz over HTTP, for what watches the service. Source: FR-009.

GET /metrics   200, in the form of Prometheus that the client asks for
GET /healthz   200 "ok"; 503 "draining" while the service is shutting down
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from typing import TYPE_CHECKING, Any, Final, Self

import uvicorn
from prometheus_client.exposition import choose_encoder
from uvicorn.protocols.http.h11_impl import H11Protocol

from engine.errors import TransportError
from transports.rpc.addresses import split_address

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from types import TracebackType

    from prometheus_client import CollectorRegistry

    from transports.rpc.metrics import ServiceMetrics
    from transports.rpc.service import PipelineService

_TEXT: Final = "text/plain; charset=utf-8"
#: Connections that may be open at once; for one more the oldest is closed.
_CONNECTIONS_MAX: Final = 64
#: How long an answer under way may take once the page is closed, seconds.
_LAST_WORDS_S: Final = 1


class StatusPage:
    """Answers over HTTP. Use it as an async context manager.

    Attributes:
        address: where it listens, with the port it was given; "" before it does.
    """

    def __init__(
        self,
        service: PipelineService,
        metrics: ServiceMetrics,
        registry: CollectorRegistry,
        address: str,
    ) -> None:
        """Prepare; nothing listens yet.

        Args:
            service: whose state it tells.
            metrics: refreshed for each answer.
            registry: what is told.
            address: "host:port"; port 0: any that is free.
        """
        self.address = ""
        self._service = service
        self._metrics = metrics
        self._registry = registry
        self._asked = address
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            TransportError: the address cannot be listened on.
        """
        listener = _listen(self._asked)
        host, _ = split_address(self._asked)
        self.address = f"{host}:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            self._answer,
            interface="asgi3",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            http=_Connection,
            ws="none",
            timeout_graceful_shutdown=_LAST_WORDS_S,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve([listener]))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        assert self._serving is not None
        self._server.should_exit = True
        await self._serving

    async def _answer(self, scope: dict[str, Any], _: Any, send: _Send) -> None:
        """One request, as ASGI has it."""
        if scope["type"] != "http":
            return
        method, path = scope["method"], scope["path"]
        if path not in {"/metrics", "/healthz"}:
            await _respond(send, 404, b"there are /metrics and /healthz\n")
        elif method not in {"GET", "HEAD"}:
            await _respond(send, 405, b"only GET\n")
        elif path == "/healthz":
            draining = self._service.draining
            await _respond(send, 503 if draining else 200, b"draining\n" if draining else b"ok\n")
        else:
            await self._metrics.refresh()
            accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
            encode, content_type = choose_encoder(accept)
            await _respond(send, 200, encode(self._registry), content_type)


class _Connection(H11Protocol):
    """Takes the place of the oldest one where there are too many.

    So whoever asks right away, as a probe of the health does, is answered, however many others say
    nothing. uvicorn's own limit answers with 503 instead, and counts the silent ones.
    """

    _numbers = itertools.count()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self.number = next(self._numbers)
        open_ones = [
            each
            for each in self.connections
            if isinstance(each, _Connection) and not each.transport.is_closing()
        ]
        if len(open_ones) > _CONNECTIONS_MAX:
            min(open_ones, key=lambda each: each.number).transport.abort()


class _Server(uvicorn.Server):
    """Leaves signals to the command."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _respond(send: _Send, status: int, body: bytes, content_type: str = _TEXT) -> None:
    headers = [
        (b"content-type", content_type.encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _listen(address: str) -> socket.socket:
    host, port = split_address(address)
    name = host.strip("[]")
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    try:
        return socket.create_server((name, port), family=family)
    except OSError as error:
        raise TransportError(
            f"cannot listen on {address}: {error.strerror or error}", address=address
        ) from error


if TYPE_CHECKING:
    _Send = Callable[[dict[str, Any]], Awaitable[None]]
