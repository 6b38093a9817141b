"""What the Arrow forms of single-row payloads are made of.

Pure over memory.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from engine.payloads.table import KIND_KEY

if TYPE_CHECKING:
    from collections.abc import Callable


class Form(NamedTuple):
    """How a kind is written and read.

    Attributes:
        schemas: those a batch of this kind may have.
        to_arrow: payload → record batch of one row.
        from_arrow: a batch of one of the schemas, validated, without nulls where none may be →
            payload.
    """

    schemas: tuple[pa.Schema, ...]
    to_arrow: Callable[[Any], pa.RecordBatch]
    from_arrow: Callable[[pa.RecordBatch], Any]


def schema_of(kind: str, nullable: tuple[str, ...] = (), **columns: pa.DataType) -> pa.Schema:
    """The schema of a kind, with its mark."""
    fields = [pa.field(name, dtype, nullable=name in nullable) for name, dtype in columns.items()]
    return pa.schema(fields, metadata={KIND_KEY: kind.encode()})


def row(schema: pa.Schema, *values: Any) -> pa.RecordBatch:
    """A batch of one row.

    Args:
        schema: the batch's.
        values: one for each column: a Python value, or a column of one row.

    Raises:
        TypeError, ValueError, OverflowError, pyarrow.ArrowException: a value does not fit.
    """
    columns = [
        value if isinstance(value, pa.Array) else _column_of(value, field.type)
        for value, field in zip(values, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _column_of(value: Any, dtype: pa.DataType) -> pa.Array:
    """A column of one value.

    Not by pa.array: where pandas is installed, that loads it, which takes a second of the first
    packet's time.
    """
    if value is None:
        return pa.nulls(1, dtype)
    if dtype == pa.utf8():
        data = str.encode(value)
        return pa.Array.from_buffers(dtype, 1, [None, _offsets(len(data)), pa.py_buffer(data)])
    if dtype == pa.bool_():
        return pa.Array.from_buffers(dtype, 1, [None, pa.py_buffer(bytes([bool(value)]))])
    if pa.types.is_list(dtype):
        return list_of(np.array(value, np.int64), dtype.value_type)
    size_bytes, signed = dtype.bit_width // 8, pa.types.is_signed_integer(dtype)
    number = operator.index(value).to_bytes(size_bytes, "little", signed=signed)
    return pa.Array.from_buffers(dtype, 1, [None, pa.py_buffer(number)])


def _offsets(end: int) -> pa.Buffer:
    """Where the only value of a column begins and ends."""
    return pa.py_buffer(bytes(4) + end.to_bytes(4, "little", signed=True))


def list_of(values: Any, dtype: pa.DataType) -> pa.Array:
    """A column of one row whose only value is a list.

    Args:
        values: a contiguous flat array; the column is a view of its memory.
        dtype: Arrow's name for what it consists of.
    """
    count = len(values)
    flat = pa.Array.from_buffers(dtype, count, [None, pa.py_buffer(values)])
    offsets = pa.Array.from_buffers(pa.int32(), 2, [None, _offsets(count)])
    return pa.ListArray.from_arrays(offsets, flat)


def binary_of(data: bytes) -> pa.Array:
    """A column of one row whose only value is a view of the bytes."""
    offsets = pa.py_buffer((0).to_bytes(8, "little") + len(data).to_bytes(8, "little"))
    return pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, pa.py_buffer(data)])
