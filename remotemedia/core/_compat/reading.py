"""The methods of `RuntimeData` that say what it holds and give it in one form or another.

Pure: no I/O, no clock. What is asked for as something it is not, is None, as in the older API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from remotemedia.core._compat.data_types import ControlMessageType, DataType, FileMetadata
from remotemedia.core._compat.samples import format_of, frames_by_channels, sample_array
from remotemedia.core._compat.values import plain

if TYPE_CHECKING:
    import numpy.typing as npt


class Reading:
    """What can be asked of data."""

    type: DataType
    frame_number: int

    if TYPE_CHECKING:

        @property
        def payload(self) -> Any: ...

        @property
        def metadata(self) -> Any: ...

    def data_type(self) -> str:
        """What it holds, as a word: "audio", "video", "text", "tensor", "json" and so on."""
        return self.type.value

    def is_audio(self) -> bool:
        """Whether it is audio."""
        return self.type is DataType.AUDIO

    def is_video(self) -> bool:
        """Whether it is a frame."""
        return self.type is DataType.VIDEO

    def is_text(self) -> bool:
        """Whether it is text."""
        return self.type is DataType.TEXT

    def is_tensor(self) -> bool:
        """Whether it is an array of numbers."""
        return self.type in {DataType.TENSOR, DataType.NUMPY}

    def is_json(self) -> bool:
        """Whether it is a JSON value."""
        return self.type is DataType.JSON

    def is_binary(self) -> bool:
        """Whether it is bytes."""
        return self.type is DataType.BINARY

    def is_file(self) -> bool:
        """Whether it names a file."""
        return self.type is DataType.FILE

    def is_control_message(self) -> bool:
        """Whether it is about the stream."""
        return self.type is DataType.CONTROL_MESSAGE

    def is_cancellation(self) -> bool:
        """Whether it takes back what was speculated."""
        kind = getattr(self.metadata, "message_type", None)
        return self.is_control_message() and kind == ControlMessageType.CANCEL_SPECULATION

    def as_audio(self) -> tuple[bytes, int, int, str, int] | None:
        """The samples as (bytes, rate, channels, format, num_samples), or None if it is no audio.

        num_samples counts all channels; the bytes are interleaved, of format "f32", "i16" or "i32".
        """
        if not self.is_audio():
            return None
        frames = self.frames()
        rate = int(self.metadata.sample_rate)
        return frames.tobytes(), rate, frames.shape[1], str(format_of(frames)), frames.size

    def frames(self) -> npt.NDArray[Any]:
        """The samples of audio as (frames, channels)."""
        array = sample_array(self.payload, self.metadata.format)
        return frames_by_channels(array, self.metadata.channels)

    def as_video(self) -> tuple[bytes, int, int, str, int] | None:
        """The frame as (bytes, width, height, format, frame_number), or None if it is no video."""
        if not self.is_video():
            return None
        pixels = np.ascontiguousarray(self.as_numpy()).tobytes()
        facts = self.metadata
        return pixels, int(facts.width), int(facts.height), str(facts.format), self.frame_number

    def as_text(self, encoding: str = "utf-8") -> str | None:
        """The text, or None if it is none."""
        if not self.is_text():
            return None
        words = self.payload
        return words.decode(encoding) if isinstance(words, bytes) else str(words)

    def as_json(self) -> Any:
        """The JSON value, as a copy of its own, or None if it is none."""
        return plain(self.payload) if self.is_json() else None

    def as_binary(self) -> bytes | None:
        """The bytes, or None if it is something else."""
        return bytes(self.payload) if self.is_binary() else None

    def as_tensor(self) -> npt.NDArray[Any] | None:
        """The array, or None if it is no tensor."""
        return self.as_numpy() if self.is_tensor() else None

    def as_file(self) -> FileMetadata | None:
        """What is known of the file, or None if it names none."""
        return self.metadata if self.is_file() else None

    def get_file_path(self) -> str:
        """The file's path.

        Raises:
            ValueError: it names no file.
        """
        if not self.is_file():
            raise ValueError(f"{self.data_type()} data has no file path")
        return str(self.metadata.path)

    def as_numpy(self) -> npt.NDArray[Any]:
        """The payload as an array: audio of shape (samples,) or (frames, channels).

        Raises:
            ValueError: it is JSON, a file or a control message.
        """
        payload = self.payload
        if isinstance(payload, np.ndarray):
            return payload
        if self.is_audio():
            return sample_array(payload, self.metadata.format)
        if isinstance(payload, str):
            payload = payload.encode()
        if isinstance(payload, bytes | bytearray | memoryview):
            return np.frombuffer(payload, np.uint8)
        if self.is_tensor():
            return np.asarray(payload)
        raise ValueError(f"{self.data_type()} data is no array; use as_{self.data_type()}()")

    @property
    def data(self) -> Any:
        """The payload, by its other name."""
        return self.payload

    @property
    def size(self) -> int:
        """Size of the payload: bytes of an array, length of text and bytes, else 0."""
        payload = self.payload
        if isinstance(payload, np.ndarray):
            return payload.nbytes
        return len(payload) if isinstance(payload, str | bytes) else 0

    def __array__(self, dtype: Any = None, copy: Any = None) -> npt.NDArray[Any]:
        return np.array(self.as_numpy(), dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        return f"RuntimeData({self.data_type()})"
