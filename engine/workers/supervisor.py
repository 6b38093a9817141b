"""What is to be done about one worker: events in, commands out.

Pure: no I/O; `now_ns`, a monotonic time, is an argument. Source: FR-008, FR-009, SC-006.

    spawned ─▶ importing ─▶ initializing ─▶ ready ─▶ draining ─▶ stopped
       └───────────┴─────────────┴────────────┴─────────┴─▶ failed

    state         bounded by
    spawned       init timeout
    importing     init timeout, silence (no heartbeat for the hang timeout, at least 6 s)
    initializing  the same
    ready         silence (no pong for the hang timeout), the process timeout of one turn
    draining      the ladder
    failed        the ladder, until the process is gone

The ladder, from the moment a worker is to end (g: the cleanup grace):

    0         ask: Shutdown, unless it is leaving by itself or was found silent
    0.4 g     SIGTERM to its process group (at once if it was found silent)
    0.7 g     SIGKILL
    1.0 g     SIGKILL past the zygote, which should have reaped it by now
"""

from __future__ import annotations

import enum
import signal
from dataclasses import dataclass
from typing import Final, TypeAlias

from engine.errors import (
    InitTimeoutError,
    RemoteMediaError,
    ResourceLimitError,
    SpawnError,
    WorkerCrashedError,
)
from engine.wording import nodes_named
from engine.workers.messages import (
    ControlEvent,
    ExitedEvent,
    FailedEvent,
    FinishedEvent,
    HeartbeatEvent,
    PongEvent,
    ProgressEvent,
    ReadyEvent,
    SettledEvent,
    SpawnReplyEvent,
    SteeredEvent,
)
from engine.workers.notices import (
    ControlNotice,
    ExitedNotice,
    FailedNotice,
    FinishedNotice,
    ProgressNotice,
    ReadyNotice,
    SettledNotice,
    SteeredNotice,
    WorkerNotice,
)

#: A deadline noticed this much too late means that we were asleep ourselves, perhaps all of us.
LATE_NS: Final = 1_000_000_000
#: How long the worker then gets to say what it had to say.
EXCUSE_NS: Final = 1_000_000_000

#: Heartbeats come every 2 s, so a shorter hang timeout must not count while it starts.
START_SILENCE_NS_MIN: Final = 6_000_000_000

_TERM_SHARE: Final = 0.4
_KILL_SHARE: Final = 0.7


class WorkerState(enum.StrEnum):
    """Where a worker is in its life; see the drawing above."""

    SPAWNED = "spawned"
    IMPORTING = "importing"
    INITIALIZING = "initializing"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """What bounds a worker.

    Attributes:
        node_ids: the nodes it runs, for messages.
        init_timeout_ns: from the spawn until it is ready.
        hang_timeout_ns: how long it may be silent.
        cleanup_grace_ns: how long the ladder takes.
        turn_timeouts_ns: bound on one turn of each node, in that order; None, or left out: none.
    """

    node_ids: tuple[str, ...]
    init_timeout_ns: int
    hang_timeout_ns: int
    cleanup_grace_ns: int
    turn_timeouts_ns: tuple[int | None, ...] = ()

    def turn_timeout_ns(self, node: int) -> int | None:
        """The bound on one turn of the node at a position, or None."""
        timeouts = self.turn_timeouts_ns
        return timeouts[node] if node < len(timeouts) else None

    @property
    def turn_timeout_ns_min(self) -> int | None:
        """The shortest of all bounds on a turn, or None."""
        return min((bound for bound in self.turn_timeouts_ns if bound is not None), default=None)


@dataclass(frozen=True, slots=True)
class ZygoteLostEvent:
    """The worker's parent died, and the worker with it; `how` says of what."""

    how: str


@dataclass(frozen=True, slots=True)
class SocketClosedEvent:
    """The worker's end of the control socket is closed."""


@dataclass(frozen=True, slots=True)
class DamagedEvent:
    """The worker sent something that is no message; `why` describes it."""

    why: str


@dataclass(frozen=True, slots=True)
class MemoryEvent:
    """The workers of a session use more memory than they may, and this one most of it.

    Attributes:
        worker_bytes: what it uses.
        session_bytes: what all of them use.
        limit_bytes: what they may use.
    """

    worker_bytes: int
    session_bytes: int
    limit_bytes: int


@dataclass(frozen=True, slots=True)
class PeerLostEvent:
    """An edge of the session broke: this worker may have gone, unnoticed."""


@dataclass(frozen=True, slots=True)
class StopRequestEvent:
    """The owner wants the worker to end."""


@dataclass(frozen=True, slots=True)
class KillRequestEvent:
    """The owner wants the worker gone at once."""


@dataclass(frozen=True, slots=True)
class TickEvent:
    """A deadline has come.

    Attributes:
        turn_started_ns: the control page's word as it is now; 0: no turn.
        turn_node: the same.
        waits_for: the zygote that has to start first, or "".
    """

    turn_started_ns: int = 0
    turn_node: int = 0
    waits_for: str = ""


Event: TypeAlias = (
    SpawnReplyEvent
    | ProgressEvent
    | SettledEvent
    | SteeredEvent
    | ControlEvent
    | HeartbeatEvent
    | ReadyEvent
    | PongEvent
    | FailedEvent
    | FinishedEvent
    | ExitedEvent
    | ZygoteLostEvent
    | SocketClosedEvent
    | DamagedEvent
    | PeerLostEvent
    | MemoryEvent
    | StopRequestEvent
    | KillRequestEvent
    | TickEvent
)


@dataclass(frozen=True, slots=True)
class SendPingCommand:
    """Send a ping with this token to the worker."""

    token: int


@dataclass(frozen=True, slots=True)
class SendShutdownCommand:
    """Ask the worker to end."""


@dataclass(frozen=True, slots=True)
class SendSignalCommand:
    """Signal the worker's process group, by way of the zygote or (`direct`) past it."""

    signal: int
    direct: bool = False


@dataclass(frozen=True, slots=True)
class NotifyCommand:
    """Tell the owner."""

    notice: WorkerNotice


Command: TypeAlias = SendPingCommand | SendShutdownCommand | SendSignalCommand | NotifyCommand


class Supervisor:
    """One worker's life.

    Args:
        limits: what bounds it.
        now_ns: when its spawn was asked for.

    Attributes:
        state: where it is.
        pid: its process id, 0 while unknown.
        exited: whether its process is gone; nothing happens after that.
    """

    def __init__(self, limits: WorkerLimits, now_ns: int) -> None:
        self.state = WorkerState.SPAWNED
        self.pid = 0
        self._ready_early = False
        self.exited = False
        self._limits = limits
        self._init_deadline_ns = now_ns + limits.init_timeout_ns
        self._heard_ns = now_ns
        self._token = 0
        self._ping_ns: int | None = None
        self._silent_ns: int | None = None
        self._turn_check_ns: int | None = None
        #: What remains of the ladder: (when, what), in order; None: not begun.
        self._rungs: list[tuple[int, SendSignalCommand]] | None = None
        self._excused = False
        self._excused_until_ns = 0
        self._socket_closed = False
        self._finished = False
        self._progress: ProgressEvent | None = None
        #: Position of the node whose turn is under way, or None; as of the last event.
        self._at_work: int | None = None
        self._commands: list[Command] = []

    # --- verbs ------------------------------------------------------------------------------

    def feed(self, event: Event, now_ns: int, at_work: int | None = None) -> list[Command]:
        """Take an event.

        Args:
            event: what happened.
            now_ns: the time.
            at_work: position of the node whose turn is under way, for messages; None: of none.

        Returns:
            What is to be done, in order.
        """
        if self.exited:
            return []
        self._at_work = at_work
        self._commands = []
        match event:
            case TickEvent():
                self._tick(event, now_ns)
            case SpawnReplyEvent():
                self._spawn_reply(event, now_ns)
            case StopRequestEvent():
                self._stop(now_ns)
            case KillRequestEvent():
                self._kill(now_ns)
            case PeerLostEvent():
                if self._rungs is None and self._ping_ns is not None:  # else one is under way
                    self._ping(now_ns)
            case MemoryEvent():
                self._overran(event, now_ns)
            case ExitedEvent() | ZygoteLostEvent():
                self._process_ended(event)
            case SocketClosedEvent():
                self._socket_lost(now_ns)
            case DamagedEvent():
                self._fail(
                    self._crash(f"sent a damaged message ({event.why})"), now_ns, silent=True
                )
            case _:
                self._message(event, now_ns)
        return self._commands

    @property
    def ending(self) -> bool:
        """Whether the ladder has begun, or the process is gone."""
        return self.exited or self._rungs is not None

    def next_deadline_ns(self) -> int | None:
        """When the next tick is due; None: never, unless something happens."""
        if self.exited:
            return None
        if self._rungs is not None:
            return self._rungs[0][0] if self._rungs else None
        deadlines = [self._ping_ns, self._silent_ns, self._turn_check_ns]
        if self.state is not WorkerState.READY:
            deadlines.append(self._init_deadline_ns)
        known = [deadline for deadline in deadlines if deadline is not None]
        return max(min(known), self._excused_until_ns)

    # --- what the worker says ---------------------------------------------------------------

    def _message(
        self,
        event: ProgressEvent
        | SettledEvent
        | SteeredEvent
        | ControlEvent
        | HeartbeatEvent
        | ReadyEvent
        | PongEvent
        | FailedEvent
        | FinishedEvent,
        now_ns: int,
    ) -> None:
        self._heard(now_ns)
        match event:
            case PongEvent():
                self._pong(event, now_ns)
            case ProgressEvent():
                self._progressed(event)
            case SettledEvent():
                self._notify(SettledNotice(event.settlement()))
            case SteeredEvent():
                error = RemoteMediaError.from_dict(event.error) if event.error else None
                self._notify(SteeredNotice(event.number, event.answer, error))
            case ControlEvent():
                self._notify(ControlNotice(event.node_id, event.control))
            case ReadyEvent():
                self._ready(now_ns)
            case FailedEvent():
                self._fail(RemoteMediaError.from_dict(event.error), now_ns, leaving=True)
            case FinishedEvent():
                self._finish(event, now_ns)
            case _:
                pass  # a heartbeat: having been heard is all it says

    def _heard(self, now_ns: int) -> None:
        self._heard_ns = now_ns
        self._excused = False
        if self.state in (WorkerState.IMPORTING, WorkerState.INITIALIZING):
            self._silent_ns = now_ns + max(self._limits.hang_timeout_ns, START_SILENCE_NS_MIN)

    def _pong(self, event: PongEvent, now_ns: int) -> None:
        if event.token == self._token and self._silent_ns is not None and self._is_ready():
            self._silent_ns = None
            self._ping_ns = now_ns + self._limits.hang_timeout_ns // 3

    def _progressed(self, event: ProgressEvent) -> None:
        self._progress = event
        if self.state is WorkerState.IMPORTING and event.status != WorkerState.IMPORTING:
            self.state = WorkerState.INITIALIZING
        self._notify(ProgressNotice(event.node_id, event.status, event.fraction, event.message))

    def _ready(self, now_ns: int) -> None:
        if self.state not in (WorkerState.SPAWNED, WorkerState.IMPORTING, WorkerState.INITIALIZING):
            return
        if not self.pid:  # the zygote's reply comes by another socket; who is ready has a pid
            self._ready_early = True
            return
        self._become_ready(now_ns)

    def _become_ready(self, now_ns: int) -> None:
        self._ready_early = False
        self.state = WorkerState.READY
        self._silent_ns = None
        self._ping_ns = now_ns + self._limits.hang_timeout_ns // 3
        shortest_ns = self._limits.turn_timeout_ns_min
        if shortest_ns is not None:
            self._turn_check_ns = now_ns + shortest_ns
        self._notify(ReadyNotice())

    def _finish(self, event: FinishedEvent, now_ns: int) -> None:
        if self._finished or self.state is WorkerState.FAILED:
            return
        if self._ready_early:  # it was quicker with everything: there is nothing left to wait for
            self._become_ready(now_ns)
        self._finished = True
        self.state = WorkerState.DRAINING
        self._notify(FinishedNotice(event.statistics))
        if self._rungs is None:
            self._begin_ladder(now_ns)

    # --- what others say --------------------------------------------------------------------

    def _spawn_reply(self, event: SpawnReplyEvent, now_ns: int) -> None:
        if event.error:
            self._notify_failed(SpawnError(f"{self._nodes()}: {event.error}", **self._context()))
            self._gone(ExitedNotice(None, None))
            return
        self.pid = event.pid
        # The worker may have been quicker with its own first words than the zygote with the reply.
        if self.state is WorkerState.SPAWNED:
            self.state = WorkerState.IMPORTING
            self._heard(now_ns)
        if self._ready_early:
            self._ready(now_ns)

    def _stop(self, now_ns: int) -> None:
        if self._rungs is not None:
            return
        self.state = WorkerState.DRAINING
        self._commands.append(SendShutdownCommand())
        self._begin_ladder(now_ns)

    def _kill(self, now_ns: int) -> None:
        if self.state is not WorkerState.FAILED:
            self.state = WorkerState.DRAINING
        self._commands.append(SendSignalCommand(signal.SIGKILL))
        grace_ns = self._limits.cleanup_grace_ns
        direct = SendSignalCommand(signal.SIGKILL, direct=True)
        self._rungs = [(now_ns + round(grace_ns * (1 - _KILL_SHARE)), direct)]

    def _overran(self, event: MemoryEvent, now_ns: int) -> None:
        if self._rungs is not None:
            return
        self._notify_failed(self._memory_error(event))
        self._kill(now_ns)  # what asks for memory without end is not asked first

    def _socket_lost(self, now_ns: int) -> None:
        self._socket_closed = True
        if self._rungs is None:
            # Nearly always the process is dying and its exit code on the way: that says more.
            share_ns = round(self._limits.cleanup_grace_ns * _TERM_SHARE)
            self._silent_ns = min(now_ns + share_ns, now_ns + LATE_NS)
            self._ping_ns = None
        elif not self._rungs:
            self._gone(ExitedNotice(None, signal.SIGKILL))

    def _process_ended(self, event: ExitedEvent | ZygoteLostEvent) -> None:
        if isinstance(event, ZygoteLostEvent):
            notice = ExitedNotice(None, signal.SIGKILL)
            error = self._zygote_error(event.how)
        else:
            notice = ExitedNotice(event.code, event.signal)
            error = self._exit_error(event)
        if self._rungs is None:
            self._notify_failed(error)
        self._gone(notice)

    def _gone(self, notice: ExitedNotice) -> None:
        self.exited = True
        if self.state is not WorkerState.FAILED:
            self.state = WorkerState.STOPPED
        self._notify(notice)

    # --- deadlines --------------------------------------------------------------------------

    def _tick(self, event: TickEvent, now_ns: int) -> None:
        if self._rungs is not None:
            self._climb(self._rungs, now_ns)
            return
        if self.state is not WorkerState.READY and self._expired(self._init_deadline_ns, now_ns):
            self._fail(self._init_timeout(event), now_ns)
        elif self._silent_ns is not None and self._expired(self._silent_ns, now_ns):
            self._fail(self._silence(now_ns), now_ns, silent=True)
        elif self._turn_check_ns is not None and self._expired(self._turn_check_ns, now_ns):
            self._check_turn(event, now_ns)
        elif self._ping_ns is not None and now_ns >= self._ping_ns:
            self._ping(now_ns)

    def _climb(self, rungs: list[tuple[int, SendSignalCommand]], now_ns: int) -> None:
        while rungs and now_ns >= rungs[0][0]:
            _, command = rungs.pop(0)
            if not rungs and (self._socket_closed or not self.pid):
                # Dead, though nobody reports it, or never forked: the zygote is frozen, or hangs.
                self._commands.append(command)
                self._gone(ExitedNotice(None, signal.SIGKILL))
                return
            self._commands.append(command)

    def _check_turn(self, event: TickEvent, now_ns: int) -> None:
        shortest_ns = self._limits.turn_timeout_ns_min
        assert shortest_ns is not None
        # A turn that begins from now on cannot be over its time before this: one look per timeout.
        self._turn_check_ns = now_ns + shortest_ns
        started_ns = event.turn_started_ns
        timeout_ns = self._limits.turn_timeout_ns(event.turn_node)
        if not started_ns or timeout_ns is None:
            return
        if now_ns - started_ns >= timeout_ns:
            self._fail(self._turn_timeout(event, timeout_ns), now_ns)
            return
        self._turn_check_ns = min(self._turn_check_ns, started_ns + timeout_ns)

    def _ping(self, now_ns: int) -> None:
        self._token += 1
        self._ping_ns = None
        self._silent_ns = now_ns + self._limits.hang_timeout_ns * 2 // 3
        self._commands.append(SendPingCommand(self._token))

    def _expired(self, deadline_ns: int, now_ns: int) -> bool:
        if now_ns < deadline_ns:
            return False
        if now_ns - deadline_ns > LATE_NS and not self._excused:
            self._excused = True
            self._excused_until_ns = now_ns + EXCUSE_NS
        return now_ns >= self._excused_until_ns

    # --- failing ----------------------------------------------------------------------------

    def _fail(
        self, error: RemoteMediaError, now_ns: int, *, leaving: bool = False, silent: bool = False
    ) -> None:
        """Report an error and see that the process ends.

        Args:
            error: what to report; only a worker's first error is.
            now_ns: the time.
            leaving: the worker said so itself and needs no asking.
            silent: asking it is no use.
        """
        self._notify_failed(error)
        if self._rungs is not None:
            return
        if not leaving and not silent:
            self._commands.append(SendShutdownCommand())
        self._begin_ladder(now_ns, ask=not silent)

    def _notify_failed(self, error: RemoteMediaError) -> None:
        if self.state is not WorkerState.FAILED:
            self.state = WorkerState.FAILED
            self._notify(FailedNotice(error))

    def _begin_ladder(self, now_ns: int, *, ask: bool = True) -> None:
        grace_ns = self._limits.cleanup_grace_ns
        begin_ns = now_ns if ask else now_ns - round(grace_ns * _TERM_SHARE)
        self._rungs = [
            (begin_ns + round(grace_ns * _TERM_SHARE), SendSignalCommand(signal.SIGTERM)),
            (begin_ns + round(grace_ns * _KILL_SHARE), SendSignalCommand(signal.SIGKILL)),
            (begin_ns + grace_ns, SendSignalCommand(signal.SIGKILL, direct=True)),
        ]
        self._climb(self._rungs, now_ns)

    def _notify(self, notice: WorkerNotice) -> None:
        self._commands.append(NotifyCommand(notice))

    def _is_ready(self) -> bool:
        return self.state is WorkerState.READY

    # --- errors -----------------------------------------------------------------------------

    def _nodes(self) -> str:
        return nodes_named(self._limits.node_ids)

    def _told(self, what: str) -> str:
        """A sentence about a crash: of the node that was at work, if that is known."""
        node_ids = self._limits.node_ids
        if self._at_work is None or len(node_ids) <= 1:
            return f"{self._nodes()}: {what}"
        node_id = node_ids[min(self._at_work, len(node_ids) - 1)]
        return f"node {node_id!r}: {what}, in the process of {', '.join(map(repr, node_ids))}"

    def _context(self) -> dict[str, object]:
        node_ids = self._limits.node_ids
        return {
            "node_id": node_ids[0] if node_ids else "",
            "node_ids": list(node_ids),
            "pid": self.pid,
        }

    def _crash(self, what: str, **context: object) -> WorkerCrashedError:
        return WorkerCrashedError(
            self._told(f"the worker {what}"),
            **self._context(),
            state=str(self.state),
            **context,
        )

    def _exit_error(self, event: ExitedEvent) -> WorkerCrashedError:
        if event.signal is not None:
            what = f"Process crashed: killed by signal {event.signal} ({signal_name(event.signal)})"
        else:
            what = f"Process crashed with exit code {event.code}"
        return WorkerCrashedError(
            self._told(f"{what} while {self.state}"),
            **self._context(),
            state=str(self.state),
            exit_code=event.code,
            signal=event.signal,
        )

    def _zygote_error(self, how: str) -> RemoteMediaError:
        if not self.pid:
            what = f"the worker could not be started: {how}"
            return SpawnError(f"{self._nodes()}: {what}", **self._context())
        return self._crash(f"lost its zygote and ended with it: {how}")

    def _init_timeout(self, event: TickEvent) -> InitTimeoutError:
        step = str(self.state)
        said = ""
        if self._progress is not None:
            step = self._progress.status
            said = f", last progress of {self._progress.node_id!r}: {self._progress.fraction:.0%}"
            said += f" {self._progress.message}" if self._progress.message else ""
        timeout_s = self._limits.init_timeout_ns / 1e9
        if event.waits_for:
            return InitTimeoutError(
                f"{self._nodes()}: not ready after {timeout_s:g} s: {event.waits_for} has not"
                " started yet; raise init_timeout_secs, or see what holds that interpreter up",
                **self._context(),
                step=step,
                init_timeout_s=timeout_s,
            )
        return InitTimeoutError(
            f"{self._nodes()}: not ready after {timeout_s:g} s (in step {step!r}{said});"
            " load less in initialize, or raise init_timeout_secs (in runtime.toml or the"
            " manifest's metadata.multiprocess)",
            **self._context(),
            step=step,
            init_timeout_s=timeout_s,
        )

    def _silence(self, now_ns: int) -> WorkerCrashedError:
        if self._socket_closed:
            return self._crash("closed its control socket without ending")
        silent_s = (now_ns - self._heard_ns) / 1e9
        return self._crash(
            f"fell silent: nothing heard for {silent_s:.1f} s while {self.state}"
            " (stopped, or in a C call that keeps the interpreter lock)",
            silent_s=silent_s,
        )

    def _memory_error(self, event: MemoryEvent) -> ResourceLimitError:
        worker, session, limit = (
            -(-size // 2**20)
            for size in (event.worker_bytes, event.session_bytes, event.limit_bytes)
        )
        return ResourceLimitError(
            f"{self._nodes()}: the session's processes use {session} MiB of memory and may use"
            f" {limit} (max_session_memory_mb), and this one uses most of it, {worker} MiB; let it"
            " hold less, or raise max_session_memory_mb",
            **self._context(),
            state=str(self.state),
            limit=limit,
            requested=session,
            resource="memory",
        )

    def _turn_timeout(self, event: TickEvent, timeout_ns: int) -> WorkerCrashedError:
        node_ids = self._limits.node_ids
        context = self._context()
        if event.turn_node < len(node_ids):
            context["node_id"] = node_ids[event.turn_node]
        timeout_ms = timeout_ns // 1_000_000
        return WorkerCrashedError(
            f"node {context['node_id']!r}: a turn took longer than process_timeout_ms,"
            f" {timeout_ms} ms",
            **context,
            state=str(self.state),
            process_timeout_ms=timeout_ms,
        )


def signal_name(number: int) -> str:
    """A signal's name, "SIGKILL"; "unknown" if it has none here."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
