"""Payloads that may be held for long: copied out of memory that somebody lends.

Pure: no I/O, no clock. Source: FR-007. A view of shared memory keeps its place there, which the
producer then lacks.
"""

from __future__ import annotations

import copy
import mmap
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from engine.payloads.audio import Audio
from engine.payloads.table import Table
from engine.payloads.tensor import Tensor
from engine.payloads.video import Video

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    import pyarrow as pa

    from engine.payloads import Payload

#: Payload kind → its attribute that is an array.
_ARRAYS: Final = {Audio: "samples", Video: "pixels", Tensor: "array"}


def keep(payload: Payload) -> Payload:
    """The payload without a view of shared memory: itself, or a copy.

    Of a Table it cannot be told whose memory its columns are views of: it is copied if they are
    views of anything.
    """
    attribute = _ARRAYS.get(type(payload))
    if attribute is not None:
        array = getattr(payload, attribute)
        return _with_own_array(payload, attribute, array) if _is_mapped(array) else payload
    if type(payload) is Table and any(buffer.parent for buffer in _buffers(payload.batch)):
        return Table(_rewritten(payload.batch))
    return payload


def _with_own_array(payload: Payload, attribute: str, array: npt.NDArray[Any]) -> Payload:
    own = array.copy()
    own.flags.writeable = False
    kept = copy.copy(payload)
    setattr(kept, attribute, own)
    return kept


def _is_mapped(array: npt.NDArray[Any]) -> bool:
    """Whether an array is a view of mapped memory: of an arena."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, memoryview) and isinstance(base.obj, mmap.mmap)


def _buffers(batch: pa.RecordBatch) -> Iterator[pa.Buffer]:
    for column in batch.columns:
        yield from (buffer for buffer in column.buffers() if buffer is not None)
        if hasattr(column, "dictionary"):
            yield from (buffer for buffer in column.dictionary.buffers() if buffer is not None)


def _rewritten(batch: pa.RecordBatch) -> pa.RecordBatch:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return pa.ipc.open_stream(sink.getvalue()).read_next_batch()
