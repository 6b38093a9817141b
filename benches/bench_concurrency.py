"""Concurrency: are three nodes in processes of their own quicker than one after the other?

Packets go through three equal nodes. Each waits 50 ms for every packet (once on its loop, once by
`time.sleep`), or computes for about 20 ms, in pure Python; a fixed number of steps, so that a
process that has to share a core takes longer.

    ours             three process nodes, packets sent as quickly as they are taken
    local            the same three in the session's own process, one packet at a time: one node
                     after the other
    multiprocessing  three bare processes with pipes between them, and no framework

Measured from the first packet in to the last one out, once everything runs and a packet has passed
without work. Source: FR-004.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from benches.concurrency_nodes import RowNode, RowWaiter, from_tensor, to_tensor
from benches.peers import Peer
from benches.processes import cpu_seconds
from benches.report import Result, result
from benches.rounds import Samples, alternate
from benches.scripts.row_work import (
    ASYNCIO_SLEEP,
    COMPUTE,
    COMPUTE_S,
    KINDS,
    STAGES,
    WARM_UP,
    check,
    expected,
    steps_of,
)
from remotemedia import Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.session.session import Session
    from remotemedia import Packet

#: Through each row in each round: the first and the last pass while others have nothing to do.
PACKETS = 24
VALUE = 1
TIMEOUT_S = 60.0

WAITING_RATIO_MAX = 0.4
COMPUTING_RATIO_MAX = 1.08


class Sample(NamedTuple):
    """A round: from the first packet in to the last one out."""

    seconds: float
    cpu_seconds: float


def run(rounds: int) -> list[Result]:
    steps = steps_of(COMPUTE_S)
    with Peer("multiprocessing_row", None) as bare:
        subjects: dict[str, Callable[[], Sample]] = {}
        for kind in KINDS:
            case = f"concurrency/{kind}"
            subjects[f"{case}/ours"] = partial(_ours, kind, steps, "process")
            subjects[f"{case}/local"] = partial(_ours, kind, steps, "local")
            if kind != ASYNCIO_SLEEP:  # a bare process has no loop
                subjects[f"{case}/multiprocessing"] = partial(_bare, bare, kind, steps)
        samples = alternate("concurrency", subjects, rounds)
    return [*times(samples), *ratios(samples)]


def times(samples: Samples[Sample]) -> Iterator[Result]:
    """What a packet took in each row."""
    for case, taken in samples.of.items():
        why = samples.why.get(case, "")
        per_packet = [each.seconds * 1e3 / PACKETS for each in taken]
        cpu = [each.cpu_seconds * 1e3 / PACKETS for each in taken]
        yield result(case, "time_per_packet", "ms", per_packet, why=why)
        yield result(case, "cpu_per_packet", "ms", cpu, why=why)


def ratios(samples: Samples[Sample]) -> Iterator[Result]:
    """Ours to the others, by round."""
    for case in samples.of:
        row, _, other = case.rpartition("/")
        if other == "ours":
            continue
        pairs = samples.pairs(f"{row}/ours", case)
        budget = None
        if row.endswith(COMPUTE):
            budget = COMPUTING_RATIO_MAX if other == "multiprocessing" else None
        elif other == "local":
            budget = WAITING_RATIO_MAX
        yield result(
            f"{row}/ours:{other}",
            "time_ratio",
            "×",
            [ours.seconds / theirs.seconds for ours, theirs in pairs],
            at_most=budget,
            why=samples.why.get(case, ""),
        )


def _ours(kind: str, steps: int, executor: str) -> Sample:
    return asyncio.run(_session(kind, steps, executor))


async def _session(kind: str, steps: int, executor: str) -> Sample:
    node = RowWaiter if kind == ASYNCIO_SLEEP else RowNode
    pipeline = Pipeline("row")
    for _ in range(STAGES):
        pipeline = pipeline | node(kind=kind, steps=steps).on(executor)
    drive = _flowing if executor == "process" else _one_at_a_time
    async with asyncio.timeout(TIMEOUT_S), pipeline.session() as session:
        pids = {stage.pid for stage in session.stages} - {0}
        assert len(pids) == (STAGES if executor == "process" else 0)
        await session.send(to_tensor(WARM_UP, VALUE))
        await session.receive()
        cpu = time.process_time() + cpu_seconds(pids)
        started = time.perf_counter()
        packets = await drive(session)
        seconds = time.perf_counter() - started
        cpu = time.process_time() + cpu_seconds(pids) - cpu
    indexes, values = zip(*map(from_tensor, packets), strict=True)
    check(list(indexes), list(values), expected(kind, VALUE, steps), PACKETS)
    return Sample(seconds, cpu)


async def _flowing(session: Session) -> list[Packet]:
    sending = asyncio.create_task(_send_all(session))
    packets = [await _receive(session) for _ in range(PACKETS)]
    await sending
    return packets


async def _send_all(session: Session) -> None:
    for index in range(PACKETS):
        await session.send(to_tensor(index, VALUE))


async def _one_at_a_time(session: Session) -> list[Packet]:
    packets = []
    for index in range(PACKETS):
        await session.send(to_tensor(index, VALUE))
        packets.append(await _receive(session))
    return packets


async def _receive(session: Session) -> Packet:
    packet = await session.receive()
    assert packet is not None, "the session ended before its last packet"
    return packet


def _bare(peer: Peer, kind: str, steps: int) -> Sample:
    answer = peer.ask(kind=kind, packets=PACKETS, steps=steps)
    return Sample(answer["seconds"], answer["cpu_seconds"])
