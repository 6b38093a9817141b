"""An asynchronous call of an operator, from the packet that began it to its last result.

Pure: no asyncio, no clock. The stage's host runs it beside the stage; the stage takes what it has,
see `OperatorAdapter.take_call`.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from engine.packet import Packet

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping

    from engine.packet import Origin
    from engine.stage_ends import Ticket
    from engine.stage_host import Gate, StageHost

#: What is the operator's own where it is awaited: a cancellation may be ours there. What it raises
#: in a synchronous call is always its own, see `engine.adapters.emission`.
OPERATOR_ERRORS = (Exception, SystemExit)


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

    @property
    def is_ready(self) -> bool:
        """Whether it has something to take."""
        return self.done or bool(self.items)

    @property
    def origin(self) -> Origin | None:
        """That of what it was called with; None: it is a flush, which gives what was held."""
        packet = self.packet
        if packet is None:
            return None
        return (packet if isinstance(packet, Packet) else next(iter(packet.values()))).origin

    def spawn(self, started: Any, host: StageHost, logger: logging.Logger) -> None:
        """Run it beside the stage.

        Args:
            started: the coroutine or the asynchronous iterator that the operator returned.
            host: runs it, and is woken whenever there is something to take.
            logger: the node's; told what closing the iterator raises.
        """
        self.started = started
        self.started_ns = host.now_ns()
        if isinstance(started, AsyncIterator):
            self.gate = host.gate()
            self.cancel = host.spawn(self._iterate(host, self.gate, logger))
        else:
            self.cancel = host.spawn(self._await(host))

    def finish(self, result: Any, now_ns: int) -> None:
        """It is over before it has begun."""
        self.result = result
        self.done = True
        self.started_ns = now_ns

    def fail(self, error: BaseException, now_ns: int) -> None:
        """It could not even begin."""
        self.error = error
        self.done = True
        self.started_ns = now_ns

    def take_item(self) -> Any:
        """Take the oldest item, and let the generator go on."""
        item = self.items.popleft()
        if self.gate is not None:
            self.gate.open()
        return item

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

    async def _await(self, host: StageHost) -> None:
        try:
            self.result = await self.started
        except BaseException as error:  # a cancellation that was not ours is the operator's error
            self.error = error
            if not isinstance(error, OPERATOR_ERRORS):
                raise
        finally:
            self.done = True
            host.wake()

    async def _iterate(self, host: StageHost, gate: Gate, logger: logging.Logger) -> None:
        try:
            async for item in self.started:
                self.items.append(item)
                host.wake()
                await gate.wait()
        except BaseException as error:
            self.error = error
            if not isinstance(error, OPERATOR_ERRORS):
                await self._close(logger)
                raise
        finally:
            self.done = True
            host.wake()

    async def _close(self, logger: logging.Logger) -> None:
        close = getattr(self.started, "aclose", None)
        if close is not None:
            try:
                await close()
            except OPERATOR_ERRORS as error:
                logger.warning("closing an iterator raised %r", error)
