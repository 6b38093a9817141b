"""Sessions: how many of five process nodes does a machine carry, and how quick are hops then?

N sessions at once, each fed with a packet of audio every 20 ms through five pass-through nodes in
workers of their own, out of step with each other, once a packet has gone through each. All are fed
and read by the one loop of this process, so the server's share below is the feeding, too.

    hop      as each session counts it (`session.statistics().edges[...].hops`), see `merged`
    latency  from `send` to the output
    late     packets that were not out again 20 ms after they were due

Source: FR-004, NFR-001.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benches.processes import cpu_seconds
from benches.report import Result, percentile, result
from benches.rounds import alternate
from engine.config import load_settings
from operators.flow.pass_through import PassThrough
from remotemedia import Audio, Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benches.rounds import Samples
    from engine.edges.hop_times import HopTimes
    from engine.session.session import Session

NODES = 5
SESSIONS = (1, 10, 20, 40)
SECONDS = 5.0
PACKET_S = 0.02
RATE_HZ = 16_000
LATE_S = PACKET_S
#: Beyond the time of the packets themselves.
PATIENCE_S = 60.0

#: The budget of hops is that of ten sessions.
HOPS_HELD_AT = 10
HOP_P99_US_MAX = 2_000.0


class Hops(NamedTuple):
    """Hops of many edges, see `merged`; in microseconds."""

    p50_us: float
    p99_us: float
    worst_p99_us: float


class Sample(NamedTuple):
    """A round with some sessions.

    Attributes:
        hops: of all edges of those that did not fail.
        latencies_s: of all packets that came out.
        late: how many came out late, or not at all.
        errors: what sessions raised.
        server_share: processor time of this process in cores, feeding and reading with it.
        workers_share: the same of all workers.
    """

    hops: Hops | None
    latencies_s: list[float]
    late: int
    errors: list[str]
    server_share: float
    workers_share: float


def run(rounds: int, sessions: Sequence[int] = SESSIONS, seconds: float = SECONDS) -> list[Result]:
    """See `benches.__main__.Bench`.

    Args:
        rounds: see there.
        sessions: how many at once, for each case.
        seconds: of audio through each of them, each round.
    """
    subjects: dict[str, Callable[[], Sample]] = {
        f"sessions/{count}/ours": partial(_measure, count, seconds) for count in sessions
    }
    return list(results(alternate("sessions", subjects, rounds)))


def add_options(parser: argparse.ArgumentParser) -> None:
    """This bench's own options, named like the arguments of `run`."""
    parser.add_argument(
        "--sessions", type=_counts, default=SESSIONS, help="how many at once, commas between"
    )
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of audio, each round")


def results(samples: Samples[Sample]) -> Iterator[Result]:
    """The table."""
    for case, taken in samples.of.items():
        held = case == f"sessions/{HOPS_HELD_AT}/ours"
        hops = [each.hops for each in taken if each.hops is not None]
        slow = [each.latencies_s for each in taken if each.latencies_s]
        why = next((error for each in taken for error in each.errors), "")
        yield result(case, "hop_p50", "µs", [each.p50_us for each in hops], why=why)
        yield result(
            case,
            "hop_p99",
            "µs",
            [each.p99_us for each in hops],
            at_most=HOP_P99_US_MAX if held else None,
            why=why,
        )
        yield result(case, "hop_p99_worst", "µs", [each.worst_p99_us for each in hops], why=why)
        for percent in (50, 99):
            values = [percentile(each, percent) * 1e3 for each in slow]
            yield result(case, f"latency_p{percent}", "ms", values, why=why)
        yield result(case, "late", "packets", [each.late for each in taken])
        yield _errors(case, taken)
        yield result(case, "cpu_server", "% core", [each.server_share * 100 for each in taken])
        yield result(case, "cpu_workers", "% core", [each.workers_share * 100 for each in taken])


def merged(sessions: Sequence[dict[str, HopTimes]]) -> Hops:
    """Hops of equal sessions: by edge the median of the sessions, then the slowest edge.

    An edge's percentiles alone cannot be added up. So a place in the chain that is slow in every
    session shows, as a session that is slower than the others does in `worst_p99_us` alone.

    Args:
        sessions: of each, edge id → its hops.

    Raises:
        AssertionError: an edge has measured none.
    """
    by_edge = {edge: [hops[edge] for hops in sessions] for edge in sessions[0]}
    for edge, times in by_edge.items():
        assert all(each.measured for each in times), f"edge {edge} measured no hop"
    return Hops(
        max(percentile([each.p50_us for each in times], 50) for times in by_edge.values()),
        max(percentile([each.p99_us for each in times], 50) for times in by_edge.values()),
        max(each.p99_us for times in by_edge.values() for each in times),
    )


def _errors(case: str, taken: Sequence[Sample]) -> Result:
    """All of them, not a median: one is too many."""
    errors = [error for each in taken for error in each.errors]
    return dataclasses.replace(
        result(case, "errors", "sessions", [len(errors)], at_most=0),
        why=errors[0] if errors else "",
    )


def _counts(text: str) -> tuple[int, ...]:
    counts = tuple(int(part) for part in text.split(","))
    if any(count < 1 for count in counts):
        raise argparse.ArgumentTypeError("at least one session")
    return counts


# --- ours --------------------------------------------------------------------------------------


def _measure(count: int, seconds: float) -> Sample:
    return asyncio.run(_run_all(count, max(1, round(seconds / PACKET_S))))


async def _run_all(count: int, packets: int) -> Sample:
    settings = load_settings()
    processes = max(settings.max_processes_total, NODES * count)
    settings = dataclasses.replace(settings, max_processes_total=processes)
    pipeline = Pipeline("call", settings=settings)
    for _ in range(NODES):
        pipeline = pipeline | PassThrough().on("process")
    calls = [Call(pipeline.session(), packets) for _ in range(count)]
    try:
        await asyncio.gather(*(call.start() for call in calls))
        for call in calls:
            await call.warm_up()
        begin_s = time.monotonic()
        before = {call: call.cpu_seconds() for call in calls if not call.error}
        server_s = time.process_time()
        await asyncio.gather(
            *(call.run(begin_s + PACKET_S * number / count) for number, call in enumerate(calls))
        )
        server_s = time.process_time() - server_s
        seconds = time.monotonic() - begin_s
        sound = [call for call in calls if not call.error]
        workers_s = sum(call.cpu_seconds() - before[call] for call in sound)
        hops = merged([call.hops() for call in sound]) if sound else None
        await asyncio.gather(*(call.finish() for call in sound))
    finally:
        await asyncio.gather(*(call.session.aclose() for call in calls))
    return Sample(
        hops=hops,
        latencies_s=[latency for call in calls for latency in call.latencies_s],
        late=sum(call.late for call in calls),
        errors=[call.error for call in calls if call.error],
        server_share=server_s / seconds,
        workers_share=workers_s / seconds,
    )


class Call:
    """One session and what it is fed with.

    Attributes:
        session: it.
        latencies_s: of each packet that came out.
        late: how many came out late, or have not yet.
        error: what it raised, in words.
    """

    def __init__(self, session: Session, packets: int) -> None:
        self.session = session
        self.latencies_s: list[float] = []
        self.late = packets
        self.error = ""
        self._packets = packets
        self._sent_s: list[float] = []
        self._begin_s = 0.0

    async def start(self) -> None:
        """Start the session."""
        with self._noting_errors():
            await self.session.start()

    async def warm_up(self) -> None:
        """Send a packet through. Its hops are counted, too, but are too few for a percentile."""
        if self.error:
            return
        with self._noting_errors():
            async with asyncio.timeout(PATIENCE_S):
                await self.session.send(_audio(0))
                assert await self.session.receive() is not None, "the first packet was lost"

    async def run(self, begin_s: float) -> None:
        """Feed it and read all that it gives.

        Args:
            begin_s: when the first packet is due, by the monotonic clock.
        """
        if self.error:
            return
        self._begin_s = begin_s
        limit_s = self._packets * PACKET_S + PATIENCE_S
        with self._noting_errors():
            async with asyncio.timeout(limit_s), asyncio.TaskGroup() as group:
                group.create_task(self._feed())
                group.create_task(self._take())

    async def finish(self) -> None:
        """End its input; nothing more may come out."""
        with self._noting_errors():
            async with asyncio.timeout(PATIENCE_S):
                await self.session.end_input()
                assert await self.session.receive() is None, "a packet came out twice"

    def cpu_seconds(self) -> float:
        """Processor time of its workers so far."""
        return cpu_seconds(stage.pid for stage in self.session.stages)

    def hops(self) -> dict[str, HopTimes]:
        """Edge id → how long its hops took."""
        edges = self.session.statistics().edges
        assert len(edges) == NODES + 1
        return {edge_id: counts.hops for edge_id, counts in edges.items()}

    async def _feed(self) -> None:
        for index in range(self._packets):
            await asyncio.sleep(max(0.0, self._due_s(index) - time.monotonic()))
            packet = _audio(index)
            self._sent_s.append(time.monotonic())
            await self.session.send(packet)

    async def _take(self) -> None:
        for index in range(self._packets):
            packet = await self.session.receive()
            now_s = time.monotonic()
            assert packet is not None, f"{index} of {self._packets} packets came out"
            samples = packet.expect(Audio).samples
            assert samples[0, 0] == samples[-1, 0] == index, f"packet {index} was due"
            self.latencies_s.append(now_s - self._sent_s[index])
            self.late -= now_s - self._due_s(index) <= LATE_S

    @contextlib.contextmanager
    def _noting_errors(self) -> Iterator[None]:
        """One session's failure is counted, and does not end the others."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is
            first = error
            while isinstance(first, ExceptionGroup):
                first = first.exceptions[0]
            self.error = f"{type(first).__name__}: {first}"

    def _due_s(self, index: int) -> float:
        return self._begin_s + index * PACKET_S


def _audio(index: int) -> Audio:
    return Audio(np.full((round(RATE_HZ * PACKET_S), 1), index, np.float32), RATE_HZ)
