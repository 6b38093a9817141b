"""Initializing and cleaning up a stage's operators, the same on every executor. Source: FR-009."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from engine.adapters import OPERATOR_ERRORS
from engine.errors import NodeError
from engine.missing import remedy
from engine.operator import Operator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine.adapters import OperatorAdapter
    from engine.stage import Stage

logger = logging.getLogger("remotemedia.stage")


def initialize_nowait(stage: Stage, report: Callable[[str, str, float, str], None]) -> bool:
    """Initialize a stage's operators if none has an initialize of its own; else do nothing.

    Args:
        stage: a compiled one that does not run yet.
        report: see `initialize_operators`.

    Returns:
        Whether they are initialized.
    """
    if any(type(each.operator).initialize is not Operator.initialize for each in stage.adapters):
        return False
    for adapter in stage.adapters:
        _begin(adapter, report)
        report(adapter.node_id, "ready", 1.0, "")
    return True


async def initialize_operators(
    stages: Iterable[Stage], report: Callable[[str, str, float, str], None]
) -> None:
    """Initialize the operators of stages, all at a time.

    Args:
        stages: compiled ones that do not run yet.
        report: told (node_id, status, fraction, message) at each step.

    Raises:
        NodeError: an operator's initialize raised; the others were cancelled. Call
            `cleanup_operators` for each stage. A cancelled call leaves the same state.
    """
    adapters = [adapter for stage in stages for adapter in stage.adapters]
    if len(adapters) == 1:
        await _initialize(adapters[0], report)
        return
    try:
        async with asyncio.TaskGroup() as group:
            for adapter in adapters:
                group.create_task(_initialize(adapter, report))
    except BaseExceptionGroup as errors:
        first = errors.exceptions[0]
        raise first from first.__cause__  # not from the group, which says no more


async def _initialize(
    adapter: OperatorAdapter, report: Callable[[str, str, float, str], None]
) -> None:
    _begin(adapter, report)
    try:
        await adapter.operator.initialize(adapter.context)
    except (*OPERATOR_ERRORS, asyncio.CancelledError) as error:
        if _is_cancelled(error):
            raise
        hint = remedy(error) if isinstance(error, ImportError) else ""
        raise NodeError.of(adapter.node_id, error, during="initialize", hint=hint) from error
    report(adapter.node_id, "ready", 1.0, "")


def _begin(adapter: OperatorAdapter, report: Callable[[str, str, float, str], None]) -> None:
    adapter.context.on_progress = report
    report(adapter.node_id, "initializing", 0.0, "")
    adapter.initialized = True


def needs_cleanup(stage: Stage) -> bool:
    """Whether an operator has a cleanup of its own that is to be called."""
    return any(
        adapter.initialized and type(adapter.operator).cleanup is not Operator.cleanup
        for adapter in stage.adapters
    )


async def cleanup_operators(stage: Stage) -> None:
    """Clean up every operator whose initialize was called, in reverse; log what they raise."""
    for adapter in reversed(stage.adapters):
        if not adapter.initialized:
            continue
        adapter.initialized = False
        try:
            await adapter.operator.cleanup()
        except (*OPERATOR_ERRORS, asyncio.CancelledError) as error:
            if _is_cancelled(error):
                raise
            logger.warning("cleanup_raised", extra={"node_id": adapter.node_id}, exc_info=True)


def _is_cancelled(error: BaseException) -> bool:
    """Whether it was us who were cancelled, and not something an operator waited for."""
    task = asyncio.current_task()
    cancelled = isinstance(error, asyncio.CancelledError)
    return cancelled and task is not None and task.cancelling() > 0
