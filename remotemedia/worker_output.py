"""What nodes print in their processes, on standard error, unless a program has its own logging.

The engine hands each line to the logger `remotemedia.worker`. A program that configures logging
gets them there; in one that does not, nobody would hear a node's `print`.
"""

from __future__ import annotations

import logging
import sys


class _LastListener(logging.Handler):
    """Writes lines to standard error while no other handler is there to take them."""

    def emit(self, record: logging.LogRecord) -> None:
        if logging.getLogger().handlers:
            return
        nodes = ", ".join(getattr(record, "node_ids", ()))
        try:
            sys.stderr.write(f"{nodes} | {record.getMessage()}\n")
        except (OSError, ValueError):  # standard error is closed
            self.handleError(record)


def listen() -> None:
    """Begin to listen. A second call does nothing."""
    logger = logging.getLogger("remotemedia.worker")
    if not any(isinstance(handler, _LastListener) for handler in logger.handlers):
        logger.addHandler(_LastListener())
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)
