"""What a stream's client is sent: one message at a time, whoever writes. Source: FR-008.

A write that has begun is never given up while more is to be said: of a call whose write was
cancelled nothing else can be sent but its status.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.errors import RemoteMediaError
    from protos.remotemedia.v1 import streaming_pb2
    from transports.rpc.service import Context, PipelineService


class ClientGoneError(Exception):
    """Nobody reads what is written."""


class StreamWriter:
    """Writes to one client.

    Attributes:
        active_s: when a response was written last, in the loop's time.
    """

    def __init__(self, service: PipelineService, context: Context) -> None:
        """Write nothing yet.

        Args:
            service: what all services share.
            context: the call.
        """
        self._service = service
        self._context = context
        self._loop = asyncio.get_running_loop()
        self.active_s = self._loop.time()
        self._turn = asyncio.Lock()
        self._begun = False

    @property
    def is_blocked(self) -> bool:
        """Whether a write has begun and not ended, so that nothing more can be written now."""
        return self._begun

    async def write(self, response: streaming_pb2.StreamResponse) -> None:
        """Send a response, waiting for the client to read.

        Raises:
            ClientGoneError: it never will.

        After a cancelled call nothing more can be written.
        """
        async with self._turn:
            self._begun = True
            try:
                await self._context.write(response)
            except Exception as error:
                raise ClientGoneError from error
            self._begun = False
        self.active_s = self._loop.time()

    async def abort(self, error: RemoteMediaError) -> None:
        """End the call by its status, behind what the client has not read; waits for nobody."""
        aborting = asyncio.create_task(self._service.abort(error, self._context))
        await asyncio.wait({aborting}, timeout=0)  # by then grpc has it
        aborting.cancel()
        await asyncio.gather(aborting, return_exceptions=True)
