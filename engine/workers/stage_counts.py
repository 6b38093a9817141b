"""What a worker's stages have counted so far, in its control page, where the server reads it.

Pure over words. Source: FR-009.

    stage 0   turns · paused_ns · and of each node: received · emitted · busy_ns · waited_ns
    stage 1   and so on: unsigned 64-bit words, each written by one store

A stage writes its own between turns, before it rings its doorbells: whoever has an output finds it
counted. They stay readable while the worker computes or is frozen, and after it has died.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from engine.observe.statistics import StageStatistics, counts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.plan import StagePlan


class StageCounts:
    """Either side's view of what the stages of a worker have counted."""

    def __init__(self, words: memoryview, stages: Sequence[StagePlan]) -> None:
        """Read or write there.

        Args:
            words: `words_of(stages)` unsigned 64-bit words, zero at first.
            stages: what the worker runs.
        """
        self._words = words
        self._nodes = {stage.id: [node.id for node in stage.nodes] for stage in stages}
        self._places: dict[str, tuple[Struct, int]] = {}
        begin = 0
        for stage in stages:
            layout = Struct(f"{counts_of(len(stage.nodes))}Q")
            self._places[stage.id] = layout, begin
            begin += layout.size

    def publish(self, stage_id: str, counts: Sequence[int]) -> None:
        """Write down a stage's counts, as `Stage.counts` gives them."""
        layout, begin = self._places[stage_id]
        layout.pack_into(self._words, begin, *counts)

    def read(self) -> dict[str, StageStatistics]:
        """Stage id → counts, as last published."""
        return {
            stage_id: StageStatistics.of(
                self._nodes[stage_id], layout.unpack_from(self._words, begin)
            )
            for stage_id, (layout, begin) in self._places.items()
        }


def words_of(stages: Sequence[StagePlan]) -> int:
    """How many words the counts of a worker's stages take."""
    return sum(counts_of(len(stage.nodes)) for stage in stages)
