"""Local chain: what does a packet cost on its way through five local pass-through nodes?

Ours is the public API as a user gets it: a session over a pipeline, fed and read by `stream()`,
with statistics on and channels of the default capacity. Beside it, in every round,

    bare             the reactivex chain alone: a Subject and five maps, nothing around it
    ours-uvloop      ours on another event loop
    pipecat-ai       a PipelineWorker over five pass-through FrameProcessors, with its defaults
    pipecat-ai-lean  the same without its observers and the queues between processors: its fastest

All carry the same number of audio blocks of 20 ms, and check the identity and order of each.

The second question is for how long a saturated chain holds the event loop. A callback that runs in
every iteration of the loop reads the clocks; "beyond" is what passed since it ran last, less the
longest call of an operator in between. The budget is for the thread's processor time: what another
process takes from this one shows in the wall time alone. Source: NFR-003.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import reactivex
from reactivex import operators as ops

from benches.peers import Peer
from benches.report import Result, percentile, result
from benches.rounds import CannotMeasure, Samples, alternate
from operators.flow.pass_through import PassThrough
from remotemedia import Audio, Operator, Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from remotemedia import Context, Packet

NODES = 5
#: Through each chain in each round: in passes, each after a warm-up, all chains taking turns, since
#: one run of a fast chain is shorter than the moods of a machine.
PASSES = 5
PACKETS_A_PASS = 2_000
PACKETS = PASSES * PACKETS_A_PASS
WARM_UP = 500
#: Packets through the chains whose hold on the loop is measured; a busy one takes 0.3 ms for each.
PACKETS_HELD = {"pass-through": 20_000, "busy": 1_500}
BUSY_NS = 300_000

RATIO_TO_BARE_MAX = 4.0
RATIO_TO_PIPECAT_MIN = 30.0
HELD_BEYOND_MS_MAX = 1.0


class Sample(NamedTuple):
    """What a chain took for one pass, or for all passes of a round."""

    seconds: float
    cpu_seconds: float

    def per_packet_us(self) -> float:
        """Wall time of one packet."""
        return self.seconds / PACKETS * 1e6

    def cpu_per_packet_us(self) -> float:
        """Processor time of one packet."""
        return self.cpu_seconds / PACKETS * 1e6

    def per_second(self) -> float:
        """Packets a second."""
        return PACKETS / self.seconds


class Held(NamedTuple):
    """For how long one run held the loop beyond its longest operator call, by iteration."""

    wall_ms: list[float]
    cpu_ms: list[float]


class Busy(Operator):
    """Keeps the processor for BUSY_NS, then hands the packet on."""

    #: Longest call since these were last set to 0, by wall and by processor time.
    longest_ns = 0
    longest_cpu_ns = 0

    def process(self, packet: Packet, ctx: Context) -> Packet:
        """See `Operator`."""
        started, started_cpu = time.monotonic_ns(), time.thread_time_ns()
        while time.monotonic_ns() - started < BUSY_NS:
            pass
        Busy.longest_ns = max(Busy.longest_ns, time.monotonic_ns() - started)
        Busy.longest_cpu_ns = max(Busy.longest_cpu_ns, time.thread_time_ns() - started_cpu)
        return packet


def run(rounds: int) -> list[Result]:
    payloads = [Audio(np.zeros(320, np.int16), 16_000) for _ in range(PACKETS_A_PASS)]
    with ExitStack() as stack:
        pipecat = stack.enter_context(Peer("pipecat_chain", "pipecat"))
        chains: dict[str, Callable[[], Sample]] = {
            "bare": partial(_bare, payloads),
            "ours": partial(_ours, payloads, asyncio.new_event_loop),
            "ours-uvloop": partial(_on_uvloop, payloads),
            "pipecat-ai": partial(_pipecat, pipecat, lean=False),
            "pipecat-ai-lean": partial(_pipecat, pipecat, lean=True),
        }
        samples = _by_round(alternate("local_chain", chains, rounds * PASSES))
    loops: dict[str, Callable[[], Held]] = {
        "pass-through": partial(_hold, "pass-through", [PassThrough() for _ in range(NODES)]),
        "busy": partial(_hold, "busy", [*(PassThrough() for _ in range(NODES - 1)), Busy()]),
    }
    return [
        *_costs(samples),
        _ratio(samples, "bare", at_most=RATIO_TO_BARE_MAX),
        _ratio(samples, "pipecat-ai", at_least=RATIO_TO_PIPECAT_MIN),
        _ratio(samples, "pipecat-ai-lean"),
        *_held(alternate("local_chain, loop", loops, rounds)),
    ]


def _by_round(passes: Samples[Sample]) -> Samples[Sample]:
    """Add up the passes of each round."""
    for name, taken in passes.of.items():
        rounds = [taken[first : first + PASSES] for first in range(0, len(taken), PASSES)]
        passes.of[name] = [
            Sample(sum(each.seconds for each in one), sum(each.cpu_seconds for each in one))
            for one in rounds
        ]
    return passes


# --- results -----------------------------------------------------------------------------------


def _costs(samples: Samples[Sample]) -> Iterator[Result]:
    for name, taken in samples.of.items():
        case = f"chain/{name}"
        metrics = {
            ("time_per_packet", "µs"): [each.per_packet_us() for each in taken],
            ("cpu_per_packet", "µs"): [each.cpu_per_packet_us() for each in taken],
            ("throughput", "packets/s"): [each.per_second() for each in taken],
        }
        for (metric, unit), values in metrics.items():
            yield result(case, metric, unit, values, why=samples.why.get(name, ""))


def _ratio(
    samples: Samples[Sample],
    peer: str,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
) -> Result:
    """Ours against a peer, in each round: by time against the bare chain, else by rate."""
    by_time = peer == "bare"
    case, metric = f"chain/ours:{peer}", "time_ratio" if by_time else "throughput_ratio"
    pairs = samples.pairs("ours", peer)
    ratios = [(a.seconds / b.seconds) if by_time else (b.seconds / a.seconds) for a, b in pairs]
    why = samples.why.get(peer, "")
    return result(case, metric, "×", ratios, at_most=at_most, at_least=at_least, why=why)


def _held(samples: Samples[Held]) -> Iterator[Result]:
    for name, taken in samples.of.items():
        case = f"loop/{name}/ours"
        for clock, runs in (
            ("cpu", [e.cpu_ms for e in taken]),
            ("wall", [e.wall_ms for e in taken]),
        ):
            budget = HELD_BEYOND_MS_MAX if clock == "cpu" else None
            worst = [max(run) for run in runs]
            yield result(case, f"held_{clock}_p99", "ms", [percentile(run, 99) for run in runs])
            yield result(case, f"held_{clock}_worst", "ms", worst, at_most=budget)


# --- chains ------------------------------------------------------------------------------------


def _bare(payloads: Sequence[Audio]) -> Sample:
    def through(count: int) -> Sample:
        expected = iter(payloads)
        seen = 0

        def check(payload: Audio) -> None:
            nonlocal seen
            assert payload is next(expected), f"payload {seen} is out of order"
            seen += 1

        subject: reactivex.Subject[Audio] = reactivex.Subject()
        subject.pipe(*[ops.map(_identity) for _ in range(NODES)]).subscribe(check)
        started, started_cpu = time.perf_counter(), time.process_time()
        for payload in itertools.islice(payloads, count):
            subject.on_next(payload)
        sample = Sample(time.perf_counter() - started, time.process_time() - started_cpu)
        assert seen == count
        return sample

    through(WARM_UP)
    return through(PACKETS_A_PASS)


def _identity(payload: Audio) -> Audio:
    return payload


def _ours(
    payloads: Sequence[Audio], loop_factory: Callable[[], asyncio.AbstractEventLoop]
) -> Sample:
    pipeline = Pipeline("chain")
    for _ in range(NODES):
        pipeline = pipeline | PassThrough().on("local")
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_stream(pipeline, payloads[:WARM_UP]))
        return runner.run(_stream(pipeline, payloads))


def _on_uvloop(payloads: Sequence[Audio]) -> Sample:
    try:
        import uvloop
    except ImportError:
        raise CannotMeasure("uvloop is not installed; it has no wheel for this platform") from None
    return _ours(payloads, uvloop.new_event_loop)


async def _stream(pipeline: Pipeline, payloads: Sequence[Audio]) -> Sample:
    async with pipeline.session() as session:
        seen = 0
        started, started_cpu = time.perf_counter(), time.process_time()
        async for packet in session.stream(payloads):
            assert packet.payload is payloads[seen], f"packet {seen} is out of order"
            seen += 1
        sample = Sample(time.perf_counter() - started, time.process_time() - started_cpu)
        counts = session.statistics().nodes
    assert seen == len(payloads)
    assert [(node.received, node.emitted) for node in counts.values()] == [(seen, seen)] * NODES
    return sample


def _pipecat(peer: Peer, *, lean: bool) -> Sample:
    answer = peer.ask(packets=PACKETS_A_PASS, lean=lean)
    return Sample(answer["seconds"], answer["cpu_seconds"])


# --- the loop ----------------------------------------------------------------------------------


def _hold(name: str, nodes: Sequence[Operator]) -> Held:
    pipeline = Pipeline(name)
    for node in nodes:
        pipeline = pipeline | node.on("local")
    return asyncio.run(_watch_loop(pipeline, PACKETS_HELD[name]))


async def _watch_loop(pipeline: Pipeline, packets: int) -> Held:
    """Saturate a pipeline and watch the loop."""
    ticker = Ticker()
    payload = Audio(np.zeros(320, np.int16), 16_000)
    seen = 0
    async with pipeline.session() as session:
        ticker.start()
        async for _ in session.stream(itertools.repeat(payload, packets)):
            seen += 1
        ticker.stop()
    assert seen == packets
    return ticker.held


class Ticker:
    """A callback that runs in every iteration of the loop."""

    def __init__(self) -> None:
        self.held = Held([], [])
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        """Begin to run."""
        self._read_clocks()
        self._handle = self._loop.call_soon(self._tick)

    def stop(self) -> None:
        """Run no more."""
        self._handle.cancel()

    def _tick(self) -> None:
        since, since_cpu = self._wall_ns, self._cpu_ns
        longest_ns, longest_cpu_ns = Busy.longest_ns, Busy.longest_cpu_ns
        self._read_clocks()
        self.held.wall_ms.append((self._wall_ns - since - longest_ns) / 1e6)
        self.held.cpu_ms.append((self._cpu_ns - since_cpu - longest_cpu_ns) / 1e6)
        self._handle = self._loop.call_soon(self._tick)

    def _read_clocks(self) -> None:
        Busy.longest_ns = Busy.longest_cpu_ns = 0
        self._wall_ns, self._cpu_ns = time.monotonic_ns(), time.thread_time_ns()
