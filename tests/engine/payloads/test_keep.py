"""engine.payloads.keep: what may be held for long lies in memory of its own."""

import mmap

import numpy as np
import pyarrow as pa
import pytest

from engine.payloads import Audio, Binary, Json, Table, Tensor, Text, Video
from engine.payloads.keep import keep


def mapped(values):
    """The values as a read-only array in mapped memory, as a receiver leases them."""
    values = np.ascontiguousarray(values)
    memory = mmap.mmap(-1, values.nbytes)
    memory[:] = values.tobytes()
    view = memoryview(memory).toreadonly()
    return np.frombuffer(view, values.dtype).reshape(values.shape), memory


def leased():
    samples, _ = mapped(np.arange(8, dtype=np.float32).reshape(4, 2))
    pixels, _ = mapped(np.arange(24, dtype=np.uint8).reshape(2, 4, 3))
    array, _ = mapped(np.arange(6, dtype=np.int64).reshape(2, 3))
    return [
        (Audio(samples, 48_000), "samples"),
        (Video(pixels, frame_number=7), "pixels"),
        (Tensor(array, "HW"), "array"),
    ]


@pytest.mark.parametrize(("payload", "attribute"), leased(), ids=["audio", "video", "tensor"])
def test_a_view_of_mapped_memory_is_copied(payload, attribute):
    kept = keep(payload)
    assert kept == payload
    assert kept is not payload
    array = getattr(kept, attribute)
    assert not np.shares_memory(array, getattr(payload, attribute))
    assert not array.flags.writeable
    assert keep(kept) is kept


def test_a_slice_of_a_view_is_copied_too():
    samples, _ = mapped(np.arange(8, dtype=np.float32).reshape(4, 2))
    payload = Audio(samples[1:3], 8_000)
    assert keep(payload) is not payload


def test_the_mapping_can_be_closed_once_only_kept_payloads_live():
    samples, memory = mapped(np.arange(8, dtype=np.float32).reshape(4, 2))
    kept = keep(Audio(samples, 8_000))
    del samples
    memory.close()  # BufferError while a view lives
    assert kept.frames == 4


@pytest.mark.parametrize(
    "payload",
    [
        Audio(np.zeros(4, np.float32), 8_000),
        Audio(np.zeros(8, np.float32)[2:6], 8_000),
        Tensor(np.frombuffer(b"12345678", np.int64)),
        Text("x"),
        Json({"a": [1]}),
        Binary(b"x"),
        Table(pa.RecordBatch.from_pydict({"a": [1, 2]})),
    ],
    ids=["array", "slice", "bytes", "text", "json", "binary", "table"],
)
def test_what_has_memory_of_its_own_stays_itself(payload):
    assert keep(payload) is payload


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1, 2, None]),
        pa.array(["a", None, "c"]),
        pa.array([[1], [], [2, 3]]),
        pa.array(["a", "b", "a"]).dictionary_encode(),
    ],
    ids=["numbers", "texts", "lists", "dictionary"],
)
def test_a_table_of_views_is_copied(column):
    batch = pa.RecordBatch.from_arrays([column], ["a"]).replace_schema_metadata({"mine": "1"})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    stream, memory = mapped(np.frombuffer(sink.getvalue().to_pybytes(), np.uint8))
    table = Table(pa.ipc.open_stream(pa.py_buffer(stream)).read_next_batch())
    kept = keep(table)
    assert kept == table
    del table, stream
    memory.close()
    assert kept.batch.equals(batch, check_metadata=True)
