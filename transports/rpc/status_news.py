"""How a session's start goes, as clients are told: texts of a fixed form, in `_status`.

Pure: no I/O, no clock. Source: FR-009.

    [<node_id or _system>] status=<s> message=<m>

Statuses are initializing → the node's own, such as loading_model → ready, or error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from protos.remotemedia.v1 import streaming_pb2

if TYPE_CHECKING:
    from engine.executors.contract import Progress

#: Key of a ChunkResult's outputs under which news of the start travel.
STATUS_KEY: Final = "_status"
#: Who speaks of the session as a whole.
SYSTEM: Final = "_system"
INITIALIZING: Final = "initializing"
READY: Final = "ready"
ERROR: Final = "error"
#: Steps of the engine's own before a node's `initialize`.
_BEFORE: Final = frozenset({"starting", "importing"})


def status_text(node_id: str, status: str, message: str) -> str:
    """One piece of news, on one line."""
    return f"[{node_id}] status={_line(status)} message={_line(message)}"


def text_of(progress: Progress) -> str:
    """A node's progress."""
    if progress.status in _BEFORE:
        return status_text(progress.node_id, INITIALIZING, progress.message or progress.status)
    message = progress.message
    if not message and 0 < progress.fraction < 1:
        message = f"{progress.fraction:.0%}"
    return status_text(progress.node_id, progress.status, message)


def status_response(text: str) -> streaming_pb2.StreamResponse:
    """The message that brings a piece of news."""
    response = streaming_pb2.StreamResponse()
    buffer = response.result.data_outputs[STATUS_KEY].text
    buffer.text_data = text.encode(errors="replace")
    buffer.encoding = "utf-8"
    buffer.channel = "ui"
    return response


def _line(text: str) -> str:
    return " ".join(text.split())
