"""A server to be killed, for `benches.bench_cleanup`: `python -m benches.cleanup_server`.

Prints the process ids of what it started, as JSON, once packets go through its session, and goes on
until it is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING

import numpy as np

from benches.processes import parent_of
from operators.flow.pass_through import PassThrough
from remotemedia import Audio, Pipeline

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engine.session.session import Session

NODES = 5
#: That have come out before anything is ended.
PACKETS = 50
RATE_HZ = 16_000


def pipeline() -> Pipeline:
    """Five process nodes in a row."""
    made = Pipeline("ending")
    for _ in range(NODES):
        made = made | PassThrough().on("process")
    return made


def block(index: int) -> Audio:
    """20 ms of audio."""
    return Audio(np.full((RATE_HZ // 50, 1), index, np.float32), RATE_HZ)


async def take(session: Session) -> None:
    """Take packets out until what goes through is under way everywhere."""
    for index in range(PACKETS):
        packet = await session.receive()
        assert packet is not None, "the session ended before it was ended"
        assert packet.expect(Audio).samples[0, 0] == index


@contextlib.asynccontextmanager
async def feeding(session: Session) -> AsyncIterator[None]:
    """Send packets as quickly as they are taken."""

    async def feed() -> None:
        index = 0
        while True:
            await session.send(block(index))
            index += 1

    task = asyncio.create_task(feed())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _serve() -> None:
    async with pipeline().session() as session, feeding(session):
        await take(session)
        workers = [stage.pid for stage in session.stages]
        print(json.dumps({"zygote": parent_of(workers[0]), "workers": workers}), flush=True)
        while await session.receive() is not None:
            pass


if __name__ == "__main__":
    asyncio.run(_serve())
