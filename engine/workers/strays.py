"""Finding and killing the descendants that nobody reports. Source: FR-008, SC-006.

A process that a worker started and that cut itself loose (own session, dead parents) is adopted by
the nearest child subreaper: the worker, and after it the zygote. If the zygote was killed too, only
the marker is left: a variable in the environment of everything that descends from a zygote.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Final

#: Variable whose value names the zygote a process descends from.
MARKER: Final = "REMOTEMEDIA_ZYGOTE"

_PROC: Final = Path("/proc")


def kill_group(group: int, number: int = signal.SIGKILL) -> bool:
    """Signal a process group; False if there is none (any more)."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def kill_process(pid: int) -> None:
    """Kill a process, if there is one."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def children() -> list[int]:
    """Process ids of the calling thread's children, zombies included."""
    try:
        text = Path("/proc/thread-self/children").read_text()
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN
        own = os.getpid()
        return [pid for pid in _all_pids() if _parent(pid) == own]
    return [int(word) for word in text.split()]


def kill_marked(marker: str) -> list[int]:
    """Kill every process of this user whose environment carries the marker.

    Args:
        marker: value of the MARKER variable.

    Returns:
        The process ids that were killed.
    """
    wanted = f"{MARKER}={marker}".encode()
    killed = []
    for pid in _all_pids():
        try:
            environment = (_PROC / str(pid) / "environ").read_bytes()
        except OSError:  # gone, or somebody else's
            continue
        if wanted in environment.split(b"\0"):
            kill_process(pid)
            killed.append(pid)
    return killed


def _all_pids() -> list[int]:
    return [int(path.name) for path in _PROC.iterdir() if path.name.isdigit()]


def _parent(pid: int) -> int:
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return 0
    # The second field is the command's name in parentheses, which may hold anything.
    return int(stat.rpartition(")")[2].split()[1])
