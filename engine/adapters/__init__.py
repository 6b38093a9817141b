"""Lifts an operator into a stage's chain: observables of packets in, observables of packets out.

Pure: no asyncio, no clock, no thread. Nothing here raises into whoever pushed: an operator's
exception is caught around the operator alone and goes to `Stage.fail` with the node's name; only
Ctrl-C goes through.

    emission       what a node hands out: lineage, index, errors, lists and iterators
    base           one node in a stage: its inputs, its end, what it is interrupted by
    synchronous    … whose process is a function: the hot path
    asynchronous   … whose process is a coroutine or an asynchronous generator
    calls          one asynchronous call, beside the stage
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.adapters.asynchronous import AsyncAdapter
from engine.adapters.base import OperatorAdapter
from engine.adapters.calls import OPERATOR_ERRORS
from engine.adapters.emission import NOT_OUTPUTS
from engine.adapters.synchronous import SyncAdapter
from engine.operator import process_kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.operator import Operator
    from engine.stage import Stage

__all__ = [
    "NOT_OUTPUTS",
    "OPERATOR_ERRORS",
    "AsyncAdapter",
    "OperatorAdapter",
    "SyncAdapter",
    "make_adapter",
]


def make_adapter(
    node_id: str, operator: Operator, stage: Stage, outlet_ports: Mapping[str, str]
) -> OperatorAdapter:
    """The adapter that fits an operator's class."""
    operator_class = type(operator)
    cls: type[OperatorAdapter] | None = getattr(operator_class, "stage_adapter", None)
    if cls is None:
        cls = SyncAdapter if process_kind(operator_class) == "sync" else AsyncAdapter
    return cls(node_id, operator, stage, outlet_ports)
