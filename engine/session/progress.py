"""Who is told how far each node's start is: any number of callbacks, late ones too.

Pure: no I/O, no clock. Source: FR-009.
"""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING

from engine.errors import UsageError
from engine.executors.contract import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.errors import RemoteMediaError

logger = logging.getLogger("remotemedia.session")


class ProgressReports:
    """Hands each report to all subscribers, and keeps each node's latest for those to come."""

    def __init__(self) -> None:
        """Begin without reports and subscribers."""
        self._latest: dict[str, Progress] = {}
        #: By a key of its own, since one callback may subscribe twice.
        self._callbacks: dict[object, Callable[[Progress], object]] = {}

    def subscribe(self, callback: Callable[[Progress], object]) -> Callable[[], None]:
        """Tell a callback each node's latest report now, and every report from now on.

        Args:
            callback: what it raises is logged.

        Returns:
            What ends it; a second call does nothing. Any thread may call it.

        Raises:
            UsageError: it cannot be called, or nobody would await what it gives.
        """
        if not callable(callback):
            raise UsageError(
                f"on_progress takes a function of one argument, a Progress, not {callback!r:.60}"
            )
        if inspect.iscoroutinefunction(callback):
            raise UsageError(
                "on_progress takes a plain function: nobody would await a coroutine's;"
                " put the progress into a queue there, and read that in a task"
            )
        key = object()
        self._callbacks[key] = callback
        for progress in list(self._latest.values()):
            self._tell(key, progress)

        def unsubscribe() -> None:
            self._callbacks.pop(key, None)

        return unsubscribe

    def report(self, progress: Progress) -> None:
        """Tell all subscribers."""
        self._latest[progress.node_id] = progress
        for key in list(self._callbacks):
            self._tell(key, progress)

    def report_failed(self, error: RemoteMediaError) -> None:
        """Report the status "error" for the nodes an error names, as far as they had come."""
        node_ids = error.context.get("node_ids") or [error.context.get("node_id")]
        for node_id in filter(None, node_ids):
            last = self._latest.get(node_id, Progress(node_id, "", 0.0, ""))
            self.report(Progress(node_id, "error", last.fraction, last.message))

    def _tell(self, key: object, progress: Progress) -> None:
        callback = self._callbacks.get(key)
        if callback is None:  # another one has just unsubscribed it
            return
        try:
            callback(progress)
        except Exception:  # the caller's own; a start must not depend on it
            logger.exception("on_progress_raised", extra={"node_id": progress.node_id})
