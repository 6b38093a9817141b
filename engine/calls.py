"""An asynchronous call of an operator, from the packet that began it to its last result.

Pure: no asyncio, no clock.
"""

from __future__ import annotations

import inspect
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.packet import Packet
    from engine.stage import Gate
    from engine.stage_ends import Ticket


class Call:
    """One open asynchronous call (process or flush).

    Attributes:
        packet: what it was called with; None for flush.
        ticket: settled once its results have left.
        started: the coroutine or the asynchronous iterator.
        items: what an asynchronous generator has yielded and the stage has not taken.
        result: what a coroutine returned.
        error: what it raised.
        done: whether it is over.
        cancel: cancels it, once it runs.
        gate: holds the generator back while its last item has not been taken.
        started_ns: when it began, or its last item was taken.
    """

    __slots__ = (
        "cancel",
        "done",
        "error",
        "gate",
        "items",
        "packet",
        "result",
        "started",
        "started_ns",
        "ticket",
    )

    def __init__(self, packet: Packet | Mapping[str, Packet] | None, ticket: Ticket) -> None:
        self.packet = packet
        self.ticket = ticket
        self.started: Any = None
        self.items: deque[Any] = deque()
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = False
        self.cancel: Callable[[], None] | None = None
        self.gate: Gate | None = None
        self.started_ns = 0

    def abandon(self) -> None:
        """Cancel it, whether it runs, waits or has not begun; its ticket settles."""
        if self.cancel is not None:
            self.cancel()
        started = self.started
        if (
            inspect.iscoroutine(started)
            and inspect.getcoroutinestate(started) == inspect.CORO_CREATED
        ):
            started.close()  # cancelled before its first step, nobody would ever await it
        self.ticket.settle_one()
