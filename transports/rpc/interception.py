"""Handlers of calls with something around them, whatever kind of call it is.

grpc.aio knows four kinds, and two ways of writing those that stream their responses; here they are
one.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
#: The next interceptor, or the servicer itself.
Continuation: TypeAlias = "Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]"
#: Entered for the time of a call with its context; gives the context that the servicer gets.
Surrounding: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Any]]
#: Is told the size in bytes of each message.
NoteSize: TypeAlias = Callable[[int], None]


def surrounded(
    handler: Handler,
    surrounding: Surrounding,
    *,
    on_request: NoteSize | None = None,
    on_response: NoteSize | None = None,
) -> Handler:
    """A handler that does the same inside of something.

    Args:
        handler: what is to be surrounded.
        surrounding: entered for each call.
        on_request: told of each message that comes, before it is read.
        on_response: told of each message that leaves.
    """
    read, write = handler.request_deserializer, handler.response_serializer
    if on_request is not None:
        read = _noting_request(read, on_request)
    if on_response is not None:
        write = _noting_response(write, on_response)
    if handler.unary_unary is not None:
        return grpc.unary_unary_rpc_method_handler(
            _answering(handler.unary_unary, surrounding), read, write
        )
    if handler.stream_unary is not None:
        return grpc.stream_unary_rpc_method_handler(
            _answering(handler.stream_unary, surrounding), read, write
        )
    if handler.unary_stream is not None:
        return grpc.unary_stream_rpc_method_handler(
            _streaming(handler.unary_stream, surrounding), read, write
        )
    assert handler.stream_stream is not None
    return grpc.stream_stream_rpc_method_handler(
        _streaming(handler.stream_stream, surrounding), read, write
    )


def refusing(code: grpc.StatusCode, details: str) -> Handler:
    """A handler that ends a call of any kind with a status, and reads nothing of it."""

    async def refuse(_: Any, context: Any) -> NoReturn:
        await context.abort(code, details)
        raise AssertionError("abort raises")

    # To a client all kinds of calls look alike when they are refused.
    return grpc.stream_stream_rpc_method_handler(refuse)


def _answering(behaviour: Any, surrounding: Surrounding) -> Any:
    async def answer(request: Any, context: Any) -> Any:
        async with surrounding(context) as inner:
            return await behaviour(_of(request, inner), inner)

    return answer


def _streaming(behaviour: Any, surrounding: Surrounding) -> Any:
    if inspect.isasyncgenfunction(behaviour):

        async def generate(request: Any, context: Any) -> AsyncIterator[Any]:
            async with (
                surrounding(context) as inner,
                contextlib.aclosing(behaviour(_of(request, inner), inner)) as responses,
            ):
                async for response in responses:
                    yield response

        return generate
    return _answering(behaviour, surrounding)


def _of(request: Any, context: Any) -> Any:
    """What a servicer gets as its request: of a stream of them, those that its context reads."""
    wrapped = getattr(context, "requests", None)
    return request if wrapped is None or not hasattr(request, "__aiter__") else wrapped()


def _noting_request(read: Any, note: NoteSize) -> Any:
    def noting(data: bytes) -> Any:
        note(len(data))
        return data if read is None else read(data)

    return noting


def _noting_response(write: Any, note: NoteSize) -> Any:
    def noting(message: Any) -> bytes:
        data: bytes = message if write is None else write(message)
        note(len(data))
        return data

    return noting
