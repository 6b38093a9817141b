"""Interrupt: how long until nothing stale comes out, and until everything stale is gone?

Five stages in a process each; the middle one computes for two milliseconds with each packet. A
session is interrupted while it rests, and while packets are sent as fast as it takes them and every
queue before the slow stage holds up to 100; each round has so many interrupts of each kind. What
counts is the time from the call to its return, from when on nothing stale may come out, and to
when every stage has said that it has dropped what it had; and how many stale packets came out
after the return, of which there must be none. Source: FR-012.

No peer is measured beside it.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benches.report import Result, percentile, result
from benches.rounds import alternate
from operators.flow.pass_through import PassThrough
from remotemedia import Operator, Packet, Pipeline, Settings, Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.session.interruptions import Interruption
    from remotemedia import Context, Session

STAGES = 5
#: Which of them computes, and how long with each packet.
SLOW = 2
COMPUTE_MS = 2.0
#: Packets that each edge may hold.
QUEUE = 100
#: Interrupts of a round, in each case.
INTERRUPTS = 20
SETTLE_DEADLINE_S = 10.0

ACKNOWLEDGED_MS_MAX = 20.0
STALE_MAX = 0.0


class Compute(Operator):
    """Keeps its thread busy for a while with each packet."""

    node_type = "BenchInterruptCompute"

    def process(self, packet: Packet, ctx: Context) -> Packet:
        """Compute in Python, as a detector written in it would."""
        until_ns = time.monotonic_ns() + round(COMPUTE_MS * 1e6)
        while time.monotonic_ns() < until_ns and not ctx.cancelled:
            pass
        return packet


class Sample(NamedTuple):
    """A round: of each interrupt the times; of all, the stale packets."""

    acknowledged_ms: list[float]
    settled_ms: list[float]
    stale: int


def run(rounds: int) -> list[Result]:
    """See `benches.__main__.Bench`."""
    subjects = {
        "interrupt/idle/ours": lambda: asyncio.run(_measure(full=False)),
        "interrupt/full/ours": lambda: asyncio.run(_measure(full=True)),
    }
    samples = alternate("interrupt", subjects, rounds)
    return [each for case, taken in samples.of.items() for each in results(case, taken)]


def results(case: str, taken: Sequence[Sample]) -> list[Result]:
    """The rows of one case."""
    row = partial(result, case)

    def at(percent: float, kind: str) -> list[float]:
        return [percentile(getattr(each, kind), percent) for each in taken]

    acknowledged, settled = at(99, "acknowledged_ms"), at(99, "settled_ms")
    stale = [float(each.stale) for each in taken]
    return [
        row("acknowledged_p50", "ms", at(50, "acknowledged_ms")),
        row("acknowledged_p99", "ms", acknowledged, at_most=ACKNOWLEDGED_MS_MAX),
        row("settled_p50", "ms", at(50, "settled_ms")),
        row("settled_p99", "ms", settled),
        row("stale", "packets", [max(stale)], at_most=STALE_MAX),
    ]


async def _measure(*, full: bool) -> Sample:
    pipeline = Pipeline("interrupted", settings=Settings(channel_capacity=QUEUE))
    for position in range(STAGES):
        step = Compute() if position == SLOW else PassThrough()
        pipeline = pipeline | step.on("process")
    async with pipeline.session() as session:
        # What the first packet of a process loads would hold up whoever waits beside it.
        await session.send(Tensor(np.zeros(4)))
        assert await session.receive() is not None
        sample = Sample([], [], 0)
        for _ in range(INTERRUPTS):
            sample = await _interrupt(session, sample, full=full)
    return sample


async def _interrupt(session: Session, sample: Sample, *, full: bool) -> Sample:
    """Interrupt once, and see that what is sent afterwards comes through first."""
    if full:
        await _fill(session)
    called_ns = time.perf_counter_ns()
    ack = await session.interrupt(deadline_s=SETTLE_DEADLINE_S)
    acknowledged_ns = time.perf_counter_ns()
    settling = asyncio.create_task(_settled_ns(ack))
    first_new = await session.send(Tensor(np.zeros(4)))
    stale = 0
    while (packet := await session.receive()) is not None and packet.sequence < first_new:
        stale += 1
    assert packet is not None, "what was sent after the interrupt was lost"
    assert packet.generation == ack.generation
    settled_ns = await settling
    sample.acknowledged_ms.append((acknowledged_ns - called_ns) / 1e6)
    sample.settled_ms.append((settled_ns - called_ns) / 1e6)
    return sample._replace(stale=sample.stale + stale)


async def _settled_ns(ack: Interruption) -> int:
    """When the last stage had dropped what was stale."""
    settlement = await ack.settled()
    assert not settlement.late, settlement
    return time.perf_counter_ns()


async def _fill(session: Session) -> None:
    """Fill every queue up to the slow stage, which has begun with some of it."""
    for _ in range(QUEUE * (SLOW + 1)):
        await session.send(Tensor(np.zeros(4)))
