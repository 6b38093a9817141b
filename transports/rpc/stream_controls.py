"""Control messages of a stream: told to nodes past the data, one after the other. Source: FR-012.

A node that is busy takes a while to answer. Inputs that came behind the message wait for that, the
reader of the client's messages does not.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from engine.errors import EdgeClosedError
from engine.payloads import CancelSpeculation, Control

if TYPE_CHECKING:
    from transports.rpc.inputs import Chunk
    from transports.rpc.sessions import LiveSession


class StreamControls:
    """Tells one session's nodes what its client tells them."""

    def __init__(self, live: LiveSession) -> None:
        """Tell nothing yet.

        Args:
            live: the session.
        """
        self._live = live
        self._begun = asyncio.Event()
        self._last: asyncio.Task[None] | None = None
        self._tellings: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """The session runs: tell what has come, and what comes from now on."""
        self._begun.set()

    def tell(self, chunk: Chunk) -> asyncio.Task[None]:
        """Tell a node and those behind it a control message, behind those before it.

        Args:
            chunk: has a Control.

        Returns:
            Ends once it was told, with what went wrong.
        """
        control = chunk.payload
        assert isinstance(control, Control)
        if isinstance(control.message, CancelSpeculation):
            self._drop_waiting(control.message, chunk.node_id)
        telling = asyncio.create_task(self._tell(control, chunk.node_id, self._last))
        self._last = telling
        self._tellings.add(telling)
        telling.add_done_callback(self._told)
        return telling

    async def aclose(self) -> None:
        """Tell nothing more."""
        for telling in self._tellings:
            telling.cancel()
        await asyncio.gather(*self._tellings, return_exceptions=True)

    async def _tell(
        self, control: Control, node_id: str, earlier: asyncio.Task[None] | None
    ) -> None:
        await self._begun.wait()
        if earlier is not None:
            await asyncio.wait({earlier})
        with contextlib.suppress(EdgeClosedError):  # it has ended: there is nothing to take back
            await self._live.session.control(control, node_id)

    def _drop_waiting(self, message: CancelSpeculation, node_id: str) -> None:
        """Drop what has not entered the session, as far as the message is about it."""
        from_ns, to_ns = message.from_ns, message.to_ns
        self._live.drop_waiting(
            {node_id},
            lambda chunk: chunk.timestamp_ns is None or not from_ns <= chunk.timestamp_ns < to_ns,
        )

    def _told(self, telling: asyncio.Task[None]) -> None:
        self._tellings.discard(telling)
        if telling is self._last:
            self._last = None
        if not telling.cancelled():
            telling.exception()  # the feeder has it, unless the stream ends before
