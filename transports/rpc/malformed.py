"""Answers requests that are no protobuf message of their type: grpc itself says only "Unexpected".

A stream's own reader finds out by itself; this is for calls with one request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc
from google.protobuf.message import DecodeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

#: What a client is told.
MALFORMED: Final = "the request is no protobuf message of its type"


class _Malformed:
    """Stands for a request that could not be read."""


class RefuseMalformed(grpc.aio.ServerInterceptor):
    """Lets every unary call with a malformed request fail as INVALID_ARGUMENT."""

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wrap the handler of a call; see `grpc.aio.ServerInterceptor`."""
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler
        behaviour, deserialize = handler.unary_unary, handler.request_deserializer
        assert deserialize is not None

        def read(data: bytes) -> Any:
            try:
                return deserialize(data)
            except DecodeError:
                return _Malformed()

        async def answer(request: Any, context: Any) -> Any:
            if isinstance(request, _Malformed):
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, MALFORMED)
            return await behaviour(request, context)

        return grpc.unary_unary_rpc_method_handler(answer, read, handler.response_serializer)
