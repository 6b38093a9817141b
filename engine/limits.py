"""What sessions may take of this process and its machine, checked before anything is started.

`Accounts` is pure; the rest asks the machine, and holds the one lock. Source: FR-010, US3.

    limit                    bounds                        is checked
    max_processes_per_…      workers of one plan           by the plan (engine.plan)
    max_processes_total      workers of all sessions       here
    max_sessions             sessions at one time          here
    open files               descriptors of the process    here, where workers are to start
    shm_segment_size         one segment                   here: it must fit into all memory
    max_session_memory_mb    workers of one session        while they run: engine.workers.memory

A session holds its processes from before its start until it has ended; then each is held until its
worker is gone, however long that takes. Sessions of all loops and threads count together; those of
a worker's own count in the worker.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
import weakref
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine import machine
from engine.errors import NodeError, ResourceLimitError, WorkerCrashedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.errors import RemoteMediaError
    from engine.machine import Room
    from engine.plan import Plan

logger = logging.getLogger("remotemedia.session")

MIB: Final = 1 << 20
#: What a process needs to load a node's module and its libraries: under a lower limit it may crash.
_MEMORY_MB_NEEDED: Final = 32

#: What starting a worker opens here, besides its share of the edges: a control socket (2), a page
#: and its mapping (2), two pipes (4), and the file with its start (1).
_WORKER_DESCRIPTORS: Final = 9
#: What the service and a zygote open when they begin, and what a loop opens meanwhile.
_SPARE_DESCRIPTORS: Final = 16


# --- the accounts: pure -----------------------------------------------------------------------


@dataclass(slots=True)
class _Account:
    """What one session has: what it may start, what runs, and whether it has ended."""

    planned: int
    running: int = 0
    ended: bool = False

    @property
    def held(self) -> int:
        return self.running if self.ended else max(self.planned, self.running)


class Accounts:
    """Who has how many processes. Pure; not for two threads at a time.

    Attributes:
        sessions: sessions that have not ended.
        processes: processes they hold, and those of ended ones that are not gone yet.
    """

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}

    @property
    def sessions(self) -> int:
        """See the class."""
        return sum(not account.ended for account in self._accounts.values())

    @property
    def processes(self) -> int:
        """See the class."""
        return sum(account.held for account in self._accounts.values())

    def admit(
        self, session_id: str, processes: int, *, processes_max: int, sessions_max: int | None
    ) -> None:
        """Let a session in, with the processes it is going to start.

        Args:
            session_id: the session; not let in before.
            processes: how many it is going to start.
            processes_max: how many there may be with those of all others.
            sessions_max: how many sessions there may be with it; None: any number.

        Raises:
            ResourceLimitError: there would be more; then nothing has changed.
        """
        assert session_id not in self._accounts, session_id
        sessions, held = self.sessions, self.processes
        if sessions_max is not None and sessions + 1 > sessions_max:
            raise ResourceLimitError(
                f"{sessions} sessions run, and there may be {sessions_max} at a time: wait until"
                " one has ended, or raise max_sessions",
                limit=sessions_max,
                requested=sessions + 1,
                resource="sessions",
            )
        if processes and held + processes > processes_max:
            raise ResourceLimitError(
                f"the session needs {processes} process{'' if processes == 1 else 'es'}, and"
                f" {held} of {processes_max} are taken by other sessions: wait until some have"
                " ended, run nodes local, or raise max_processes_total",
                limit=processes_max,
                requested=held + processes,
                resource="processes",
            )
        self._accounts[session_id] = _Account(processes)

    def worker_started(self, session_id: str) -> None:
        """A worker of a session is about to be started, also of one that was never let in."""
        self._accounts.setdefault(session_id, _Account(0, ended=True)).running += 1

    def worker_gone(self, session_id: str) -> None:
        """A worker is gone, or could not be started; once for each that was started."""
        account = self._accounts.get(session_id)
        if account is not None and account.running:
            account.running -= 1
            self._forget(session_id, account)

    def end(self, session_id: str) -> None:
        """A session has ended; its workers may still be ending. Idempotent."""
        account = self._accounts.get(session_id)
        if account is not None:
            account.ended = True
            self._forget(session_id, account)

    def _forget(self, session_id: str, account: _Account) -> None:
        if account.ended and not account.running:
            del self._accounts[session_id]


# --- this process's accounts ------------------------------------------------------------------


class Ledger:
    """The accounts of a process, for all its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accounts = Accounts()
        #: Sessions that were collected before they had ended. A finalizer may run anywhere, also
        #: on a thread that has the lock; so it only leaves a note here.
        self._abandoned: deque[str] = deque()

    @property
    def sessions(self) -> int:
        """Sessions that have not ended."""
        with self._lock:
            self._end_abandoned()
            return self._accounts.sessions

    @property
    def processes(self) -> int:
        """Processes they hold, and those of ended ones that are not gone yet."""
        with self._lock:
            self._end_abandoned()
            return self._accounts.processes

    def admit(self, owner: object, session_id: str, plan: Plan) -> None:
        """Let a session in; see `Accounts.admit`.

        Args:
            owner: the session; if it is collected without having ended, that ends it here.
            session_id: its id.
            plan: what it is going to start, and the settings that bound it.

        Raises:
            ResourceLimitError: there are too many sessions, or too many processes.
        """
        with self._lock:
            self._end_abandoned()
            self._accounts.admit(
                session_id,
                workers_of(plan),
                processes_max=plan.settings.max_processes_total,
                sessions_max=plan.settings.max_sessions,
            )
        weakref.finalize(owner, self._abandoned.append, session_id).atexit = False

    def worker_started(self, session_id: str) -> None:
        """See `Accounts.worker_started`."""
        with self._lock:
            self._accounts.worker_started(session_id)

    def worker_gone(self, session_id: str) -> None:
        """See `Accounts.worker_gone`."""
        with self._lock:
            self._accounts.worker_gone(session_id)

    def end(self, session_id: str) -> None:
        """See `Accounts.end`."""
        with self._lock:
            self._accounts.end(session_id)

    def _end_abandoned(self) -> None:
        while self._abandoned:
            self._accounts.end(self._abandoned.popleft())

    def reset(self) -> None:
        """In a forked child: the sessions are the parent's."""
        self._lock = threading.Lock()  # a thread that is not here may hold the old one
        self._accounts = Accounts()
        self._abandoned.clear()


#: The accounts of this process.
LEDGER: Final = Ledger()

os.register_at_fork(after_in_child=LEDGER.reset)


def admit(session: object, session_id: str, plan: Plan) -> None:
    """Check all limits for a session that is about to start, and hold what it is going to take.

    `LEDGER.end` gives it back; call it however the start ends.

    Args:
        session: the session; see `Ledger.admit`.
        session_id: its id.
        plan: what it is going to start.

    Raises:
        ResourceLimitError: a limit would be exceeded; nothing is held.
    """
    if plan.workers:
        check_descriptors(plan, machine.descriptor_room())
        check_segments(plan, _memory_bytes_max())
    LEDGER.admit(session, session_id, plan)


@functools.lru_cache(maxsize=1)
def _memory_bytes_max() -> int | None:
    """All the memory there is; asked for once, since that takes 0.2 ms of the session's loop."""
    return machine.memory_bytes_max()


# --- what a plan needs of the machine ---------------------------------------------------------


def workers_of(plan: Plan) -> int:
    """How many workers a plan starts."""
    return len(plan.workers)


def check_descriptors(plan: Plan, room: Room) -> None:
    """Refuse a plan whose start could run out of descriptors.

    Args:
        plan: the plan.
        room: the descriptors there may be.

    Raises:
        ResourceLimitError: there are fewer free than it may need at a time.
    """
    needed = descriptors_needed(plan)
    if room.limit is None or room.used + needed <= room.limit:
        return
    raise ResourceLimitError(
        f"too many open files: the session needs up to {needed} descriptors while it starts, and"
        f" {room.free} of {room.limit} are free; raise the limit (ulimit -n), run fewer sessions at"
        " a time, or place fewer nodes in processes",
        limit=room.limit,
        requested=room.used + needed,
        resource="descriptors",
    )


def descriptors_needed(plan: Plan) -> int:
    """The descriptors that starting a plan may take at a time, in this process.

    As many as if the service had handed none to the workers before the last of them is asked for.
    """
    if not plan.workers:
        return 0
    shared = [edge for edge in plan.edges if edge.kind == "shared_memory"]
    sources = [edge.source_stage for edge in shared]
    # Who is on this loop: the session, local stages, and the relays before what may be restarted.
    elsewhere = {stage.id for stage in plan.stages if stage.worker and stage.restart is None}
    read_here = {edge.source_stage for edge in shared if edge.target_stage not in elsewhere}
    count = _wiring_descriptors(sources, len(read_here) + len({*sources} - elsewhere))
    for stages in plan.workers.values():
        hosted = {stage.id for stage in stages}
        restarts = stages[0].restart is not None
        ends = [
            edge
            for edge in (plan.edges if restarts else shared)
            if hosted & {edge.source_stage, edge.target_stage}
        ]
        sources = [edge.source_stage for edge in ends]
        if restarts:  # edges of its own lead from the relay to it and back
            sources = [source if source in hosted else "" for source in sources]
            count += _wiring_descriptors(sources, len({*sources}))
        count += _WORKER_DESCRIPTORS + len(ends) + len({*sources})
    return count + _SPARE_DESCRIPTORS


def _wiring_descriptors(sources: Sequence[str | None], mapped: int) -> int:
    """What edges open: two sockets each; an arena for each source, and a mapping of its first page.

    Args:
        sources: where each edge begins.
        mapped: how many of the arenas are mapped here as a whole.
    """
    return 2 * len(sources) + 2 * len({*sources}) + mapped


def check_segments(plan: Plan, memory_bytes: int | None) -> None:
    """Refuse segments that could never be filled; warn of those that could not all be.

    A segment takes memory only as it is filled, so that the sum says little.

    Args:
        plan: the plan.
        memory_bytes: all the memory there is; None: unknown.

    Raises:
        ResourceLimitError: one segment is larger than all memory.
    """
    segment_bytes = plan.settings.shm_segment_bytes
    if memory_bytes is None:
        return
    if segment_bytes > memory_bytes:
        raise ResourceLimitError(
            f"shm_segment_size is {segment_bytes} bytes, and there are {memory_bytes} bytes of"
            " memory here (the machine's, or the control group's limit): lower shm_segment_size, or"
            " give the service more memory",
            limit=memory_bytes,
            requested=segment_bytes,
            resource="segment",
        )
    arenas = {edge.source_stage for edge in plan.edges if edge.kind == "shared_memory"}
    total_bytes = segment_bytes * len(arenas)
    if total_bytes > memory_bytes:
        _warn_of_segments(len(arenas), total_bytes // MIB, memory_bytes // MIB)


@functools.lru_cache  # once for each finding, not at each start
def _warn_of_segments(count: int, total_mib: int, memory_mib: int) -> None:
    logger.warning(
        "a session's %d segments of shared memory may grow to %d MiB together, and there are %d MiB"
        " of memory here; lower shm_segment_size where nodes have much under way",
        count,
        total_mib,
        memory_mib,
    )


# --- the memory of a session's workers --------------------------------------------------------


def memory_limit_bytes(limit_mb: int | None) -> int | None:
    """`max_session_memory_mb` in bytes."""
    return None if limit_mb is None else limit_mb * MIB


def as_limit_error(
    error: RemoteMediaError, limit_mb: int | None, *, starting: bool = False
) -> RemoteMediaError:
    """What a worker's error is for the user: of memory it was refused, the limit's.

    Args:
        error: what the worker failed with.
        limit_mb: `max_session_memory_mb`.
        starting: whether it was not ready yet.

    Returns:
        A ResourceLimitError where an allocation failed under a limit, or a process died as it
        started under one that leaves too little for that; else the same error.
    """
    if limit_mb is None or not isinstance(error, NodeError):
        return error
    # numpy's and Arrow's are subclasses with names of their own.
    refused = str(error.context.get("exception", "")).endswith("MemoryError")
    # With so little the interpreter itself, or a library in it, ends without a word.
    too_little = starting and limit_mb < _MEMORY_MB_NEEDED
    if not (refused or (too_little and isinstance(error, WorkerCrashedError))):
        return error
    limited = ResourceLimitError(
        f"node {error.node_id!r} needs more memory than its session may have,"
        f" {limit_mb} MiB (max_session_memory_mb): {error.message}. Let it hold less, or raise"
        " max_session_memory_mb",
        **{**error.context, "limit": limit_mb, "requested": None, "resource": "memory"},
    )
    limited.remote_traceback = error.remote_traceback
    limited.__cause__ = error
    return limited
