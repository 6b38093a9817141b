"""The words old nodes use for their data: its kinds and formats, and what is said beside it.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np


class DataType(StrEnum):
    """What a `RuntimeData` holds; also found by the numbers 1 to 7 of the older API."""

    AUDIO = "audio"
    VIDEO = "video"
    TEXT = "text"
    TENSOR = "tensor"
    CONTROL_MESSAGE = "control_message"
    NUMPY = "numpy"
    FILE = "file"
    JSON = "json"
    BINARY = "binary"
    TABLE = "table"

    @classmethod
    def _missing_(cls, value: object) -> DataType | None:
        members = list(cls)
        numbered = isinstance(value, int) and 1 <= value <= members.index(cls.FILE) + 1
        return members[int(value) - 1] if numbered else None  # type: ignore[call-overload]


class AudioFormat(StrEnum):
    """How a sample is written."""

    F32 = "f32"
    I16 = "i16"
    I32 = "i32"
    I24 = "i24"
    U8 = "u8"


class VideoFormat(StrEnum):
    """How a pixel is written."""

    RGB = "rgb24"
    RGBA = "rgba32"
    GRAY = "gray8"
    YUV420 = "yuv420p"
    I420 = "i420"
    NV12 = "nv12"
    ENCODED = "encoded"
    BGR = "bgr24"
    YUV422 = "yuv422p"
    YUV444 = "yuv444p"


class TensorType(StrEnum):
    """The numbers of a tensor."""

    F16 = "float16"
    F32 = "float32"
    F64 = "float64"
    I8 = "int8"
    I32 = "int32"
    I64 = "int64"
    U8 = "uint8"
    U16 = "uint16"


class ControlMessageType(StrEnum):
    """What a control message is about."""

    CANCEL_SPECULATION = "CancelSpeculation"
    BATCH_HINT = "BatchHint"
    DEADLINE_WARNING = "DeadlineWarning"


#: Sample formats that can be carried, and their dtypes.
AUDIO_DTYPES: dict[AudioFormat, np.dtype[Any]] = {
    AudioFormat.F32: np.dtype(np.float32),
    AudioFormat.I16: np.dtype(np.int16),
    AudioFormat.I32: np.dtype(np.int32),
}
AUDIO_FORMATS = {dtype: format_ for format_, dtype in AUDIO_DTYPES.items()}


class Metadata(dict[str, Any]):
    """What is said beside the data: as a mapping, what travels with it; as attributes, its facts.

    The mapping is the packet's metadata. What a node adds to it travels on with its output.
    """

    def __init__(self, entries: Any = (), **facts: Any) -> None:
        """Take both.

        Args:
            entries: what travels with the data.
            facts: attributes.
        """
        super().__init__(entries or ())
        for name, value in facts.items():
            setattr(self, name, value)

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({facts}, {dict(self)!r})"


class AudioMetadata(Metadata):
    """Facts about audio.

    Attributes:
        sample_rate: Hz.
        channels: 1 is mono.
        format: of a sample.
        duration_ms: length in whole milliseconds.
        annotations: what nodes before have found in it; travels with it.
    """

    def __init__(
        self,
        sample_rate: int,
        channels: int = 1,
        format: AudioFormat | str = AudioFormat.F32,  # noqa: A002 - the older API's own word
        duration_ms: int = 0,
        annotations: dict[str, Any] | None = None,
        entries: Any = (),
    ) -> None:
        super().__init__(entries)
        self.sample_rate = sample_rate
        self.channels = channels
        self.format = format
        self.duration_ms = duration_ms
        self.annotations = annotations


class VideoMetadata(Metadata):
    """Facts about a frame; `fps` travels with it where it was said."""

    def __init__(
        self,
        width: int,
        height: int,
        format: VideoFormat | str = VideoFormat.RGB,  # noqa: A002 - the older API's own word
        fps: float = 30.0,
        entries: Any = (),
    ) -> None:
        super().__init__(entries)
        self.width = width
        self.height = height
        self.format = format
        self.fps = fps


class TextMetadata(Metadata):
    """Facts about text: its encoding where it is bytes, language, and channel ("tts" or "ui")."""

    def __init__(
        self,
        encoding: str = "utf-8",
        language: str | None = None,
        channel: str = "tts",
        entries: Any = (),
    ) -> None:
        super().__init__(entries)
        self.encoding = encoding
        self.language = language
        self.channel = channel


class TensorMetadata(Metadata):
    """Facts about a tensor."""

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: TensorType | str = TensorType.F32,
        layout: str = "",
        entries: Any = (),
    ) -> None:
        super().__init__(entries)
        self.shape = shape
        self.dtype = dtype
        self.layout = layout


class FileMetadata(Metadata):
    """Facts about a file; None: not known."""

    def __init__(
        self,
        path: str,
        filename: str | None = None,
        mime_type: str | None = None,
        size: int | None = None,
        offset: int | None = None,
        length: int | None = None,
        stream_id: str | None = None,
        entries: Any = (),
    ) -> None:
        super().__init__(entries)
        self.path = path
        self.filename = filename
        self.mime_type = mime_type
        self.size = size
        self.offset = offset
        self.length = length
        self.stream_id = stream_id


class ControlMessageMetadata(Metadata):
    """Facts about a control message; those of other message types are None.

    Attributes:
        message_type: what it is about.
        segment_id: the segment it is about.
        from_timestamp, to_timestamp: microseconds of media time, of CancelSpeculation.
        suggested_batch_size: of BatchHint.
        deadline_us: of DeadlineWarning.
        extra: any JSON value.
    """

    def __init__(
        self,
        message_type: ControlMessageType,
        segment_id: str | None = None,
        from_timestamp: int | None = None,
        to_timestamp: int | None = None,
        suggested_batch_size: int | None = None,
        deadline_us: int | None = None,
        extra: Any = None,
        entries: Any = (),
    ) -> None:
        super().__init__(entries)
        self.message_type = message_type
        self.segment_id = segment_id
        self.from_timestamp = from_timestamp
        self.to_timestamp = to_timestamp
        self.suggested_batch_size = suggested_batch_size
        self.deadline_us = deadline_us
        self.extra = extra
