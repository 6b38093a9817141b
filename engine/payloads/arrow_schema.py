"""What the Arrow forms of single-row payloads are made of.

Pure over memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

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
        value if isinstance(value, pa.Array) else pa.array([value], field.type)
        for value, field in zip(values, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def list_of(values: Any, dtype: pa.DataType) -> pa.Array:
    """A column of one row whose only value is a list.

    Args:
        values: a contiguous flat array; the column is a view of its memory.
        dtype: Arrow's name for what it consists of.
    """
    count = len(values)
    flat = pa.Array.from_buffers(dtype, count, [None, pa.py_buffer(values)])
    return pa.ListArray.from_arrays(pa.array([0, count], pa.int32()), flat)


def binary_of(data: bytes) -> pa.Array:
    """A column of one row whose only value is a view of the bytes."""
    offsets = pa.py_buffer((0).to_bytes(8, "little") + len(data).to_bytes(8, "little"))
    return pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, pa.py_buffer(data)])
