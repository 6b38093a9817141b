"""What goes wrong, as clients are told: in-band `ErrorResponse`, or the status of the call.

Pure: no I/O, no clock. Source: FR-006.

    engine's error                  ErrorType          status of the call, where one is needed
    ManifestError, UsageError       VALIDATION         INVALID_ARGUMENT
    InputError                      VALIDATION         INVALID_ARGUMENT
    InputKindError                  TYPE_VALIDATION    INVALID_ARGUMENT
    ResourceLimitError, Overflow    RESOURCE_LIMIT     RESOURCE_EXHAUSTED
    VersionError                    VERSION_MISMATCH   FAILED_PRECONDITION
    StartupError, NodeError         NODE_EXECUTION     ABORTED
    MediaError                      NODE_EXECUTION     ABORTED
    anything else                   INTERNAL           INTERNAL

What concerns a pipeline is told in-band, and the call itself ends well; what concerns the call is
its status.
"""

from __future__ import annotations

import json
import sysconfig
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import grpc
import reactivex

import engine
import transports
from engine.errors import (
    EdgeOverflowError,
    InitTimeoutError,
    ManifestError,
    MediaError,
    NodeError,
    RemoteMediaError,
    ResourceLimitError,
    StartupError,
    UsageError,
)
from engine.packet import WrongKindError
from protos.remotemedia.v1 import common_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

#: How the text of an error of this kind begins; clients look for it.
VALIDATION_PREFIX: Final = "Validation error: "
#: How the text begins where a node did not get ready in time, before the seconds.
INIT_TIMEOUT_PREFIX: Final = "Initialization timeout after "
#: All that clients are told of an error of ours.
NOTHING_TOLD: Final = "internal error; the server's log says more"
#: A traceback is cut to its last so many characters.
TRACEBACK_CHARS_MAX: Final = 16_384
#: Frames of files in these folders say nothing about a node; nor do Python's own.
_OWN_FOLDERS: Final = tuple(
    f"{Path(str(package.__file__)).parent}/" for package in (engine, transports, reactivex)
)
_STANDARD_LIBRARY: Final = f"{sysconfig.get_path('stdlib')}/"
_INSTALLED: Final = "site-packages"


class InputError(UsageError):
    """What a client sent cannot be used; says what, where and why."""

    code = "input"


class InputKindError(InputError):
    """A node was sent data of a kind that it cannot take."""

    code = "input_kind"


class VersionError(UsageError):
    """The client speaks another version of the protocol."""

    code = "version"


#: What clients are told whose sessions end because the service does.
STOPPED: Final = "The service was stopped"
#: What clients are told whose sessions an operator has ended.
CLOSED: Final = "An operator of the service ended the session"


class SessionEndedError(RemoteMediaError):
    """Others than its client ended a session before its time."""

    code = "session_ended"


class Verdict(NamedTuple):
    """What an error is on the wire.

    Attributes:
        error_type: an `ErrorType`.
        status: of the call, where the error is the call's.
    """

    error_type: common_pb2.ErrorType
    status: grpc.StatusCode


_INVALID = Verdict(common_pb2.ERROR_TYPE_VALIDATION, grpc.StatusCode.INVALID_ARGUMENT)
_WRONG_KIND = Verdict(common_pb2.ERROR_TYPE_TYPE_VALIDATION, grpc.StatusCode.INVALID_ARGUMENT)
_LIMIT = Verdict(common_pb2.ERROR_TYPE_RESOURCE_LIMIT, grpc.StatusCode.RESOURCE_EXHAUSTED)
_NODE = Verdict(common_pb2.ERROR_TYPE_NODE_EXECUTION, grpc.StatusCode.ABORTED)
_INTERNAL = Verdict(common_pb2.ERROR_TYPE_INTERNAL, grpc.StatusCode.INTERNAL)

#: Error class → what it is on the wire; the first class counts that an error's own descends from.
_VERDICTS: Final[Mapping[type[RemoteMediaError], Verdict]] = {
    RemoteMediaError: _INTERNAL,
    ManifestError: _INVALID,
    UsageError: _INVALID,
    InputKindError: _WRONG_KIND,
    VersionError: Verdict(
        common_pb2.ERROR_TYPE_VERSION_MISMATCH, grpc.StatusCode.FAILED_PRECONDITION
    ),
    SessionEndedError: Verdict(common_pb2.ERROR_TYPE_INTERNAL, grpc.StatusCode.UNAVAILABLE),
    MediaError: _NODE,
    ResourceLimitError: _LIMIT,
    EdgeOverflowError: _LIMIT,
    StartupError: _NODE,
    NodeError: _NODE,
}


def verdict_of(error: BaseException) -> Verdict:
    """What an error is on the wire."""
    # An operator that asked for another kind than it got raised this, perhaps in another process.
    if isinstance(error, NodeError) and error.context.get("exception") == WrongKindError.__name__:
        return _WRONG_KIND
    return next((_VERDICTS[cls] for cls in type(error).__mro__ if cls in _VERDICTS), _INTERNAL)


def error_response(error: BaseException, *, debug: bool = False) -> common_pb2.ErrorResponse:
    """An error as it is told in-band.

    Args:
        error: what went wrong. Of what is none of ours, and so our fault, nothing is told.
        debug: whether clients may see tracebacks of ours.
    """
    error_type = verdict_of(error).error_type
    if not isinstance(error, RemoteMediaError):
        return common_pb2.ErrorResponse(
            error_type=error_type,
            message=NOTHING_TOLD,
            stack_trace=_own_traceback(error) if debug else "",
        )
    message = error.message
    if error_type == common_pb2.ERROR_TYPE_VALIDATION:
        message = f"{VALIDATION_PREFIX}{message}"
    elif isinstance(error, InitTimeoutError):
        message = _timeout_message(error)
    return common_pb2.ErrorResponse(
        error_type=error_type,
        message=_sayable(message),
        failing_node_id=_sayable(failing_node(error)),
        context=_context_of(error),
        stack_trace=_sayable(_stack_trace(error, debug=debug)),
    )


def _timeout_message(error: InitTimeoutError) -> str:
    """The message in the words clients look for."""
    words = f"{INIT_TIMEOUT_PREFIX}{error.context.get('init_timeout_s', 0):g}s"
    return error.message if error.message.startswith(words) else f"{words}: {error.message}"


def failing_node(error: RemoteMediaError) -> str:
    """The node to blame, or ""."""
    node_id = error.context.get("node_id")
    if not node_id:
        node_id = next(iter(error.context.get("node_ids") or ()), "")
    if not node_id and isinstance(error, ManifestError):
        blamed = (problem for problem in error.problems if problem.severity == "error")
        node_id = next((problem.node_id for problem in blamed if problem.node_id), "")
    return str(node_id or "")


def _context_of(error: RemoteMediaError) -> str:
    facts: dict[str, Any] = {"code": error.code, **error.to_dict()["context"]}
    try:
        return json.dumps(facts, allow_nan=False, default=str)
    except ValueError:  # an infinity, which is no JSON
        return json.dumps({key: str(value) for key, value in facts.items()})


def _stack_trace(error: RemoteMediaError, *, debug: bool) -> str:
    """The traceback of a node's own process, or the part of it that is the node's own code."""
    if error.remote_traceback:
        return error.remote_traceback[-TRACEBACK_CHARS_MAX:]
    if debug:
        return _own_traceback(error)
    cause = error.__cause__
    if not isinstance(error, NodeError) or cause is None:
        return ""
    frames = traceback.extract_tb(cause.__traceback__)
    first = next(
        (at for at, frame in enumerate(frames) if not _is_ours(frame.filename)), len(frames)
    )
    lines = traceback.format_list(frames[first:])
    lines += traceback.format_exception_only(cause)
    return "".join(["Traceback (most recent call last):\n", *lines])[-TRACEBACK_CHARS_MAX:]


def _is_ours(filename: str) -> bool:
    if filename.startswith(_OWN_FOLDERS):
        return True
    return filename.startswith(_STANDARD_LIBRARY) and _INSTALLED not in filename


def _own_traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-TRACEBACK_CHARS_MAX:]


def _sayable(text: str) -> str:
    """A text without lone surrogates, which UTF-8 cannot say."""
    return text.encode(errors="replace").decode()
