"""What a session needs of a stage, wherever it runs. Source: FR-003, FR-004, FR-008."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.edges.contract import EdgeStatistics
    from engine.edges.hop_times import HopTimes
    from engine.errors import RemoteMediaError
    from engine.interruption import Interrupt
    from engine.observe.statistics import StageStatistics
    from engine.plan import StagePlan


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

    def stage_interrupted(
        self, stage: RunningStage, generation: int, dropped: Mapping[str, int]
    ) -> None:
        """The stage has applied an interrupt; `dropped` counts by edge or node what it dropped."""


class RunningStage(Protocol):
    """One stage of a session in its place, or those of a group in their worker.

    Attributes:
        plan: the stage; of several in one worker, the first.
    """

    plan: StagePlan

    @property
    def pid(self) -> int:
        """The process it runs in; 0 for the session's own, and while there is none."""

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

    def stop(self) -> None:
        """End at once, whatever it is doing, in any state; returns immediately; twice is once."""

    def kill(self) -> None:
        """Like `stop`, without asking first."""

    async def wait_stopped(self) -> None:
        """Wait until nothing of it is left, within the grace period.

        A cancelled wait changes nothing.
        """

    def hop_times(self) -> Mapping[str, HopTimes]:
        """Edge id → how long hops took, as its own process counts them; a local one counts none."""

    def statistics(self) -> Mapping[str, StageStatistics]:
        """Stage id → counts: of a process, those it reported when it finished."""

    def edge_statistics(self) -> Mapping[str, EdgeStatistics]:
        """Edge id → counts, of edges within a worker, as it reported them when it finished."""
