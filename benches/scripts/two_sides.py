"""A consumer in a child process beside the producer in this one, for `benches.bench_hop`'s peers.

The child dies with its parent, and neither waits for the other without end.
"""

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hop_work import Load, Report, outcome  # type: ignore[import-not-found]

#: How long one measurement may take, and one message of it.
TIMEOUT_S = 60.0
MESSAGE_TIMEOUT_S = 10.0
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Be killed when the parent ends, however it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def measure(
    load: Load, produce: Callable[[Any], Report], consume: Callable[[Any], Report], shared: Any
) -> dict[str, Any]:
    """Run both sides of one measurement.

    Args:
        load: what to measure.
        produce: runs here, with `shared`.
        consume: runs in a forked child, with `shared`.
        shared: whatever the two need of each other.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=_run, args=(consume, shared, ours, theirs))
    child.start()
    theirs.close()
    # What the transport itself waits for without a limit must not outlast the consumer.
    signal.signal(signal.SIGALRM, too_late)
    signal.alarm(int(TIMEOUT_S))
    try:
        assert _answer(ours) == "ready"
        sent = produce(shared)
        return dict(outcome(load, sent, Report(*_answer(ours))))
    finally:
        signal.alarm(0)
        child.join(1.0)
        if child.is_alive():
            child.kill()
            child.join()
        ours.close()


def cpu_ns(pid: int) -> int:
    """Processor time of all threads a process has."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks)


def _run(consume: Callable[[Any], Report], shared: Any, ours: Connection, pipe: Connection) -> None:
    ours.close()
    die_with_parent()
    signal.alarm(0)
    try:
        pipe.send(tuple(consume(Shared(shared, lambda: pipe.send("ready")))))
    except BaseException as error:  # noqa: BLE001 - whatever it is, the other side must hear of it
        pipe.send(f"{type(error).__name__}: {error}")


class Shared:
    """What the consumer gets: `shared`, and a way to say that it listens."""

    def __init__(self, shared: Any, ready: Callable[[], None]) -> None:
        self.value = shared
        self.ready = ready


def _answer(pipe: Connection) -> Any:
    if not pipe.poll(TIMEOUT_S):
        raise TimeoutError(f"the consumer said nothing for {TIMEOUT_S:g} s")
    answer = pipe.recv()
    if isinstance(answer, str) and answer != "ready":
        raise RuntimeError(f"the consumer failed: {answer}")
    return answer


def too_late(signal_number: int, frame: Any) -> None:
    """Handle SIGALRM: a limit was reached."""
    del signal_number, frame
    raise TimeoutError(f"a measurement took more than {TIMEOUT_S:g} s")
