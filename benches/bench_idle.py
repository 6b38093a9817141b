"""Idle: what do ten workers that have nothing to do take of the processor?

One session of ten process nodes that were used once and then get nothing for ten seconds, the time
between two pings of a worker. The share of a core is that of all threads of the ten workers
together; of the server, which is this process; and of the zygote. Source: NFR-002.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benches.processes import cpu_seconds, parent_of
from benches.report import Result, result
from benches.rounds import alternate
from operators.flow.pass_through import PassThrough
from remotemedia import Pipeline, Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

WORKERS = 10
SECONDS = 10.0
#: What has just been used comes to rest.
SETTLE_S = 0.5

SHARE_PERCENT_MAX = 0.5


class Sample(NamedTuple):
    """A round: shares of one core."""

    workers: float
    server: float
    zygote: float


def run(rounds: int, seconds: float = SECONDS) -> list[Result]:
    """See `benches.__main__.Bench`.

    Args:
        rounds: see there.
        seconds: how long nothing happens, each round.
    """
    samples = alternate("idle", {"ours": lambda: asyncio.run(_measure(seconds))}, rounds)
    return results(samples.of["ours"])


def add_options(parser: argparse.ArgumentParser) -> None:
    """This bench's own options, named like the arguments of `run`."""
    parser.add_argument("--seconds", type=_seconds, default=SECONDS, help="of rest, each round")


def results(taken: Sequence[Sample]) -> list[Result]:
    """The table."""
    share = partial(result, metric="cpu", unit="% core")
    return [
        share(
            "idle/10-workers/ours",
            values=[each.workers * 100 for each in taken],
            at_most=SHARE_PERCENT_MAX,
        ),
        share(
            "idle/server/ours",
            values=[each.server * 100 for each in taken],
            at_most=SHARE_PERCENT_MAX,
        ),
        share("idle/zygote/ours", values=[each.zygote * 100 for each in taken]),
    ]


def _seconds(text: str) -> float:
    value = float(text)
    if value < SECONDS:
        raise argparse.ArgumentTypeError(f"at least {SECONDS:g}: so often a worker is pinged")
    return value


async def _measure(seconds: float) -> Sample:
    pipeline = Pipeline("resting")
    for _ in range(WORKERS):
        pipeline = pipeline | PassThrough().on("process")
    async with pipeline.session() as session:
        workers = [stage.pid for stage in session.stages]
        assert len(set(workers)) == WORKERS, "a worker for each node was wanted"
        zygote = parent_of(workers[0])
        await session.send(Tensor(np.zeros(4)))
        assert await session.receive() is not None
        await asyncio.sleep(SETTLE_S)
        started = time.monotonic()
        before = cpu_seconds(workers), time.process_time(), cpu_seconds([zygote])
        await asyncio.sleep(seconds)
        after = cpu_seconds(workers), time.process_time(), cpu_seconds([zygote])
        passed = time.monotonic() - started
    return Sample(*((end - begin) / passed for begin, end in zip(before, after, strict=True)))
