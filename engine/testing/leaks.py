"""What a test has left behind: processes, threads, descriptors, shared memory, tasks.

    with no_leaks():
        ...  # whatever starts something

Reads /proc where there is one; elsewhere threads and tasks alone are compared.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: How long what is ending may take to be gone: a worker's owner hears of its end a moment before
#: the service has closed its descriptors.
TIDY_S = 2.0
#: Name of the thread that looks after all workers of a process.
SERVICE_THREAD = "remotemedia-workers"
_POLL_S = 0.005
_PROC = Path("/proc")
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - it is looked at, and nothing is made there


@dataclass(frozen=True)
class Footprint:
    """What this process has of the system.

    Attributes:
        processes: pid → title of the processes under it, without the worker service's zygotes.
        descriptors: kind of thing → how many are open.
        threads: names of the threads, with how many there are of each.
        shared_memory: this project's files in /dev/shm.
        tasks: unfinished asyncio tasks; empty where they were not asked for.
    """

    processes: Mapping[int, str]
    descriptors: Counter[str]
    threads: Counter[str]
    shared_memory: frozenset[str]
    tasks: frozenset[asyncio.Task[Any]] = field(default=frozenset())

    @classmethod
    def take(cls, *, all_processes: bool = False, tasks: bool = False) -> Footprint:
        """What it has now.

        Args:
            all_processes: look for others than those that run a stage of a session, too.
            tasks: look for tasks, too, on whichever loop; that takes a walk through all objects.
        """
        return cls(
            (processes_under if all_processes else workers_under)(os.getpid()),
            Counter(_kinds_of_descriptors()),
            Counter(thread.name for thread in threading.enumerate()),
            frozenset(_shared_memory()),
            _unfinished_tasks() if tasks else frozenset(),
        )

    def more_than(self, before: Footprint) -> list[str]:
        """What is here that was not there before, in words."""
        started = self.processes.keys() - before.processes.keys()
        return [
            *(f"process {pid}: {self.processes[pid]}" for pid in sorted(started)),
            *(f"descriptors: {kind}" for kind in self.descriptors - before.descriptors),
            *(f"thread {name}" for name in self.threads - before.threads),
            *(
                f"{_SHARED_MEMORY}/{name}"
                for name in sorted(self.shared_memory - before.shared_memory)
            ),
            *sorted(f"task {task.get_name()}: {_body(task)}" for task in self.tasks - before.tasks),
        ]


def what_is_left(before: Footprint, within_s: float = TIDY_S, **what: bool) -> list[str]:
    """What there is more than before, in words; waits a little for what is ending.

    Args:
        before: taken before.
        within_s: real seconds to wait for what is there to go.
        what: see `Footprint.take`.
    """

    def look() -> list[str]:
        return Footprint.take(**what).more_than(before)

    def collect_and_look() -> list[str]:
        gc.collect()
        return look()

    # A collection takes 0.3 s beside a large program, and seldom is there anything to collect.
    return look() and _last(collect_and_look, within_s)


@contextlib.contextmanager
def no_leaks(within_s: float = TIDY_S) -> Iterator[None]:
    """Hold a block to leaving no process, thread, descriptor, shared memory or task behind.

    What the worker service keeps for the next session (a thread, a zygote) is no leak; where it has
    begun inside the block, it is ended.

    Raises:
        AssertionError: something is left; says what.
    """
    serving = _service_runs()
    before = Footprint.take(all_processes=True, tasks=True)
    yield
    if _service_runs() and not serving:
        _raise_if(_last(lambda: _new_workers(before), within_s))
        from engine.workers.service import WorkerService

        WorkerService.shared().close()
    _raise_if(what_is_left(before, within_s, all_processes=True, tasks=True))


def workers_under(ancestor: int) -> dict[int, str]:
    """Pid → title of the worker processes that descend from a process."""
    return {
        pid: title
        for pid, title in processes_under(ancestor).items()
        if title.startswith("remotemedia ") and " --session " in title
    }


def processes_under(ancestor: int) -> dict[int, str]:
    """Pid → title of the processes that descend from a process, zygotes left out."""
    parents: dict[int, int] = {}
    titles: dict[int, str] = {}
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if not entry.name.isdecimal():
            continue
        try:
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            title = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended meanwhile
            continue
        parents[int(entry.name)] = int(parent)
        if not title.startswith("remotemedia: zygote"):
            titles[int(entry.name)] = title.strip() or f"(state {state})"
    return {pid: title for pid, title in titles.items() if ancestor in _ancestors(pid, parents)}


def _ancestors(pid: int, parents: Mapping[int, int]) -> Iterator[int]:
    while pid in parents:
        pid = parents[pid]
        yield pid


def _kinds_of_descriptors() -> Iterator[str]:
    folder = _PROC / "self" / "fd"
    for link in folder.iterdir() if folder.is_dir() else ():
        try:
            yield re.sub(r"\[?\d+\]?", "", str(link.readlink()))
        except OSError:  # the listing's own
            continue


def _shared_memory() -> Iterator[str]:
    if _SHARED_MEMORY.is_dir():
        yield from (
            path.name for path in _SHARED_MEMORY.iterdir() if path.name.startswith("remote")
        )


def _unfinished_tasks() -> frozenset[asyncio.Task[Any]]:
    """Tasks of all loops, also of closed ones, which asyncio.all_tasks does not give."""
    return frozenset(
        thing
        for thing in gc.get_objects()
        if issubclass(type(thing), asyncio.Task) and not thing.done()
    )


def _body(task: asyncio.Task[Any]) -> str:
    coroutine = task.get_coro()
    return getattr(coroutine, "__qualname__", repr(coroutine))


def _service_runs() -> bool:
    return any(thread.name == SERVICE_THREAD for thread in threading.enumerate())


def _new_workers(before: Footprint) -> list[str]:
    workers = workers_under(os.getpid())
    return [f"process {pid}: {workers[pid]}" for pid in workers.keys() - before.processes.keys()]


def _last(look: Callable[[], list[str]], within_s: float) -> list[str]:
    """What a look shows: nothing, or what it still shows after a while."""
    deadline_s = time.monotonic() + within_s
    while (seen := look()) and time.monotonic() < deadline_s:
        time.sleep(_POLL_S)
    return seen


def _raise_if(left: list[str]) -> None:
    if left:
        raise AssertionError("this was left behind:\n" + "\n".join(f"  - {each}" for each in left))
