"""Cleanup: how long until nothing is left of a session of five process nodes?

    closed         its input has ended, all has come out; from leaving `async with`
    cancelled      packets are under way everywhere; from `session.cancel()`
    worker-killed  the same; from the SIGKILL of the worker in the middle, with the error on the way
                   to who reads the outputs (`error`: until it is there)
    server-killed  the same; from the SIGKILL of the server, a process of its own

until its five workers have ended (`gone`); with the server, until the zygote has, too. `left`
counts processes that are there after ten seconds, and what is new in /dev/shm, in all rounds
together.
Source: FR-008, SC-006.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benches.cleanup_server import NODES, PACKETS, block, feeding, pipeline, take
from benches.processes import Ends
from benches.report import Result, result
from benches.rounds import alternate
from engine.testing.leaks import Footprint
from engine.workers.service import WorkerService
from remotemedia import NodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from engine.session.session import Session

#: How long what is ended may be there before it counts as left behind.
LEFT_S = 10.0
START_S_MAX = 30.0

NORMAL_S_MAX = 0.2
SERVER_KILLED_S_MAX = 1.0
_ROOT = Path(__file__).parent.parent


class Sample(NamedTuple):
    """A round.

    Attributes:
        gone_s: until nothing was left.
        left: how much was there after that all the same.
        error_s: until the error was raised where there is one.
    """

    gone_s: float
    left: int
    error_s: float | None = None


def run(rounds: int) -> list[Result]:
    WorkerService.shared().warm(wait_s=START_S_MAX)
    subjects: dict[str, Callable[[], Sample]] = {
        "cleanup/closed/ours": lambda: asyncio.run(_in_session(_close)),
        "cleanup/cancelled/ours": lambda: asyncio.run(_in_session(_cancel)),
        "cleanup/worker-killed/ours": lambda: asyncio.run(_in_session(_kill_worker)),
        "cleanup/server-killed/ours": _kill_server,
    }
    samples = alternate("cleanup", subjects, rounds)
    return [each for case, taken in samples.of.items() for each in results(case, taken)]


def results(case: str, taken: Sequence[Sample]) -> Iterator[Result]:
    """The table of one case."""
    budgets = {
        "cleanup/closed/ours": NORMAL_S_MAX,
        "cleanup/cancelled/ours": NORMAL_S_MAX,
        "cleanup/server-killed/ours": SERVER_KILLED_S_MAX,
    }
    yield result(case, "gone", "s", [each.gone_s for each in taken], at_most=budgets.get(case))
    errors = [each.error_s for each in taken if each.error_s is not None]
    if errors:
        yield result(case, "error", "s", errors)
    yield result(case, "left", "things", [sum(each.left for each in taken)], at_most=0)


# --- a session of this process ----------------------------------------------------------------


async def _in_session(
    end: Callable[[Session], Coroutine[None, None, tuple[float, float | None]]],
) -> Sample:
    before = Footprint.take().shared_memory
    session = pipeline().session()
    try:
        await session.start()
        with Ends(_workers(session)) as ends:
            began_s, failed_s = await end(session)
            left = ends.wait(LEFT_S)
            gone_s = time.monotonic() - began_s
    finally:
        await session.aclose()
    new = Footprint.take().shared_memory - before
    error_s = None if failed_s is None else failed_s - began_s
    return Sample(gone_s, len(left) + len(new), error_s)


async def _close(session: Session) -> tuple[float, None]:
    for index in range(PACKETS):
        await session.send(block(index))
    await session.end_input()
    await take(session)
    assert await session.receive() is None
    began_s = time.monotonic()
    await session.aclose()
    return began_s, None


async def _cancel(session: Session) -> tuple[float, None]:
    async with feeding(session):
        await take(session)
        began_s = time.monotonic()
        session.cancel()
        await session.aclose()
    return began_s, None


async def _kill_worker(session: Session) -> tuple[float, float]:
    async with feeding(session):
        await take(session)
        began_s = time.monotonic()
        os.kill(session.stages[NODES // 2].pid, signal.SIGKILL)
        try:
            async with asyncio.timeout(START_S_MAX):
                while await session.receive() is not None:
                    pass
        except NodeError:
            failed_s = time.monotonic()
        else:
            raise AssertionError("the session ended as if no worker had been killed")
        await session.aclose()
    return began_s, failed_s


def _workers(session: Session) -> list[int]:
    pids = [stage.pid for stage in session.stages]
    assert len({*pids} - {0}) == NODES, "a worker for each node was wanted"
    return pids


# --- a server ---------------------------------------------------------------------------------


def _kill_server() -> Sample:
    before = Footprint.take().shared_memory
    server = subprocess.Popen(
        [sys.executable, "-m", "benches.cleanup_server"], stdout=subprocess.PIPE, cwd=_ROOT
    )
    assert server.stdout is not None
    try:
        ready, _, _ = select.select([server.stdout], [], [], START_S_MAX)
        assert ready, f"the server did not start in {START_S_MAX:g} s"
        started = json.loads(server.stdout.readline())
        with Ends([server.pid, started["zygote"], *started["workers"]]) as ends:
            began_s = time.monotonic()
            server.kill()
            left = ends.wait(LEFT_S)
            gone_s = time.monotonic() - began_s
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    new = Footprint.take().shared_memory - before
    return Sample(gone_s, len(left) + len(new))
