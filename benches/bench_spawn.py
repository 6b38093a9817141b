"""Spawn: how long until a worker process is ready that was asked for, and until it is gone?

Two levels, both with a warm zygote and an operator that does nothing:

    worker   the worker service alone: spawn until it is known to be ready, stop until it is reaped
    session  what a user waits for: entering `async with pipeline.session()`, with making the plan,
             and leaving it

each for one at a time and for five at once (five stages of one session), and a worker of another
interpreter, too: that of a virtual environment made for the bench, which has a zygote of its own.
Beside them, in the same rounds, the standard library's ways to start a process that has numpy and
pyarrow: "spawn", a fresh interpreter each, and "forkserver", a server that has them loaded.
Source: FR-004, NFR-002.
"""

from __future__ import annotations

import asyncio
import json
import queue
import sysconfig
import tempfile
import time
import venv
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benches.empty_worker import ENTRY
from benches.peers import Peer
from benches.processes import cpu_seconds_with_ended, parent_of
from benches.report import Result, percentile, result
from benches.rounds import CannotMeasure, Samples, alternate
from engine.errors import RemoteMediaError
from engine.workers.notices import FailedNotice, ReadyNotice
from engine.workers.service import WorkerService, WorkerSpec
from operators.flow.pass_through import PassThrough
from remotemedia import Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.workers.notices import WorkerNotice
    from engine.workers.service import WorkerHandle

#: One at a time, each round; and groups of five.
SINGLES = 10
GROUPS = 4
GROUP = 5
#: Fresh interpreters each round: they take a quarter of a second each.
FRESH = 2
PATIENCE_S = 30.0
_ROOT = Path(__file__).parent.parent

ONE_P50_MS_MAX = 8.0
ONE_P99_MS_MAX = 20.0
FIVE_MS_MAX = 40.0


class Sample(NamedTuple):
    """A round: seconds until ready and until gone, by worker or group; CPU seconds per worker."""

    ready: list[float]
    closed: list[float]
    cpu_seconds: float


def run(rounds: int) -> list[Result]:
    with ExitStack() as stack:
        other = other_interpreter(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        starts: dict[str, Callable[[], float]] = {
            "zygote/ours": _zygote,
            "zygote/other-interpreter/ours": partial(_zygote, other),
        }
        zygotes = alternate("spawn, zygote", starts, rounds)
        service = WorkerService.shared()
        stack.callback(service.close)
        service.warm(wait_s=PATIENCE_S)
        library = stack.enter_context(Peer("multiprocessing_start", None))
        subjects: dict[str, Callable[[], Sample]] = {
            "worker/one/ours": partial(_workers, service, SINGLES, 1),
            "worker/one/other-interpreter/ours": partial(_workers, service, SINGLES, 1, other),
            "worker/one/multiprocessing-forkserver": partial(
                _library, library, method="forkserver", workers=SINGLES, at_once=1
            ),
            "worker/one/multiprocessing-spawn": partial(
                _library, library, method="spawn", workers=FRESH, at_once=1
            ),
            "worker/five/ours": partial(_workers, service, GROUPS * GROUP, GROUP),
            "worker/five/multiprocessing-forkserver": partial(
                _library, library, method="forkserver", workers=GROUPS * GROUP, at_once=GROUP
            ),
            "session/one/ours": partial(_sessions, SINGLES, 1),
            "session/five/ours": partial(_sessions, GROUPS, GROUP),
        }
        samples = alternate("spawn", subjects, rounds)
    return [
        *(
            result(
                case, "ready", "ms", [each * 1e3 for each in taken], why=zygotes.why.get(case, "")
            )
            for case, taken in zygotes.of.items()
        ),
        *_results(samples),
    ]


# --- results -----------------------------------------------------------------------------------


def _results(samples: Samples[Sample]) -> Iterator[Result]:
    for case, taken in samples.of.items():
        ours = case.endswith("/ours")
        ready = [seconds * 1e3 for each in taken for seconds in each.ready]
        closed = [seconds * 1e3 for each in taken for seconds in each.closed]
        one = "/one/" in case
        # The budget is a worker's; a session also plans, wires its edges and compiles.
        held = ours and case.startswith("worker/")
        p50_max = (ONE_P50_MS_MAX if one else FIVE_MS_MAX) if held else None
        p99_max = ONE_P99_MS_MAX if one and held else None
        cpu = [each.cpu_seconds * 1e3 for each in taken]
        slowest = [percentile(ready, 99)] if ready else []
        why = samples.why.get(case, "")
        yield result(case, "ready_p50", "ms", ready, at_most=p50_max, why=why)
        yield result(case, "ready_p99", "ms", slowest, at_most=p99_max, why=why)
        yield result(case, "closed_p50", "ms", closed, why=why)
        yield result(case, "cpu_per_worker", "ms", cpu, why=why)


# --- ours --------------------------------------------------------------------------------------


def other_interpreter(folder: Path) -> str:
    """Make a virtual environment, and give its interpreter's path.

    It finds what this interpreter's own environment and the system's have.

    Args:
        folder: an empty one.
    """
    venv.create(folder, system_site_packages=True, symlinks=True)
    packages = sysconfig.get_path("purelib", vars={"base": str(folder)})
    # This interpreter may belong to a virtual environment itself: then the system's is another one.
    (Path(packages) / "bench.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return str(folder / "bin" / "python")


def _zygote(interpreter: str | None = None) -> float:
    """Seconds from nothing to a zygote that can fork."""
    service = WorkerService()
    try:
        started = time.perf_counter()
        _warm(service, interpreter)
        return time.perf_counter() - started
    finally:
        service.close()


def _warm(service: WorkerService, interpreter: str | None) -> None:
    try:
        service.warm(interpreter, wait_s=PATIENCE_S)
    except RemoteMediaError as error:
        if interpreter is None:
            raise
        raise CannotMeasure(f"no worker of another interpreter: {error.message}") from error


def _workers(
    service: WorkerService, workers: int, at_once: int, interpreter: str | None = None
) -> Sample:
    _warm(service, interpreter)
    start = partial(_start, service, interpreter=interpreter)
    ready: list[float] = []
    closed: list[float] = []
    first = start(1)
    zygote = _zygote_of(lambda: first[0].pid)
    _stop(first)
    started_cpu = _cpu_seconds(zygote)
    for _ in range(workers // at_once):
        started = time.perf_counter()
        group = start(at_once)
        ready.append(time.perf_counter() - started)
        ending = time.perf_counter()
        _stop(group)
        closed.append(time.perf_counter() - ending)
    return Sample(ready, closed, (_cpu_seconds(zygote) - started_cpu) / workers)


def _start(
    service: WorkerService, count: int, *, interpreter: str | None = None
) -> list[WorkerHandle]:
    """Start workers and wait until all are ready."""
    notices: queue.SimpleQueue[WorkerNotice] = queue.SimpleQueue()
    spec = WorkerSpec(
        session_id="bench",
        stage_id="empty",
        node_ids=("empty",),
        title="remotemedia empty --session bench",
        start=json.dumps({"entry": ENTRY}).encode(),
        # Another interpreter is given our packages, but not what lies beside them.
        extra_paths=() if interpreter is None else (str(_ROOT),),
        interpreter=interpreter,
    )
    handles = [service.spawn(spec, notices.put) for _ in range(count)]
    missing = count
    while missing:
        notice = notices.get(timeout=PATIENCE_S)
        if isinstance(notice, FailedNotice):
            raise notice.error
        missing -= isinstance(notice, ReadyNotice)
    return handles


def _stop(handles: list[WorkerHandle]) -> None:
    for handle in handles:
        handle.stop()
    for handle in handles:
        assert handle.wait_exited(PATIENCE_S), "a worker did not end"


def _sessions(sessions: int, nodes: int) -> Sample:
    pipeline = Pipeline("empty")
    for _ in range(nodes):
        pipeline = pipeline | PassThrough().on("process")
    return asyncio.run(_open_and_close(pipeline, sessions, nodes))


async def _open_and_close(pipeline: Pipeline, sessions: int, nodes: int) -> Sample:
    ready: list[float] = []
    closed: list[float] = []
    async with pipeline.session() as session:
        assert len(session.stages) == nodes
        zygote = _zygote_of(lambda: session.stages[0].pid)
    started_cpu = _cpu_seconds(zygote)
    for _ in range(sessions):
        started = time.perf_counter()
        async with pipeline.session():
            ready.append(time.perf_counter() - started)
            ending = time.perf_counter()
        closed.append(time.perf_counter() - ending)
    return Sample(ready, closed, (_cpu_seconds(zygote) - started_cpu) / (sessions * nodes))


def _cpu_seconds(zygote: int) -> float:
    """Processor time of this process, the zygote, and all its workers that have ended."""
    return time.process_time() + cpu_seconds_with_ended(zygote)


def _zygote_of(worker_pid: Callable[[], int]) -> int:
    """A worker's parent; that a worker is ready may be known before its process id is."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not (pid := worker_pid()):
        assert time.monotonic() < deadline_s, "a worker's process id never became known"
        time.sleep(1e-3)
    return parent_of(pid)


# --- peers -------------------------------------------------------------------------------------


def _library(peer: Peer, *, method: str, workers: int, at_once: int) -> Sample:
    answer = peer.ask(method=method, workers=workers, at_once=at_once)
    return Sample(answer["ready"], answer["closed"], answer["cpu_seconds"])
