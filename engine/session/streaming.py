"""Outputs as something to iterate over: of a session, or of a whole run, with or without a loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Never

from engine.errors import UsageError
from engine.session.blocking import BlockingSession

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator

    from engine.packet import Packet
    from engine.session.inputs import Input
    from engine.session.session import Session


class OutputStream:
    """The outputs of a session while it is fed; iterate over it once, by `async for`."""

    def __init__(self, packets: AsyncGenerator[Packet]) -> None:
        self._packets = packets

    def __aiter__(self) -> AsyncGenerator[Packet]:
        return self._packets

    async def aclose(self) -> None:
        """Stop feeding; what is under way stays in the session."""
        await self._packets.aclose()

    def __iter__(self) -> Never:
        raise UsageError(
            "a session's outputs come by `async for`; without a loop, use"
            " `for packet in pipeline.stream(inputs)`"
        )


class PipelineStream:
    """The outputs of one session; iterate over it once, by `async for` or by `for`.

    The session starts with the iteration and is closed with it, however it ends. By `for` it runs
    on a thread of its own.

    Raises:
        RemoteMediaError: the pipeline failed, or an input cannot be sent.
    """

    def __init__(self, session: Session, inputs: Iterable[Input] | AsyncIterable[Input]) -> None:
        self._session = session
        self._inputs = inputs
        self._begun = False

    async def __aiter__(self) -> AsyncIterator[Packet]:
        self._begin()
        async with self._session as session:
            async for packet in session.stream(self._inputs):
                yield packet

    def __iter__(self) -> Iterator[Packet]:
        self._begin()
        with BlockingSession(self._session) as session:
            yield from session.stream(self._inputs)

    def _begin(self) -> None:
        if self._begun:
            raise UsageError(
                "these outputs have been iterated over already: their session has run;"
                " pipeline.stream(inputs) gives another"
            )
        self._begun = True
