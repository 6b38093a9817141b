"""Runs one stage in a worker: opens its edges, initializes its operators, drives it to its end.

The worker's main thread; the lane's thread only schedules onto its loop. Source: FR-004, FR-009.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from engine.compile import compile_stage, make_operators
from engine.edges.overflow import with_policy
from engine.edges.segment import Segment
from engine.edges.shared_memory import ArenaWriter, SharedMemoryReceiver, SharedMemorySender
from engine.errors import RemoteMediaError
from engine.executors.lifecycle import cleanup_operators, initialize_operators
from engine.hosts import AsyncioHost
from engine.stage import Stage
from engine.workers.stage_spec import StageSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.plan import EdgePlan
    from engine.workers.control_page import ControlPage
    from engine.workers.lane import Lane

try:
    import uvloop

    new_event_loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
except ImportError:  # not installed on this platform: asyncio's own serves, a fifth slower
    new_event_loop = asyncio.new_event_loop


def run_stage(spec: dict[str, Any], fds: list[int], lane: Lane) -> None:
    """Run a stage until it has finished, failed or was told to stop.

    Args:
        spec: `StageSpec.to_dict()`.
        fds: the stage's descriptors, in the order the spec refers to; owned from now on.
        lane: the worker's control path.

    Raises:
        RemoteMediaError: the stage failed; the node to blame is in the error.
    """
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_run(StageSpec.from_dict(spec), fds, lane))


async def _run(spec: StageSpec, fds: Sequence[int], lane: Lane) -> None:
    finished = asyncio.Event()
    host = WorkerHost(lambda _: finished.set(), lane)
    stage = Stage(spec.stage.id, spec.session_id, host, lane.page.words)
    receivers = _open_receivers(spec, fds, lane.page)
    senders = _open_senders(spec, fds)
    operators = make_operators(spec.stage)
    policed = [(edge, with_policy(sender, edge, host.now_ns)) for edge, sender in senders]
    compile_stage(spec.stage, operators, stage, receivers, policed)
    work = asyncio.ensure_future(_work(stage, host, finished, senders, lane))
    _watch_lane(lane, stage, host, work)
    try:
        await asyncio.wait([work])
        error = stage.error if work.cancelled() else work.exception() or stage.error
        if isinstance(error, RemoteMediaError):
            # Before the cleanup: what only follows from it would be heard first.
            lane.failed(error.to_dict())
        if error is not None:
            raise error
    finally:
        stage.cancel()
        await host.join()
        await cleanup_operators(stage)
    lane.finished({"stage": asdict(stage.statistics())})


async def _work(
    stage: Stage,
    host: WorkerHost,
    finished: asyncio.Event,
    senders: Sequence[tuple[EdgePlan, SharedMemorySender]],
    lane: Lane,
) -> None:
    """Everything up to the end of the stream; cancelled when the worker is told to stop."""
    await initialize_operators(stage, lane.progress)
    lane.ready()
    host.start(stage)
    await finished.wait()
    if stage.error is None:
        for _, sender in senders:
            await sender.wait_drained()


def _watch_lane(lane: Lane, stage: Stage, host: WorkerHost, work: asyncio.Future[None]) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        stage.cancel()
        work.cancel()

    def stop_soon() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: all this has ended by itself
            loop.call_soon_threadsafe(stop)

    lane.on_shutdown(stop_soon)
    lane.on_interrupt(lambda _: host.wake_threadsafe())


def _open_receivers(
    spec: StageSpec, fds: Sequence[int], page: ControlPage
) -> list[tuple[EdgePlan, SharedMemoryReceiver]]:
    @functools.cache
    def segment(arena: int) -> Segment:
        return Segment(fds[arena], writable=False)

    opened = []
    for position, edge in enumerate(spec.receivers):
        receiver = SharedMemoryReceiver(
            edge.plan.id,
            edge.plan.window,
            segment(edge.arena),
            socket.socket(fileno=fds[edge.doorbell]),
            edge.ports,
            edge.source,
            spec.session_id,
            edge.arena_edges,
        )
        receiver.count_hops_in(page.hop_words(position))
        opened.append((edge.plan, receiver))
    return opened


def _open_senders(spec: StageSpec, fds: Sequence[int]) -> list[tuple[EdgePlan, SharedMemorySender]]:
    @functools.cache
    def writer(arena: int) -> ArenaWriter:
        return ArenaWriter(Segment(fds[arena], writable=True), checksums=spec.checksums)

    return [
        (
            edge.plan,
            SharedMemorySender(
                edge.plan.id,
                edge.plan.window,
                writer(edge.arena),
                socket.socket(fileno=fds[edge.doorbell]),
                edge.ports,
                edge.position,
            ),
        )
        for edge in spec.senders
    ]


class WorkerHost(AsyncioHost):
    """The worker's loop; also keeps the control page's word of the turn under way."""

    def __init__(self, on_finished: Callable[[Stage], None], lane: Lane) -> None:
        super().__init__(on_finished)
        self._page = lane.page

    def _turn(self) -> None:
        self._page.begin_turn(0, time.monotonic_ns())
        super()._turn()
        stage = self._stage
        call_started_ns = stage.oldest_call_ns() if stage is not None else None
        if call_started_ns is None:
            self._page.end_turn()
        else:
            self._page.begin_turn(0, call_started_ns)
