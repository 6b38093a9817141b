"""The one clock of everything that runs on a loop: sessions, stages, their timers and counts.

A loop on virtual time (`engine.testing`) brings its own as `now_ns`; so a session on it, and all it
is made of, lives on that time. Any other loop counts monotonic time, whatever it caches of it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

#: Tells the time in monotonic nanoseconds.
Clock: TypeAlias = "Callable[[], int]"

#: The clock of what runs on no loop, or on an ordinary one.
REAL_CLOCK: Clock = time.monotonic_ns


def clock_of(loop: asyncio.AbstractEventLoop) -> Clock:
    """The clock of everything that a loop runs."""
    clock: Clock = getattr(loop, "now_ns", REAL_CLOCK)
    return clock
