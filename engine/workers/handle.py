"""One worker as the server sees it: what its owner asked for and holds, what the service keeps.

Source: FR-004, FR-008, FR-010.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from engine.workers.channel import Channel, packet_socketpair
from engine.workers.control_page import ControlPage, create_page
from engine.workers.messages import (
    DESCRIPTORS_MAX,
    SPAWN_DESCRIPTORS,
    InterruptCommand,
    SteerCommand,
    encode,
)
from engine.workers.pipes import WorkerOutput
from engine.workers.supervisor import (
    KillRequestEvent,
    StopRequestEvent,
    Supervisor,
    WorkerLimits,
    WorkerState,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.interruption import Interrupt
    from engine.workers.notices import WorkerNotice
    from engine.workers.service import WorkerService

#: How many descriptors of its own a worker can be given.
WORKER_DESCRIPTORS_MAX: Final = DESCRIPTORS_MAX - len(SPAWN_DESCRIPTORS)


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What a worker is to be.

    Attributes:
        session_id: the session it belongs to.
        stage_id: the stage it runs.
        node_ids: that stage's nodes, in the order of `ControlPage.turn_node`.
        title: what `ps` shows.
        start: a JSON object of any size, given to the worker's entry. Three of its keys mean
            something here: "entry" ("module:function", default the stage runner), and "main_path"
            or "main_module" (the user's program, to be loaded first).
        fds: descriptors for the worker, at most 248; it gets copies, in this order.
        interpreter: None, "python" or "python3" (the server's own), or another one's path.
        extra_paths: directories that precede sys.path.
        memory_limit_bytes: bound on the private memory it takes beyond the zygote's (RLIMIT_DATA),
            and on what all workers of its session use together; None: none.
        init_timeout_s: from the spawn until it is ready.
        hang_timeout_s: how long it may be silent.
        cleanup_grace_s: how long its end may take.
        turn_timeouts_ms: bound on one turn of each node, in that order; None, or left out: none.
        in_edges: how many edges it receives from, whose hops its control page has room for.
        counts: words it has there for what its stages count.
    """

    session_id: str
    stage_id: str
    node_ids: tuple[str, ...]
    title: str
    start: bytes
    fds: tuple[int, ...] = ()
    interpreter: str | None = None
    extra_paths: tuple[str, ...] = ()
    memory_limit_bytes: int | None = None
    init_timeout_s: float = 30.0
    hang_timeout_s: float = 30.0
    cleanup_grace_s: float = 5.0
    turn_timeouts_ms: tuple[int | None, ...] = ()
    in_edges: int = 0
    counts: int = 0

    def limits(self) -> WorkerLimits:
        """The bounds, in nanoseconds."""
        return WorkerLimits(
            node_ids=self.node_ids,
            init_timeout_ns=round(self.init_timeout_s * 1e9),
            hang_timeout_ns=round(self.hang_timeout_s * 1e9),
            cleanup_grace_ns=round(self.cleanup_grace_s * 1e9),
            turn_timeouts_ns=tuple(
                None if timeout_ms is None else timeout_ms * 1_000_000
                for timeout_ms in self.turn_timeouts_ms
            ),
        )


@dataclass(slots=True, eq=False)
class WorkerRecord:
    """What the service keeps about a worker. Only its thread writes to it.

    Attributes:
        worker_id: its number, unique in the service.
        spec: what was asked for.
        notify: tells the owner.
        channel: our end of its control socket.
        page: the control page.
        output: what it prints.
        supervisor: its state machine.
        interrupts: those that wait for room in the socket.
        exited: set when it is gone and the owner was told.
    """

    worker_id: int
    spec: WorkerSpec
    notify: Callable[[WorkerNotice], None]
    channel: Channel
    page: ControlPage
    output: WorkerOutput
    supervisor: Supervisor
    interrupts: deque[InterruptCommand] = field(default_factory=deque)
    exited: threading.Event = field(default_factory=threading.Event)

    def close(self) -> None:
        """Close all descriptors; the control page goes on as a copy."""
        self.channel.close()
        self.output.close()
        self.page.detach()


class WorkerHandle:
    """A worker, for its owner. Every method is callable from any thread.

    Dropping the handle does not end the worker; `stop` does.
    """

    __slots__ = ("_record", "_service")

    def __init__(self, service: WorkerService, record: WorkerRecord) -> None:
        self._service = service
        self._record = record

    @property
    def pid(self) -> int:
        """Its process id; 0 until it is known."""
        return self._record.supervisor.pid

    @property
    def state(self) -> WorkerState:
        """Where it is in its life."""
        return self._record.supervisor.state

    @property
    def exited(self) -> bool:
        """Whether it is gone and the owner was told."""
        return self._record.exited.is_set()

    @property
    def control_page(self) -> ControlPage:
        """The words it shares with us; a copy of the last ones once it is gone."""
        return self._record.page

    def interrupt(self, interrupt: Interrupt) -> None:
        """Tell it of an interrupt: that there is one by the shared words, its scope by the lane."""
        ours = self._record.spec.node_ids
        node_ids = tuple(node_id for node_id in ours if node_id in interrupt.nodes)
        self._record.page.announce(interrupt.generation, everything=node_ids == ours)
        command = InterruptCommand(interrupt.generation, node_ids)
        self._service.post_interrupt(self._record, command)

    def steer(self, command: SteerCommand, fds: tuple[int, ...] = ()) -> None:
        """Send it an order by its lane.

        Args:
            command: the order.
            fds: descriptors to send with it; owned from now on.

        Raises:
            TypeError: JSON cannot carry a value in it; the descriptors are still the caller's.
            ValueError: it is too large; the same.
        """
        self._service.post_order(self._record, encode(command), fds)

    def stop(self) -> None:
        """Begin to end it: ask, SIGTERM, SIGKILL, within its cleanup grace. Idempotent."""
        self._record.page.cancelled = True
        self._service.post_event(self._record, StopRequestEvent())

    def kill(self) -> None:
        """End it at once. Idempotent."""
        self._record.page.cancelled = True
        self._service.post_event(self._record, KillRequestEvent())

    def wait_exited(self, timeout_s: float | None = None) -> bool:
        """Block until it is gone; not on an event loop's thread.

        Args:
            timeout_s: how long at most; None: until it is gone.

        Returns:
            Whether it is gone.
        """
        return self._record.exited.wait(timeout_s)

    def last_lines(self) -> list[str]:
        """The last 200 lines it printed, oldest first."""
        return self._record.output.last_lines()


def make_worker(
    worker_id: int, spec: WorkerSpec, notify: Callable[[WorkerNotice], None], now_ns: int
) -> tuple[WorkerRecord, tuple[int, ...]]:
    """Make what the service and a worker to be talk over.

    Returns:
        The record, and the worker's descriptors: those of SPAWN_DESCRIPTORS, then its own, to be
        sent and closed by the caller.

    Raises:
        OSError: out of descriptors or memory; nothing is left open.
    """
    opened: list[int] = []
    try:
        opened += (end.detach() for end in packet_socketpair())
        opened.append(create_page(spec.in_edges, spec.counts))
        opened += os.pipe2(os.O_CLOEXEC)
        opened += os.pipe2(os.O_CLOEXEC)
        opened.append(_start_file(spec.start))
        opened += map(os.dup, spec.fds)
        page = ControlPage.of_fd(opened[2])
    except OSError:
        for fd in opened:
            os.close(fd)
        raise
    ours, control, page_fd, stdout, stdout_write, stderr, stderr_write, start, *stage = opened
    facts = {"session_id": spec.session_id, "node_ids": spec.node_ids}
    record = WorkerRecord(
        worker_id=worker_id,
        spec=spec,
        notify=notify,
        channel=Channel.of_fd(ours),
        page=page,
        output=WorkerOutput(stdout, stderr, facts),
        supervisor=Supervisor(spec.limits(), now_ns),
    )
    return record, (control, page_fd, stdout_write, stderr_write, start, *stage)


def _start_file(start: bytes) -> int:
    fd = os.memfd_create("remotemedia-start", os.MFD_CLOEXEC)
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(start)
    except OSError:
        os.close(fd)
        raise
    return fd
