"""Interrupts of one session that have been acknowledged and may not have settled everywhere yet."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.interruption import Settlement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class Interruption:
    """The acknowledgement of an interrupt: from now on nothing stale leaves the session.

    Attributes:
        generation: what is sent from now on belongs to it.
        nodes: the scope.
        reason: why, as its caller said.
    """

    def __init__(
        self, generation: int, nodes: frozenset[str], reason: str, stages: Iterable[str]
    ) -> None:
        """Wait for stages.

        Args:
            generation: the interrupt's.
            nodes: the scope.
            reason: why.
            stages: ids of those that have to apply it.
        """
        self.generation = generation
        self.nodes = nodes
        self.reason = reason
        self._settlement = Settlement(generation)
        self._waiting = dict.fromkeys(stages)
        self._over = asyncio.Event()
        self._deadline: asyncio.TimerHandle | None = None
        if not self._waiting:
            self._over.set()

    def add_dropped(self, dropped: Mapping[str, int]) -> None:
        """Count what was dropped outside the stages."""
        self._settlement.add_dropped(dropped)

    @property
    def over(self) -> bool:
        """Whether nothing more is waited for."""
        return self._over.is_set()

    async def settled(self) -> Settlement:
        """Wait until every stage has dropped what is stale, or the deadline has come.

        Returns:
            What was dropped, where, and which stages had not answered. A cancelled call changes
            nothing.
        """
        await self._over.wait()
        return self._settlement

    @property
    def settlement(self) -> Settlement:
        """What is known of it by now."""
        return self._settlement

    def expect_by(self, deadline_s: float, on_late: Callable[[tuple[str, ...]], None]) -> None:
        """Wait so long at most.

        Args:
            deadline_s: how long, from now.
            on_late: called with the ids of the stages that have not answered by then.
        """
        if not self._over.is_set():
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(deadline_s, self._give_up, on_late)

    def stage_settled(self, stage_id: str, settlement: Settlement | None) -> None:
        """A stage has applied it; None: what came after it has made it forget that, too."""
        if stage_id in self._waiting:
            del self._waiting[stage_id]
            if settlement is not None:
                self._settlement.add(settlement)
            if not self._waiting:
                self._end()

    def _give_up(self, on_late: Callable[[tuple[str, ...]], None]) -> None:
        late = tuple(self._waiting)
        self._settlement.late = late
        self._waiting.clear()
        self._end()
        on_late(late)

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._over.set()


class Interruptions:
    """Those of a session that have not settled.

    Attributes:
        generation: of the newest; stamped on what is sent.
    """

    def __init__(self) -> None:
        self.generation = 0
        self._open: dict[int, Interruption] = {}

    def begin(self, nodes: frozenset[str], reason: str, stages: Iterable[str]) -> Interruption:
        """Begin the next one; see `Interruption`."""
        self.generation += 1
        interruption = Interruption(self.generation, nodes, reason, stages)
        self._open[self.generation] = interruption
        return interruption

    def stage_settled(self, stage_id: str, settlement: Settlement) -> None:
        """A stage has applied an interrupt, and by that all before it."""
        for older in [each for each in self._open if each <= settlement.generation]:
            interruption = self._open[older]
            itself = older == settlement.generation
            interruption.stage_settled(stage_id, settlement if itself else None)
            if interruption.over:
                del self._open[older]

    def stage_gone(self, stage_id: str) -> None:
        """A stage has ended: there is nothing left in it that could be stale."""
        self.stage_settled(stage_id, Settlement(self.generation))
