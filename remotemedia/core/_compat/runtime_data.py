"""RuntimeData: what old nodes take and give, with both surfaces of the older API.

One surface is methods (`data_type()`, `is_audio()`, `as_audio()`), the other attributes (`type`,
`payload`, `metadata`, `session_id`, `timestamp`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from engine.packet import NO_METADATA
from engine.payloads import Binary, Json, Video
from remotemedia.core._compat.data_types import (
    AudioMetadata,
    ControlMessageMetadata,
    DataType,
    FileMetadata,
    Metadata,
    TensorMetadata,
    TextMetadata,
    VideoMetadata,
)
from remotemedia.core._compat.making import Making
from remotemedia.core._compat.old_forms import TYPES, old_metadata, old_payload
from remotemedia.core._compat.reading import Reading
from remotemedia.core._compat.values import TextPayload

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.payloads import Payload

#: In place of what nobody has looked at yet.
_UNSEEN: Any = object()

#: Type → what its metadata must be.
_FACTS: dict[DataType, type[Metadata]] = {
    DataType.AUDIO: AudioMetadata,
    DataType.VIDEO: VideoMetadata,
    DataType.TENSOR: TensorMetadata,
    DataType.FILE: FileMetadata,
    DataType.CONTROL_MESSAGE: ControlMessageMetadata,
}


class RuntimeData(Making, Reading):
    """A payload as old nodes see it. Arrays in it are the node's own, to be written as it likes.

    Attributes:
        type: what it holds.
        session_id: the session it belongs to.
        timestamp: seconds of media time where it came with a packet, of the clock where it was
            made.
        schema_type, mime_type: of a JSON value, of bytes.
    """

    schema_type: str = ""
    mime_type: str = "application/octet-stream"
    #: Of video alone.
    frame_number: int = 0
    codec: str = ""
    is_keyframe: bool = False
    #: The payload it was received with; None where a node has made it.
    origin: Payload | None = None
    _entries: Mapping[str, str] = NO_METADATA

    def __init__(
        self,
        type: DataType | str | int,  # noqa: A002 - the older API's own word
        payload: Any,
        session_id: str = "",
        timestamp: float | None = None,
        metadata: Any = None,
    ) -> None:
        """Put data together by hand; the constructors by kind are easier.

        Raises:
            ValueError: there is no such type, or audio, video, a tensor or a file comes without
                metadata of its kind.
        """
        self.type: DataType = _type_of(type)
        if self.type is DataType.TEXT and isinstance(payload, str):
            payload = TextPayload(payload)
        self._payload: Any = payload
        self._metadata: Any = self._checked(metadata)
        self.session_id = session_id
        self.timestamp = time.time() if timestamp is None else timestamp

    @classmethod
    def of(
        cls, payload: Payload, entries: Mapping[str, str], session_id: str, timestamp: float
    ) -> Self:
        """What a packet carries, as an old node sees it; copied when it is first looked at.

        Args:
            payload: the packet's.
            entries: its metadata.
            session_id: its session.
            timestamp: its media time in seconds.
        """
        data = cls.__new__(cls)
        data.receive(payload, entries, session_id, timestamp)
        return data

    def receive(
        self, payload: Payload, entries: Mapping[str, str], session_id: str, timestamp: float
    ) -> None:
        """Become what a packet carries; see `of`."""
        self.type = TYPES[type(payload)]
        self.origin = payload
        self._entries = entries
        self._payload = self._metadata = _UNSEEN
        self.session_id = session_id
        self.timestamp = timestamp
        match payload:
            case Json():
                self.schema_type = payload.schema_type
            case Binary():
                self.mime_type = payload.mime_type
            case Video():
                self.frame_number, self.codec = payload.frame_number, payload.codec
                self.is_keyframe = payload.keyframe

    @property
    def payload(self) -> Any:
        """The data itself: an array, text, a JSON value or bytes; the node's own."""
        if self._payload is _UNSEEN:
            assert self.origin is not None
            self._payload = old_payload(self.origin)
        return self._payload

    @payload.setter
    def payload(self, payload: Any) -> None:
        self._payload = payload

    @property
    def metadata(self) -> Any:
        """Facts about it as attributes, and as a mapping what travels with it."""
        if self._metadata is _UNSEEN:
            assert self.origin is not None
            self._metadata = old_metadata(self.origin, self._entries)
        return self._metadata

    @metadata.setter
    def metadata(self, metadata: Any) -> None:
        """A plain mapping takes the place of what travels with it, and leaves the facts."""
        if isinstance(metadata, Mapping) and not isinstance(metadata, Metadata):
            known = self.metadata
            known.clear()
            known.update(metadata)
        else:
            self._metadata = self._checked(metadata)

    @property
    def received_metadata(self) -> dict[str, str]:
        """What the packet said that it came with."""
        return dict(self._entries)

    @property
    def is_seen(self) -> bool:
        """Whether a node has looked at the payload, and may have changed it."""
        return self._payload is not _UNSEEN

    @property
    def is_described(self) -> bool:
        """Whether a node has looked at the metadata, and may have changed it."""
        return self._metadata is not _UNSEEN

    def _checked(self, metadata: Any) -> Metadata:
        facts = _FACTS.get(self.type)
        if metadata is None and self.type is DataType.FILE and isinstance(self._payload, dict):
            metadata = _file_facts(self._payload)
        if facts is not None and not isinstance(metadata, facts):
            name = self.type.value.replace("_", " ")
            raise ValueError(
                f"{name} data needs {facts.__name__}, got {type(metadata).__name__}: use"
                f" RuntimeData.{_CONSTRUCTORS[self.type]}(...)"
            )
        if isinstance(metadata, Metadata):
            return metadata
        return TextMetadata(entries=metadata) if self.type is DataType.TEXT else Metadata(metadata)


_CONSTRUCTORS = {
    DataType.AUDIO: "audio",
    DataType.VIDEO: "video",
    DataType.TENSOR: "tensor",
    DataType.FILE: "file",
    DataType.CONTROL_MESSAGE: "control_message",
}


def _file_facts(payload: dict[str, Any]) -> FileMetadata | None:
    """The facts about a file that are its payload itself, or None where it names none."""
    if not payload.get("path"):
        return None
    known = vars(FileMetadata("")).keys() & payload.keys()
    return FileMetadata(**{name: payload[name] for name in known})


def _type_of(value: Any) -> DataType:
    return DataType(value)


def numpy_to_audio(array: Any, sample_rate: int, channels: int | None = None) -> RuntimeData:
    """Audio of an array; see `RuntimeData.audio`."""
    return RuntimeData.audio(np.asarray(array), sample_rate, channels)


def audio_to_numpy(data: RuntimeData) -> npt.NDArray[Any]:
    """The samples: shape (samples,) of mono, (frames, channels) of more, in their own dtype.

    Raises:
        TypeError: it is no audio.
    """
    if not data.is_audio():
        raise TypeError(f"RuntimeData is not audio but {data.data_type()}")
    frames = data.frames()
    return frames[:, 0] if frames.shape[1] == 1 else frames
