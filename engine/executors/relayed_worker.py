"""One worker of those that stand in for each other, and this side of its own edges.

See `engine.executors.restarting`. Source: FR-008.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.edges.credit import IN_FLIGHT_MAX
from engine.edges.overflow import BLOCK
from engine.executors.process import ProcessStage
from engine.plan import Plan
from engine.session.wiring import SESSION, Wiring

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.clock import Clock
    from engine.config import Settings
    from engine.errors import RemoteMediaError
    from engine.executors.contract import StageOwner
    from engine.plan import EdgePlan, StagePlan

#: What stands at the other end of a worker's own edges; no node has such an id.
_RELAY = "(relay)"


class RelayedWorker:
    """One worker, and this side of its own edges.

    Attributes:
        stage: the worker.
        wiring: its edges.
        senders: in edge of the plan → sending end of the worker's.
        receivers: out edge of the plan → receiving end of the worker's.
        finished: it has processed everything.
        error: why it failed, or None.
        closed: this side is closed.
    """

    def __init__(
        self,
        plan: StagePlan,
        in_edges: Sequence[EdgePlan],
        out_edges: Sequence[EdgePlan],
        session_id: str,
        owner: StageOwner,
        settings: Settings,
        now_ns: Clock,
    ) -> None:
        own = Plan(
            plan.id,
            (plan,),
            (*map(_in_edge, in_edges), *map(_out_edge, out_edges)),
            ingress=(),
            sinks=(),
            settings=settings,
        )
        self.wiring = Wiring(own, session_id, now_ns)
        places = (_RELAY, SESSION)
        try:
            self.stage = ProcessStage((plan,), session_id, owner, self.wiring, settings)
            self.senders = {
                e.id: end for place in places for e, end in self.wiring.senders_of(place)
            }
            self.receivers = {
                e.id: end for place in places for e, end in self.wiring.receivers_of(place)
            }
        except BaseException:
            self.wiring.close()
            raise
        self.finished = False
        self.error: RemoteMediaError | None = None
        self.closed = False

    def spawn(self) -> None:
        """Ask for it; a second call does nothing."""
        self.stage.spawn()
        self.wiring.close_arenas()

    @property
    def outputs_ended(self) -> bool:
        """Whether everything it gave has been received."""
        return all(receiver.ended for receiver in self.receivers.values())

    def flush(self) -> None:
        """Ring the doorbells of this side."""
        if self.closed:
            return
        for sender in self.senders.values():
            sender.flush()
        for receiver in self.receivers.values():
            receiver.flush()

    def close(self) -> None:
        """Close this side; a second call does nothing."""
        self.closed = True
        self.wiring.close()


def _in_edge(edge: EdgePlan) -> EdgePlan:
    """A worker's own edge in place of one of the plan: for one packet at a time."""
    source = None if edge.source_stage is None else _RELAY
    return replace(
        edge,
        source_stage=source,
        kind="shared_memory",
        capacity=1,
        overflow=BLOCK,
        max_age_ms=None,
    )


def _out_edge(edge: EdgePlan) -> EdgePlan:
    """The same for outputs, of a window so small that none waits behind the credit of its turn."""
    target = None if edge.target_stage is None else _RELAY
    return replace(
        edge,
        target_stage=target,
        kind="shared_memory",
        capacity=min(edge.capacity, IN_FLIGHT_MAX),
        overflow=BLOCK,
        max_age_ms=None,
    )
