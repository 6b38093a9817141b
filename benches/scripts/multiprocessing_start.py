"""Starting worker processes with the standard library, on our interpreter; see `benches.peers`.

A worker is ready once it has numpy and pyarrow and has said so over a pipe. "spawn" executes a
fresh interpreter for each, "forkserver" forks them from a server that has both libraries loaded:
the nearest thing to our zygote, without a lane, limits, reports or an end by ladder.
"""

import contextlib
import multiprocessing
import os
import resource
import time
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from answering import serve  # type: ignore[import-not-found]

LIBRARIES = ("numpy", "pyarrow")
TIMEOUT_S = 30.0
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def work(pipe: Connection) -> None:
    """The worker: ready, then wait for the end of the pipe."""
    for library in LIBRARIES:
        __import__(library)
    pipe.send_bytes(b"ready")
    with contextlib.suppress(EOFError):
        pipe.recv_bytes()


def start(context: BaseContext) -> tuple[BaseProcess, Connection]:
    """Start a worker; does not wait for it."""
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs,))  # type: ignore[attr-defined]
    process.start()
    theirs.close()
    return process, ours


def run(method: str, workers: int, at_once: int) -> dict[str, Any]:
    """Start `workers` workers in groups of `at_once`.

    Returns:
        For each group the seconds until all were ready, and until all had ended; and the CPU
        seconds per worker.
    """
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(list(LIBRARIES))
    parent = measure(context, 1)[2]  # the fork server loads the libraries now
    started_cpu = cpu_seconds(parent)
    groups = [measure(context, at_once)[:2] for _ in range(workers // at_once)]
    ready, closed = zip(*groups, strict=True)
    cpu = (cpu_seconds(parent) - started_cpu) / (len(groups) * at_once)
    return {"ready": ready, "closed": closed, "cpu_seconds": cpu}


def measure(context: BaseContext, count: int) -> tuple[float, float, int]:
    """Start and end a group; the seconds of both, and the process that forked it."""
    started = time.perf_counter()
    group = [start(context) for _ in range(count)]
    for _, pipe in group:
        if not pipe.poll(TIMEOUT_S):
            raise TimeoutError(f"a worker was not ready after {TIMEOUT_S:g} s")
        assert pipe.recv_bytes() == b"ready"
    ready = time.perf_counter()
    parent = parent_of(group[0][0].pid or 0)
    ending = time.perf_counter()
    for _, pipe in group:
        pipe.close()
    for process, _ in group:
        process.join(TIMEOUT_S)
        assert process.exitcode == 0
    return ready - started, time.perf_counter() - ending, parent


def cpu_seconds(parent: int) -> float:
    """Processor time of this process, of the one that forks, and of all that have ended."""
    own = time.process_time()
    if parent == os.getpid():
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return own + children.ru_utime + children.ru_stime
    fields = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()
    return own + sum(int(ticks) for ticks in fields[11:15]) / TICKS_PER_SECOND


def parent_of(pid: int) -> int:
    """The parent's process id."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


if __name__ == "__main__":
    serve(run)
