"""The one thread of a server process that starts, watches and ends its workers.

It serves every event loop and thread of the process, and works while they are busy. It sleeps until
a descriptor is ready or the next deadline of any worker has come: an idle worker costs a ping every
ten seconds.
Source: FR-004, FR-008, FR-009, SC-006.

    any thread ── calls (deque, wake-up) ──▶ ┌───────────────────────┐ ◀── exits ── zygote(s)
    owner ◀── notices (callback) ─────────── │ "remotemedia-workers" │ ◀── lane, output ── workers
                                             └───────────────────────┘
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import logging
import os
import selectors
import signal
import threading
import time
from typing import TYPE_CHECKING, ClassVar, Final

from engine.errors import SpawnError, StartupError, UsageError, WorkerCrashedError
from engine.workers import memory, strays
from engine.workers.handle import (
    WORKER_DESCRIPTORS_MAX,
    WorkerHandle,
    WorkerRecord,
    WorkerSpec,
    make_worker,
)
from engine.workers.interpreters import executable_of, refusal
from engine.workers.messages import (
    ControlEvent,
    ExitedEvent,
    FailedEvent,
    FinishedEvent,
    HeartbeatEvent,
    InterruptCommand,
    PingCommand,
    PongEvent,
    ProgressEvent,
    ReadyEvent,
    SettledEvent,
    ShutdownCommand,
    SignalCommand,
    SpawnCommand,
    SpawnReplyEvent,
    SteeredEvent,
    ZygoteReadyEvent,
    decode,
    encode,
)
from engine.workers.notices import ExitedNotice, FailedNotice, WorkerNotice
from engine.workers.output import to_text
from engine.workers.supervisor import (
    EXCUSE_NS,
    LATE_NS,
    Command,
    DamagedEvent,
    Event,
    KillRequestEvent,
    MemoryEvent,
    NotifyCommand,
    PeerLostEvent,
    SendPingCommand,
    SendShutdownCommand,
    SendSignalCommand,
    SocketClosedEvent,
    TickEvent,
    ZygoteLostEvent,
)
from engine.workers.watch_loop import WatchLoop
from engine.workers.zygote_link import (
    ZygoteLink,
    close_all,
    import_paths,
    working_directory,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.workers.pipes import OutputPipe

__all__ = ["WorkerHandle", "WorkerService", "WorkerSpec"]

#: Lines and their length that an error carries of what its worker printed. A crash ends with where
#: each thread was, some 35 lines, and what the node printed stands before that.
_ERROR_LINES_MAX: Final = 64
_ERROR_LINE_CHARS_MAX: Final = 1000
#: How long a zygote gets to kill and reap everything when the service closes.
_ZYGOTE_END_S: Final = 3.0
#: Spawns a zygote is asked for at a time. Descriptors under way in sockets are counted against
#: `ulimit -n`, and a zygote that is still starting takes none out.
_UNANSWERED_MAX: Final = 8
#: Interrupts that may wait for a worker which reads nothing; the last two become one beyond them.
_INTERRUPTS_WAITING_MAX: Final = 256
#: How long one that closed its socket gets to exit, so that its exit code is known.
_ZYGOTE_EXIT_S: Final = 0.5
#: Between two looks at the memory of sessions that have a limit of it.
_MEMORY_PERIOD_NS: Final = 1_000_000_000
#: What these looks are armed by; workers' ids begin with 1.
_MEMORY_KEY: Final = 0

_log = logging.getLogger("remotemedia.workers")


class WorkerService:
    """Starts workers and sees them to their end; one per process, see `shared`.

    Nothing runs until the first `spawn` or `warm`.
    """

    _shared: ClassVar[WorkerService | None] = None
    _shared_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._loop = WatchLoop("remotemedia-workers", self._on_deadline, self._shut)
        self._ids = itertools.count(1)
        self._zygotes: dict[str, ZygoteLink] = {}
        self._workers: dict[int, WorkerRecord] = {}

    @classmethod
    def shared(cls) -> WorkerService:
        """The service of this process, made on first use, and again after a fork or a close."""
        with cls._shared_lock:
            service = cls._shared
            if service is None or service.closed:
                service = cls()
                atexit.register(service.close)
                cls._shared = service
            return service

    @property
    def closed(self) -> bool:
        """Whether it starts no more workers: it was closed, or is the process's that forked us."""
        return self._loop.ending or self._pid != os.getpid()

    @classmethod
    def after_fork(cls) -> None:
        """In a forked child: forget the parent's service."""
        service, cls._shared = cls._shared, None
        cls._shared_lock = threading.Lock()  # a thread that is not here may hold the old one
        if service is not None:
            service.forget_parent()

    # --- for any thread ---------------------------------------------------------------------

    def warm(self, interpreter: str | None = None, *, wait_s: float | None = None) -> None:
        """Start a zygote in advance; it takes about 0.3 s.

        Args:
            interpreter: as in WorkerSpec.
            wait_s: wait so long until it can fork; None: do not wait.

        Raises:
            SpawnError: it could not be started, or was not ready in time (only if asked to wait).
        """
        executable = executable_of(interpreter)
        answered = threading.Event()
        links: list[ZygoteLink | str] = []

        def start() -> None:
            links.append(self._zygote_or_reason(executable))
            answered.set()

        self._start()
        self._loop.post(start)
        if wait_s is None:
            return
        deadline_s = time.monotonic() + wait_s
        if not answered.wait(wait_s):
            raise SpawnError(f"the worker service did not answer within {wait_s:g} s")
        link = links[0]
        if isinstance(link, str):
            raise SpawnError(link)
        if not link.ready.wait(max(0.0, deadline_s - time.monotonic())):
            raise SpawnError(f"{link.name} was not ready after {wait_s:g} s")
        if link.lost:
            raise SpawnError(link.how)

    def spawn(self, spec: WorkerSpec, notify: Callable[[WorkerNotice], None]) -> WorkerHandle:
        """Start a worker; returns at once.

        The descriptors in `spec.fds` are copied: the caller closes its own when this has returned.

        Args:
            spec: what it is to be.
            notify: called with each notice, on the service's thread: it must be quick and may not
                block (`loop.call_soon_threadsafe(queue.put_nowait, notice)`). What it raises is
                logged.

        Raises:
            UsageError: too many descriptors.
            SpawnError: the system is out of descriptors, or the service is closed. Whatever fails
                later is notified.
        """
        if len(spec.fds) > WORKER_DESCRIPTORS_MAX:
            raise UsageError(
                f"stage {spec.stage_id!r} needs {len(spec.fds)} descriptors and a worker can be"
                f" given {WORKER_DESCRIPTORS_MAX}; split the stage, or use fewer edges",
                node_ids=list(spec.node_ids),
            )
        self._start()
        try:
            record, fds = make_worker(next(self._ids), spec, notify, time.monotonic_ns())
        except OSError as error:
            raise SpawnError(
                f"cannot start a worker for {', '.join(spec.node_ids)}: {error.strerror}",
                node_ids=list(spec.node_ids),
            ) from error
        if not self._loop.post(lambda: self._launch(record, fds)):
            record.close()
            close_all(fds)
            raise SpawnError("the worker service is closed")
        return WorkerHandle(self, record)

    def post_event(self, record: WorkerRecord, event: Event) -> None:
        """Feed an event to a worker's state machine, from any thread."""
        self._loop.post(lambda: self._feed(record, event))

    def post_interrupt(self, record: WorkerRecord, interrupt: InterruptCommand) -> None:
        """Send an interrupt to a worker, from any thread."""
        self._loop.post(lambda: self._interrupt(record, interrupt))

    def post_order(self, record: WorkerRecord, data: bytes, fds: tuple[int, ...]) -> None:
        """Send an order to a worker, from any thread.

        Args:
            record: the worker.
            data: an encoded SteerCommand.
            fds: descriptors to send with it; owned from now on.
        """
        if not self._loop.post(lambda: self._order(record, data, fds)):
            close_all(fds)

    def ask_session(self, session_id: str) -> None:
        """Have a session's workers show that they live, now that an edge was lost; any thread."""

        def ask() -> None:
            for record in list(self._workers.values()):
                if record.spec.session_id == session_id:
                    self._feed(record, PeerLostEvent())

        self._loop.post(ask)

    def close(self, timeout_s: float = 5.0) -> None:
        """Kill every worker and zygote, reap them, and end the thread. Idempotent; blocks.

        Args:
            timeout_s: how long to wait for the thread.
        """
        if self._pid != os.getpid():
            return
        self._loop.end(timeout_s)
        atexit.unregister(self.close)

    def _start(self) -> None:
        if self._pid != os.getpid() or not self._loop.start():
            raise SpawnError("the worker service is closed")

    # --- zygotes ----------------------------------------------------------------------------

    def _zygote_or_reason(self, executable: str) -> ZygoteLink | str:
        link = self._zygotes.get(executable)
        if link is not None:
            return link
        if self._loop.ending:
            return "the worker service is closed"
        try:
            link = ZygoteLink(executable)
        except OSError as error:
            return (
                f"cannot start the interpreter {executable}: {error.strerror or error}; name"
                " another one by python_executable or venv_path, in runtime.toml or the manifest's"
                " metadata.multiprocess"
            )
        self._zygotes[executable] = link
        self._loop.register(link.channel.fileno(), lambda mask: self._on_zygote(link, mask))
        self._loop.register(link.pipe.fd, lambda _mask: self._on_zygote_output(link))
        self._loop.register(link.pidfd, lambda _mask: self._on_zygote_end(link))
        self._loop.arm(_deadline_key(link), link.start_deadline_ns)
        return link

    def _on_zygote(self, link: ZygoteLink, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            self._flush_zygote(link)
        while not link.lost:
            data = link.channel.receive()
            if data is None:
                return
            if not data:
                self._lose_zygote(link)
                return
            self._zygote_message(link, data)

    def _on_zygote_end(self, link: ZygoteLink) -> None:
        self._on_zygote(link, 0)  # what it had still said
        if not link.lost:
            self._lose_zygote(link)

    def _zygote_message(self, link: ZygoteLink, data: bytes) -> None:
        match decode(data):
            case ZygoteReadyEvent() as event:
                self._zygote_ready(link, event)
            case SpawnReplyEvent() as event:
                self._answered(link, event)
            case ExitedEvent() as event:
                record = link.workers.get(event.worker_id)
                if record is not None:
                    self._read_last_words(record)
                    self._feed(record, event)
            case message:
                raise ValueError(f"{message.type!r} is no message of a zygote")

    def _zygote_ready(self, link: ZygoteLink, event: ZygoteReadyEvent) -> None:
        self._loop.disarm(_deadline_key(link))
        why = refusal(link.executable, event)
        if why:
            self._lose_zygote(link, why=why)
        else:
            link.ready.set()

    def _on_start_deadline(self, link: ZygoteLink) -> None:
        now_ns = time.monotonic_ns()
        if now_ns - link.start_deadline_ns > LATE_NS:
            # We were asleep ourselves, and it perhaps as well.
            link.start_deadline_ns = now_ns + EXCUSE_NS
            self._loop.arm(_deadline_key(link), link.start_deadline_ns)
            return
        why = f"{link.name} hung: it could not fork within {link.start_timeout_s:g} s"
        self._lose_zygote(link, 0.0, why)

    def _answered(self, link: ZygoteLink, event: SpawnReplyEvent) -> None:
        link.unanswered.discard(event.worker_id)
        record = link.workers.get(event.worker_id)
        if record is not None:
            self._feed(record, event)
        elif event.pid:  # given up meanwhile
            self._kill_by_zygote(link, event.worker_id)
        self._request_spawns(link)

    def _kill_by_zygote(self, link: ZygoteLink, worker_id: int) -> None:
        with contextlib.suppress(OSError):  # it is gone, and its workers with it
            self._send_zygote(link, encode(SignalCommand(worker_id, signal.SIGKILL)))

    def _on_zygote_output(self, link: ZygoteLink) -> None:
        chunk = link.pipe.read()
        if chunk == b"":
            self._loop.unregister(link.pipe.fd)
        if not chunk:
            return
        for line in to_text(link.pipe.cutter.feed(chunk)):
            _log.warning("zygote: %s", line, extra={"zygote_pid": link.process.pid})

    def _send_zygote(self, link: ZygoteLink, data: bytes, fds: tuple[int, ...] = ()) -> None:
        link.channel.send(data, fds)
        self._loop.watch_writes(link.channel.fileno(), wanted=link.channel.wants_write)

    def _flush_zygote(self, link: ZygoteLink) -> None:
        with contextlib.suppress(OSError):  # its end is about to be read, too
            link.channel.flush()
        self._loop.watch_writes(link.channel.fileno(), wanted=link.channel.wants_write)

    def _lose_zygote(
        self, link: ZygoteLink, timeout_s: float = _ZYGOTE_EXIT_S, why: str = ""
    ) -> None:
        """Drop a zygote and fail its workers; `why` where it is we who end it."""
        if self._zygotes.get(link.executable) is link:
            del self._zygotes[link.executable]
        self._loop.unregister(link.channel.fileno())
        self._loop.unregister(link.pipe.fd)
        self._loop.unregister(link.pidfd)
        self._loop.disarm(_deadline_key(link))
        link.end(timeout_s, why)
        if not self._loop.ending:
            _log.error("zygote_lost: %s", link.how, extra={"zygote_pid": link.process.pid})
        for record in list(link.workers.values()):
            self._read_last_words(record)
            self._feed(record, ZygoteLostEvent(link.how))

    # --- workers ----------------------------------------------------------------------------

    def _launch(self, record: WorkerRecord, fds: tuple[int, ...]) -> None:
        self._workers[record.worker_id] = record
        executable = executable_of(record.spec.interpreter)
        link = self._zygote_or_reason(executable)
        if isinstance(link, str):
            close_all(fds)
            self._feed(record, SpawnReplyEvent(record.worker_id, 0, link))
            return
        link.workers[record.worker_id] = record
        self._register_worker(record)
        self._loop.arm(record.worker_id, record.supervisor.next_deadline_ns())
        if record.spec.memory_limit_bytes is not None:
            self._loop.arm(_MEMORY_KEY, time.monotonic_ns() + _MEMORY_PERIOD_NS)
        link.waiting.append((record, fds))
        self._request_spawns(link)

    def _request_spawns(self, link: ZygoteLink) -> None:
        while link.waiting and len(link.unanswered) < _UNANSWERED_MAX and not link.lost:
            record, fds = link.waiting.popleft()
            if record.supervisor.ending:
                # Its ladder's signals went to nobody, and will not be sent again.
                close_all(fds)
                self._feed(record, ExitedEvent(record.worker_id))
                continue
            link.unanswered.add(record.worker_id)
            self._request_spawn(link, record, fds)

    def _register_worker(self, record: WorkerRecord) -> None:
        self._loop.register(record.channel.fileno(), lambda mask: self._on_control(record, mask))
        for pipe in record.output.pipes:
            self._loop.register(pipe.fd, self._output_reader(record, pipe))

    def _output_reader(self, record: WorkerRecord, pipe: OutputPipe) -> Callable[[int], None]:
        def read(_mask: int) -> None:
            if not record.output.read(pipe):
                self._loop.unregister(pipe.fd)

        return read

    def _request_spawn(self, link: ZygoteLink, record: WorkerRecord, fds: tuple[int, ...]) -> None:
        spec = record.spec
        command = SpawnCommand(
            worker_id=record.worker_id,
            node_ids=spec.node_ids,
            title=spec.title,
            paths=tuple(import_paths()) if link.is_own else (),
            directory=working_directory(),
            environment=link.environment_changes(),
            memory_limit_bytes=spec.memory_limit_bytes,
            extra_paths=spec.extra_paths,
        )
        try:
            data = encode(command)
        except (TypeError, ValueError) as error:
            close_all(fds)
            self._not_asked_for(link, record, str(error))
            return
        try:
            self._send_zygote(link, data, fds)
        except BrokenPipeError:
            self._on_zygote_end(link)
        except OSError as error:
            self._not_asked_for(link, record, f"cannot reach {link.name}: {error.strerror}")

    def _not_asked_for(self, link: ZygoteLink, record: WorkerRecord, why: str) -> None:
        link.unanswered.discard(record.worker_id)
        self._feed(record, SpawnReplyEvent(record.worker_id, 0, why))

    def _on_control(self, record: WorkerRecord, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            self._flush_worker(record)
        self._read_control(record)

    def _read_control(self, record: WorkerRecord) -> None:
        while not record.supervisor.exited:
            data = record.channel.receive()
            if data is None:
                return
            if not data:
                self._loop.unregister(record.channel.fileno())
                self._feed(record, SocketClosedEvent())
                return
            self._feed(record, self._worker_event(data))

    def _worker_event(self, data: bytes) -> Event:
        try:
            message = decode(data)
        except ValueError as error:
            return DamagedEvent(str(error))
        match message:
            case PongEvent() | HeartbeatEvent() | ProgressEvent() | ReadyEvent() | SettledEvent():
                return message
            case SteeredEvent() | ControlEvent() | FailedEvent() | FinishedEvent():
                return message
            case _:
                return DamagedEvent(f"{message.type!r} is no message of a worker")

    def _read_last_words(self, record: WorkerRecord) -> None:
        """Take what a worker that has ended had still said and printed."""
        self._read_control(record)
        record.output.finish()

    # --- what the state machine wants ---------------------------------------------------------

    def _feed(self, record: WorkerRecord, event: Event) -> None:
        supervisor = record.supervisor
        if supervisor.exited:
            return
        page = record.page
        at_work = page.turn_node if page.turn_started_ns else None
        for command in supervisor.feed(event, time.monotonic_ns(), at_work):
            self._loop.guard(self._obey, record, command)
        if supervisor.exited:
            record.exited.set()
        else:
            self._loop.arm(record.worker_id, supervisor.next_deadline_ns())

    def _on_deadline(self, key: int) -> None:
        if key == _MEMORY_KEY:
            self._watch_memory()
            return
        for link in [link for link in self._zygotes.values() if _deadline_key(link) == key]:
            self._on_start_deadline(link)
        record = self._workers.get(key)
        if record is not None:
            page = record.page
            waits_for = self._starting_zygote_of(record)
            self._feed(record, TickEvent(page.turn_started_ns, page.turn_node, waits_for))

    def _starting_zygote_of(self, record: WorkerRecord) -> str:
        link = self._zygote_of(record)
        return link.name if link is not None and not link.ready.is_set() else ""

    def _zygote_of(self, record: WorkerRecord) -> ZygoteLink | None:
        """The zygote whose worker it is; not by the interpreter's name, which PATH may change."""
        for link in self._zygotes.values():
            if record.worker_id in link.workers:
                return link
        return None

    def _watch_memory(self) -> None:
        """Fail the largest worker of each session whose workers use more than they may."""
        limits: dict[str, int] = {}
        pids: dict[str, dict[int, int]] = {}
        for record in self._workers.values():
            spec, pid = record.spec, record.supervisor.pid
            if spec.memory_limit_bytes is not None and pid and not record.supervisor.ending:
                limits[spec.session_id] = spec.memory_limit_bytes
                pids.setdefault(spec.session_id, {})[record.worker_id] = pid
        for session_id, limit_bytes in limits.items():
            found = memory.find_overrun(pids[session_id], limit_bytes)
            if found is not None:
                event = MemoryEvent(found.worker_bytes, found.total_bytes, limit_bytes)
                self._feed(self._workers[found.worker_id], event)
        if any(record.spec.memory_limit_bytes is not None for record in self._workers.values()):
            self._loop.arm(_MEMORY_KEY, time.monotonic_ns() + _MEMORY_PERIOD_NS)

    def _obey(self, record: WorkerRecord, command: Command) -> None:
        match command:
            case SendPingCommand():
                self._send_worker(record, encode(PingCommand(command.token)))
            case SendShutdownCommand():
                record.page.cancelled = True
                self._send_worker(record, encode(ShutdownCommand()))
            case SendSignalCommand():
                self._signal(record, command)
            case NotifyCommand():
                self._notify(record, command.notice)

    def _send_worker(self, record: WorkerRecord, data: bytes, fds: tuple[int, ...] = ()) -> None:
        with contextlib.suppress(OSError):  # it is gone: its socket's end and its exit are reported
            record.channel.send(data, fds)
        self._watch_worker(record)

    def _watch_worker(self, record: WorkerRecord) -> None:
        self._loop.watch_writes(record.channel.fileno(), wanted=record.channel.wants_write)

    def _flush_worker(self, record: WorkerRecord) -> None:
        with contextlib.suppress(OSError):
            record.channel.flush()
        waiting = record.interrupts
        while waiting and not record.channel.wants_write:
            self._send_worker(record, encode(waiting.popleft()))
        self._watch_worker(record)

    def _interrupt(self, record: WorkerRecord, interrupt: InterruptCommand) -> None:
        if record.supervisor.exited:
            return
        waiting = record.interrupts
        if not (waiting or record.channel.wants_write):
            self._send_worker(record, encode(interrupt))
            return
        if len(waiting) == _INTERRUPTS_WAITING_MAX:  # a frozen worker must not fill our memory
            node_ids = dict.fromkeys(waiting.pop().node_ids + interrupt.node_ids)
            interrupt = InterruptCommand(interrupt.generation, tuple(node_ids))
        waiting.append(interrupt)

    def _order(self, record: WorkerRecord, data: bytes, fds: tuple[int, ...]) -> None:
        if record.supervisor.exited:
            close_all(fds)
        else:
            self._send_worker(record, data, fds)

    def _signal(self, record: WorkerRecord, command: SendSignalCommand) -> None:
        pid = record.supervisor.pid
        if command.direct:
            if pid:
                strays.kill_group(pid, command.signal)
            return
        link = self._zygote_of(record)
        if link is not None:
            with contextlib.suppress(OSError):  # it is gone, and its workers with it
                self._send_zygote(link, encode(SignalCommand(record.worker_id, command.signal)))

    def _notify(self, record: WorkerRecord, notice: WorkerNotice) -> None:
        if isinstance(notice, FailedNotice):
            self._add_output(record, notice)
        elif isinstance(notice, ExitedNotice):
            self._forget(record)  # first, so that whoever is told finds nothing of it left
        try:
            record.notify(notice)
        except Exception:  # noqa: BLE001 - an owner's mistake must not hurt the others
            # Ending: loops are closed by now, and owners that are gone need no telling.
            level = logging.DEBUG if self._loop.ending else logging.ERROR
            _log.log(level, "worker_notice_not_delivered", exc_info=True)

    def _add_output(self, record: WorkerRecord, notice: FailedNotice) -> None:
        error = notice.error
        page, node_ids = record.page, record.spec.node_ids
        if isinstance(error, WorkerCrashedError) and page.turn_started_ns:
            error.context["node_id"] = node_ids[min(page.turn_node, len(node_ids) - 1)]
        if isinstance(error, WorkerCrashedError | StartupError):
            record.output.read_waiting()
            lines = record.output.last_lines()[-_ERROR_LINES_MAX:]
            error.context["last_lines"] = [line[:_ERROR_LINE_CHARS_MAX] for line in lines]
        error.context.setdefault("session_id", record.spec.session_id)
        error.context.setdefault("stage_id", record.spec.stage_id)

    def _forget(self, record: WorkerRecord) -> None:
        self._loop.disarm(record.worker_id)
        self._loop.unregister(record.channel.fileno())
        for pipe in record.output.pipes:
            self._loop.unregister(pipe.fd)
        self._workers.pop(record.worker_id, None)
        for link in self._zygotes.values():
            link.workers.pop(record.worker_id, None)
        record.close()

    # --- the end ----------------------------------------------------------------------------

    def _shut(self) -> None:
        self._loop.run_calls()  # among them may be spawns, which hold descriptors
        for record in list(self._workers.values()):
            self._feed(record, KillRequestEvent())
        for link in list(self._zygotes.values()):
            self._loop.guard(self._lose_zygote, link, _ZYGOTE_END_S)

    def forget_parent(self) -> None:
        """In a forked child: close the copies of everything; the originals are the parent's."""
        self._loop.release()
        for link in self._zygotes.values():
            link.abandon()
        for record in self._workers.values():
            record.close()


def _deadline_key(link: ZygoteLink) -> int:
    """What its deadline is armed by: below zero, where no worker's number is."""
    return -link.process.pid


def _after_fork_in_child() -> None:
    WorkerService.after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)
