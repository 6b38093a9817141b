"""Runs the stages of a worker: opens their edges, initializes their operators, drives them.

It is one stage, or those of a group of nodes that share a process, with local edges between them.
The worker's main thread; the lane's thread only schedules onto its loop. Source: FR-004, FR-009.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from engine.compile import compile_stage, make_operators
from engine.edges.local import LocalEdge
from engine.edges.overflow import with_policy
from engine.errors import RemoteMediaError
from engine.executors.lifecycle import cleanup_operators, initialize_operators
from engine.hosts import AsyncioHost
from engine.interruption import Interrupt, Settlement
from engine.loops import new_event_loop
from engine.stage import Stage
from engine.stage_steering import StageSteering
from engine.steering import order_from_dict
from engine.workers.edge_ends import open_hand, open_receivers, open_senders
from engine.workers.messages import InterruptCommand, SteerCommand
from engine.workers.stage_counts import StageCounts, words_of
from engine.workers.stage_spec import StageSpec
from engine.workers.turn_watch import TurnWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine.edges.contract import EdgeReceiver, EdgeSender
    from engine.plan import EdgePlan, StagePlan
    from engine.workers.lane import Lane


def run_stage(spec: dict[str, Any], fds: list[int], lane: Lane) -> None:
    """Run its stages until they have finished, one has failed, or it was told to stop.

    Args:
        spec: `StageSpec.to_dict()`.
        fds: the worker's descriptors, in the order the spec refers to; owned from now on.
        lane: the worker's control path.

    Raises:
        RemoteMediaError: a stage failed; the node to blame is in the error.
    """
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(run_stages(StageSpec.from_dict(spec), fds, lane))


async def run_stages(spec: StageSpec, fds: Sequence[int], lane: Lane) -> None:
    """See `run_stage`; on the running loop."""
    stages = _Stages(spec, fds, lane)
    work = asyncio.ensure_future(stages.work(lane))
    _watch_lane(lane, stages, work)
    try:
        await asyncio.wait([work])
        error = stages.error if work.cancelled() else work.exception() or stages.error
        if isinstance(error, RemoteMediaError):
            # Before the cleanup: what only follows from it would be heard first.
            lane.failed(error.to_dict())
        if error is not None:
            raise error
        # Before the cleanup, too: from here on the ladder bounds it, and nobody waits for outputs.
        lane.finished(stages.statistics())
    finally:
        await stages.end()


class _Stages:
    """The stages of a worker, and the edges between them.

    Attributes:
        error: why the first one that failed did, or None.
    """

    def __init__(self, spec: StageSpec, fds: Sequence[int], lane: Lane) -> None:
        self.error: RemoteMediaError | None = None
        self._finished = asyncio.Event()
        self._ready_cpu_ns = 0
        self._lane = lane
        self._session_id = spec.session_id
        #: Generation → what its interrupt has dropped so far.
        self._unsettled: dict[int, Settlement] = {}
        #: Orders that came before the operators were initialized; None: they are.
        self._early: list[tuple[SteerCommand, Sequence[int]]] | None = []
        self._watch = TurnWatch(lane.page, spec.stages)
        self._counts = StageCounts(lane.page.count_words(words_of(spec.stages)), spec.stages)
        self._hosted = [self._host(plan, spec, lane) for plan in spec.stages]
        self._unfinished = len(self._hosted)
        self._steering = StageSteering(stage for _, stage in self._hosted)
        now_ns = self._hosted[0][0].now_ns
        self._senders = open_senders(spec, fds)
        self._inner = {edge.id: LocalEdge(edge.id, edge.window, now_ns) for edge in spec.inner}
        inner = [(edge, self._inner[edge.id]) for edge in spec.inner]
        receivers: list[tuple[EdgePlan, EdgeReceiver]]
        receivers = [*open_receivers(spec, fds, lane.page), *inner]
        ends: list[tuple[EdgePlan, EdgeSender]] = [*self._senders, *inner]
        senders = [(edge, with_policy(end, edge, now_ns)) for edge, end in ends]
        self._inner_senders = {edge.id: end for edge, end in senders if edge.id in self._inner}
        for plan, (_, stage) in zip(spec.stages, self._hosted, strict=True):
            operators = make_operators(plan)
            self._watch.watch(stage, plan, operators)
            compile_stage(
                plan,
                operators,
                stage,
                [(edge, end) for edge, end in receivers if edge.target_stage == plan.id],
                [(edge, end) for edge, end in senders if edge.source_stage == plan.id],
            )

    def _host(self, plan: StagePlan, spec: StageSpec, lane: Lane) -> tuple[WorkerHost, Stage]:
        host = WorkerHost(self._stage_finished, self._watch)
        host.on_interrupted = self._stage_interrupted
        host.on_control = lambda node_id, control: lane.control(node_id, control.to_dict())
        stage = Stage(plan.id, spec.session_id, host, lane.page.words)
        stage.publish = self._counts.publish
        return host, stage

    async def work(self, lane: Lane) -> None:
        """Everything up to the end of the stream; cancelled when the worker is told to stop."""
        await initialize_operators([stage for _, stage in self._hosted], lane.progress)
        lane.ready()
        self._ready_cpu_ns = time.process_time_ns()
        for host, stage in self._hosted:
            host.start(stage)
        early, self._early = self._early or [], None
        for command, fds in early:
            self.steer(command, fds)
        await self._finished.wait()
        if self.error is None:
            for _, sender in self._senders:
                await sender.wait_drained()
                sender.flush()  # its counts are published, as they are now

    def steer(self, command: SteerCommand, fds: Sequence[int]) -> None:
        """Apply an order, once the operators are initialized; the lane says what became of it."""
        if self._early is not None:
            self._early.append((command, fds))
            return

        def answered(outcome: Mapping[str, Any] | RemoteMediaError) -> None:
            if isinstance(outcome, RemoteMediaError):
                self._lane.refused(command.number, outcome.to_dict())
                return
            try:
                self._lane.steered(command.number, dict(outcome))
            except ValueError as error:
                text = f"the order was carried out, but its answer is too large to be told: {error}"
                self._lane.refused(command.number, RemoteMediaError(text).to_dict())

        try:
            ends = open_hand(command.edges, fds, self._session_id)
            self._steering.apply(order_from_dict(command.order), ends, answered)
        except Exception as error:  # noqa: BLE001 - an order must not end a worker
            answered(RemoteMediaError(f"the order was not carried out: {error!r}"))

    def interrupt(self, interrupt: Interrupt) -> None:
        """Tell every stage of an interrupt; the lane says when all have applied it."""
        self._settlement_of(interrupt.generation)
        for _, stage in reversed(self._hosted):
            stage.interrupt(interrupt)
        self._report_settled()

    def _stage_interrupted(self, _: Stage, settlement: Settlement) -> None:
        self._settlement_of(settlement.generation).add(settlement)
        self._report_settled()

    def _settlement_of(self, generation: int) -> Settlement:
        return self._unsettled.setdefault(generation, Settlement(generation))

    def _report_settled(self) -> None:
        """Report the interrupts that every stage which is not done has applied."""
        applied = [stage.generation for _, stage in self._hosted if not stage.done]
        for generation in [each for each in self._unsettled if each <= min(applied, default=each)]:
            self._lane.settled(self._unsettled.pop(generation))

    def cancel(self) -> None:
        """Stop at once."""
        for _, stage in self._hosted:
            stage.cancel()

    async def end(self) -> None:
        """Stop, and clean up behind whatever has begun."""
        self.cancel()
        for host, _ in self._hosted:
            await host.join()
        for _, stage in reversed(self._hosted):
            await cleanup_operators(stage)

    def statistics(self) -> dict[str, Any]:
        """What has been counted and is not in the control page, as JSON."""
        return {
            "cpu_ns": time.process_time_ns() - self._ready_cpu_ns,
            "edges": {
                edge_id: asdict(
                    replace(end.statistics(), hops=self._inner[edge_id].statistics().hops)
                )
                for edge_id, end in self._inner_senders.items()
            },
        }

    def _stage_finished(self, stage: Stage) -> None:
        self._unfinished -= 1
        if self.error is None:
            self.error = stage.error
        if self.error is not None or not self._unfinished:
            self._finished.set()


def _watch_lane(lane: Lane, stages: _Stages, work: asyncio.Future[None]) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        stages.cancel()
        work.cancel()

    def stop_soon() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: all this has ended by itself
            loop.call_soon_threadsafe(stop)

    def obey_soon(command: InterruptCommand | SteerCommand, fds: list[int]) -> None:
        with contextlib.suppress(RuntimeError):  # the same
            if isinstance(command, InterruptCommand):
                interrupt = Interrupt(command.generation, frozenset(command.node_ids))
                loop.call_soon_threadsafe(stages.interrupt, interrupt)
            else:
                loop.call_soon_threadsafe(stages.steer, command, fds)

    lane.on_shutdown(stop_soon)
    lane.on_command(obey_soon)


class WorkerHost(AsyncioHost):
    """A stage on the worker's loop; also keeps the control page's word of the turn under way."""

    def __init__(self, on_finished: Callable[[Stage], None], watch: TurnWatch) -> None:
        super().__init__(on_finished)
        self._watch = watch

    def _turn(self) -> None:
        assert self._stage is not None
        self._watch.begin_turn(self._stage.id)
        super()._turn()
        self._watch.end_turn()
