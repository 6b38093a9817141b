"""The gRPC server: the services on one grpc.aio server, with health, reflection and a drain.

Source: FR-008, FR-012.

    start ─▶ SERVING ─stop(grace)─▶ NOT_SERVING; no new session; the open ones go on
                     └─ all ended, or ended once the grace is over ─▶ last words ─▶ closed

Channel arguments, and why: an unread stream may hold 60 KiB of the server's memory and not 4 to
6 MiB (bdp_probe, lookahead_bytes); a second server on the port is refused and does not take half of
the calls (so_reuseport); a client that is gone without a word is found (keepalive).
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import OVERALL_HEALTH
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from engine.errors import TransportError, UsageError
from protos.remotemedia.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    control_pb2,
    control_pb2_grpc,
    execution_pb2,
    execution_pb2_grpc,
    streaming_pb2,
    streaming_pb2_grpc,
)
from transports.rpc.admin import AdminServicer
from transports.rpc.control import ControlServicer
from transports.rpc.execution import ExecutionServicer
from transports.rpc.malformed import RefuseMalformed
from transports.rpc.streaming import StreamingServicer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from transports.rpc.service import PipelineService

logger = logging.getLogger("remotemedia.rpc")

#: Where a server listens by default: on IPv6 and IPv4, which grpc makes one of where it can.
DEFAULT_ADDRESSES: Final = ("[::]:50051",)
#: How long open calls may go on once the server is told to stop, in seconds.
DRAIN_S: Final = 30.0
#: How long calls may take to say their last words once their sessions have ended.
_LAST_WORDS_S: Final = 1.0
_KEEPALIVE_MS: Final = 30_000
_KEEPALIVE_TIMEOUT_MS: Final = 10_000
#: Clients may ping this often, in ms; also more often, since none is sent away for that.
_PING_INTERVAL_MIN_MS: Final = 10_000


@dataclass(frozen=True, slots=True)
class ServiceEntry:
    """A service that the server offers beside the pipelines'.

    Attributes:
        name: its full name, for health and reflection.
        add: adds its servicer to a server.
    """

    name: str
    add: Callable[[grpc.aio.Server], None]


class RpcServer:
    """A gRPC server. Use it as an async context manager, or `start` and `stop` it.

    Attributes:
        service: what its services share.
        addresses: where it listens, with the ports it was given; empty before the start.
    """

    def __init__(
        self,
        service: PipelineService,
        addresses: Sequence[str] = DEFAULT_ADDRESSES,
        *,
        credentials: grpc.ServerCredentials | None = None,
        interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
        services: Sequence[ServiceEntry] = (),
    ) -> None:
        """Prepare; nothing listens yet.

        Args:
            service: what the services share.
            addresses: "host:port", "[::]:port", "unix:path"; port 0: any that is free.
            credentials: of TLS; None: none.
            interceptors: see every call first.
            services: more services to offer.

        Raises:
            UsageError: there is no address.
        """
        if not addresses:
            raise UsageError("a server needs an address to listen on, such as 127.0.0.1:50051")
        self.service = service
        self.addresses: tuple[str, ...] = ()
        self._asked = tuple(addresses)
        self._credentials = credentials
        self._interceptors = tuple(interceptors)
        self._services = tuple(services)
        self._server: grpc.aio.Server | None = None
        self._health = health_aio.HealthServicer()
        self._stopping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop(0)

    async def start(self) -> None:
        """Listen and serve.

        Raises:
            TransportError: an address cannot be listened on.
            UsageError: it was started before.
        """
        if self._server is not None:
            raise UsageError("a server is started once; make a new one")
        self._server = server = grpc.aio.server(
            interceptors=(*self._interceptors, RefuseMalformed()),
            options=server_options(self.service.limits.message_bytes_max),
        )
        names = self._add_services(server)
        try:
            self.addresses = tuple(self._listen(server, address) for address in self._asked)
        except BaseException:
            await server.stop(None)
            raise
        await server.start()
        for name in names:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        logger.info("serving", extra={"addresses": ", ".join(self.addresses)})

    async def stop(self, grace_s: float = DRAIN_S) -> None:
        """Stop: let in no new session, wait for the open ones, then end what is left.

        Args:
            grace_s: how long open calls may go on, in seconds.

        A second call waits for the first; a cancelled one lets it go on.
        """
        if self._server is None:
            return
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(self._server, grace_s))
        await asyncio.shield(self._stopping)

    async def wait_stopped(self) -> None:
        """Wait until it has stopped."""
        if self._server is not None:
            await self._server.wait_for_termination()
        if self._stopping is not None:
            await asyncio.shield(self._stopping)

    async def _stop(self, server: grpc.aio.Server, grace_s: float) -> None:
        logger.info("draining", extra={"sessions": len(self.service.sessions)})
        self.service.draining = True
        await self._health.enter_graceful_shutdown()
        # The server itself goes on meanwhile: who asks for its health, or for a session, is told.
        sessions = self.service.sessions
        cut_short = not await sessions.wait_all_ended(grace_s)
        if cut_short:
            logger.warning("drain_cut_short", extra={"sessions": len(sessions)})
        await sessions.end_all()
        # Calls say why their sessions ended; who has nothing more to say does not wait.
        await server.stop(_LAST_WORDS_S if grace_s or cut_short else 0)
        logger.info("stopped")

    def _add_services(self, server: grpc.aio.Server) -> list[str]:
        """Add everything; the names that health speaks of."""
        # Generated functions have no annotations.
        execution_pb2_grpc.add_PipelineExecutionServiceServicer_to_server(  # type: ignore[no-untyped-call]
            ExecutionServicer(self.service), server
        )
        streaming_pb2_grpc.add_StreamingPipelineServiceServicer_to_server(  # type: ignore[no-untyped-call]
            StreamingServicer(self.service), server
        )
        control_pb2_grpc.add_PipelineControlServicer_to_server(  # type: ignore[no-untyped-call]
            ControlServicer(self.service), server
        )
        admin_pb2_grpc.add_SessionAdminServicer_to_server(  # type: ignore[no-untyped-call]
            AdminServicer(self.service), server
        )
        for entry in self._services:
            entry.add(server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        pipelines = [
            execution_pb2.DESCRIPTOR.services_by_name["PipelineExecutionService"].full_name,
            streaming_pb2.DESCRIPTOR.services_by_name["StreamingPipelineService"].full_name,
            control_pb2.DESCRIPTOR.services_by_name["PipelineControl"].full_name,
            admin_pb2.DESCRIPTOR.services_by_name["SessionAdmin"].full_name,
            *(entry.name for entry in self._services),
        ]
        health = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
        reflection.enable_server_reflection((*pipelines, health, reflection.SERVICE_NAME), server)
        return [OVERALL_HEALTH, *pipelines]

    def _listen(self, server: grpc.aio.Server, address: str) -> str:
        """Listen on an address; the address with its port."""
        try:
            if self._credentials is None:
                port = server.add_insecure_port(address)
            else:
                port = server.add_secure_port(address, self._credentials)
        except RuntimeError as error:
            raise TransportError(
                f"cannot listen on {address}: is another server there, or is the address not this"
                " machine's?",
                address=address,
            ) from error
        if address.startswith("unix:"):
            return address
        return f"{address.rpartition(':')[0]}:{port}"


def server_options(message_bytes_max: int) -> list[tuple[str, int]]:
    """The channel arguments of a server.

    Args:
        message_bytes_max: the most a message from a client may have.
    """
    return [
        ("grpc.max_receive_message_length", message_bytes_max),
        ("grpc.max_send_message_length", -1),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", 65_536),
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
        # Where the peer's kernel acknowledges what its frozen program does not: 60 s by default.
        ("grpc.http2.ping_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", _PING_INTERVAL_MIN_MS),
        ("grpc.http2.max_ping_strikes", 0),
    ]
