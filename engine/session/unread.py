"""Tells who sends and never reads why nothing goes on: outputs are full, and nobody takes them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = logging.getLogger("remotemedia.session")

#: A sender may wait so long while nobody reads before it is told.
PATIENCE_S = 5.0


class UnreadWatch:
    """Watches a session's senders and readers; says once, as a warning, what they wait for.

    Attributes:
        reads_in_vain: how often somebody asked for an output where there was none.
    """

    def __init__(self, outputs_taken: Callable[[], int]) -> None:
        """Watch a session.

        Args:
            outputs_taken: how many outputs somebody has taken so far.
        """
        self.reads_in_vain = 0
        self._outputs_taken = outputs_taken
        self._readers = 0
        self._told = False

    @contextlib.contextmanager
    def reader_waits(self) -> Iterator[None]:
        """Somebody waits for an output meanwhile."""
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1

    @contextlib.contextmanager
    def sender_waits(self) -> Iterator[None]:
        """Somebody waits for a credit meanwhile."""
        if self._told:
            yield
            return
        loop = asyncio.get_running_loop()
        timer = loop.call_later(PATIENCE_S, self._check, self._reads())
        try:
            yield
        finally:
            timer.cancel()

    def _reads(self) -> int:
        return self.reads_in_vain + self._outputs_taken()

    def _check(self, reads: int) -> None:
        if self._readers or self._reads() != reads or self._told:
            return
        self._told = True
        logger.warning(
            "send has waited %g s for a credit, and nobody has read an output meanwhile: the"
            " pipeline is full. Read in another task, or let session.stream(inputs) send and read",
            PATIENCE_S,
        )
