"""The constructors of `RuntimeData`, one by kind.

Pure but for the time at which something is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from remotemedia.core._compat.data_types import (
    AudioFormat,
    AudioMetadata,
    ControlMessageMetadata,
    ControlMessageType,
    DataType,
    FileMetadata,
    TensorMetadata,
    TextMetadata,
    VideoFormat,
    VideoMetadata,
)
from remotemedia.core._compat.samples import (
    channels_of,
    format_of,
    frames_by_channels,
    said_beside,
    sample_array,
)
from remotemedia.core._compat.values import tensor_array


class Making:
    """Constructors; each gives data that belongs to the node that made it."""

    schema_type: str
    mime_type: str
    frame_number: int
    codec: str
    is_keyframe: bool

    if TYPE_CHECKING:

        def __init__(
            self,
            type: DataType,  # noqa: A002 - the older API's own word
            payload: Any,
            session_id: str = "",
            timestamp: float | None = None,
            metadata: Any = None,
        ) -> None: ...

    @classmethod
    def audio(
        cls,
        samples: Any,
        sample_rate: int,
        channels: int | None = None,
        *rest: Any,
        session_id: str = "",
        format: AudioFormat | str | None = None,  # noqa: A002 - the older API's own word
        num_samples: int | None = None,
        metadata: Any = None,
    ) -> Self:
        """A block of samples.

        Args:
            samples: an array or list of shape (samples,), interleaved, or (frames, channels), or
                (channels, frames); or bytes.
            sample_rate: Hz.
            channels: 1 by default, or what the shape says.
            rest: by position, what the older APIs had there: session_id, format, num_samples.
            session_id: the session it belongs to.
            format: "f32", "i16" or "i32", of bytes and lists; "f32" by default.
            num_samples: total over all channels; counted anyway.
            metadata: what is to travel with it.

        Raises:
            ValueError: the samples are no audio, or do not fit the channels.
        """
        said = said_beside(rest)
        session_id, format_ = said.session_id or session_id, said.format or format
        del num_samples
        array = sample_array(samples, format_)
        count = channels_of(array, channels)
        frames = frames_by_channels(array, count)
        facts = AudioMetadata(
            int(sample_rate),
            count,
            format_of(array),
            len(frames) * 1000 // max(1, int(sample_rate)),
            entries=metadata,
        )
        return cls(DataType.AUDIO, array, session_id, None, facts)

    @classmethod
    def video(  # noqa: PLR0913 - the older API's own signature
        cls,
        frame: Any,
        width: int | None = None,
        height: int | None = None,
        format: VideoFormat | str = VideoFormat.RGB,  # noqa: A002 - the older API's own word
        fps: float = 30.0,
        session_id: str = "",
        *,
        frame_number: int = 0,
        codec: str = "",
        is_keyframe: bool = False,
        metadata: Any = None,
    ) -> Self:
        """One frame.

        Args:
            frame: a uint8 array of the format's shape, or bytes.
            width: pixels; by default what the array's shape says.
            height: pixels; likewise.
            format: how a pixel is written.
            fps: frames per second of its stream.
            session_id: the session it belongs to.
            frame_number: ordinal in its stream.
            codec: of an encoded frame.
            is_keyframe: whether it can be decoded by itself.
            metadata: what is to travel with it.

        Raises:
            ValueError: it is neither an array nor bytes, or its size is not known.
        """
        if isinstance(frame, np.ndarray) and frame.ndim > 1:
            rows = frame.shape[0]
            height = height or (
                rows * 2 // 3 if str(format) in {"yuv420p", "i420", "nv12"} else rows
            )
            width = width or frame.shape[1]
        elif not isinstance(frame, np.ndarray | bytes | bytearray | memoryview):
            raise ValueError(f"a frame must be an array or bytes, got {type(frame).__name__}")
        if not width or not height:
            raise ValueError("a frame of flat bytes needs width and height")
        data = cls(
            DataType.VIDEO,
            frame,
            session_id,
            None,
            VideoMetadata(width, height, format, fps, metadata),
        )
        data.frame_number, data.codec, data.is_keyframe = frame_number, codec, is_keyframe
        return data

    @classmethod
    def text(
        cls,
        text: str | bytes,
        session_id: str = "",
        language: str | None = None,
        channel: str = "tts",
        *,
        metadata: Any = None,
    ) -> Self:
        """Text.

        Args:
            text: UTF-8 where it is bytes.
            session_id: the session it belongs to.
            language: BCP 47 tag.
            channel: "tts" (spoken) or "ui".
            metadata: what is to travel with it.
        """
        words = text.decode() if isinstance(text, bytes | bytearray) else str(text)
        facts = TextMetadata("utf-8", language, channel, metadata)
        return cls(DataType.TEXT, words, session_id, None, facts)

    @classmethod
    def tensor(
        cls,
        data: Any,
        session_id: str = "",
        dtype: Any = None,
        *,
        shape: Any = None,
        layout: str = "",
        metadata: Any = None,
    ) -> Self:
        """An array of numbers.

        Args:
            data: an array, nested lists, or bytes with `shape` and `dtype`.
            session_id: the session it belongs to.
            dtype: of bytes and lists: numpy's, a TensorType, or "f32", "i64" and so on.
            shape: of bytes.
            layout: what its axes are, such as "NCHW".
            metadata: what is to travel with it.

        Raises:
            ValueError: the bytes do not fill the shape.
        """
        array = tensor_array(data, dtype, shape)
        facts = TensorMetadata(array.shape, array.dtype.name, layout, metadata)
        return cls(DataType.TENSOR, array, session_id, None, facts)

    @classmethod
    def json(
        cls, value: Any, session_id: str = "", *, schema_type: str = "", metadata: Any = None
    ) -> Self:
        """A JSON value: dict, list, str, int, float, bool or None."""
        data = cls(DataType.JSON, value, session_id, None, metadata)
        data.schema_type = schema_type
        return data

    @classmethod
    def binary(
        cls, data: Any, session_id: str = "", *, mime_type: str = "", metadata: Any = None
    ) -> Self:
        """Bytes of some MIME type."""
        made = cls(DataType.BINARY, bytes(data), session_id, None, metadata)
        made.mime_type = mime_type or made.mime_type
        return made

    @classmethod
    def file(
        cls,
        path: Any,
        session_id: str = "",
        *,
        metadata: Any = None,
        **facts: Any,
    ) -> Self:
        """A file, by its path; `facts` are those of FileMetadata."""
        described = FileMetadata(str(path), entries=metadata, **facts)
        return cls(DataType.FILE, dict(vars(described)), session_id, None, described)

    @classmethod
    def control_message(
        cls,
        message_type: ControlMessageType | str,
        segment_id: str | None = None,
        session_id: str = "",
        *,
        metadata: Any = None,
        **facts: Any,
    ) -> Self:
        """A message about the stream; `facts` are those of ControlMessageMetadata."""
        kind = ControlMessageType(message_type)
        described = ControlMessageMetadata(kind, segment_id, extra=metadata, **facts)
        payload = {"message_type": kind.value, "segment_id": segment_id, **facts}
        return cls(DataType.CONTROL_MESSAGE, payload, session_id, None, described)
