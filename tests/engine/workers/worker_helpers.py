"""What the tests of workers share: an owner of workers, waiting for ends, counting descriptors."""

import json
import queue
import select
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from engine.workers.notices import ExitedNotice, FailedNotice
from engine.workers.service import WorkerHandle, WorkerSpec

HERE = Path(__file__).parent
#: Longer than anything here takes; what waits this long has failed.
PATIENCE_S = 20.0


@dataclass
class Owner:
    """Collects a worker's notices."""

    worker: WorkerHandle | None = None
    seen: list = field(default_factory=list)
    _arriving: queue.SimpleQueue = field(default_factory=queue.SimpleQueue)

    def notify(self, notice):
        self._arriving.put(notice)

    def wait_for(self, kind, timeout_s=PATIENCE_S):
        """Block until a notice of this kind comes; returns it."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            try:
                notice = self._arriving.get(timeout=max(0.0, deadline_s - time.monotonic()))
            except queue.Empty:
                lines = self.worker.last_lines()
                pytest.fail(f"no {kind.__name__} within {timeout_s} s; seen {self.seen}, {lines}")
            self.seen.append(notice)
            if isinstance(notice, kind):
                return notice

    def wait_for_failure(self):
        """Block until it fails; returns the error."""
        return self.wait_for(FailedNotice).error

    def wait_exited(self):
        """Block until the worker is gone; returns the names of all notices, in order."""
        self.wait_for(ExitedNotice)
        assert self.worker.wait_exited(PATIENCE_S)
        return [type(notice).__name__.removesuffix("Notice") for notice in self.seen]


def start(service, entry, *, fds=(), start_spec=None, owner=None, **settings):
    owner = owner or Owner()
    spec = WorkerSpec(
        session_id="session",
        stage_id="a",
        node_ids=settings.pop("node_ids", ("a", "b")),
        title=settings.pop("title", "remotemedia: a [session]"),
        start=json.dumps({"entry": f"worker_entries:{entry}", **(start_spec or {})}).encode(),
        fds=tuple(fds),
        extra_paths=(str(HERE),),
        **settings,
    )
    owner.worker = service.spawn(spec, owner.notify)
    return owner


def open_descriptors():
    listed = list(Path("/proc/self/fd").iterdir())
    return {path.name for path in listed if path.is_symlink()}  # not the listing's own


def service_threads():
    return [thread for thread in threading.enumerate() if thread.name == "remotemedia-workers"]


def wait_dead(pidfds, timeout_s):
    """Block until all these processes have ended; returns the pids that have not."""
    poller = select.poll()
    alive = dict(pidfds)
    for pidfd in pidfds.values():
        poller.register(pidfd, select.POLLIN)
    deadline_s = time.monotonic() + timeout_s
    while alive:
        left_s = max(0.0, deadline_s - time.monotonic())
        ended = {fd for fd, _ in poller.poll(left_s * 1000)}
        if not ended:
            break
        for pid in [pid for pid, pidfd in alive.items() if pidfd in ended]:
            poller.unregister(alive.pop(pid))
    return sorted(alive)


def target_of(fd):
    try:
        return str(Path(f"/proc/self/fd/{fd}").readlink())
    except OSError:
        return "closed"
