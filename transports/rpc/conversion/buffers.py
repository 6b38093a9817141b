"""A DataBuffer of any kind ↔ a payload and what travels beside it.

Pure: no I/O, no clock. Source: FR-001, FR-012, SC-007.

A buffer's metadata becomes its packet's, which every output inherits that an operator gives none of
its own. Two things for which payloads have no place travel there, too, under names of ours, and are
put back where they came from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine.edges.descriptor import METADATA_BYTES_MAX, pack_metadata
from engine.errors import EdgeError
from engine.payloads import (
    Audio,
    Binary,
    Control,
    File,
    Json,
    Table,
    Tensor,
    Text,
    Video,
    payload_bytes,
)
from transports.rpc.conversion.arrays import (
    fill_numpy,
    fill_tensor,
    fits_tensor_buffer,
    numpy_from,
    tensor_from,
)
from transports.rpc.conversion.audio import audio_from, fill_audio
from transports.rpc.conversion.control import control_from, fill_control
from transports.rpc.conversion.plain import (
    binary_from,
    file_from,
    fill_binary,
    fill_file,
    fill_json,
    fill_table,
    fill_text,
    json_from,
    text_from,
)
from transports.rpc.conversion.video import fill_video, video_from
from transports.rpc.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.packet import Packet
    from engine.payloads import Payload
    from protos.remotemedia.v1 import common_pb2

#: Packet metadata: an AudioBuffer's metadata_json.
AUDIO_METADATA: Final = "remotemedia.audio_metadata_json"
#: Packet metadata: "numpy" where the tensor came as a NumpyBuffer.
ARRAY_FORM: Final = "remotemedia.array_form"
_OURS: Final = frozenset({AUDIO_METADATA, ARRAY_FORM})

#: Media times are kept below this, so that lengths may be added to them: 146 years.
TIMESTAMP_NS_MAX: Final = 2**62


@dataclass(frozen=True, slots=True)
class InputRules:
    """What inputs may be.

    Attributes:
        audio_samples_max: samples of one audio buffer, all channels together; None: any number.
        json_containers_max: lists and objects of one JSON text, see `plain.loads`; None: any
            number.
        allow_file: says whether a file's path may be named; what it raises is told to the client.
    """

    audio_samples_max: int | None = None
    json_containers_max: int | None = None
    allow_file: Callable[[File], None] | None = None


class Received(NamedTuple):
    """What a buffer stands for.

    Attributes:
        payload: the data.
        metadata: what travels with it.
        timestamp_ns: its media time, where it has one of its own.
        kind: which member of the DataBuffer it was.
        size_bytes: size of its data; of JSON, of its text.
    """

    payload: Payload
    metadata: Mapping[str, str]
    timestamp_ns: int | None
    kind: str
    size_bytes: int


_READERS: Final[Mapping[str, Callable[[Any], Payload]]] = {
    "video": video_from,
    "tensor": tensor_from,
    "text": text_from,
    "binary": binary_from,
    "numpy": numpy_from,
    "file": file_from,
}


def receive(buffer: common_pb2.DataBuffer, rules: InputRules) -> Received:
    """What a buffer stands for.

    Raises:
        InputError: none of its kinds is set, or what it says does not add up.
        ResourceLimitError: it is larger than it may be.
    """
    kind = buffer.WhichOneof("data_type")
    if kind is None:
        raise InputError("the DataBuffer is empty: set audio, video, tensor, json, text, …")
    metadata = dict(buffer.metadata) if buffer.metadata else {}
    timestamp_ns: int | None = None
    payload: Payload
    if kind == "audio":
        audio = buffer.audio
        payload = audio_from(audio, rules.audio_samples_max)
        if audio.HasField("metadata_json"):
            metadata[AUDIO_METADATA] = _annotations(audio.metadata_json)
    elif kind == "json":
        payload = json_from(buffer.json, rules.json_containers_max)
    elif kind == "control":
        payload = control_from(buffer.control, rules.json_containers_max)
    else:
        payload = _READERS[kind](getattr(buffer, kind))
        if kind == "numpy":
            metadata[ARRAY_FORM] = "numpy"
        elif kind == "video":
            timestamp_ns = media_time_ns(buffer.video.timestamp_us, 1_000, "video.timestamp_us")
        elif kind == "file" and rules.allow_file is not None:
            assert type(payload) is File
            rules.allow_file(payload)
    if metadata:
        check_metadata(metadata)
    size = len(buffer.json.json_payload) if kind == "json" else payload_bytes(payload)
    return Received(payload, metadata, timestamp_ns, kind, size)


def fill(buffer: common_pb2.DataBuffer, packet: Packet) -> str:
    """Write a packet into an empty DataBuffer; in place, since messages are copied into others.

    Args:
        buffer: where to.
        packet: an output.

    Returns:
        Which kind it became.

    Raises:
        ValueError, TypeError: the wire cannot say it.
    """
    kind = _WRITERS[type(packet.payload)](buffer, packet)
    for key, value in packet.origin.metadata.items():
        if key not in _OURS:
            buffer.metadata[key] = value
    return kind


def _write_audio(buffer: common_pb2.DataBuffer, packet: Packet) -> str:
    fill_audio(buffer.audio, packet.expect(Audio))
    annotations = packet.origin.metadata.get(AUDIO_METADATA)
    if annotations is not None:
        buffer.audio.metadata_json = annotations.encode()
    return "audio"


def _write_video(buffer: common_pb2.DataBuffer, packet: Packet) -> str:
    fill_video(buffer.video, packet.expect(Video), packet.origin.timestamp_ns)
    return "video"


def _write_tensor(buffer: common_pb2.DataBuffer, packet: Packet) -> str:
    payload = packet.expect(Tensor)
    if fits_tensor_buffer(payload) and packet.origin.metadata.get(ARRAY_FORM) != "numpy":
        fill_tensor(buffer.tensor, payload)
        return "tensor"
    fill_numpy(buffer.numpy, payload)
    return "numpy"


def _write_text(buffer: common_pb2.DataBuffer, packet: Packet) -> str:
    fill_text(buffer.text, packet.expect(Text))
    return "text"


def _write_json(buffer: common_pb2.DataBuffer, packet: Packet) -> str:
    fill_json(buffer.json, packet.expect(Json))
    return "json"


def _write_binary(buffer: common_pb2.DataBuffer, packet: Packet) -> str:
    buffer.binary.SetInParent()  # also where there are no bytes, of no type
    fill_binary(buffer.binary, packet.expect(Binary))
    return "binary"


def _write_table(buffer: common_pb2.DataBuffer, packet: Packet) -> str:
    fill_table(buffer.binary, packet.expect(Table))
    return "binary"


def _write_file(buffer: common_pb2.DataBuffer, packet: Packet) -> str:
    fill_file(buffer.file, packet.expect(File))
    return "file"


def _write_control(buffer: common_pb2.DataBuffer, packet: Packet) -> str:
    fill_control(buffer.control, packet.expect(Control))
    return "control"


_WRITERS: Final[Mapping[type[Payload], Callable[[common_pb2.DataBuffer, Packet], str]]] = {
    Audio: _write_audio,
    Video: _write_video,
    Tensor: _write_tensor,
    Text: _write_text,
    Json: _write_json,
    Binary: _write_binary,
    Table: _write_table,
    File: _write_file,
    Control: _write_control,
}


def media_time_ns(value: int, unit_ns: int, field: str) -> int | None:
    """A media time in nanoseconds; None where none is given, which the wire says by 0.

    Args:
        value: as it came.
        unit_ns: nanoseconds to its unit.
        field: what it is called.

    Raises:
        InputError: no packet can have such a time.
    """
    if not value:
        return None
    if value * unit_ns >= TIMESTAMP_NS_MAX:
        raise InputError(f"{field} is {value}, which is later than any time there is")
    return value * unit_ns


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Refuse metadata that no packet can carry.

    Raises:
        InputError: it is too long.
    """
    try:
        pack_metadata(metadata)
    except EdgeError as error:
        raise InputError(
            f"metadata may have {METADATA_BYTES_MAX} bytes as JSON, an audio's metadata_json"
            " included: put large values into a buffer of their own"
        ) from error


def _annotations(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"audio: metadata_json is not UTF-8: {error.reason} at byte {error.start}"
        ) from error
