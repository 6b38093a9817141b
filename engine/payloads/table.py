"""Table: an Arrow record batch of any columns.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.payloads.base import PayloadBase

if TYPE_CHECKING:
    import pyarrow as pa

#: Key of the schema metadata that says which kind of payload a record batch is.
KIND_KEY = b"remotemedia.kind"

#: Column names that a repr shows.
_NAMES_SHOWN = 8


class Table(PayloadBase):
    """A record batch.

    Attributes:
        batch: the columns; Arrow never changes them. Its schema's metadata is the user's own.
    """

    __slots__ = ("batch",)

    def __init__(self, batch: Any) -> None:
        """Take a record batch, or make one.

        Args:
            batch: a pyarrow.RecordBatch or Table, or anything with the Arrow PyCapsule interface
                (`__arrow_c_array__` or `__arrow_c_stream__`: a DataFrame of pandas or Polars, a
                relation of DuckDB). Nothing is copied, but several batches become one. Arrow has no
                way to freeze memory: leave a frame alone whose columns are writable arrays.

        Raises:
            TypeError: it is nothing like that.
            ValueError: it is no table: an array without columns, or a stream that fails.
        """
        self.batch: pa.RecordBatch = _unmarked(one_batch(batch))

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.batch.num_rows)

    def __eq__(self, other: object) -> bool:
        if type(other) is not Table:
            return NotImplemented
        return bool(self.batch.equals(other.batch, check_metadata=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        names = self.batch.schema.names
        shown = ", ".join(f"{name:.40}" for name in names[:_NAMES_SHOWN])
        more = f", … ({len(names)} columns)" if len(names) > _NAMES_SHOWN else ""
        return f"Table({self.rows} rows: {shown}{more})"


def one_batch(source: Any) -> pa.RecordBatch:
    """The record batch something is or gives, see `Table`.

    Raises:
        TypeError: it is nothing like a table.
        ValueError: it fails to give one.
    """
    import pyarrow as pa

    if isinstance(source, pa.RecordBatch):
        return source
    if not hasattr(source, "__arrow_c_array__") and not hasattr(source, "__arrow_c_stream__"):
        raise TypeError(
            f"a Table takes a pyarrow.RecordBatch, or a table or frame that speaks the Arrow"
            f" PyCapsule interface, got {type(source).__name__}; try"
            " pyarrow.RecordBatch.from_pydict or from_pylist"
        )
    try:
        if hasattr(source, "__arrow_c_stream__"):
            return _combined(pa.table(source))
        return pa.record_batch(source)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise ValueError(f"{type(source).__name__} gives no table: {error}") from error


def _combined(table: pa.Table) -> pa.RecordBatch:
    import pyarrow as pa

    batches = table.combine_chunks().to_batches()
    if not batches:
        return pa.RecordBatch.from_pylist([], schema=table.schema)
    if len(batches) > 1:
        raise ValueError("it is too large for one record batch; send it in parts")
    return batches[0]


def _unmarked(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Without our kind mark, which says how a batch is read, not what is in it."""
    metadata = batch.schema.metadata
    if not metadata or KIND_KEY not in metadata:
        return batch
    own = {key: value for key, value in metadata.items() if key != KIND_KEY}
    return batch.replace_schema_metadata(own or None)
