"""From a payload to what old nodes find in its place: type, payload, metadata.

Pure: no I/O, no clock. What is handed out is a copy, which the node may change.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from engine.payloads import (
    Audio,
    BatchHint,
    Binary,
    CancelSpeculation,
    Control,
    File,
    Json,
    Table,
    Tensor,
    Text,
    Video,
)
from remotemedia.core._compat.data_types import (
    AudioMetadata,
    ControlMessageMetadata,
    ControlMessageType,
    DataType,
    FileMetadata,
    Metadata,
    TensorMetadata,
    TextMetadata,
    VideoMetadata,
)
from remotemedia.core._compat.samples import format_of
from remotemedia.core._compat.values import TextPayload, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.payloads import Payload

#: Keys of a packet's metadata that old nodes find as attributes.
ANNOTATIONS = "annotations"
FPS = "fps"
FPS_DEFAULT = 30.0

TYPES: dict[type[Payload], DataType] = {
    Audio: DataType.AUDIO,
    Video: DataType.VIDEO,
    Tensor: DataType.TENSOR,
    Text: DataType.TEXT,
    Json: DataType.JSON,
    Binary: DataType.BINARY,
    File: DataType.FILE,
    Table: DataType.TABLE,
    Control: DataType.CONTROL_MESSAGE,
}


def old_payload(payload: Payload) -> Any:
    """The payload's data in the form the older API had it in."""
    return _PAYLOADS[type(payload)](payload)


def old_metadata(payload: Payload, entries: Mapping[str, str]) -> Metadata:
    """Facts about a payload, and what travels with it.

    Args:
        payload: what it is about.
        entries: the packet's metadata.
    """
    describe = _DESCRIPTIONS.get(type(payload))
    return describe(payload, entries) if describe is not None else Metadata(entries)


def _samples(payload: Audio) -> Any:
    frames = payload.samples.copy()
    return frames[:, 0] if payload.channels == 1 else frames


def _audio(payload: Audio, entries: Mapping[str, str]) -> AudioMetadata:
    return AudioMetadata(
        payload.sample_rate,
        payload.channels,
        format_of(payload.samples),
        payload.duration_ns // 1_000_000,
        _annotations(entries),
        entries,
    )


def _annotations(entries: Mapping[str, str]) -> dict[str, Any] | None:
    try:
        found = json.loads(entries[ANNOTATIONS])
    except (KeyError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _fps(entries: Mapping[str, str]) -> float:
    try:
        return float(entries[FPS])
    except (KeyError, ValueError):
        return FPS_DEFAULT


def _file(payload: File, entries: Mapping[str, str]) -> FileMetadata:
    return FileMetadata(
        payload.path,
        payload.filename or None,
        payload.mime_type or None,
        payload.size or None,
        payload.offset or None,
        payload.length or None,
        payload.stream_id or None,
        entries,
    )


def _control(payload: Control, entries: Mapping[str, str]) -> ControlMessageMetadata:
    message = payload.message
    facts: dict[str, int]
    kind = ControlMessageType(type(message).__name__)
    if isinstance(message, CancelSpeculation):
        facts = {"from_timestamp": message.from_ns // 1000, "to_timestamp": message.to_ns // 1000}
    elif isinstance(message, BatchHint):
        facts = {"suggested_batch_size": message.suggested_batch_size}
    else:
        facts = {"deadline_us": message.deadline_us}
    segment = payload.segment_id or None
    extra = payload.metadata
    return ControlMessageMetadata(kind, segment, extra=extra, entries=entries, **facts)


def _said(facts: Metadata) -> dict[str, Any]:
    return {name: value for name, value in vars(facts).items() if value is not None}


_PAYLOADS: dict[type[Payload], Callable[[Any], Any]] = {
    Audio: _samples,
    Video: lambda payload: payload.pixels.copy(),
    Tensor: lambda payload: payload.array.copy(),
    Text: lambda payload: TextPayload(payload.text),
    Json: lambda payload: plain(payload.value),
    Binary: lambda payload: payload.data,
    Table: lambda payload: payload.batch,
    File: lambda payload: dict(vars(_file(payload, {}))),
    Control: lambda payload: _said(_control(payload, {})),
}

_DESCRIPTIONS: dict[type[Payload], Callable[[Any, Mapping[str, str]], Metadata]] = {
    Audio: _audio,
    Video: lambda payload, entries: VideoMetadata(
        payload.width, payload.height, payload.format, _fps(entries), entries
    ),
    Tensor: lambda payload, entries: TensorMetadata(
        payload.array.shape, payload.array.dtype.name, payload.layout, entries
    ),
    Text: lambda payload, entries: TextMetadata(
        "utf-8", payload.language or None, payload.channel, entries
    ),
    File: _file,
    Control: _control,
}
