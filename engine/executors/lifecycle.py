"""Initializing and cleaning up a stage's operators, the same on every executor. Source: FR-009."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from engine.adapters import OPERATOR_ERRORS
from engine.errors import NodeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.stage import Stage

logger = logging.getLogger("remotemedia.stage")


async def initialize_operators(
    stage: Stage, report: Callable[[str, str, float, str], None]
) -> None:
    """Initialize a stage's operators one after the other.

    Args:
        stage: a compiled stage that does not run yet.
        report: told (node_id, status, fraction, message) at each step.

    Raises:
        NodeError: an operator's initialize raised. Those before it stay initialized; call
            `cleanup_operators`. A cancelled call leaves the same state.
    """
    for adapter in stage.adapters:
        adapter.context.on_progress = report
        report(adapter.node_id, "initializing", 0.0, "")
        adapter.initialized = True
        try:
            await adapter.operator.initialize(adapter.context)
        except (*OPERATOR_ERRORS, asyncio.CancelledError) as error:
            if _is_cancelled(error):
                raise
            raise NodeError.of(adapter.node_id, error, during="initialize") from error
        report(adapter.node_id, "ready", 1.0, "")


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
