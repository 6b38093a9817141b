"""Soak: do packets of all sizes cross process edges without loss, in order, in bounded memory?

Tensors of random dtypes, from 16 bytes to 16 MiB, each with an index and a checksum, half of them
made in place, go through three process stages; the last one is slow. The second and the third hold
on to a tenth of what they get for a while, and check it again when they let go. Memory is sampled
meanwhile: what is touched of each arena, and the proportional share (PSS) of all processes of the
session. `--gigabytes N` says how much is sent, 1 by default. Source: SC-007, NFR-003.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benches.report import Result, result
from benches.soak_memory import Peak, peak_of, watch
from benches.soak_nodes import SoakRelay, SoakSink, SoakSource
from remotemedia import Json, Pipeline, Tensor

if TYPE_CHECKING:
    from engine.session.session import Session

STAGES = ("source", "relay", "sink")
#: What a gigabyte may take before the run is given up.
GIGABYTE_S_MAX = 120.0
START_S_MAX = 30.0
GIGABYTE = 10**9
COUNTS = ("lost", "repeated", "disordered", "damaged")


class Run(NamedTuple):
    """What a run gave.

    Attributes:
        reports: what each checking stage counted.
        seconds: from the first packet to the end.
        peak: of memory.
        arena_bytes: the size of one arena.
    """

    reports: dict[str, dict[str, int]]
    seconds: float
    peak: Peak
    arena_bytes: int


def run(rounds: int, gigabytes: float = 1.0) -> list[Result]:
    """See `benches.__main__.Bench`.

    Args:
        rounds: of no meaning here: one run is made, as long as is asked for.
        gigabytes: how many to send, in 10⁹ bytes.
    """
    del rounds
    seed = int.from_bytes(os.urandom(4))
    try:
        soaked = asyncio.run(_soak(round(gigabytes * GIGABYTE), seed))
    except BaseException as error:
        error.add_note(f"the soak's seed was {seed}")
        raise
    for stage, counts in soaked.reports.items():
        assert counts["packets"] > 0, f"nothing came to the {stage}"
    return _results(soaked)


def add_options(parser: argparse.ArgumentParser) -> None:
    """This bench's own options, named like the arguments of `run`."""
    parser.add_argument("--gigabytes", type=_positive, default=1.0, help="how many to send")


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError("more than 0")
    return value


async def _soak(total_bytes: int, seed: int) -> Run:
    settings = {"total_bytes": total_bytes, "seed": seed}
    pipeline = (
        Pipeline("soak") | SoakSource(**settings) | SoakRelay(**settings) | SoakSink(**settings)
    )
    plan = pipeline.plan()
    limit_s = START_S_MAX + GIGABYTE_S_MAX * total_bytes / GIGABYTE
    async with asyncio.timeout(limit_s), pipeline.session() as session:
        pids = [stage.pid for stage in session.stages]
        assert len(set(pids)) == len(STAGES), "a worker for each stage was wanted"
        with watch(pids) as samples:
            started_s = time.monotonic()
            reports = await _reports(session)
            seconds = time.monotonic() - started_s
    return Run(reports, seconds, peak_of(samples), plan.settings.shm_segment_bytes)


async def _reports(session: Session) -> dict[str, dict[str, int]]:
    """Start the source, and wait for what the stages say at the end."""
    await session.send(Tensor(np.zeros(1)))
    await session.end_input()
    packets = [packet async for packet in session.outputs()]
    values: list[Any] = [packet.expect(Json).value for packet in packets]
    assert len(values) == len(STAGES), f"{len(values)} reports came"
    return dict(zip(STAGES, values, strict=True))


def _results(soaked: Run) -> list[Result]:
    found = []
    sent = soaked.reports["source"]["packets"]
    for stage, counts in soaked.reports.items():
        case = f"soak_edge/{stage}/ours"
        found.append(result(case, "packets", "packets", [counts["packets"]]))
        found.append(result(case, "payload", "GB", [counts["bytes"] / GIGABYTE]))
        if stage == "source":
            continue
        # What is missing at the end leaves no gap behind.
        counts["lost"] = max(counts["lost"], sent - counts["packets"])
        found += [result(case, name, "packets", [counts[name]], at_most=0) for name in COUNTS]
        found.append(result(case, "held", "packets", [counts["held"]]))
    rate = soaked.reports["sink"]["bytes"] / soaked.seconds / 1e6
    peak = soaked.peak
    return [
        *found,
        result("soak_edge/ours", "throughput", "MB/s", [rate]),
        result("soak_edge/ours", "arena_size", "MiB", [soaked.arena_bytes / 1024**2]),
        result("soak_edge/ours", "arena_touched_peak", "MiB", [peak.arena_bytes / 1024**2]),
        result(
            "soak_edge/ours", "arena_touched_median", "MiB", [peak.arena_median_bytes / 1024**2]
        ),
        result("soak_edge/ours", "pss_peak", "MiB", [peak.pss_bytes / 1024**2]),
        result("soak_edge/ours", "private_peak", "MiB", [peak.private_bytes / 1024**2]),
    ]
