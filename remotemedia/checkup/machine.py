"""What the system gives: memory that is shared, sockets, supervision, limits, clocks.

Looks without changing anything. Source: FR-004, FR-010.
"""

from __future__ import annotations

import fcntl
import os
import platform
import resource
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine import machine
from engine.errors import EdgeError
from remotemedia.checkup.finding import BROKEN, OK, WARNING, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.config import Settings

_AREA: Final = "machine"
_MIB: Final = 1 << 20
#: Fewer do not do for a service with its default number of processes.
_DESCRIPTORS_MIN: Final = 1024
#: A zygote with numpy and Arrow, and a few workers.
_FREE_MEMORY_BYTES_MIN: Final = 512 * _MIB
#: A process of ours has two threads, more where libraries start some.
_THREADS_PER_PROCESS: Final = 4
#: Every packet reads the clock several times.
_CLOCK_NS_MAX: Final = 1000
_CLOCK_CALLS: Final = 2000
_PROCESSES_NEED_IT: Final = "without it no node runs in a process of its own"


def machine_findings(settings: Settings) -> Iterator[Finding]:
    """Look the machine over.

    Args:
        settings: what it is to be enough for.
    """
    yield _system()
    if sys.platform != "linux":
        return
    yield _shared_memory()
    yield _sockets()
    yield _pidfd()
    yield _subreaper()
    yield _proc(Path("/proc"))
    yield _descriptors()
    yield _threads(settings)
    yield _data()
    yield _memory(settings)
    yield _clock()


def _system() -> Finding:
    python = f"Python {platform.python_version()}"
    found = f"{platform.system()} {platform.release()} on {platform.machine()}, {python}"
    if sys.platform == "linux":
        return Finding(_AREA, "system", OK, found, "nodes can run in processes of their own")
    return Finding(
        _AREA,
        "system",
        WARNING,
        found,
        "nodes run on the server's loop only: processes need Linux",
        'set "enabled = false" in runtime.toml, or use Linux',
    )


def _shared_memory() -> Finding:
    from engine.edges.segment import Segment, create_segment

    try:
        fd = create_segment("remotemedia-doctor", 1 << 16)
        try:
            seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
            Segment(fd, writable=True).close()
        finally:
            os.close(fd)
    except (EdgeError, OSError) as error:
        return Finding(
            _AREA,
            "shared memory",
            BROKEN,
            str(error),
            _PROCESSES_NEED_IT,
            "use Linux 3.17 or newer",
        )
    return Finding(
        _AREA,
        "shared memory",
        OK,
        "sealed memory files (memfd)",
        "packets cross processes without a copy; /dev/shm is not used and may be small",
        details={"seals": seals},
    )


def _sockets() -> Finding:
    from engine.edges.doorbell import make_pair

    try:
        pair = make_pair()
    except (EdgeError, OSError) as error:
        return Finding(
            _AREA,
            "sockets",
            BROKEN,
            str(error),
            _PROCESSES_NEED_IT,
            "sysctl -w net.core.wmem_max=212992",
        )
    size = min(sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) for sock in pair)
    for sock in pair:
        sock.close()
    return Finding(
        _AREA,
        "sockets",
        OK,
        f"SOCK_SEQPACKET, buffers of {size} bytes",
        "processes wake each other, and see each other's end",
        details={"buffer_bytes": size},
    )


def _pidfd() -> Finding:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError) as error:
        return Finding(
            _AREA, "pidfd", BROKEN, str(error), _PROCESSES_NEED_IT, "use Linux 5.3 or newer"
        )
    return Finding(_AREA, "pidfd", OK, "pidfd_open works", "no end of a process is missed")


def _subreaper() -> Finding:
    from engine.workers.kernel import is_subreaper

    try:
        is_subreaper()
    except OSError as error:
        return Finding(
            _AREA, "subreaper", BROKEN, str(error), _PROCESSES_NEED_IT, "use Linux 3.4 or newer"
        )
    return Finding(
        _AREA, "subreaper", OK, "prctl works", "what nodes start in the background ends with them"
    )


def _proc(proc: Path) -> Finding:
    needed = [proc / "self/stat", proc / "self/statm", proc / "self/environ"]
    useful = [proc / "thread-self/children", proc / "self/smaps_rollup"]
    missing = [str(path) for path in needed if not _readable(path)]
    if missing:
        return Finding(
            _AREA,
            "/proc",
            BROKEN,
            f"{', '.join(missing)} cannot be read",
            "what nodes start in the background cannot be found and ended",
            "mount /proc in the container",
        )
    slower = [str(path) for path in useful if not _readable(path)]
    if slower:
        return Finding(
            _AREA,
            "/proc",
            WARNING,
            f"{', '.join(slower)} cannot be read",
            "descendants are searched for among all processes, and memory is estimated",
            "use a kernel with CONFIG_PROC_CHILDREN and CONFIG_PROC_PAGE_MONITOR",
        )
    return Finding(_AREA, "/proc", OK, "readable", "processes and their memory are seen")


def _readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True


def _descriptors() -> Finding:
    room = machine.descriptor_room()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    details = {"limit": room.limit, "open": room.used}
    found = f"{room.used} of {'any number' if room.limit is None else room.limit} are open"
    if room.limit is None or room.limit >= _DESCRIPTORS_MIN:
        meaning = "a process node takes about 15 while it starts, and 10 later"
        return Finding(_AREA, "open files", OK, found, meaning, details=details)
    return Finding(
        _AREA,
        "open files",
        WARNING,
        found,
        f"a session is refused where it needs more; about {room.limit // 15} process nodes can run",
        f"ulimit -n {4096 if hard < 0 else min(hard, 4096)}, or LimitNOFILE= of the unit",
        details,
    )


def _threads(settings: Settings) -> Finding:
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    group = machine.process_room()
    wanted = settings.max_processes_total * _THREADS_PER_PROCESS
    limits = {
        "this user (ulimit -u)": None if soft == resource.RLIM_INFINITY else soft,
        "the control group (pids.max)": group.free,
    }
    found = ", ".join(f"{name}: {limit}" for name, limit in limits.items() if limit is not None)
    details = {"limits": limits}
    short = [name for name, limit in limits.items() if limit is not None and limit < wanted]
    if not short:
        meaning = f"enough for {settings.max_processes_total} processes (max_processes_total)"
        return Finding(_AREA, "processes", OK, found or "no limit", meaning, details=details)
    return Finding(
        _AREA,
        "processes",
        WARNING,
        found,
        f"{settings.max_processes_total} processes (max_processes_total) with their threads may"
        f" take {wanted}; some could not be started",
        f"raise the limit of {' and of '.join(short)}, or lower max_processes_total",
        details,
    )


def _data() -> Finding:
    soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if soft == resource.RLIM_INFINITY:
        return Finding(_AREA, "data", OK, "no limit (RLIMIT_DATA)", "nodes may hold what they need")
    verdict = WARNING if soft < 1 << 30 else OK
    return Finding(
        _AREA,
        "data",
        verdict,
        f"{soft // _MIB} MiB of private memory a process (RLIMIT_DATA)",
        "a node that needs more fails with a MemoryError",
        "ulimit -d unlimited; bound sessions by max_session_memory_mb" if verdict != OK else "",
        {"limit_bytes": soft},
    )


def _memory(settings: Settings) -> Finding:
    total, room = machine.memory_bytes_max(), machine.memory_room()
    free, segment_bytes = room.free, settings.shm_segment_bytes
    details = {"total_bytes": total, "free_bytes": free}
    if total is None or free is None:
        return Finding(
            _AREA, "memory", WARNING, "unknown", "nothing is refused for it", "mount /proc"
        )
    found = f"{free // _MIB} MiB of {total // _MIB} MiB free"
    if segment_bytes > total:
        return Finding(
            _AREA,
            "memory",
            BROKEN,
            found,
            f"a segment of {segment_bytes // _MIB} MiB (shm_segment_size) can never be filled, so"
            " sessions with process nodes are refused",
            "lower shm_segment_size, or give the control group more memory",
            details,
        )
    if free < _FREE_MEMORY_BYTES_MIN:
        return Finding(
            _AREA,
            "memory",
            WARNING,
            found,
            "a few workers take this, and the system may kill some",
            "end something else, or raise the memory limit of the container",
            details,
        )
    return Finding(
        _AREA,
        "memory",
        OK,
        found,
        "a zygote takes about 70 MiB, a worker 10 and what its node loads",
        details=details,
    )


def _clock() -> Finding:
    started_ns = time.perf_counter_ns()
    for _ in range(_CLOCK_CALLS):
        time.monotonic_ns()
    cost_ns = (time.perf_counter_ns() - started_ns) // _CLOCK_CALLS
    source = _first_line(Path("/sys/devices/system/clocksource/clocksource0/current_clocksource"))
    details = {"source": source, "call_ns": cost_ns}
    found = f"{source or 'monotonic'}, {cost_ns} ns a reading"
    if _time_namespace("time") != _time_namespace("time_for_children"):
        return Finding(
            _AREA,
            "clock",
            BROKEN,
            "child processes are in another time namespace",
            "times of different processes cannot be compared, and deadlines would be wrong",
            "start the program with its time namespace, not before entering it",
            details,
        )
    if cost_ns > _CLOCK_NS_MAX:
        return Finding(
            _AREA,
            "clock",
            WARNING,
            found,
            "the clock is read several times a packet, which this makes noticeable",
            "use a clock source that needs no system call, such as tsc or kvm-clock",
            details,
        )
    meaning = "one clock for all processes, cheap to read"
    return Finding(_AREA, "clock", OK, found, meaning, details=details)


def _time_namespace(name: str) -> str:
    try:
        return str(Path("/proc/self/ns", name).readlink())
    except OSError:  # a kernel without time namespaces
        return ""


def _first_line(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
