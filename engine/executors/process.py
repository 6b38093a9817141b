"""Runs a stage in a worker process of its own. Source: FR-004, FR-008, NFR-002."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import sys
import weakref
from typing import TYPE_CHECKING, Any

from engine.edges.contract import EdgeStatistics
from engine.edges.hop_times import HopTimes
from engine.errors import SpawnError, StartupError, UsageError
from engine.executors.contract import Progress
from engine.interruption import Settlement
from engine.limits import LEDGER, as_limit_error, memory_limit_bytes
from engine.observe.statistics import NodeStatistics, StageStatistics
from engine.payloads import Control
from engine.steering import nodes_of, order_to_dict
from engine.workers.interpreters import executable_of, venv_python
from engine.workers.messages import SteerCommand
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
from engine.workers.service import WorkerHandle, WorkerService, WorkerSpec
from engine.workers.stage_counts import StageCounts, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine.config import Settings
    from engine.errors import RemoteMediaError
    from engine.executors.contract import Hand, StageOwner
    from engine.interruption import Interrupt
    from engine.plan import NodePlan, StagePlan
    from engine.session.wiring import Wiring
    from engine.steering import Order

logger = logging.getLogger("remotemedia.session")

#: Beyond the grace period, for the signal's own way through the zygote.
_GRACE_MARGIN_S = 2.0


def ask_workers(session_id: str) -> None:
    """Have a session's workers show that they live; who does not is soon reported as failed.

    Args:
        session_id: the session, one of whose edges was lost.
    """
    WorkerService.shared().ask_session(session_id)


class ProcessStage:
    """A stage in a worker, see `engine.executors.contract.RunningStage`."""

    def __init__(
        self,
        stages: Sequence[StagePlan],
        session_id: str,
        owner: StageOwner,
        wiring: Wiring,
        settings: Settings,
    ) -> None:
        """Prepare; nothing is spawned yet.

        Args:
            stages: what the worker runs: one stage, or those of a group.
            session_id: the session it belongs to.
            owner: who it reports to.
            wiring: has the ends of its edges.
            settings: the session's.

        Raises:
            SpawnError: this platform has no process executor.
        """
        if sys.platform != "linux":
            raise SpawnError(
                f"node {stages[0].id!r} cannot run in a process of its own: that needs Linux;"
                ' place it with "executor": "local"',
                node_id=stages[0].id,
            )
        self.plan = stages[0]
        self._stages = tuple(stages)
        self._nodes = tuple(node for stage in stages for node in stage.nodes)
        self.node_ids = tuple(node.id for node in self._nodes)
        self.local = False
        self._session_id = session_id
        self._owner = owner
        self._wiring = wiring
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._worker: WorkerHandle | None = None
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._exited = asyncio.Event()
        self._started = False
        self._finished = False
        self._failed = False
        self._edge_statistics: dict[str, EdgeStatistics] = {}
        self.cpu_ns: int | None = None
        self._in_edges: tuple[str, ...] = ()

    @property
    def pid(self) -> int:
        """The worker's process id; 0 before it is known."""
        return self._worker.pid if self._worker is not None else 0

    def start_nowait(self) -> bool:
        return False

    async def start(self) -> None:
        self.spawn()
        await self._ready

    def spawn(self) -> None:
        """Ask for the worker, without waiting for it; a second call does nothing."""
        if self._worker is not None:
            return
        interpreter = _interpreter_of(self._settings)
        spec, fds = self._wiring.worker_ends(self._stages)
        self._in_edges = tuple(edge.plan.id for edge in spec.receivers)
        node_ids = tuple(node.id for node in self._nodes)
        settings = self._settings
        worker = WorkerSpec(
            session_id=self._session_id,
            stage_id=self.plan.id,
            node_ids=node_ids,
            title=f"remotemedia {' '.join(node_ids)} --session {self._session_id}",
            start=json.dumps(spec.to_dict() | _main_of(self._nodes)).encode(),
            fds=tuple(fds),
            interpreter=interpreter,
            extra_paths=settings.extra_paths,
            init_timeout_s=settings.init_timeout_s,
            hang_timeout_s=settings.hang_timeout_s,
            cleanup_grace_s=settings.cleanup_grace_s,
            turn_timeouts_ms=tuple(node.process_timeout_ms for node in self._nodes),
            in_edges=len(spec.receivers),
            counts=words_of(self._stages),
            memory_limit_bytes=memory_limit_bytes(settings.max_session_memory_mb),
        )
        LEDGER.worker_started(self._session_id)
        try:
            self._worker = WorkerService.shared().spawn(
                worker, _notifier(self._session_id, self._loop, self._take)
            )
        except Exception:
            LEDGER.worker_gone(self._session_id)
            raise
        self._wiring.hand_over(self._stages)

    def open(self) -> None:
        """A worker takes packets as soon as it is ready."""
        self._started = True

    def interrupt(self, interrupt: Interrupt) -> None:
        if self._worker is None or self._finished:
            self._owner.stage_interrupted(self, Settlement(interrupt.generation))
        else:
            self._worker.interrupt(interrupt)

    def steer(self, number: int, order: Order, hand: Hand | None = None) -> None:
        edges, fds = ({}, ()) if hand is None else hand.specs()
        if self._worker is None or self._finished or self._failed:
            for fd in fds:
                os.close(fd)
            error = UsageError(f"node {nodes_of(order)[0]!r} has ended")
            self._loop.call_soon(self._owner.stage_steered, self, number, error)
            return
        try:
            self._worker.steer(SteerCommand(number, order_to_dict(order), edges), fds)
        except (TypeError, ValueError) as error:
            for fd in fds:
                os.close(fd)
            raise UsageError(
                f"the process of node {nodes_of(order)[0]!r} cannot be told: {error}"
            ) from error

    def stop(self) -> None:
        if self._worker is not None:
            self._worker.stop()

    def kill(self) -> None:
        if self._worker is not None:
            self._worker.kill()

    def close_nowait(self) -> bool:
        return False

    async def wait_stopped(self) -> None:
        worker = self._worker
        if worker is None:
            return
        if not self._finished:
            worker.stop()
        try:
            async with asyncio.timeout(self._settings.cleanup_grace_s):
                await self._exited.wait()
        except TimeoutError:
            worker.stop()
            async with asyncio.timeout(self._settings.cleanup_grace_s + _GRACE_MARGIN_S):
                await self._exited.wait()

    def statistics(self) -> Mapping[str, StageStatistics]:
        if self._worker is None:
            return {
                stage.id: StageStatistics(nodes={node.id: NodeStatistics() for node in stage.nodes})
                for stage in self._stages
            }
        words = self._worker.control_page.count_words(words_of(self._stages))
        return StageCounts(words, self._stages).read()

    def edge_statistics(self) -> Mapping[str, EdgeStatistics]:
        return self._edge_statistics

    def hop_times(self) -> Mapping[str, HopTimes]:
        if self._worker is None:
            return {}
        page = self._worker.control_page
        return {
            edge_id: HopTimes.of(page.hop_words(position))
            for position, edge_id in enumerate(self._in_edges)
        }

    def _take(self, notice: WorkerNotice) -> None:
        match notice:
            case ProgressNotice():
                self._owner.stage_progress(
                    Progress(notice.node_id, notice.status, notice.fraction, notice.message)
                )
            case ReadyNotice():
                if not self._ready.done():
                    self._ready.set_result(None)
            case FailedNotice():
                limit_mb, starting = self._settings.max_session_memory_mb, not self._ready.done()
                self._fail(as_limit_error(notice.error, limit_mb, starting=starting))
            case SettledNotice():
                self._owner.stage_interrupted(self, notice.settlement)
            case SteeredNotice():
                outcome = notice.answer if notice.error is None else notice.error
                self._owner.stage_steered(self, notice.number, outcome)
            case ControlNotice():
                self._owner.stage_controls(notice.node_id, Control.from_dict(notice.control))
            case FinishedNotice():
                self._finished = True
                self._edge_statistics = _edge_statistics(notice.statistics)
                self.cpu_ns = notice.statistics.get("cpu_ns")
                self._owner.stage_finished(self)
            case ExitedNotice():
                if not self._ready.done():
                    self._fail(
                        StartupError(f"the worker of node {self.plan.id!r} ended while starting")
                    )
                self._exited.set()

    def _fail(self, error: RemoteMediaError) -> None:
        if self._failed or self._finished:
            return
        self._failed = True
        if self._ready.done():
            self._owner.stage_failed(self, error)
        else:
            self._ready.set_exception(error)
            # A start that was cancelled meanwhile never asks for it.
            self._ready.exception()


def warm_up(settings: Settings) -> None:
    """Start what workers are forked from, without waiting for it: the first session need not then.

    Raises:
        UsageError: there is no such interpreter.
        SpawnError: its virtual environment cannot be used.
    """
    interpreter = _interpreter_of(settings)
    if shutil.which(executable_of(interpreter)) is None:
        raise UsageError(f"python.executable: there is no interpreter {interpreter!r}")
    WorkerService.shared().warm(interpreter)


def _interpreter_of(settings: Settings) -> str:
    if settings.venv_path is None:
        return settings.python_executable
    return venv_python(settings.venv_path)


def _notifier(
    session_id: str, loop: asyncio.AbstractEventLoop, take: Callable[[WorkerNotice], None]
) -> Callable[[WorkerNotice], None]:
    """What the service calls on its thread: hands a notice to a method, on its loop.

    The service may hold on to it for a while after the worker's end; by a weak reference it keeps
    neither the session alive by that, nor its error, nor the packets in the error's frames.
    """
    taker = weakref.WeakMethod(take)

    def deliver(notice: WorkerNotice) -> None:
        method = taker()
        if method is not None:
            method(notice)

    def notify(notice: WorkerNotice) -> None:
        if isinstance(notice, ExitedNotice):  # here, since the session's loop may be gone
            LEDGER.worker_gone(session_id)
        try:
            loop.call_soon_threadsafe(deliver, notice)
        except RuntimeError:  # the session's loop is closed; the ladder goes on without it
            logger.debug("notice_after_close")

    return notify


def _edge_statistics(data: Mapping[str, Any]) -> dict[str, EdgeStatistics]:
    return {
        edge_id: EdgeStatistics(**(counts | {"hops": HopTimes(**counts["hops"])}))
        for edge_id, counts in data.get("edges", {}).items()
    }


def _main_of(nodes: Sequence[NodePlan]) -> dict[str, str]:
    """Where the user's program is, for a worker whose operator is defined in it."""
    if not any(node.target.startswith("__main__:") for node in nodes):
        return {}
    main = sys.modules["__main__"]
    if main.__spec__ is not None:  # started with python -m
        return {"main_module": main.__spec__.name}
    return {"main_path": str(main.__file__)}
