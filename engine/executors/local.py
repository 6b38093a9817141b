"""Runs a stage on the session's own loop. Starts no thread, no process, no socket."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from engine.compile import compile_stage, make_operators
from engine.errors import InitTimeoutError
from engine.executors.contract import Progress
from engine.executors.lifecycle import (
    cleanup_operators,
    initialize_nowait,
    initialize_operators,
    needs_cleanup,
)
from engine.hosts import AsyncioHost
from engine.stage import Stage
from engine.stage_steering import HandEnds, StageSteering
from engine.wording import nodes_named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.config import Settings
    from engine.edges.contract import EdgeReceiver, EdgeSender, EdgeStatistics
    from engine.edges.hop_times import HopTimes
    from engine.errors import RemoteMediaError
    from engine.executors.contract import Hand, StageOwner
    from engine.interruption import Interrupt, Settlement
    from engine.observe.statistics import StageStatistics
    from engine.plan import EdgePlan, StagePlan
    from engine.steering import Order

logger = logging.getLogger("remotemedia.session")


class LocalStage:
    """A stage on the running loop, see `engine.executors.contract.RunningStage`."""

    def __init__(
        self,
        plan: StagePlan,
        session_id: str,
        owner: StageOwner,
        receivers: Sequence[tuple[EdgePlan, EdgeReceiver]],
        senders: Sequence[tuple[EdgePlan, EdgeSender]],
        settings: Settings,
    ) -> None:
        """Make the operators and wire them; nothing runs yet.

        Args:
            plan: the stage.
            session_id: the session it belongs to.
            owner: who it reports to.
            receivers: its in edges.
            senders: its out edges.
            settings: the session's.
        """
        self.plan = plan
        self.node_ids = tuple(node.id for node in plan.nodes)
        self.pid = 0
        self.cpu_ns: int | None = None
        self.local = True
        self._owner = owner
        #: Bound on all its operators' initialize together.
        self._init_timeout_s = settings.init_timeout_s
        self._cleanup_grace_s = settings.cleanup_grace_s
        self._host = AsyncioHost(self._on_finished)
        self._host.on_interrupted = self._on_interrupted
        self._host.on_control = owner.stage_controls
        #: Nodes whose initialize has not returned yet, each with its last progress.
        self._unready = {node.id: Progress(node.id, "starting", 0.0, "") for node in plan.nodes}
        self._cleaning: asyncio.Task[None] | None = None
        self.stage = Stage(plan.id, session_id, self._host)
        self._loop = asyncio.get_running_loop()
        self._steering = StageSteering([self.stage])
        compile_stage(plan, make_operators(plan), self.stage, receivers, senders)

    def start_nowait(self) -> bool:
        return initialize_nowait(self.stage, self._report)

    async def start(self) -> None:
        try:
            async with asyncio.timeout(self._init_timeout_s):
                await initialize_operators([self.stage], self._report)
        except TimeoutError as error:
            # Nobody is unready where the last one got ready as the time ran out.
            nobody = Progress("", "ready", 1.0, "")
            last = next(iter(self._unready.values()), nobody)
            raise InitTimeoutError(
                f"Initialization timeout after {self._init_timeout_s:g}s in"
                f" {nodes_named(self._unready)} (in step {last.status!r}, last progress of"
                f" {last.node_id!r}: {f'{last.fraction:.0%} {last.message}'.rstrip()}):"
                " raise init_timeout_secs (in runtime.toml or the manifest's"
                " metadata.multiprocess), or load less",
                node_id=last.node_id,
                node_ids=list(self._unready),
                step=last.status,
                init_timeout_s=self._init_timeout_s,
            ) from error

    def open(self) -> None:
        self._host.start(self.stage)

    def interrupt(self, interrupt: Interrupt) -> None:
        self.stage.interrupt(interrupt)

    def steer(self, number: int, order: Order, hand: Hand | None = None) -> None:
        ends = HandEnds() if hand is None else hand.ends()

        def answered(outcome: Mapping[str, Any] | RemoteMediaError) -> None:
            self._owner.stage_steered(self, number, outcome)

        # Soon: whoever says it may be one of the stage's own nodes, in its turn.
        self._loop.call_soon(self._steering.apply, order, ends, answered)

    def stop(self) -> None:
        self.stage.cancel()

    def kill(self) -> None:
        self.stop()

    def close_nowait(self) -> bool:
        self.stage.cancel()
        return self._cleaning is None and not (self._host.busy or needs_cleanup(self.stage))

    async def wait_stopped(self) -> None:
        self.stage.cancel()
        if self._cleaning is None:
            self._cleaning = asyncio.create_task(self._clean_up())
        await asyncio.shield(self._cleaning)

    def hop_times(self) -> Mapping[str, HopTimes]:
        return {}

    def statistics(self) -> Mapping[str, StageStatistics]:
        return {self.plan.id: self.stage.statistics()}

    def edge_statistics(self) -> Mapping[str, EdgeStatistics]:
        return {}

    def _report(self, node_id: str, status: str, fraction: float, message: str) -> None:
        progress = Progress(node_id, status, fraction, message)
        if status == "ready":
            self._unready.pop(node_id, None)
        elif node_id in self._unready:
            self._unready[node_id] = progress
        self._owner.stage_progress(progress)

    def _on_finished(self, stage: Stage) -> None:
        if stage.error is not None:
            self._owner.stage_failed(self, stage.error)
        else:
            self._owner.stage_finished(self)

    def _on_interrupted(self, _: Stage, settlement: Settlement) -> None:
        self._owner.stage_interrupted(self, settlement)

    async def _clean_up(self) -> None:
        work = asyncio.create_task(self._join_and_clean_up())
        # Not asyncio.timeout: a coroutine that takes no notice of being cancelled would hold it.
        _, late = await asyncio.wait([work], timeout=self._cleanup_grace_s)
        if late:
            work.cancel()
            logger.error(
                "stage_not_cleaned_up: stage %s did not end within %g s and is left to itself",
                self.plan.id,
                self._cleanup_grace_s,
                extra={"stage": self.plan.id},
            )

    async def _join_and_clean_up(self) -> None:
        await self._host.join()
        await cleanup_operators(self.stage)
