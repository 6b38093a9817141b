"""How far an old node's start is, on its way to the session's progress. Source: FR-009."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine
from contextvars import ContextVar
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator

    from engine.operator import Context

logger = logging.getLogger("remotemedia.compat")


class Done(Coroutine[Any, Any, None]):
    """What a function gives back that some call, some await, and some make a task of.

    A coroutine's own object would warn where it is not awaited.
    """

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield

    def send(self, value: Any) -> Any:
        """There is nothing to wait for."""
        raise StopIteration

    def throw(self, *error: Any) -> Any:
        """Nobody is waiting inside; the error goes back to whoever throws it."""
        raise error[0]

    def close(self) -> None:
        """Nothing is open."""


class Reporter:
    """Reports for one node; callable from any thread."""

    def __init__(self, ctx: Context) -> None:
        """Report by a context, which belongs to the running loop."""
        self._ctx = ctx
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._fraction = 0.0

    def report(self, status: Any, message: str = "", progress: float | None = None) -> None:
        """Report a step.

        Args:
            status: a word, or an enumeration's member that stands for one.
            message: what the node is doing.
            progress: 0…1; None: as before.
        """
        word = str(status.value if isinstance(status, Enum) else status)
        if progress is not None:
            self._fraction = float(progress)
        if threading.get_ident() == self._thread:
            self._tell(word, str(message), self._fraction)
            return
        try:
            self._loop.call_soon_threadsafe(self._tell, word, str(message), self._fraction)
        except RuntimeError:  # the loop is closed: nobody is left to be told
            logger.debug("progress_after_close: %s", word)

    def _tell(self, status: str, message: str, fraction: float) -> None:
        self._ctx.progress(fraction, message, status=status)


#: The reporter of the node that is being made.
MAKING: ContextVar[Reporter | None] = ContextVar("remotemedia_old_node", default=None)
