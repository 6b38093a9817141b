"""The event loop of a process of ours: uvloop's where it is installed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

try:
    import uvloop

    new_event_loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
except ImportError:  # not installed on this platform: asyncio's own serves, a fifth slower
    new_event_loop = asyncio.new_event_loop
