"""A session of the engine fed with old values, and read as such."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from engine.errors import EdgeClosedError
from remotemedia.core._compat.native import native_data
from remotemedia.core._compat.new_payloads import added_metadata
from remotemedia.core._compat.outgoing import payload_of
from remotemedia.core._compat.runtime_data import RuntimeData

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from engine.packet import Packet
    from engine.session.session import Session


def value_of(packet: Packet) -> RuntimeData:
    """A packet as callers of the older API take it: a plain value and a RuntimeData at once."""
    seconds = packet.timestamp_ns / 1_000_000_000
    return native_data(packet.payload, packet.metadata, packet.session_id, seconds)


def input_of(value: Any) -> tuple[Any, dict[str, str]]:
    """The payload of a value that is sent in, and the metadata that comes with it.

    Raises:
        TypeError, ValueError: nothing can be made of it.
    """
    return payload_of(value, None), added_metadata(value) if isinstance(value, RuntimeData) else {}


async def stream_values(
    session: Session, values: Iterable[Any] | AsyncIterable[Any]
) -> AsyncGenerator[RuntimeData, None]:
    """Send values and yield the outputs as they come.

    Args:
        session: it is started and closed here.
        values: taken only as fast as the pipeline takes them.

    Raises:
        RemoteMediaError: the session failed; the node to blame is in the error.
        TypeError, ValueError: a value cannot be sent.
    """
    async with session:
        feeding = asyncio.create_task(_feed(session, values))
        try:
            async with aclosing(_outputs(session)) as outputs:
                async for packet in outputs:
                    yield value_of(packet)
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
        if not feeding.cancelled() and feeding.exception() is not None:
            await feeding


async def _outputs(session: Session) -> AsyncGenerator[Packet, None]:
    async for packet in session.outputs():
        yield packet


async def _feed(session: Session, values: Iterable[Any] | AsyncIterable[Any]) -> None:
    try:
        if isinstance(values, AsyncIterable):
            async for value in values:
                await _send(session, value)
        else:
            for value in values:
                await _send(session, value)
    except EdgeClosedError:
        if session.phase in {"running", "draining"}:
            raise
        return  # it takes only so much, or has failed, which its outputs say
    except BaseException:
        session.cancel()
        raise
    await session.end_input()


async def _send(session: Session, value: Any) -> None:
    payload, metadata = input_of(value)
    await session.send(payload, metadata=metadata)
