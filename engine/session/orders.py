"""Orders of one session that its stages have not answered yet."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any, Final

from engine.errors import EdgeClosedError, RemoteMediaError, ResourceLimitError
from engine.steering import nodes_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.executors.contract import Hand, RunningStage
    from engine.steering import Order

#: A stage is given so many orders before it has answered the first.
UNANSWERED_MAX: Final = 64


class Orders:
    """Gives orders to stages and waits for their answers."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        #: Number → the stage, and what waits for its answer.
        self._open: dict[int, tuple[str, asyncio.Future[Mapping[str, Any]]]] = {}

    async def give(
        self, stage: RunningStage, order: Order, hand: Hand | None = None
    ) -> Mapping[str, Any]:
        """Have a stage carry out an order.

        Args:
            stage: where it is carried out; it has been opened.
            order: for nodes of that stage.
            hand: the edges that an `Attach` brings.

        Returns:
            Its answer, see the order.

        Raises:
            RemoteMediaError: the stage refused it, or has ended.
            ResourceLimitError: it has not answered very many.

        A cancelled call does not call the order back.
        """
        stage_id = stage.plan.id
        unanswered = sum(each == stage_id for each, _ in self._open.values())
        if unanswered >= UNANSWERED_MAX:
            raise ResourceLimitError(
                f"node {nodes_of(order)[0]!r} has not answered {unanswered} orders yet; it is busy,"
                " or frozen: wait for their answers before you give it more"
            )
        number = next(self._numbers)
        answer: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._open[number] = (stage_id, answer)
        try:
            stage.steer(number, order, hand)
            return await answer
        finally:
            if not answer.done():  # it was not told; a cancelled call's answer is still to come
                del self._open[number]

    def answered(self, number: int, outcome: Mapping[str, Any] | RemoteMediaError) -> None:
        """A stage has answered."""
        _, answer = self._open.pop(number, ("", None))
        if answer is None or answer.done():
            return
        if isinstance(outcome, RemoteMediaError):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)

    def stage_gone(self, stage_id: str) -> None:
        """A stage has ended: it answers nothing any more."""
        for number in [each for each, (at, _) in self._open.items() if at == stage_id]:
            error = EdgeClosedError(
                f"stage {stage_id!r} has ended before it carried out what it was told", edge=""
            )
            self.answered(number, error)
