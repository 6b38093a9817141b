"""What processes take of the processor, and whether they are there, from /proc. Linux only."""

from __future__ import annotations

import contextlib
import os
import select
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

_PROC = Path("/proc")


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time of all threads that some processes have now.

    Raises:
        OSError: one of them has ended.
    """
    return sum(_thread_ns(task) for pid in pids for task in _tasks(pid)) / 1e9


def cpu_seconds_with_ended(pid: int) -> float:
    """Processor time of a process and of all its children that it has reaped.

    Raises:
        OSError: it has ended.
    """
    return sum(int(ticks) for ticks in _stat(pid)[11:15]) / os.sysconf("SC_CLK_TCK")


def parent_of(pid: int) -> int:
    """The parent's process id.

    Raises:
        OSError: the process has ended and been reaped.
    """
    return int(_stat(pid)[1])


class Ends:
    """Waits for the ends of processes that are here when the context begins.

    One that has ended and only waits for its parent to reap it has ended: it holds nothing.
    """

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = tuple(pids)
        #: Descriptor → process id: a number alone could become another process's.
        self._open: dict[int, int] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            for pid in self._pids:
                fd = os.pidfd_open(pid)
                stack.callback(os.close, fd)
                self._open[fd] = pid
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def wait(self, timeout_s: float) -> list[int]:
        """Block until all have ended; the process ids of those that have not in time."""
        poller = select.poll()
        running = dict(self._open)
        for fd in running:
            poller.register(fd, select.POLLIN)
        deadline_s = time.monotonic() + timeout_s
        while running and (left_s := deadline_s - time.monotonic()) > 0:
            for fd, _ in poller.poll(left_s * 1e3):
                poller.unregister(fd)
                del running[fd]
        return sorted(running.values())


def _stat(pid: int) -> list[str]:
    """The fields behind the command's name, which may hold anything: state, parent and so on."""
    return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def _tasks(pid: int) -> Iterable[Path]:
    return (_PROC / str(pid) / "task").iterdir()


def _thread_ns(task: Path) -> int:
    try:
        return int((task / "schedstat").read_text().split()[0])
    except OSError:  # the thread has ended meanwhile
        return 0
