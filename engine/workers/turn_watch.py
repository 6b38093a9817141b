"""Where a worker is, for those who look at it from outside: in which node, since when.

Writes the turn words of the control page, by which a node that takes too long is found, and the
one that a worker died in is named. Source: FR-008.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from engine.operator import process_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.operator import Operator
    from engine.plan import NodePlan, StagePlan
    from engine.stage import Stage
    from engine.workers.control_page import ControlPage


class TurnWatch:
    """Keeps the turn words of a worker's control page."""

    def __init__(self, page: ControlPage, stages: Sequence[StagePlan]) -> None:
        """Watch nothing yet.

        Args:
            page: the worker's control page.
            stages: what it runs; its nodes have the positions they have there, in order.
        """
        self._page = page
        nodes = [node for stage in stages for node in stage.nodes]
        self._positions = {node.id: position for position, node in enumerate(nodes)}
        self._nodes: dict[str, NodePlan] = {node.id: node for node in nodes}
        #: Only the first node of a stage waits, so that it is the one its open calls are of.
        self._watched: list[tuple[Stage, str]] = []

    def watch(self, stage: Stage, plan: StagePlan, operators: dict[str, Operator]) -> None:
        """Watch a stage, before it is compiled.

        Args:
            stage: the stage.
            plan: what it runs.
            operators: node id → instance; where there are several nodes, their synchronous calls
                are watched one by one.
        """
        self._watched.append((stage, plan.id))
        if len(plan.nodes) > 1:
            for node_id, operator in operators.items():
                self._watch_calls(operator, self._positions[node_id])

    def begin_turn(self, stage_id: str) -> None:
        """A turn of a stage begins."""
        self._page.begin_turn(self._positions[stage_id], time.monotonic_ns())

    def end_turn(self) -> None:
        """A turn has ended; what is under way now are the calls that wait, if there are any."""
        due = None
        for stage, node_id in self._watched:
            started_ns = stage.oldest_call_ns()
            if started_ns is None:
                continue
            timeout_ms = self._nodes[node_id].process_timeout_ms or math.inf
            candidate = (started_ns + timeout_ms * 1e6, started_ns, self._positions[node_id])
            due = candidate if due is None else min(due, candidate)
        if due is None:
            self._page.end_turn()
        else:
            _, started_ns, position = due
            self._page.begin_turn(position, started_ns)

    def _watch_calls(self, operator: Operator, position: int) -> None:
        if process_kind(type(operator)) == "sync" and not hasattr(type(operator), "stage_adapter"):
            instance: Any = operator
            instance.process = self._watched_call(operator.process, position)
            instance.flush = self._watched_call(operator.flush, position)

    def _watched_call(self, call: Callable[..., Any], position: int) -> Callable[..., Any]:
        page = self._page

        def watched(*arguments: Any) -> Any:
            before = page.turn_node, page.turn_started_ns
            page.begin_turn(position, time.monotonic_ns())
            try:
                result = call(*arguments)
            finally:
                page.begin_turn(*before)
            if isinstance(result, Iterator):
                return self._watched_items(result, position)
            return result

        return watched

    def _watched_items(self, iterator: Iterator[Any], position: int) -> Iterator[Any]:
        following = self._watched_call(iterator.__next__, position)
        try:
            while True:
                try:
                    item = following()
                except StopIteration:
                    return
                yield item
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()
