"""The Arrow forms of Text, Json, Binary, File and Control: a row of plain values.

Pure over memory.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa

from engine.payloads.arrow_schema import Form, binary_of, row, schema_of
from engine.payloads.control import CONTROL_MESSAGES, Control
from engine.payloads.plain import Binary, File, Json, Text

_TEXT_SCHEMA = schema_of("text", text=pa.utf8(), language=pa.utf8(), channel=pa.utf8())
_JSON_SCHEMA = schema_of("json", value=pa.utf8(), schema_type=pa.utf8())
_BINARY_SCHEMA = schema_of("binary", data=pa.large_binary(), mime_type=pa.utf8())
_FILE_SCHEMA = schema_of(
    "file",
    path=pa.utf8(),
    filename=pa.utf8(),
    mime_type=pa.utf8(),
    size=pa.uint64(),
    offset=pa.uint64(),
    length=pa.uint64(),
    stream_id=pa.utf8(),
)
_CONTROL_SCHEMA = schema_of(
    "control",
    ("from_ns", "to_ns", "suggested_batch_size", "deadline_us", "metadata"),
    message=pa.utf8(),
    from_ns=pa.uint64(),
    to_ns=pa.uint64(),
    suggested_batch_size=pa.uint32(),
    deadline_us=pa.uint64(),
    segment_id=pa.utf8(),
    timestamp_ms=pa.uint64(),
    metadata=pa.utf8(),
)
_MESSAGE_NAMES = {cls: name for name, cls in CONTROL_MESSAGES.items()}


def _values(batch: pa.RecordBatch) -> list[Any]:
    return [column[0].as_py() for column in batch.columns]


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


def _dump_json(value: Any) -> str:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=_plain)
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can say and UTF-8 cannot
        return json.dumps(value, separators=(",", ":"), default=_plain)
    return text


def _text_to_arrow(text: Text) -> pa.RecordBatch:
    return row(_TEXT_SCHEMA, text.text, text.language, text.channel)


def _text_from_arrow(batch: pa.RecordBatch) -> Text:
    return Text(*_values(batch))


def _json_to_arrow(value: Json) -> pa.RecordBatch:
    return row(_JSON_SCHEMA, _dump_json(value.value), value.schema_type)


def _json_from_arrow(batch: pa.RecordBatch) -> Json:
    value, schema_type = _values(batch)
    return Json(json.loads(value), schema_type)


def _binary_to_arrow(binary: Binary) -> pa.RecordBatch:
    return row(_BINARY_SCHEMA, binary_of(binary.data), binary.mime_type)


def _binary_from_arrow(batch: pa.RecordBatch) -> Binary:
    return Binary(*_values(batch))


def _file_to_arrow(file: File) -> pa.RecordBatch:
    return row(_FILE_SCHEMA, *(getattr(file, name) for name in _FILE_SCHEMA.names))


def _file_from_arrow(batch: pa.RecordBatch) -> File:
    return File(*_values(batch))


def _control_to_arrow(control: Control) -> pa.RecordBatch:
    message = control.message
    columns: dict[str, Any] = dict.fromkeys(_CONTROL_SCHEMA.names)
    columns["message"] = _MESSAGE_NAMES[type(message)]
    columns.update({name: getattr(message, name) for name in message.__dataclass_fields__})
    columns["segment_id"] = control.segment_id
    columns["timestamp_ms"] = control.timestamp_ms
    if control.metadata is not None:
        columns["metadata"] = _dump_json(control.metadata)
    return row(_CONTROL_SCHEMA, *columns.values())


def _control_from_arrow(batch: pa.RecordBatch) -> Control:
    columns = dict(zip(batch.schema.names, _values(batch), strict=True))
    cls = CONTROL_MESSAGES.get(columns["message"])
    if cls is None:
        raise ValueError(f"an unknown control message {columns['message']!r:.60}")
    message = cls(**{name: columns[name] for name in cls.__dataclass_fields__})
    metadata = columns["metadata"]
    return Control(
        message,
        columns["segment_id"],
        columns["timestamp_ms"],
        None if metadata is None else json.loads(metadata),
    )


ROW_FORMS = {
    "text": Form((_TEXT_SCHEMA,), _text_to_arrow, _text_from_arrow),
    "json": Form((_JSON_SCHEMA,), _json_to_arrow, _json_from_arrow),
    "binary": Form((_BINARY_SCHEMA,), _binary_to_arrow, _binary_from_arrow),
    "file": Form((_FILE_SCHEMA,), _file_to_arrow, _file_from_arrow),
    "control": Form((_CONTROL_SCHEMA,), _control_to_arrow, _control_from_arrow),
}
