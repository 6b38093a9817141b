"""What a session needs of a stage, wherever it runs. Source: FR-003, FR-004, FR-008."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from engine.edges.contract import EdgeStatistics
    from engine.edges.hop_times import HopTimes
    from engine.errors import RemoteMediaError
    from engine.interruption import Interrupt, Settlement
    from engine.observe.statistics import StageStatistics
    from engine.payloads import Control
    from engine.plan import StagePlan
    from engine.stage_steering import HandEnds
    from engine.steering import Order


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a node's start is.

    Attributes:
        node_id: the node.
        status: "starting", "importing", "initializing", a word of the node's own, "ready" or
            "error".
        fraction: 0…1.
        message: what it is doing.
    """

    node_id: str
    status: str
    fraction: float
    message: str


class StageOwner(Protocol):
    """Who a running stage reports to; every call comes on the session's loop."""

    def stage_progress(self, progress: Progress) -> None:
        """A node's start went on."""

    def stage_finished(self, stage: RunningStage) -> None:
        """The stage has processed everything and is gone."""

    def stage_failed(self, stage: RunningStage, error: RemoteMediaError) -> None:
        """The stage failed; may come after `stop`."""

    def stage_interrupted(self, stage: RunningStage, settlement: Settlement) -> None:
        """The stage has applied an interrupt."""

    def stage_steered(
        self, stage: RunningStage, number: int, outcome: Mapping[str, Any] | RemoteMediaError
    ) -> None:
        """The stage has carried out an order, or refused it."""

    def stage_controls(self, node_id: str, control: Control) -> None:
        """A node has something to say to all behind it, past the data."""


class Hand(Protocol):
    """A hand's edges between the session and a stage, seen from the stage's side."""

    def ends(self) -> HandEnds:
        """The stage's ends, on this loop."""

    def specs(self) -> tuple[dict[str, Any], tuple[int, ...]]:
        """What a worker opens its ends by: `SteerCommand.edges`, and the descriptors."""


class RunningStage(Protocol):
    """One stage of a session in its place, or those of a group in their worker.

    Attributes:
        plan: the stage; of several in one worker, the first.
        local: whether its edges end on the session's own loop.
    """

    plan: StagePlan
    local: bool

    @property
    def node_ids(self) -> Collection[str]:
        """The nodes that run there."""

    @property
    def pid(self) -> int:
        """The process it runs in; 0 for the session's own, and while there is none."""

    @property
    def cpu_ns(self) -> int | None:
        """CPU time of its process from ready to finished, in ns; None: it has none, or runs."""

    def start_nowait(self) -> bool:
        """Like `start`, if nothing of that takes time; False: nothing was done."""

    async def start(self) -> None:
        """Bring the stage up to the point where all its operators are initialized.

        Raises:
            StartupError: its place could not be made, or initialize took too long.
            NodeError: initialize raised, or the process died.
        """

    def open(self) -> None:
        """Begin to take packets; called once, after all stages of the session have started."""

    def interrupt(self, interrupt: Interrupt) -> None:
        """Make stale what is older in the scope; its owner is told when that is done."""

    def steer(self, number: int, order: Order, hand: Hand | None = None) -> None:
        """Carry out an order; its owner is told once what became of it.

        Args:
            number: what its owner calls it.
            order: for nodes of this place, which has been opened.
            hand: the edges that an `Attach` brings.

        Raises:
            UsageError: it cannot cross to the place: a value is no JSON, or it is too large.
        """

    def stop(self) -> None:
        """End at once, whatever it is doing, in any state; returns immediately; twice is once."""

    def kill(self) -> None:
        """Like `stop`, without asking first."""

    def close_nowait(self) -> bool:
        """End it; whether nothing of it is left by that, so that `wait_stopped` need not be called.

        Not from within one of its turns.
        """

    async def wait_stopped(self) -> None:
        """Wait until nothing of it is left, within the grace period.

        A cancelled wait changes nothing.
        """

    def hop_times(self) -> Mapping[str, HopTimes]:
        """Edge id → how long hops took, as its own process counts them; a local one counts none."""

    def statistics(self) -> Mapping[str, StageStatistics]:
        """Stage id → counts: of a process, those it published last."""

    def edge_statistics(self) -> Mapping[str, EdgeStatistics]:
        """Edge id → counts, of edges within a worker, as it reported them when it finished."""
