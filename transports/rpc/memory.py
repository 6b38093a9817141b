"""What a session's processes use of the machine, sampled now and then. Source: FR-010.

A process's own memory costs the kernel a walk through its pages, 2 ms, so it is asked for on a
thread, and no more than once a second.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

from engine.workers.memory import proportional_bytes, resident_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.session.session import Session

#: Samples of a session's processes are at least this far apart.
INTERVAL_S: Final = 1.0
#: The server's own memory is looked at no more often than this: that costs a file, 40 µs.
_SERVER_INTERVAL_S: Final = 0.1
_PROC = Path("/proc")


class ProcessUsage:
    """What a session's processes use.

    Attributes:
        worker_bytes: worker id → its memory (PSS) when it was last looked at.
        peak_bytes: the most seen of the server's memory and its workers' together.
    """

    def __init__(self, session: Session) -> None:
        """Look at nothing yet.

        Args:
            session: whose processes.
        """
        self.worker_bytes: dict[str, int] = {}
        self.peak_bytes = 0
        self._session = session
        self._due_s = 0.0
        self._first_cpu_ns: dict[str, int] = {}
        self._cpu_ns: dict[str, int] = {}

    @property
    def cpu_ns(self) -> Mapping[str, int]:
        """Worker id → its CPU time in nanoseconds, of those that are known to have had some.

        What it told when it finished; until then what passed between the first look at it and the
        last one.
        """
        looks = {
            worker: now - self._first_cpu_ns[worker]
            for worker, now in self._cpu_ns.items()
            if now > self._first_cpu_ns[worker]
        }
        told = {
            stage.plan.id: stage.cpu_ns
            for stage in self._session.stages
            if stage.cpu_ns is not None
        }
        return looks | told

    async def sample(self, *, now: bool = False) -> None:
        """Look, unless that was done a moment ago.

        Args:
            now: look in any case.
        """
        if not now and monotonic() < self._due_s:
            return
        self._due_s = monotonic() + INTERVAL_S
        if self._session.plan.workers:
            pids = {
                stage.plan.id: stage.pid
                for stage in self._session.stages
                if stage.plan.executor == "process" and stage.pid
            }
            self._take(*await asyncio.to_thread(_look, pids))
        total = _SERVER.bytes_now() + sum(self.worker_bytes.values())
        self.peak_bytes = max(self.peak_bytes, total)

    def _take(self, memory: Mapping[str, int], cpu_ns: Mapping[str, int]) -> None:
        for worker, size in memory.items():
            if size:  # what has ended keeps what it had
                self.worker_bytes[worker] = size
        for worker, spent in cpu_ns.items():
            if spent:
                self._first_cpu_ns.setdefault(worker, spent)
                self._cpu_ns[worker] = spent


class _ServerMemory:
    """What this process uses, remembered for a moment for all sessions."""

    def __init__(self) -> None:
        self._bytes = 0
        self._due_s = 0.0

    def bytes_now(self) -> int:
        """Its resident memory."""
        now_s = monotonic()
        if now_s >= self._due_s:
            self._due_s = now_s + _SERVER_INTERVAL_S
            self._bytes = resident_bytes(os.getpid())
        return self._bytes


_SERVER: Final = _ServerMemory()


def _look(pids: Mapping[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    memory = {worker: proportional_bytes(pid) for worker, pid in pids.items()}
    return memory, {worker: cpu_time_ns(pid) for worker, pid in pids.items()}


def cpu_time_ns(pid: int) -> int:
    """CPU time all threads of a process have had so far; 0 if it is gone."""
    total = 0
    try:
        for thread in (_PROC / str(pid) / "task").iterdir():
            total += int((thread / "schedstat").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        pass
    return total
