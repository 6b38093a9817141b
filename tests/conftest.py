"""What every test that spawns is held to: it leaves no process, descriptor, thread or file."""

from __future__ import annotations

import gc
import os
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.workers.service import WorkerService

#: Longer than the start of a zygote takes on a busy machine.
PATIENCE_S = 20.0
#: A worker's owner hears of its end a moment before the service has closed its descriptors.
TIDY_S = 2.0
#: Fixtures whose owners look after what is left themselves.
OWN_CHECKS = {"service", "own_service"}


@dataclass
class Footprint:
    """What the process has of the system.

    Attributes:
        workers: pid → title of the workers under it.
        descriptors: kind of thing → how many are open.
        threads: names of the threads.
        shared_memory: files in /dev/shm.
    """

    workers: dict[int, str]
    descriptors: Counter[str]
    threads: Counter[str]
    shared_memory: set[str]

    @classmethod
    def take(cls) -> Footprint:
        return cls(
            workers_under(os.getpid()),
            Counter(_kinds_of_descriptors()),
            Counter(thread.name for thread in threading.enumerate()),
            {path.name for path in Path("/dev/shm").iterdir() if path.name.startswith("remote")},
        )

    def more_than(self, before: Footprint) -> list[str]:
        """What is here that was not there before, in words."""
        return [
            *(f"worker {pid}: {self.workers[pid]}" for pid in self.workers.keys() - before.workers),
            *(f"descriptors: {kind}" for kind in self.descriptors - before.descriptors),
            *(f"thread {name}" for name in self.threads - before.threads),
            *(f"/dev/shm/{name}" for name in self.shared_memory - before.shared_memory),
        ]


def workers_under(ancestor: int) -> dict[int, str]:
    """Pid → title of the worker processes that descend from a process."""
    parents, titles = {}, {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            status = (entry / "stat").read_text().rpartition(")")[2].split()
            title = (entry / "cmdline").read_bytes().rstrip(b"\0").decode(errors="replace")
        except OSError:  # it has ended meanwhile
            continue
        parents[int(entry.name)] = int(status[1])
        if title.startswith("remotemedia ") and " --session " in title:
            titles[int(entry.name)] = title
    return {pid: title for pid, title in titles.items() if ancestor in _ancestors(pid, parents)}


def _ancestors(pid, parents):
    while pid in parents:
        pid = parents[pid]
        yield pid


def _kinds_of_descriptors():
    for link in Path("/proc/self/fd").iterdir():
        try:
            yield re.sub(r"\[?\d+\]?", "", str(link.readlink()))
        except OSError:  # the listing's own
            continue


@pytest.fixture(autouse=True)
def nothing_is_left(request):
    """Compares the process before and after each test marked `process`."""
    if request.node.get_closest_marker("process") is None or OWN_CHECKS & {*request.fixturenames}:
        yield
        return
    # The service's own thread, zygote and descriptors stay until the process ends.
    WorkerService.shared().warm(wait_s=PATIENCE_S)
    before = Footprint.take()
    yield
    left = what_is_left(before)
    assert not left, f"the test left {left}"


def what_is_left(before, within_s=TIDY_S):
    """What there is more than before, in words; waits a little for the service to tidy up."""
    deadline_s = time.monotonic() + within_s
    while True:
        gc.collect()
        left = Footprint.take().more_than(before)
        if not left or time.monotonic() > deadline_s:
            return left
        time.sleep(0.005)
