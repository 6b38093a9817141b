"""What a session runs on: its edges, its stages in their places, its entrances and exits.

Source: FR-004, FR-011.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.clock import REAL_CLOCK
from engine.errors import UsageError
from engine.executors.local import LocalStage
from engine.session.exits import Exits
from engine.session.ingress import Ingress
from engine.session.wiring import SESSION, Wiring

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.clock import Clock
    from engine.executors.contract import RunningStage, StageOwner
    from engine.plan import Plan, StagePlan


class Places:
    """All that is made when a session starts; what there is of it must be closed in any case.

    Attributes:
        wiring: the edges.
        stages: in their places; workers have begun to start, all at once.
        exits: where outputs leave.
        exit_nodes: the node whose outputs each exit has, in the order of the exits.
        ingress: ingress node → where packets for it enter.
        now_ns: the session's clock.
    """

    def __init__(self, plan: Plan, session_id: str, now_ns: Clock) -> None:
        """Make the edges; see `make`.

        Args:
            plan: the session's.
            session_id: its id.
            now_ns: its clock.

        Raises:
            UsageError: the clock is virtual, and a node would run in a process.
            EdgeError: the system gives no shared memory, or no socket.
        """
        self._plan = plan
        self._session_id = session_id
        self.now_ns = now_ns
        if now_ns is not REAL_CLOCK:
            _refuse_workers_on_virtual_time(plan)
        self.stages: list[RunningStage] = []
        self.exit_nodes: tuple[str, ...] = ()
        self.ingress: dict[str, Ingress] = {}
        self.exits = Exits(())
        self.wiring = Wiring(plan, session_id, now_ns)

    def make(self, owner: StageOwner, notify: Callable[[], None]) -> None:
        """Make the stages, the entrances and the exits.

        Args:
            owner: who the stages report to.
            notify: called when there is an output, or room for an input.

        Raises:
            RemoteMediaError: a stage cannot be made.
        """
        wiring = self.wiring
        for plan in self._plan.stages:
            if plan.executor == "local":
                self.stages.append(self._local_stage(plan, owner))
        leaving = wiring.receivers_of(SESSION)
        self.exit_nodes = tuple(edge.source_node for edge, _ in leaving)
        receivers = [receiver for _, receiver in leaving]
        for receiver in receivers:
            receiver.on_readable = notify
        self.exits = Exits(receivers)
        for edge, sender in wiring.senders_of(SESSION):
            sender.on_credit = notify
            node = edge.target_node
            self.ingress[node] = Ingress(
                node, sender, wiring.inputs_of(node), self._session_id, self.now_ns
            )
        self._spawn_workers(owner)
        wiring.close_arenas()

    def _local_stage(self, plan: StagePlan, owner: StageOwner) -> LocalStage:
        return LocalStage(
            plan,
            self._session_id,
            owner,
            self.wiring.receivers_of(plan.id),
            self.wiring.senders_of(plan.id),
            self._plan.settings,
        )

    def _spawn_workers(self, owner: StageOwner) -> None:
        workers = self._plan.workers
        if not workers:
            return
        from engine.executors.process import ProcessStage  # loads the worker machinery
        from engine.executors.restarting import RestartingStage

        settings, wiring = self._plan.settings, self.wiring
        for stages in workers.values():
            stage: ProcessStage | RestartingStage
            if stages[0].restart is None:
                stage = ProcessStage(stages, self._session_id, owner, wiring, settings)
            else:
                (plan,) = stages
                ends = wiring.receivers_of(plan.id), wiring.senders_of(plan.id)
                stage = RestartingStage(plan, self._session_id, owner, *ends, settings, self.now_ns)
            self.stages.append(stage)
            stage.spawn()


def _refuse_workers_on_virtual_time(plan: Plan) -> None:
    placed = [stage for stage in plan.stages if stage.executor != "local"]
    if placed:
        nodes = ", ".join(repr(node.id) for stage in placed for node in stage.nodes)
        raise UsageError(
            f"on virtual time every node runs local, and {nodes} would run in a process, whose"
            ' clock is real: place it with .on("local") or "executor": "local", or run the'
            " session by asyncio.run"
        )
