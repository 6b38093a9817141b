"""Finding and killing the descendants that nobody reports. Source: FR-008, SC-006.

A process that a worker started and that cut itself loose (own session, dead parents) is adopted by
the nearest child subreaper: the worker, and after it the zygote. If the zygote was killed too, only
the marker is left: a variable in the environment of everything that descends from a zygote. It says
whose zygote that was, so that what a server has left is known when that server is gone.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: Variable whose value names the zygote a process descends from, by its server's pid and a random
#: word.
MARKER: Final = "REMOTEMEDIA_ZYGOTE"

_PROC: Final = Path("/proc")


def new_marker() -> str:
    """A value of MARKER for a zygote of this process."""
    return f"{os.getpid()}-{secrets.token_hex(8)}"


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


@dataclass(frozen=True, slots=True)
class Stray:
    """A zygote, a worker or what one of them started, whose server is gone.

    Attributes:
        pid: its process id.
        started_ticks: when it was started, in the kernel's ticks since boot; tells it from a later
            process of the same number.
        age_s: how long ago that was.
        state: the kernel's letter: "S" sleeps, "T" is stopped, …
        title: what `ps` shows.
        server_pid: process id of the server that is gone.
    """

    pid: int
    started_ticks: int
    age_s: float
    state: str
    title: str
    server_pid: int


def find_strays(proc: Path = _PROC) -> list[Stray]:
    """What servers that are gone have left of this user's, oldest first.

    Right after a server's end this may be what is about to end, too: look again a moment later.
    What belongs to another container is left out, since its numbers mean other processes there.

    Args:
        proc: where the processes are shown.
    """
    found = []
    for pid in _all_pids(proc):
        server_pid = _server_of(proc / str(pid))
        facts = _facts(proc / str(pid))
        if server_pid is None or facts is None:
            continue
        state, started_ticks = facts
        server = _facts(proc / str(server_pid))
        # A number that was given again belongs to a process younger than what the server left.
        if server is not None and server[0] not in "ZX" and server[1] <= started_ticks:
            continue
        age_s = _uptime_s(proc) - started_ticks / os.sysconf("SC_CLK_TCK")
        title = _title(proc / str(pid))
        found.append(Stray(pid, started_ticks, max(0.0, age_s), state, title, server_pid))
    return sorted(found, key=lambda stray: (stray.started_ticks, stray.pid))


def _server_of(process: Path) -> int | None:
    """The server that a process says it descends from; None: it says nothing, or not to us."""
    try:
        environment = (process / "environ").read_bytes()
        here = (process / "ns/pid").readlink() == Path("/proc/self/ns/pid").readlink()
    except OSError:  # gone, or somebody else's
        return None
    for variable in environment.split(b"\0"):
        name, _, value = variable.partition(b"=")
        if here and name == MARKER.encode():
            number, dash, _ = value.partition(b"-")
            return int(number) if dash and number.isdigit() else None
    return None


def _facts(process: Path) -> tuple[str, int] | None:
    """A process's state and when it was started; None: it is gone."""
    try:
        stat = (process / "stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return fields[0], int(fields[19])


def _title(process: Path) -> str:
    try:
        return (
            (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        )
    except OSError:
        return ""


def _uptime_s(proc: Path) -> float:
    return float((proc / "uptime").read_text().split()[0])


def _all_pids(proc: Path = _PROC) -> list[int]:
    return [int(path.name) for path in proc.iterdir() if path.name.isdigit()]


def _parent(pid: int) -> int:
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return 0
    # The second field is the command's name in parentheses, which may hold anything.
    return int(stat.rpartition(")")[2].split()[1])
