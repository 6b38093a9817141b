"""How much memory the workers of a session use together. Source: FR-010.

The resident set is read first, at 30 µs a worker. It counts what is shared (with the zygote, with
other workers) in full, so it is never below the proportional set, which tells the truth and costs
the kernel a walk through all pages, 2 ms a worker; that is taken only where the first is too much.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Overrun:
    """Workers that use more than they may.

    Attributes:
        worker_id: the one that uses most.
        worker_bytes: what that one uses.
        total_bytes: what all of them use.
    """

    worker_id: int
    worker_bytes: int
    total_bytes: int


def find_overrun(pids: Mapping[int, int], limit_bytes: int) -> Overrun | None:
    """Look whether workers use more memory than they may together.

    Args:
        pids: worker id → process id.
        limit_bytes: what they may use.

    Returns:
        What they use if it is more, else None.
    """
    if sum(map(resident_bytes, pids.values())) <= limit_bytes:
        return None
    used = {worker_id: proportional_bytes(pid) for worker_id, pid in pids.items()}
    total = sum(used.values())
    if total <= limit_bytes:
        return None
    largest = max(used, key=lambda worker_id: used[worker_id])
    return Overrun(largest, used[largest], total)


def resident_bytes(pid: int) -> int:
    """The resident set of a process, what it shares included; 0 if it is gone."""
    try:
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * mmap.PAGESIZE
    except (OSError, IndexError):
        return 0


def proportional_bytes(pid: int) -> int:
    """A process's own memory and its share of what it has in common with others; 0 if it is gone.

    Where the kernel does not tell, what is resident and backed by no file.
    """
    try:
        text = (_PROC / str(pid) / "smaps_rollup").read_text()
    except OSError:
        return _anonymous_bytes(pid)
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _anonymous_bytes(pid: int) -> int:
    try:
        _, resident, shared, *_ = (_PROC / str(pid) / "statm").read_text().split()
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * mmap.PAGESIZE
