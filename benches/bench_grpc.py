"""gRPC: what do pipelines cost behind the door, beside a bare grpc.aio echo of the same messages?

    unary       ExecutePipeline of a calculator, by 1 client and by 50 at once
    stream      20 ms of audio (16 kHz, float32), a chunk sent once the last has come back: through
                one local node, and through three process nodes. The latter may take as long as the
                echo and the same session without gRPC ("session"), which has all four hops, and
                20 %
    real-time   as many streams as are answered in time, each with a chunk every 20 ms: 99 of 100
                round trips within 20 ms. The client is one process of Python, too, and takes more
                than half of the machine, so the echo's number bounds ours
    many        100 executions at once, and 1,000 connections with one each: failures
    memory      what the server grows by for each of 500 streams that are open and idle

Servers are processes of their own; the client is this one. Source: FR-012, SC-003.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Self

import numpy as np

from benches.grpc_client import (
    FRAMES,
    RATE_HZ,
    AudioStream,
    channel,
    connect,
    execute,
    real_time,
    round_trips,
)
from benches.grpc_nodes import ProcessPass
from benches.report import Result, percentile, result
from benches.rounds import alternate
from benches.soak_memory import take
from remotemedia import Audio, Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from types import TracebackType
    from typing import Any

CALLS = 200
CLIENTS = 50
CALLS_OF_EACH = 6
CHUNKS = 300
LOCAL = ("PassThrough",)
PROCESSES = ("BenchProcessPass",) * 3
STREAMS = (5, 10, 20, 40, 80)
REAL_TIME_CHUNKS = 50
IN_TIME_MS = 20.0
PARALLEL = 100
CONNECTIONS = 1_000
IDLE_STREAMS = 500

UNARY_P50_MS_MAX = 5.0
UNARY_RATIO_MAX = 1.5
LOCAL_RATIO_MAX = 1.3
PROCESS_RATIO_MAX = 1.2

Times = list[float]


class Server:
    """A server of the bench, in a process of its own.

    Attributes:
        address: where it listens.
        pid: its process.
    """

    def __init__(self, which: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benches.grpc_server", which],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate(timeout=60)


def run(rounds: int) -> list[Result]:
    """See `benches.__main__.Bench`."""
    with Server("ours") as ours, Server("echo") as echo:
        subjects: dict[str, Callable[[], Times]] = {}
        for name, server in (("ours", ours), ("echo", echo)):
            address = server.address
            subjects |= {
                f"unary/1-client/{name}": _run(execute, address, 1, CALLS),
                f"unary/50-clients/{name}": _run(execute, address, CLIENTS, CALLS_OF_EACH),
                f"stream/local/{name}": _run(round_trips, address, LOCAL, CHUNKS),
            }
        subjects["stream/process/ours"] = _run(round_trips, ours.address, PROCESSES, CHUNKS)
        subjects["stream/process/session"] = _run(_session_round_trips, CHUNKS)
        samples = alternate("grpc", subjects, rounds)
        found = results(samples.of)
        for name, server in (("ours", ours), ("echo", echo)):
            found += _once(name, server)
        found += _real_time("process/ours", ours, PROCESSES)
    return found


def results(taken: dict[str, list[Times]]) -> list[Result]:
    """The rows of what was measured in turn."""
    rows: list[Result] = []
    for case, rounds in taken.items():
        budget = UNARY_P50_MS_MAX if case == "unary/1-client/ours" else None
        p50 = [percentile(times, 50) for times in rounds]
        p99 = [percentile(times, 99) for times in rounds]
        rows.append(result(f"grpc/{case}", "p50", "ms", p50, at_most=budget))
        rows.append(result(f"grpc/{case}", "p99", "ms", p99))
    medians = {case: [percentile(times, 50) for times in all_] for case, all_ in taken.items()}

    def ratio(case: str, most: float, *others: str) -> Result:
        values = [
            mine / sum(theirs)
            for mine, *theirs in zip(
                medians[case], *(medians[other] for other in others), strict=True
            )
        ]
        return result(f"grpc/{case}", f"to {' + '.join(others)}", "×", values, at_most=most)

    return [
        *rows,
        ratio("unary/1-client/ours", UNARY_RATIO_MAX, "unary/1-client/echo"),
        ratio("unary/50-clients/ours", UNARY_RATIO_MAX, "unary/50-clients/echo"),
        ratio("stream/local/ours", LOCAL_RATIO_MAX, "stream/local/echo"),
        ratio(
            "stream/process/ours",
            PROCESS_RATIO_MAX,
            "stream/local/echo",
            "stream/process/session",
        ),
    ]


def _once(name: str, server: Server) -> list[Result]:
    """What needs no rounds: counts, and memory."""
    budget = 0.0 if name == "ours" else None
    parallel = asyncio.run(execute(server.address, PARALLEL, 1))
    answered = asyncio.run(connect(server.address, CONNECTIONS))
    idle_bytes = asyncio.run(_idle_bytes(server))
    return [
        result(
            f"grpc/many/{PARALLEL}-at-once/{name}",
            "failures",
            "calls",
            [PARALLEL - len(parallel)],
            at_most=budget,
        ),
        result(
            f"grpc/many/{CONNECTIONS}-connections/{name}",
            "failures",
            "calls",
            [CONNECTIONS - answered],
            at_most=budget,
        ),
        result(f"grpc/memory/idle-stream/{name}", "private", "KiB", [idle_bytes / 1024]),
        *_real_time(f"local/{name}", server, LOCAL),
    ]


def _real_time(case: str, server: Server, node_types: Sequence[str]) -> list[Result]:
    """As many streams as are answered in time; of process nodes, as many as there may be."""
    steps = STREAMS if node_types == LOCAL else tuple(n for n in STREAMS if n * 3 <= 100)
    sustained, p99 = 0, 0.0
    for streams in steps:
        times = asyncio.run(real_time(server.address, node_types, streams, REAL_TIME_CHUNKS))
        late = percentile(times, 99)
        if late > IN_TIME_MS:
            break
        sustained, p99 = streams, late
    return [
        result(f"grpc/real-time/{case}", "streams", "", [sustained]),
        result(f"grpc/real-time/{case}", "p99", "ms", [p99]),
    ]


async def _idle_bytes(server: Server) -> float:
    """What the server grows by for an idle stream, in bytes."""
    async with channel(server.address) as connection:
        streams = [AudioStream(connection, LOCAL) for _ in range(IDLE_STREAMS)]
        warm, rest = streams[:20], streams[20:]
        await asyncio.gather(*(stream.open() for stream in warm))
        before = take([server.pid]).private_bytes
        await asyncio.gather(*(stream.open() for stream in rest))
        grown = take([server.pid]).private_bytes - before
        await asyncio.gather(*(stream.close() for stream in streams))
        return grown / len(rest)


async def _session_round_trips(chunks: int) -> Times:
    """The same three process nodes without gRPC: round trips in ms."""
    pipeline = Pipeline("bare") | ProcessPass() | ProcessPass() | ProcessPass()
    loop = asyncio.get_running_loop()
    times = []
    async with pipeline.session() as session:
        for number in range(50 + chunks):
            samples = np.zeros((FRAMES, 1), np.float32)
            began_s = loop.time()
            await session.send(Audio(samples, RATE_HZ))
            assert await session.receive() is not None
            if number >= 50:
                times.append((loop.time() - began_s) * 1e3)
    return times


def _run(function: Callable[..., Coroutine[Any, Any, Times]], *args: Any) -> Callable[[], Times]:
    return partial(_runs, function, args)


def _runs(function: Callable[..., Coroutine[Any, Any, Times]], args: tuple[Any, ...]) -> Times:
    return asyncio.run(function(*args))
