"""Inside a worker: say that a moment was reached, then do the harm or wait for it.

The moment is written to a pipe with a name, which the test reads; a file lets everybody go on.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

from tests.fault.cells import EXIT_CODE

#: Names in a cell's directory.
REACHED = "reached"
RELEASED = "released"
CLIENT = "client"


def tell(directory: str, **what: object) -> None:
    """Tell the test something: one line, written at once."""
    fd = os.open(Path(directory) / REACHED, os.O_WRONLY)
    os.write(fd, json.dumps({**what, "pid": os.getpid()}).encode() + b"\n")
    os.close(fd)


def strike(means: str) -> None:
    """End this process, or raise, where that is the means; a signal comes from outside."""
    if means == "os._exit":
        os._exit(EXIT_CODE)
    if means == "exception":
        raise ValueError("on purpose")


def released(directory: str) -> bool:
    """Whether everybody may go on."""
    return (Path(directory) / RELEASED).exists()


def wait_released(directory: str) -> None:
    """Keep this thread until everybody may go on."""
    # Another process makes the file; there is no event to wait for.
    while not released(directory):
        time.sleep(0.005)


async def gate(directory: str) -> None:
    """The same for a coroutine, which can be cancelled."""
    while not released(directory):  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.005)
