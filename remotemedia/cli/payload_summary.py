"""What a Video, Tensor, File, Table or Control says of itself, without its data. Source: FR-006."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from engine.payloads import Control, File, Table, Tensor, Video

if TYPE_CHECKING:
    from engine.payloads import Payload

#: The kinds that are summed up rather than written down.
Summed: TypeAlias = Video | Tensor | File | Table | Control

#: Columns of a table that are named.
_COLUMNS_MAX: Final = 50


def summary(payload: Summed) -> dict[str, Any]:
    """The payload's fields as JSON-compatible data; of an array or a table, its measures."""
    match payload:
        case Video():
            names = ("format", "width", "height", "frame_number", "codec", "keyframe")
            fields = {name: getattr(payload, name) for name in names}
            return {**fields, "bytes": payload.pixels.nbytes}
        case Tensor():
            shape, dtype = list(payload.array.shape), str(payload.array.dtype)
            return {"shape": shape, "dtype": dtype, "layout": payload.layout}
        case File():
            return dataclasses.asdict(payload)
        case Table():
            schema = payload.batch.schema
            shown = list(schema)[:_COLUMNS_MAX]
            columns = {field.name: str(field.type) for field in shown}
            return {"rows": payload.rows, "columns": columns, "columns_total": len(schema)}
        case Control():
            message = dataclasses.asdict(payload.message)
            name = type(payload.message).__name__
            rest = ("segment_id", "timestamp_ms", "metadata")
            return {"message": {name: message}} | {key: getattr(payload, key) for key in rest}


def summary_line(payload: Payload) -> str:
    """The payload as one short line for people."""
    match payload:
        case File():
            return payload.path
        case Control():
            return repr(payload.message)
        case _:
            return repr(payload)
