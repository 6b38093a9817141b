"""Memory: what do a session of five process nodes without models, a worker and the zygote take?

Four sessions at once, looked at when they have been opened, and again when audio has gone through
them and they rest. From smaps_rollup, in 10⁶ bytes:

    private       pages that one process alone has mapped. What a worker still shares with the
                  zygote it was forked from is none; what it has written to since is
    proportional  (PSS) private pages, and of each shared one the share of one who shares it

    worker        one worker, on average
    session       its five workers, and what the server has grown by for each session. The zygote
                  serves all sessions and is in none's; what is private of it shrinks with each
                  fork, since workers share it
    arenas        what is touched of a session's shared memory: where several processes have it
                  mapped it is nobody's private memory, where one has it is counted there, too

The server is this process, with the bench in it. Source: NFR-002.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benches.processes import parent_of
from benches.report import Result, result
from benches.rounds import alternate
from benches.soak_memory import take
from operators.flow.pass_through import PassThrough
from remotemedia import Audio, Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benches.soak_memory import Sample as Look
    from engine.session.session import Session

SESSIONS = 4
NODES = 5
#: 20 ms each.
PACKETS = 200
RATE_HZ = 16_000
TIMEOUT_S = 60.0
MEGABYTE = 1e6

SESSION_PRIVATE_MB_MAX = 25.0


class Moment(NamedTuple):
    """What was there at one moment: of the server, and of all workers together."""

    server: Look
    workers: Look


class Sample(NamedTuple):
    """A round; `nothing` is what the server and the zygote took without sessions."""

    nothing: tuple[Look, Look]
    opened: Moment
    used: Moment


def run(rounds: int) -> list[Result]:
    asyncio.run(_measure(1))  # what is loaded once, and the zygote with it, is no session's
    samples = alternate("memory", {"ours": lambda: asyncio.run(_measure(SESSIONS))}, rounds)
    taken = samples.of["ours"]
    return [
        *_process("server", [each.nothing[0] for each in taken]),
        *_process("zygote", [each.nothing[1] for each in taken]),
        *_when("opened", [(each, each.opened) for each in taken]),
        *_when("used", [(each, each.used) for each in taken]),
    ]


def _process(name: str, looks: Sequence[Look]) -> Iterator[Result]:
    case = f"memory/{name}/ours"
    yield result(case, "private", "MB", [look.private_bytes / MEGABYTE for look in looks])
    yield result(case, "proportional", "MB", [look.pss_bytes / MEGABYTE for look in looks])


def _when(name: str, taken: Sequence[tuple[Sample, Moment]]) -> Iterator[Result]:
    workers = SESSIONS * NODES
    private = [moment.workers.private_bytes / workers / MEGABYTE for _, moment in taken]
    proportional = [moment.workers.pss_bytes / workers / MEGABYTE for _, moment in taken]
    yield result(f"memory/worker-{name}/ours", "private", "MB", private)
    yield result(f"memory/worker-{name}/ours", "proportional", "MB", proportional)
    sessions = [session_private_bytes(*each) / MEGABYTE for each in taken]
    arenas = [sum(moment.workers.arena_bytes.values()) / SESSIONS / MEGABYTE for _, moment in taken]
    case = f"memory/session-{name}/ours"
    yield result(case, "private", "MB", sessions, at_most=SESSION_PRIVATE_MB_MAX)
    yield result(case, "arenas", "MB", arenas)


def session_private_bytes(sample: Sample, moment: Moment) -> float:
    """Private memory of one session: its workers', and what the server has grown by for it."""
    server, _ = sample.nothing
    grown = moment.server.private_bytes - server.private_bytes
    return (moment.workers.private_bytes + grown) / SESSIONS


# --- ours --------------------------------------------------------------------------------------


async def _measure(sessions: int) -> Sample:
    pipeline = Pipeline("resting")
    for _ in range(NODES):
        pipeline = pipeline | PassThrough().on("process")
    async with asyncio.timeout(TIMEOUT_S):
        async with pipeline.session() as session:
            zygote = parent_of(session.stages[0].pid)
        gc.collect()
        nothing = take([os.getpid()]), take([zygote])
        async with contextlib.AsyncExitStack() as stack:
            opened = [await stack.enter_async_context(pipeline.session()) for _ in range(sessions)]
            first = _look(opened)
            await asyncio.gather(*(_use(session) for session in opened))
            return Sample(nothing, first, _look(opened))


async def _use(session: Session) -> None:
    """Send audio through a session, and take all of it out again."""
    for index in range(PACKETS):
        await session.send(Audio(np.full((RATE_HZ // 50, 1), index, np.float32), RATE_HZ))
        packet = await session.receive()
        assert packet is not None, "the session ended before its last packet"
        assert packet.expect(Audio).samples[0, 0] == index


def _look(sessions: Sequence[Session]) -> Moment:
    gc.collect()
    pids = [stage.pid for session in sessions for stage in session.stages]
    assert len(set(pids)) == NODES * len(sessions), "a worker for each node was wanted"
    return Moment(take([os.getpid()]), take(pids))
