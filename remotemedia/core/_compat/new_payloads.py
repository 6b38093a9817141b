"""From a RuntimeData, received or made by a node, to a payload of the engine.

What a node received and did not look at is handed on as it is. Everything else is copied: old
nodes keep their buffers and write into them again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.payloads import (
    Audio,
    BatchHint,
    Binary,
    CancelSpeculation,
    Control,
    DeadlineWarning,
    File,
    Json,
    Table,
    Tensor,
    Text,
    Video,
)
from remotemedia.core._compat.data_types import (
    AudioMetadata,
    ControlMessageType,
    DataType,
    VideoFormat,
    VideoMetadata,
)
from remotemedia.core._compat.old_forms import ANNOTATIONS, FPS, FPS_DEFAULT
from remotemedia.core._compat.values import plain, strings, tensor_array

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.payloads import ControlMessage, Payload
    from remotemedia.core._compat.runtime_data import RuntimeData

#: Pixel formats that are not carried, beside the one that is turned into rgb24.
_NOT_CARRIED = (VideoFormat.YUV422, VideoFormat.YUV444)


def new_payload(data: RuntimeData) -> Payload:
    """The payload a RuntimeData stands for.

    Raises:
        TypeError: its payload is of another kind than its type says.
        ValueError: its payload and metadata do not fit each other.
    """
    origin = data.origin
    # A dict or a list may have been changed without our seeing it.
    untouched = not (data.is_seen or data.is_described or isinstance(data, dict | list))
    if origin is not None and untouched:
        return origin
    return _MAKERS[data.type](data)


def added_metadata(data: RuntimeData) -> dict[str, str]:
    """What is to travel with it, beyond what the packet says already."""
    if data.origin is not None and not data.is_described:
        return data.received_metadata
    facts = data.metadata
    said = strings(facts)
    if isinstance(facts, AudioMetadata) and facts.annotations is not None:
        said[ANNOTATIONS] = json.dumps(plain(facts.annotations))
    if isinstance(facts, VideoMetadata) and facts.fps != FPS_DEFAULT:
        said[FPS] = str(facts.fps)
    return said


def _audio(data: RuntimeData) -> Audio:
    if not data.is_seen and isinstance(data.origin, Audio):
        return Audio(data.origin.samples, int(data.metadata.sample_rate))
    return Audio(data.frames().copy(), int(data.metadata.sample_rate))


def _video(data: RuntimeData) -> Video:
    facts = data.metadata
    pixels, format_ = data.as_numpy(), str(facts.format)
    if format_ == VideoFormat.BGR:
        pixels = pixels.reshape(facts.height, facts.width, 3)[:, :, ::-1]
        format_ = VideoFormat.RGB.value
    elif format_ in _NOT_CARRIED:
        raise ValueError(f"video of format {format_!r} cannot be carried; convert it to yuv420p")
    return Video(
        np.array(pixels, order="C"),
        format_,
        int(facts.width),
        int(facts.height),
        data.frame_number,
        data.codec,
        data.is_keyframe,
    )


def _text(data: RuntimeData) -> Text:
    facts = data.metadata
    words = data.as_text(getattr(facts, "encoding", "utf-8")) or ""
    language = getattr(facts, "language", None) or ""
    return Text(words, language, getattr(facts, "channel", None) or "tts")


def _tensor(data: RuntimeData) -> Tensor:
    array = tensor_array(data.payload)
    return Tensor(array.copy(), getattr(data.metadata, "layout", ""))


def _file(data: RuntimeData) -> File:
    facts = vars(data.metadata)
    return File(**{name: value for name, value in facts.items() if value is not None})


def _control(data: RuntimeData) -> Control:
    facts = data.metadata
    message: ControlMessage
    match facts.message_type:
        case ControlMessageType.CANCEL_SPECULATION:
            since, until = facts.from_timestamp or 0, facts.to_timestamp or 0
            message = CancelSpeculation(since * 1000, until * 1000)
        case ControlMessageType.BATCH_HINT:
            message = BatchHint(facts.suggested_batch_size or 1)
        case _:
            message = DeadlineWarning(facts.deadline_us or 0)
    return Control(message, facts.segment_id or "", metadata=plain(facts.extra))


def _table(data: RuntimeData) -> Table:
    return Table(data.payload)


_MAKERS: dict[DataType, Callable[[Any], Payload]] = {
    DataType.AUDIO: _audio,
    DataType.VIDEO: _video,
    DataType.TENSOR: _tensor,
    DataType.NUMPY: _tensor,
    DataType.TEXT: _text,
    DataType.JSON: lambda data: Json(plain(data.payload), data.schema_type),
    DataType.BINARY: lambda data: Binary(bytes(data.payload), data.mime_type),
    DataType.FILE: _file,
    DataType.CONTROL_MESSAGE: _control,
    DataType.TABLE: _table,
}
