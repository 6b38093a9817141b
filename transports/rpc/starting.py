"""Starting a session while its client is told how that goes. Source: FR-009."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from transports.rpc.status_news import (
    ERROR,
    INITIALIZING,
    READY,
    SYSTEM,
    status_response,
    status_text,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.executors.contract import Progress
    from engine.session.session import Session
    from protos.remotemedia.v1 import streaming_pb2

#: News that wait for a client which does not read; older ones are dropped.
_NEWS_MAX: Final = 256


async def start(
    session: Session, write: Callable[[streaming_pb2.StreamResponse], Awaitable[None]]
) -> None:
    """Start a session, and tell the client of it where processes are started.

    Args:
        session: not started yet.
        write: sends a response.

    Raises:
        RemoteMediaError: it could not be started; the client has been told what its nodes said.

    A cancelled call leaves a session that may still be starting; `aclose` ends it.
    """
    if not session.plan.workers:
        await session.start()
        return
    news: deque[str] = deque(maxlen=_NEWS_MAX)
    changed = asyncio.Event()

    def note(text: str) -> None:
        news.append(text)
        changed.set()

    def on_progress(progress: Progress) -> None:
        note(text_of(progress))

    nodes = sum(len(stage.nodes) for stage in session.plan.stages)
    note(status_text(SYSTEM, INITIALIZING, f"starting {nodes} nodes"))
    unsubscribe = session.on_progress(on_progress)
    starting = asyncio.create_task(session.start())
    starting.add_done_callback(lambda _: changed.set())
    try:
        while not starting.done():
            changed.clear()
            while news:
                await write(status_response(news.popleft()))
            if not starting.done():
                await changed.wait()
    finally:
        unsubscribe()
        if not starting.done():
            starting.cancel()
            await asyncio.wait({starting})
    failure = starting.exception()
    last = (READY, "all nodes are ready") if failure is None else (ERROR, "the start failed")
    note(status_text(SYSTEM, *last))
    while news:
        await write(status_response(news.popleft()))
    if failure is not None:
        raise failure
