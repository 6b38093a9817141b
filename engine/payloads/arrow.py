"""The Arrow form of every payload.

Pure over memory. Source: FR-007; Apache Arrow columnar format.

A record batch of one row, whose schema's metadata says the kind (`remotemedia.kind`):

    audio    sample_rate: int32 · channels: int32 · samples: list<float32 | int16 | int32>,
             interleaved
    video    frame_number: uint64 · keyframe: bool · width: uint32 · height: uint32 · format: utf8 ·
             codec: utf8 · pixels: list<uint8>
    tensor   layout: utf8 · dtype: utf8 (numpy's name) · shape: list<int64> · values: list<…>, a
             bool as uint8, a complex number as two floats
    text     text: utf8 · language: utf8 · channel: utf8
    json     value: utf8 (JSON) · schema_type: utf8
    binary   data: large_binary · mime_type: utf8
    file     path: utf8 · filename: utf8 · mime_type: utf8 · size: uint64 · offset: uint64 ·
             length: uint64 · stream_id: utf8
    control  message: utf8 (its name) · from_ns: uint64 · to_ns: uint64 ·
             suggested_batch_size: uint32 · deadline_us: uint64 · segment_id: utf8 ·
             timestamp_ms: uint64 · metadata: utf8 (JSON); what another message has is null
    table    the batch itself: its own columns, rows and metadata

A batch without the mark is somebody else's table, and reads as a Table.

What is large is never copied on the way here: samples, pixels, values and bytes are views of the
payload's memory. On the way back arrays and tables are views of the batch's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from engine.payloads import KIND_NAMES
from engine.payloads.arrow_numeric import NUMERIC_FORMS
from engine.payloads.arrow_rows import ROW_FORMS
from engine.payloads.table import KIND_KEY, Table, one_batch

if TYPE_CHECKING:
    from engine.payloads import Payload

_FORMS = {**NUMERIC_FORMS, **ROW_FORMS}

#: What pyarrow, json and our constructors raise at what they cannot read or write.
_UNREADABLE = (pa.ArrowException, OSError, TypeError, ValueError, RecursionError, OverflowError)


def to_arrow(payload: Payload) -> pa.RecordBatch:
    """The payload's Arrow form.

    Raises:
        ValueError: it has none: a Json value that JSON cannot express, text that is no Unicode, a
            number that is too large for its column.
        TypeError: it is no payload.
    """
    if type(payload) is Table:
        return _marked(payload.batch)
    kind = KIND_NAMES.get(type(payload))
    if kind is None:
        raise TypeError(f"{type(payload).__name__} is not a payload")
    try:
        batch: pa.RecordBatch = _FORMS[kind].to_arrow(payload)
    except _UNREADABLE as error:
        raise ValueError(f"this {kind} payload has no Arrow form: {error}") from error
    return batch


def from_arrow(batch: Any) -> Payload:
    """The payload a record batch of `to_arrow` stands for; arrays are views of its memory.

    Args:
        batch: a pyarrow.RecordBatch, or whatever a Table can be made of.

    Raises:
        ValueError: it is damaged, or of a kind that is not known here.
        TypeError: it is no record batch.
    """
    batch = one_batch(batch)
    try:
        batch.validate(full=True)
        kind = _kind_of(batch)
        if kind in {None, "table"}:
            for field in batch.schema:
                _check_names(field)
            return Table(batch)
        form = _FORMS.get(str(kind))
        if form is None:
            raise ValueError(f"a record batch of an unknown kind {kind!r}")
        _check_row(batch, str(kind), form.schemas)
        payload: Payload = form.from_arrow(batch)
    except _UNREADABLE as error:
        raise ValueError(f"damaged record batch: {error}") from error
    return payload


def _kind_of(batch: pa.RecordBatch) -> str | None:
    mark: bytes | None = (batch.schema.metadata or {}).get(KIND_KEY)
    return None if mark is None else mark.decode(errors="replace")


def _marked(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.replace_schema_metadata({**(batch.schema.metadata or {}), KIND_KEY: b"table"})


def _check_names(field: pa.Field) -> None:
    """Read all names below a field: Arrow checks no name, and whoever looks at one would fail.

    Raises:
        UnicodeDecodeError: one is not UTF-8.
    """
    dtype = field.type
    _ = field.name, getattr(dtype, "tz", None)
    for position in range(dtype.num_fields):
        _check_names(dtype.field(position))


def _check_row(batch: pa.RecordBatch, kind: str, schemas: tuple[pa.Schema, ...]) -> None:
    if batch.num_rows != 1 or not any(map(batch.schema.equals, schemas)):
        raise ValueError(
            f"not a {kind} payload's: {batch.num_rows} rows of {', '.join(batch.schema.names)}"
        )
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if column.null_count and not field.nullable:
            raise ValueError(f"{kind}'s {field.name} is missing")
