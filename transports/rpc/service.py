"""What all gRPC services share: settings, limits, plans, and the sessions that are open.

The servicers are thin: they speak the wire, and ask here for everything else.
"""

from __future__ import annotations

import datetime as dt
import logging
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import grpc

import engine
from engine.config import Settings
from engine.errors import RemoteMediaError, ResourceLimitError
from engine.version import VERSION
from protos.remotemedia.v1 import common_pb2
from transports.rpc.conversion.manifest import MULTIPROCESS_HEADER
from transports.rpc.errors import (
    InputError,
    SessionEndedError,
    VersionError,
    error_response,
    verdict_of,
)
from transports.rpc.limits import ServiceLimits
from transports.rpc.plans import PlanCache, Prepared
from transports.rpc.sessions import SessionRegistry

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from engine.manifest.model import Manifest
    from engine.plan import Plan
    from engine.registry import Registry
    from protos.remotemedia.v1 import execution_pb2
    from transports.rpc.security.access import Access
    from transports.rpc.sessions import LiveSession

logger = logging.getLogger("remotemedia.rpc")

#: The version of the wire this service speaks.
PROTOCOL: Final = "v1"
#: Bytes of payload that may wait on an edge of a session where the settings do not say: who sends
#: is a stranger, and chooses how many packets an edge may hold.
EDGE_BYTES_MAX: Final = 16 * 1024**2
_MAJOR: Final = re.compile(r"v(\d+)(?:\.\d+)*", re.IGNORECASE)

#: A servicer's context; the types of grpc.aio want those of a request and a response.
Context = grpc.aio.ServicerContext[Any, Any]


class PipelineService:
    """One service: what it may do, what it knows, what it has open.

    Attributes:
        registry: the operators there are.
        settings: the engine's settings; bytes that wait on edges are bounded in any case.
        limits: the service's own limits.
        sessions: the sessions that are open.
        plans: manifests planned before.
        debug: whether clients may see tracebacks of ours.
        draining: whether no new session is let in.
        errors: how often clients were told an error in-band, by its type.
    """

    def __init__(
        self,
        registry: Registry,
        settings: Settings | None = None,
        limits: ServiceLimits | None = None,
        *,
        debug: bool = False,
        access: Access | None = None,
        pipelines: Mapping[str, Manifest] | None = None,
    ) -> None:
        """Know the operators; nothing is started.

        Args:
            registry: the operators there are.
            settings: the engine's settings; None: the defaults.
            limits: the service's own limits; None: the defaults.
            debug: whether clients may see tracebacks of ours.
            access: what clients' manifests may name outside of the pipeline; None: anything.
            pipelines: the service's own, see `PlanCache`.
        """
        self.registry = registry
        settings = Settings() if settings is None else settings
        if settings.edge_bytes_max is None:
            settings = replace(settings, edge_bytes_max=EDGE_BYTES_MAX)
        self.settings = settings
        self.limits = ServiceLimits() if limits is None else limits
        self.sessions = SessionRegistry()
        self.plans = PlanCache(registry, self.settings, access=access, pipelines=pipelines)
        self.errors: Counter[str] = Counter()
        self.debug = debug
        self.draining = False

    async def plan(
        self,
        manifest: execution_pb2.PipelineManifest,
        context: Context,
        fed: Collection[str] = (),
    ) -> tuple[Prepared, bool]:
        """The plan of a call's manifest, and whether it was kept; see `PlanCache.get`."""
        return await self.plans.get(manifest, header(context, MULTIPROCESS_HEADER), fed)

    async def refuse_if_draining(self, context: Context) -> None:
        """End a call that would open a session while the service is being shut down."""
        if self.draining:
            await context.abort(
                grpc.StatusCode.UNAVAILABLE, "the server is shutting down: try another one"
            )

    async def open(self, plan: Plan, method: str, context: Context) -> LiveSession:
        """Make a session of a call, see `SessionRegistry.open`.

        Ends the call if the service has begun to shut down: it may have since the call began.
        """
        await self.refuse_if_draining(context)
        return self.sessions.open(plan, method, context.peer())

    async def answer(self, error: BaseException, context: Context) -> common_pb2.ErrorResponse:
        """What a client is told in-band of an error; logs what is our own fault.

        An error of the call itself (too many sessions, or ended by others) ends the call with its
        status.
        """
        if isinstance(error, ResourceLimitError) and error.context.get("resource") == "sessions":
            await self.abort(error, context)
        if isinstance(error, SessionEndedError):
            await self.abort(error, context)
        if not isinstance(error, RemoteMediaError):
            logger.error("internal_error", exc_info=error)
        response = error_response(error, debug=self.debug)
        self.errors[common_pb2.ErrorType.Name(response.error_type)] += 1
        return response

    async def abort(self, error: RemoteMediaError, context: Context) -> NoReturn:
        """End a call with an error's status."""
        await context.abort(verdict_of(error).status, error.message)

    def version(self) -> common_pb2.VersionInfo:
        """What this service is."""
        built = dt.datetime.fromtimestamp(Path(str(engine.__file__)).stat().st_mtime, dt.UTC)
        return common_pb2.VersionInfo(
            protocol_version=PROTOCOL,
            runtime_version=VERSION,
            supported_node_types=sorted(self.registry),
            supported_protocols=[PROTOCOL],
            build_timestamp=built.isoformat(timespec="seconds"),
        )


def check_version(client_version: str) -> None:
    """Refuse a client of another version of the wire.

    Args:
        client_version: "v1", "v1.2"; of anything else it is not known what it would mean.

    Raises:
        VersionError: it is another major version than ours.
    """
    match = _MAJOR.fullmatch(client_version)
    if match is not None and f"v{match[1]}" != PROTOCOL:
        raise VersionError(
            f"the client speaks version {client_version[:40]} of the protocol, and this service"
            f" speaks {PROTOCOL}"
        )


def check_named(client_version: str) -> None:
    """Refuse a stream whose client names no version.

    Raises:
        InputError: it does not.
    """
    if not client_version:
        raise InputError(f"init.client_version is empty: say {PROTOCOL!r}")


def header(context: Context, name: str) -> str | None:
    """A value of the call's metadata, the last one of several; None where there is none."""
    found: str | None = None
    for key, value in context.invocation_metadata() or ():
        if key == name:
            found = value if isinstance(value, str) else value.decode(errors="replace")
    return found
