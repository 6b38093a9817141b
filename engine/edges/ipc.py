"""Arrow IPC streams of one record batch: what lies in a slot.

Pure over memory. Source: FR-007; Apache Arrow IPC streaming format, version 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from engine.errors import EdgeError
from engine.payloads import arrow

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from engine.payloads import Payload

#: Arrow's pool would be threads in every worker, for one batch of uncompressed columns.
_ONE_THREAD = pa.ipc.IpcReadOptions(use_threads=False)
#: What pyarrow raises at what is no stream.
_UNREADABLE = (pa.ArrowException, OSError, TypeError, ValueError, RecursionError)


def to_arrow(payload: Payload) -> pa.RecordBatch:
    """The payload's Arrow form.

    Raises:
        EdgeError: it has none, see `engine.payloads.to_arrow`.
    """
    try:
        return arrow.to_arrow(payload)
    except (TypeError, ValueError) as error:
        raise EdgeError(str(error)) from error


def from_arrow(batch: pa.RecordBatch) -> Payload:
    """The payload a record batch of `to_arrow` stands for; arrays are views of its memory.

    Raises:
        EdgeError: not such a batch, or a damaged one.
    """
    try:
        return arrow.from_arrow(batch)
    except (TypeError, ValueError) as error:
        raise EdgeError(str(error)) from error


def write_stream(batch: pa.RecordBatch) -> pa.Buffer:
    """A record batch as an Arrow IPC stream.

    Raises:
        EdgeError: Arrow cannot write one of its types, or it is damaged.
    """
    for field in batch.schema:
        _check_writable(field.type)
    sink = pa.BufferOutputStream()
    try:
        batch.validate()  # what it takes for whole, Arrow writes without looking (0.2 µs)
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
    except pa.ArrowException as error:
        raise EdgeError(f"a record batch cannot be written: {error}") from error
    return sink.getvalue()


def _check_writable(dtype: pa.DataType) -> None:
    """Refuse what pyarrow would write and nobody could read.

    Raises:
        EdgeError: a dictionary whose values are a dictionary themselves.
    """
    if pa.types.is_dictionary(dtype):
        if pa.types.is_dictionary(dtype.value_type):
            raise EdgeError(
                "a dictionary-encoded column of dictionary-encoded values cannot be written as an"
                " Arrow stream: decode one of the two (dictionary_decode)"
            )
        _check_writable(dtype.value_type)
    for position in range(dtype.num_fields):
        _check_writable(dtype.field(position).type)


def read_stream(view: memoryview | npt.NDArray[np.uint8]) -> pa.RecordBatch:
    """The one record batch of an Arrow IPC stream; its columns are views of the memory.

    They keep the object alive that they are given.

    Raises:
        EdgeError: the memory holds no such stream.
    """
    try:
        with pa.ipc.open_stream(pa.py_buffer(view), options=_ONE_THREAD) as reader:
            return reader.read_next_batch()
    except (*_UNREADABLE, StopIteration) as error:
        raise EdgeError(
            f"a slot of {len(view)} bytes holds no Arrow IPC stream: {error}"
        ) from error
