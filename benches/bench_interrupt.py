"""Interrupt: how long until nothing stale comes out, and until everything stale is gone?

Five stages in a process each; the middle one computes for two milliseconds with each packet. A
session is interrupted while it rests, and while packets are sent as fast as it takes them and every
queue before the slow stage holds up to 100; each round has so many interrupts of each kind. What
counts is the time from the call to its return, from when on nothing stale may come out, and to
when every stage has said that it has dropped what it had; to when the first packet that was sent
after it has come out; and how many stale packets came out after the return, of which there must be
none. Source: FR-012.

Beside it, in every round, the same nodes on the session's own loop (ours-local), and pipecat-ai: a
PipelineWorker over five FrameProcessors, of which the middle one computes just as long, all on one
loop, as is its way. It interrupts by an
InterruptionFrame from the first of them, which passes the queues and has every processor drop its
own. Nothing is acknowledged there: "acknowledged" is when that frame has reached the last
processor. Stale packets are counted from then on, and, as "stale_after_call", from when the call
that interrupts has returned; with ours the two are one moment.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from benches.peers import Peer
from benches.report import Result, percentile, result
from benches.rounds import alternate
from operators.flow.pass_through import PassThrough
from remotemedia import Operator, Packet, Pipeline, Settings, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.session.interruptions import Interruption
    from remotemedia import Context, Session

STAGES = 5
#: Which of them computes, and how long with each packet.
SLOW = 2
COMPUTE_MS = 2.0
#: Packets that each edge may hold.
QUEUE = 100
#: What fills every queue up to the slow stage, which has begun with some of it.
QUEUED = QUEUE * (SLOW + 1)
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
    first_new_ms: list[float]
    settled_ms: list[float]
    stale: int
    stale_after_call: int


def run(rounds: int) -> list[Result]:
    """See `benches.__main__.Bench`."""
    with Peer("pipecat_interrupt", "pipecat") as pipecat:
        subjects: dict[str, Callable[[], Sample]] = {
            "interrupt/idle/ours": partial(_ours, "process", queued=0),
            "interrupt/full/ours": partial(_ours, "process", queued=QUEUED),
            # All nodes are one stage there, behind one queue.
            "interrupt/idle/ours-local": partial(_ours, "local", queued=0),
            "interrupt/full/ours-local": partial(_ours, "local", queued=QUEUE),
            "interrupt/idle/pipecat-ai": partial(_pipecat, pipecat, queued=0),
            "interrupt/full/pipecat-ai": partial(_pipecat, pipecat, queued=QUEUED),
        }
        samples = alternate("interrupt", subjects, rounds)
    return [
        each
        for case, taken in samples.of.items()
        for each in results(case, taken, samples.why.get(case, ""))
    ]


def results(case: str, taken: Sequence[Sample], why: str = "") -> list[Result]:
    """The rows of one case; budgets are ours, and a peer never says when it has settled."""
    ours = "/ours" in case
    row = partial(result, case, why=why)

    def at(percent: float, kind: str) -> list[float]:
        return [percentile(getattr(each, kind), percent) for each in taken]

    def most(kind: str) -> list[float]:
        return [max(float(getattr(each, kind)) for each in taken)] if taken else []

    acknowledged_max, stale_max = (ACKNOWLEDGED_MS_MAX, STALE_MAX) if ours else (None, None)
    rows = [
        row("acknowledged_p50", "ms", at(50, "acknowledged_ms")),
        row("acknowledged_p99", "ms", at(99, "acknowledged_ms"), at_most=acknowledged_max),
        row("first_new_p50", "ms", at(50, "first_new_ms")),
        row("first_new_p99", "ms", at(99, "first_new_ms")),
    ]
    if ours:
        rows += [
            row("settled_p50", "ms", at(50, "settled_ms")),
            row("settled_p99", "ms", at(99, "settled_ms")),
        ]
    return [
        *rows,
        row("stale", "packets", most("stale"), at_most=stale_max),
        row("stale_after_call", "packets", most("stale_after_call"), at_most=stale_max),
    ]


def _pipecat(peer: Peer, *, queued: int) -> Sample:
    answer = peer.ask(
        stages=STAGES, slow=SLOW, compute_ms=COMPUTE_MS, queued=queued, interrupts=INTERRUPTS
    )
    return Sample(settled_ms=[], **answer)


def _ours(place: Literal["local", "process"], *, queued: int) -> Sample:
    return asyncio.run(_measure(place, queued))


async def _measure(place: Literal["local", "process"], queued: int) -> Sample:
    pipeline = Pipeline("interrupted", settings=Settings(channel_capacity=QUEUE))
    for position in range(STAGES):
        step = Compute() if position == SLOW else PassThrough()
        pipeline = pipeline | step.on(place)
    async with pipeline.session() as session:
        # What the first packet of a process loads would hold up whoever waits beside it.
        await session.send(Tensor(np.zeros(4)))
        assert await session.receive() is not None
        sample = Sample([], [], [], 0, 0)
        for _ in range(INTERRUPTS):
            sample = await _interrupt(session, sample, queued)
    return sample


async def _interrupt(session: Session, sample: Sample, queued: int) -> Sample:
    """Interrupt once, and see that what is sent afterwards comes through first."""
    for _ in range(queued):
        await session.send(Tensor(np.zeros(4)))
    called_ns = time.perf_counter_ns()
    ack = await session.interrupt(deadline_s=SETTLE_DEADLINE_S)
    acknowledged_ns = time.perf_counter_ns()
    settling = asyncio.create_task(_settled_ns(ack))
    first_new = await session.send(Tensor(np.zeros(4)))
    stale = 0
    while (packet := await session.receive()) is not None and packet.sequence < first_new:
        stale += 1
    assert packet is not None, "what was sent after the interrupt was lost"
    first_new_ns = time.perf_counter_ns()
    assert packet.generation == ack.generation
    settled_ns = await settling
    sample.acknowledged_ms.append((acknowledged_ns - called_ns) / 1e6)
    sample.first_new_ms.append((first_new_ns - called_ns) / 1e6)
    sample.settled_ms.append((settled_ns - called_ns) / 1e6)
    stale += sample.stale
    return sample._replace(stale=stale, stale_after_call=stale)


async def _settled_ns(ack: Interruption) -> int:
    """When the last stage had dropped what was stale."""
    settlement = await ack.settled()
    assert not settlement.late, settlement
    return time.perf_counter_ns()
