"""TextBuffer, JsonData, BinaryBuffer and FileBuffer ↔ Text, Json, Binary and File.

Pure: no I/O, no clock. A Table, for which the wire has no kind, leaves as a BinaryBuffer.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from engine.errors import ResourceLimitError
from engine.payloads import Binary, File, Json, Table, Text
from transports.rpc.conversion.faults import as_input_error
from transports.rpc.errors import InputError

if TYPE_CHECKING:
    from protos.remotemedia.v1 import common_pb2

#: The MIME type of an Arrow IPC stream.
ARROW_STREAM: Final = "application/vnd.apache.arrow.stream"
#: Who text is for where nobody says so.
_DEFAULT_CHANNEL: Final = "tts"
#: Spelling of a text's encoding, in lower case with hyphens → Python's name of it.
_ENCODINGS: Final = {
    "": "utf-8",
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "ascii": "ascii",
    "us-ascii": "ascii",
    "utf-16": "utf-16",
    "utf16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16-le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "utf-16-be": "utf-16-be",
    "latin-1": "latin-1",
    "latin1": "latin-1",
    "iso-8859-1": "latin-1",
    "windows-1252": "cp1252",
    "cp1252": "cp1252",
}


def text_from(buffer: common_pb2.TextBuffer) -> Text:
    """The payload of a TextBuffer.

    Raises:
        InputError: it is no text in its encoding, or there is no such encoding.
    """
    encoding = _ENCODINGS.get(buffer.encoding.lower().replace("_", "-"))
    if encoding is None:
        raise InputError(
            f"text: encoding {buffer.encoding[:40]!r} is not known; send UTF-8 (or one of"
            f" {', '.join(sorted({*_ENCODINGS.values()} - {'utf-8'}))})"
        )
    try:
        text = buffer.text_data.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            f"text: text_data is not {encoding}: {error.reason} at byte {error.start}"
        ) from error
    return Text(text, buffer.language, buffer.channel or _DEFAULT_CHANNEL)


def fill_text(buffer: common_pb2.TextBuffer, payload: Text) -> None:
    """Write a payload into an empty TextBuffer, in UTF-8.

    Raises:
        ValueError: UTF-8 cannot say the text.
    """
    buffer.text_data = payload.text.encode()
    buffer.encoding = "utf-8"
    buffer.language = payload.language
    buffer.channel = payload.channel


def json_from(data: common_pb2.JsonData, containers_max: int | None = None) -> Json:
    """The payload of a JsonData.

    Args:
        data: the message.
        containers_max: see `loads`.

    Raises:
        InputError: it is not JSON.
        ResourceLimitError: it has more lists and objects than it may have.
    """
    return Json(loads(data.json_payload, "json: json_payload", containers_max), data.schema_type)


def fill_json(data: common_pb2.JsonData, payload: Json) -> None:
    """Write a payload into an empty JsonData.

    Raises:
        ValueError, TypeError: JSON cannot say the value.
    """
    data.json_payload = dumps(payload.value)
    data.schema_type = payload.schema_type


def binary_from(buffer: common_pb2.BinaryBuffer) -> Binary:
    """The payload of a BinaryBuffer."""
    return Binary(buffer.data, buffer.mime_type)


def fill_binary(buffer: common_pb2.BinaryBuffer, payload: Binary) -> None:
    """Write a payload into an empty BinaryBuffer."""
    buffer.data = payload.data
    buffer.mime_type = payload.mime_type


def fill_table(buffer: common_pb2.BinaryBuffer, payload: Table) -> None:
    """Write a payload, for which the wire has no kind, as an Arrow IPC stream."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, payload.batch.schema) as writer:
        writer.write_batch(payload.batch)
    buffer.data = sink.getvalue().to_pybytes()
    buffer.mime_type = ARROW_STREAM


def file_from(buffer: common_pb2.FileBuffer) -> File:
    """The payload of a FileBuffer.

    Raises:
        InputError: it names no path, or a part that lies outside the file.
    """
    with as_input_error("file"):
        return File(
            buffer.path,
            buffer.filename,
            buffer.mime_type,
            buffer.size,
            buffer.offset,
            buffer.length,
            buffer.stream_id,
        )


def fill_file(buffer: common_pb2.FileBuffer, payload: File) -> None:
    """Write a payload into an empty FileBuffer."""
    buffer.path = payload.path
    buffer.filename = payload.filename
    buffer.mime_type = payload.mime_type
    buffer.size = payload.size
    buffer.offset = payload.offset
    buffer.length = payload.length
    buffer.stream_id = payload.stream_id


def loads(text: str, what: str, containers_max: int | None = None) -> Any:
    """The value of a JSON text.

    Args:
        text: the text.
        what: the field it stands in.
        containers_max: lists and objects it may have; their brackets are counted, also where they
            stand in strings. They take 25 times the memory of their text, and time in which the
            interpreter does nothing else. None: any number.

    Raises:
        InputError: it is not JSON, or nested too deep, or a number is too large for a float.
        ResourceLimitError: it has more lists and objects than that.
    """

    def finite(number: str) -> float:
        value = float(number)
        if math.isinf(value):  # JSON could not say it again
            raise InputError(f"{what}: the number {number[:20]} is too large for a float")
        return value

    if containers_max is not None and len(text) > containers_max:
        count = text.count("[") + text.count("{")
        if count > containers_max:
            raise ResourceLimitError(
                f"{what} has {count:,} lists and objects, and {containers_max:,} are allowed: send"
                " arrays as tensors, or less at a time",
                limit=containers_max,
                requested=count,
            )
    try:
        return json.loads(text, parse_float=finite, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise InputError(f"{what} is nested too deep") from error
    except ValueError as error:
        raise InputError(f"{what} is not JSON: {error}") from error


def dumps(value: Any) -> str:
    """A value as JSON text that every parser reads: no NaN, no lone surrogates.

    Raises:
        ValueError, TypeError: JSON cannot say it.
    """
    try:
        text = _ENCODER.encode(value)
        text.encode()
    except RecursionError as error:
        raise ValueError("the value is nested too deep for JSON") from error
    except UnicodeEncodeError:
        return _ASCII_ENCODER.encode(value)
    return text


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _plain(value: Any) -> Any:
    """Numpy's numbers and arrays as JSON has them.

    Raises:
        TypeError: it is something else that JSON cannot say.
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is nothing that JSON can say")


_OPTIONS: Final[dict[str, Any]] = {
    "separators": (",", ":"),
    "allow_nan": False,
    "default": _plain,
}
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, **_OPTIONS)
_ASCII_ENCODER: Final = json.JSONEncoder(ensure_ascii=True, **_OPTIONS)
