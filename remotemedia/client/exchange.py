"""One call with messages both ways, written and read at once. Source: FR-009.

grpc takes a write that fails for the end of the call: it makes up a status of its own, and its
`read` then gives nothing more, although messages of the server may wait. Here these are read first,
and the status is the one that the server or the network gave.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import grpc

from engine.errors import TransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

#: What grpc makes up where a write fails.
_MADE_UP: Final = (grpc.StatusCode.INTERNAL, "Internal error from Core")

#: How soon the status is asked for again, in seconds, and how often at most.
_ASKING_S: Final = 0.001
_ASKED_MAX: Final = 1_000

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
ValueT = TypeVar("ValueT")


class Exchange(Generic[RequestT, ResponseT]):
    """A call. One task reads; one at a time writes.

    Attributes:
        is_over: whether nothing more can be written. What the server sent before can be read: that
            is no more than a window of the connection and a message.
    """

    def __init__(
        self,
        call: grpc.aio.StreamStreamCall[RequestT, ResponseT],
        on_over: Callable[[], object] = bool,
    ) -> None:
        """Take over a call that nobody has read from.

        Args:
            call: the call.
            on_over: called when `is_over` becomes true.
        """
        self.is_over = False
        self._call = call
        self._on_over = on_over
        self._responses: Any = aiter(call)
        self._status = _MADE_UP
        call.add_done_callback(self._note)

    async def write(self, request: RequestT) -> bool:
        """Send a message, waiting while the server takes no more.

        Returns:
            Whether the call went on; else `read` gives the rest, and `status` says why.
        """
        try:
            await self._call.write(request)
        except (grpc.RpcError, asyncio.InvalidStateError):
            pass
        except asyncio.CancelledError:
            if not self._was_cancelled():
                raise
        else:
            return True
        self._end()
        return False

    async def read(self) -> ResponseT | None:
        """The next message, or None once all have come; `status` says why.

        Raises:
            TransportError: it is no message.
        """
        try:
            response: ResponseT | None = await anext(self._responses)
        except (StopAsyncIteration, grpc.RpcError):
            return None
        except asyncio.CancelledError:
            if not self._was_cancelled():
                raise
            return None
        if response is None:  # grpc has logged why
            raise TransportError("the server sent a message that cannot be read")
        return response

    async def status(self) -> tuple[grpc.StatusCode, str]:
        """How the call ended, once `read` has given all: a code and what is said about it."""
        for _ in range(_ASKED_MAX):
            if self._status != _MADE_UP:
                break
            self._status = (await self._call.code(), await self._call.details() or "")
            if self._status == _MADE_UP:  # the true one follows, of which grpc tells nobody
                await asyncio.sleep(_ASKING_S)
        return self._status

    async def finish(self) -> None:
        """Say that nothing more is written; what the server still sends can be read."""
        try:
            await self._call.done_writing()
        except (grpc.RpcError, asyncio.InvalidStateError):
            self._end()

    def cancel(self) -> None:
        """End the call; whoever reads or writes is told."""
        self._call.cancel()

    async def aclose(self) -> None:
        """End the call; nobody may read any more."""
        self._call.cancel()
        await self._responses.aclose()

    def _was_cancelled(self) -> bool:
        """Whether it is the call that was cancelled, and not the task that uses it."""
        task = asyncio.current_task()
        return self._call.done() and not (task is not None and task.cancelling())

    def _note(self, call: grpc.aio.StreamStreamCall[RequestT, ResponseT]) -> None:
        """Take note of the first status: a true one may be replaced by one that is made up."""
        self._status = (_at_once(call.code()), _at_once(call.details()) or "")
        self._end()

    def _end(self) -> None:
        if not self.is_over:
            self.is_over = True
            self._on_over()


def _at_once(known: Coroutine[Any, Any, ValueT]) -> ValueT:
    """What a coroutine returns that has nothing to wait for."""
    try:
        known.send(None)
    except StopIteration as done:
        value: ValueT = done.value
        return value
    raise AssertionError("the status of a call that is done is known")
