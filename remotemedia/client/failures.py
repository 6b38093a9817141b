"""What a server says went wrong, as errors of ours.

Pure: no I/O, no clock. Source: FR-006.

An `ErrorResponse` of a server of ours has the error's code in its context, so the same class is
raised as in a local session; of another server the class is the nearest to its `error_type`.

    status of the call                          raised
    INVALID_ARGUMENT, NOT_FOUND, UNIMPLEMENTED  UsageError
    RESOURCE_EXHAUSTED                          ResourceLimitError
    anything else                               TransportError

Each has the status's name as `context["status"]`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import grpc

from engine.errors import (
    NodeError,
    RemoteMediaError,
    ResourceLimitError,
    TransportError,
    UsageError,
)
from protos.remotemedia.v1 import common_pb2
from transports.rpc.errors import (
    CLOSED,
    STOPPED,
    VALIDATION_PREFIX,
    InputKindError,
    VersionError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_BY_TYPE: Final[Mapping[int, type[RemoteMediaError]]] = {
    common_pb2.ERROR_TYPE_VALIDATION: UsageError,
    common_pb2.ERROR_TYPE_NODE_EXECUTION: NodeError,
    common_pb2.ERROR_TYPE_RESOURCE_LIMIT: ResourceLimitError,
    common_pb2.ERROR_TYPE_AUTHENTICATION: TransportError,
    common_pb2.ERROR_TYPE_VERSION_MISMATCH: VersionError,
    common_pb2.ERROR_TYPE_TYPE_VALIDATION: InputKindError,
}
_BY_STATUS: Final[Mapping[grpc.StatusCode, type[RemoteMediaError]]] = {
    grpc.StatusCode.INVALID_ARGUMENT: UsageError,
    grpc.StatusCode.NOT_FOUND: UsageError,
    grpc.StatusCode.UNIMPLEMENTED: UsageError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceLimitError,
}
#: Who ended a session before its time, as servers of ours say it, and what becomes of a new one.
_ENDED_BY: Final[Mapping[str, grpc.StatusCode]] = {
    STOPPED: grpc.StatusCode.UNAVAILABLE,
    CLOSED: grpc.StatusCode.ABORTED,
}


def error_of(response: common_pb2.ErrorResponse) -> RemoteMediaError:
    """The error that a server tells of in-band."""
    context = _context(response.context)
    code = context.pop("code", None)
    message = response.message.removeprefix(VALIDATION_PREFIX)
    if response.failing_node_id:
        context.setdefault("node_id", response.failing_node_id)
    data = {"code": code, "message": message, "context": context}
    error = RemoteMediaError.from_dict({**data, "traceback": response.stack_trace})
    if type(error) is not RemoteMediaError or code == RemoteMediaError.code:
        return error
    error = _BY_TYPE.get(response.error_type, RemoteMediaError)(message, **context)
    error.remote_traceback = response.stack_trace
    return error


def error_of_call(error: grpc.RpcError, address: str) -> RemoteMediaError:
    """The error that the status of a call tells of.

    Args:
        error: what grpc raised.
        address: the server's.
    """
    assert isinstance(error, grpc.aio.AioRpcError)
    found = error_of_status(error.code(), error.details() or "", address)
    found.__cause__ = error
    return found


def error_of_status(status: grpc.StatusCode, details: str, address: str) -> RemoteMediaError:
    """The error that a status tells of.

    Args:
        status: how a call ended.
        details: what is said about it.
        address: the server's.
    """
    said = details or status.name.lower().replace("_", " ")
    cls = _BY_STATUS.get(status, TransportError)
    if cls is TransportError:
        said = f"{address}: {said}"
    return cls(said, status=status.name, address=address)


def error_of_ending(reason: str, address: str) -> RemoteMediaError | None:
    """The error that the reason of a StreamClosed tells of; None: the session ended by itself.

    Args:
        reason: what the server says.
        address: the server's.
    """
    status = _ENDED_BY.get(reason)
    if status is None:
        return None
    return TransportError(
        f"{address}: the session was ended before its time: {reason}",
        status=status.name,
        address=address,
    )


def is_connection_lost(error: BaseException) -> bool:
    """Whether an error says that the server could not be reached, or not any more."""
    return isinstance(error, TransportError) and error.context.get("status") == "UNAVAILABLE"


def _context(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {"context": text}
    return found if isinstance(found, dict) else {"context": found}
