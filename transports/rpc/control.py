"""PipelineControl: looking into running sessions, and steering them; `attachment` is one client.

Source: FR-012.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
from google.protobuf.message import DecodeError

from protos.remotemedia.v1 import control_pb2_grpc
from transports.rpc.attachment import Attachment
from transports.rpc.limits import ATTACHED_MAX
from transports.rpc.malformed import MALFORMED

if TYPE_CHECKING:
    from protos.remotemedia.v1 import control_pb2
    from transports.rpc.service import Context, PipelineService
    from transports.rpc.sessions import LiveSession

#: Of an id that nobody knows, so much is repeated.
_SHOWN_MAX = 100


class ControlServicer(control_pb2_grpc.PipelineControlServicer):
    """See the module."""

    def __init__(self, service: PipelineService) -> None:
        """Serve.

        Args:
            service: what all services share.
        """
        self._service = service

    async def Attach(  # noqa: N802 - the wire's name
        self, _: object, context: Context
    ) -> None:
        """Attach a client to a session, until it leaves or the session has ended."""
        hello = await self._hello(context)
        live = await find_session(self._service, hello.session_id, context)
        if live.attached >= ATTACHED_MAX:
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"{ATTACHED_MAX} clients are attached to session {live.id}; no more may be",
            )
        live.attached += 1
        try:
            await Attachment(self._service, context, live).run(hello.attach_id)
        finally:
            live.attached -= 1

    async def _hello(self, context: Context) -> control_pb2.Hello:
        wait_s = self._service.limits.init_wait_s
        try:
            async with asyncio.timeout(wait_s):
                frame = await context.read()
        except TimeoutError:
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, f"no Hello came within {wait_s:g} s"
            )
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, MALFORMED)
        if frame is grpc.aio.EOF or frame.WhichOneof("op") != "hello":
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, "the first frame of an attachment is a Hello"
            )
        hello: control_pb2.Hello = frame.hello
        return hello


async def find_session(service: PipelineService, session_id: str, context: Context) -> LiveSession:
    """A session that runs; ends the call with a status where there is none.

    Args:
        service: what all services share.
        session_id: as the client names it.
        context: the call.
    """
    live = service.sessions.get(session_id)
    if live is None:
        shown = session_id[:_SHOWN_MAX]
        await context.abort(
            grpc.StatusCode.NOT_FOUND, f"there is no session {shown!r}; it may have ended"
        )
    if live.session.phase in {"created", "starting"}:
        await context.abort(
            grpc.StatusCode.UNAVAILABLE, f"session {live.id} is still starting; try again"
        )
    return live
