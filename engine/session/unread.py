"""Tells who sends and never reads why nothing goes on: outputs are full, and nobody takes them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("remotemedia.session")

#: A sender may wait so long while nobody reads before it is told.
PATIENCE_S = 5.0


class UnreadWatch:
    """Watches a session's senders and readers; says once, as a warning, what they wait for.

    Attributes:
        reads: how often somebody asked for an output.
    """

    def __init__(self) -> None:
        self.reads = 0
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
        timer = loop.call_later(PATIENCE_S, self._check, self.reads)
        try:
            yield
        finally:
            timer.cancel()

    def _check(self, reads: int) -> None:
        if self._readers or self.reads != reads or self._told:
            return
        self._told = True
        logger.warning(
            "send has waited %g s for a credit, and nobody has read an output meanwhile: the"
            " pipeline is full. Read in another task, or let session.stream(inputs) send and read",
            PATIENCE_S,
        )
