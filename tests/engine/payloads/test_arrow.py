"""engine.payloads.arrow: every payload is Arrow, and comes back from it; damage is a ValueError."""

from __future__ import annotations

import contextlib
import math

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.payloads import (
    KINDS,
    Audio,
    BatchHint,
    Binary,
    Control,
    Json,
    Table,
    Tensor,
    Text,
    Video,
    from_arrow,
    kind_of,
    to_arrow,
)
from engine.payloads import arrow_numeric as numeric
from engine.payloads import arrow_rows as rows
from engine.payloads.arrow import to_arrow as arrow_of
from tests.engine.payloads.strategies import EXAMPLES, PAYLOADS, same

MARK = b"remotemedia.kind"

# --------------------------------------------------------------------------------- round trips


@given(PAYLOADS)
def test_every_payload_survives_its_arrow_form(payload):
    batch = to_arrow(payload)
    batch.validate(full=True)
    assert same(from_arrow(batch), payload)
    assert same(type(payload).from_arrow(payload.to_arrow()), payload)
    assert batch.schema.metadata[MARK].decode() == kind_of(payload)
    assert batch.num_rows == (payload.rows if type(payload) is Table else 1)


@given(PAYLOADS)
def test_every_payload_survives_the_capsule_interface(payload):
    assert same(from_arrow(pa.record_batch(payload)), payload)
    assert same(from_arrow(pa.table(payload)), payload)
    assert pa.schema(payload).equals(to_arrow(payload).schema, check_metadata=True)


def test_a_class_takes_its_own_kind_only():
    for kind, cls in KINDS.items():
        other = EXAMPLES["text" if kind != "text" else "json"]
        with pytest.raises(ValueError, match=f"not {cls.__name__}"):
            cls.from_arrow(other.to_arrow())


def base_address(array):
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize(
    ("payload", "array_of"),
    [
        (Audio(np.zeros((500, 2), np.int32), 8000), lambda audio: audio.samples),
        (Video(np.zeros((40, 60, 3), np.uint8)), lambda video: video.pixels),
        (Video(bytes(100), "encoded", 4, 4, codec="vp8"), lambda video: video.pixels),
        (Tensor(np.zeros((5, 6), np.float16)), lambda tensor: tensor.array),
        (Tensor(np.zeros((5, 6), bool)), lambda tensor: tensor.array),
        (Tensor(np.zeros((5, 6), np.complex64)), lambda tensor: tensor.array),
    ],
    ids=lambda value: repr(value) if not callable(value) else "",
)
def test_arrays_are_views_both_ways(payload, array_of):
    batch = payload.to_arrow()
    address = base_address(array_of(payload))
    assert batch.columns[-1].values.buffers()[1].address == address
    back = array_of(from_arrow(batch))
    assert base_address(back) == address
    assert not back.flags.writeable


def test_bytes_are_a_view_in_arrow():
    data = bytes(1000)
    column = Binary(data).to_arrow().column("data")
    assert column.buffers()[2].address == pa.py_buffer(data).address
    assert column.to_pylist() == [data]


def test_a_table_is_its_own_columns_both_ways():
    table = EXAMPLES["table"]
    for batch in (table.to_arrow(), from_arrow(table.to_arrow()).batch):
        for ours, theirs in zip(table.batch.columns, batch.columns, strict=True):
            for one, other in zip(ours.buffers(), theirs.buffers(), strict=True):
                assert (one and one.address) == (other and other.address)


def test_an_array_outlives_the_payload_it_came_from():
    array = Tensor(np.arange(1000.0)).to_arrow().columns[-1]
    assert array.flatten().to_pylist() == list(range(1000))


def test_a_tables_own_metadata_survives():
    batch = pa.RecordBatch.from_pydict({"a": [1]}).replace_schema_metadata({"who": "me"})
    marked = Table(batch).to_arrow()
    assert marked.schema.metadata == {b"who": b"me", MARK: b"table"}
    assert from_arrow(marked).batch.schema.metadata == {b"who": b"me"}
    unmarked = from_arrow(Table(pa.RecordBatch.from_pydict({"a": [1]})).to_arrow())
    assert unmarked.batch.schema.metadata is None


def test_a_batch_without_our_mark_is_a_table():
    batch = pa.RecordBatch.from_pydict({"text": ["a"], "language": [""], "channel": [""]})
    assert from_arrow(batch) == Table(batch)
    assert from_arrow(pl.DataFrame({"a": [1]})).batch.to_pydict() == {"a": [1]}


def test_json_keeps_what_python_allows_beyond_json():
    assert from_arrow(to_arrow(Json([math.inf, "\ud800"]))) == Json([math.inf, "\ud800"])
    assert math.isnan(from_arrow(to_arrow(Json(math.nan))).value)


def test_samples_are_the_lists_own_not_all_of_its_values():
    flat = pa.array(np.arange(10, dtype=np.int16))
    samples = pa.ListArray.from_arrays(pa.array([2, 6], pa.int32()), flat)
    columns = [pa.array([8000], pa.int32()), pa.array([2], pa.int32()), samples]
    batch = pa.RecordBatch.from_arrays(columns, schema=numeric._AUDIO_SCHEMAS["int16"])
    assert from_arrow(batch).samples.tolist() == [[2, 3], [4, 5]]


# --------------------------------------------------------------------------------- other readers

#: kind → columns as Python values, as any reader of Arrow should see them.
SEEN = {
    "audio": {"sample_rate": 16_000, "channels": 2, "samples": [0, 1, 2, 3, 4, 5]},
    "video": {
        "frame_number": 7,
        "keyframe": True,
        "width": 6,
        "height": 4,
        "format": "rgb24",
        "codec": "",
        "pixels": list(range(72)),
    },
    "tensor": {
        "layout": "HW",
        "dtype": "float32",
        "shape": [2, 3],
        "values": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0],
    },
    "text": {"text": "hé" * 20, "language": "de", "channel": "ui"},
    "json": {"value": '{"a":[1,2,{"b":null}]}', "schema_type": "s"},
    "binary": {"data": b"\0\1" * 100, "mime_type": "x/y"},
    "file": {
        "path": "/a/b.wav",
        "filename": "b.wav",
        "mime_type": "audio/wav",
        "size": 1000,
        "offset": 10,
        "length": 20,
        "stream_id": "s1",
    },
    "table": {"n": [1, None, 3], "word": ["a", "b", None]},
    "control": {
        "message": "cancel_speculation",
        "from_ns": 5,
        "to_ns": 9,
        "suggested_batch_size": None,
        "deadline_us": None,
        "segment_id": "segment",
        "timestamp_ms": 12,
        "metadata": '{"why":"barge-in"}',
    },
}


def plain(value):
    """A cell as a Python value: missing ones as None, arrays as lists."""
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    value = value.item() if isinstance(value, np.generic) else value
    missing = value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))
    return None if missing else value


def check_seen(kind, columns):
    """Columns (name → cells) say what SEEN does."""
    cells = {name: [plain(value) for value in values] for name, values in columns.items()}
    assert cells == {
        name: value if kind == "table" else [value] for name, value in SEEN[kind].items()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_pandas_reads_a_payload_as_it_is(kind):
    frame = pd.DataFrame.from_arrow(EXAMPLES[kind])
    check_seen(kind, {name: list(frame[name]) for name in frame.columns})


@pytest.mark.parametrize("kind", KINDS)
def test_polars_reads_a_payload_as_it_is(kind):
    check_seen(kind, pl.DataFrame(EXAMPLES[kind]).to_dict(as_series=False))


@pytest.mark.parametrize("kind", KINDS)
def test_duckdb_reads_a_payload_as_it_is(kind):
    payload = EXAMPLES[kind]
    with duckdb.connect() as connection:
        connection.register("payload", payload)
        result = connection.execute("select * from payload")
        names = [column[0] for column in result.description]
        found = result.fetchall()
    check_seen(kind, dict(zip(names, zip(*found, strict=True), strict=True)))


# --------------------------------------------------------------------------------- no Arrow form


def deep_list(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (Json({1, 2}), r"this json payload has no Arrow form: set is nothing that JSON can say"),
        (Json({(1, 2): 3}), r"keys must be str"),
        (Json(deep_list(100_000)), r"this json payload has no Arrow form"),
        (Text("\ud800"), r"this text payload has no Arrow form: .*surrogates"),
        (Text("a", "\udfff"), r"surrogates"),
        (Audio(np.zeros(3, np.float32), 3_000_000_000), r"this audio payload has no Arrow form"),
        (Control(BatchHint(1), metadata={1, 2}), r"this control payload has no Arrow form"),
        (Tensor(np.zeros(1), "\ud800"), r"this tensor payload has no Arrow form"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_arrow_form_says_so(payload, message):
    with pytest.raises(ValueError, match=message):
        to_arrow(payload)


def test_what_is_no_payload_has_no_arrow_form():
    with pytest.raises(TypeError, match="str is not a payload"):
        arrow_of("words")


# --------------------------------------------------------------------------------- damage


def batch(schema, *values, metadata=None):
    arrays = [pa.array([value], field.type) for value, field in zip(values, schema, strict=True)]
    if metadata is not None:
        schema = schema.with_metadata(metadata)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def schema(kind, **columns):
    fields = [pa.field(name, dtype, nullable=False) for name, dtype in columns.items()]
    return pa.schema(fields, metadata={"remotemedia.kind": kind})


AUDIO = numeric._AUDIO_SCHEMAS["int16"]
TENSOR = numeric._TENSOR_SCHEMAS["float32"]
VIDEO = numeric._VIDEO_SCHEMA
TEXT, JSON, FILE, CONTROL = (
    rows._TEXT_SCHEMA,
    rows._JSON_SCHEMA,
    rows._FILE_SCHEMA,
    rows._CONTROL_SCHEMA,
)
BAD_OFFSETS = pa.RecordBatch.from_arrays(
    [
        pa.Array.from_buffers(
            pa.utf8(),
            2,
            [None, pa.py_buffer(np.array([0, 2**30, 3], np.int32)), pa.py_buffer(b"abc")],
        )
    ],
    ["a"],
)
DAMAGED = {
    "columns missing": batch(schema("text", text=pa.utf8()), "short of columns"),
    "an unknown kind": batch(schema("hologram", text=pa.utf8()), "?"),
    "a mark that is no text": batch(TEXT, "a", "b", "c", metadata={MARK: b"\xff"}),
    "other types": batch(
        schema("text", text=pa.int32(), language=pa.utf8(), channel=pa.utf8()), 5, "", ""
    ),
    "a missing text": batch(TEXT, "a", None, "c"),
    "no JSON": batch(JSON, "{not json", ""),
    "deep JSON": batch(JSON, "[" * 100_000 + "]" * 100_000, ""),
    "no channels": batch(AUDIO, 8000, 0, [1, 2]),
    "fewer channels": batch(AUDIO, 8000, -1, [1, 2]),
    "an odd channel": batch(AUDIO, 8000, 3, [1, 2]),
    "no rate": batch(AUDIO, 0, 1, [1, 2]),
    "a missing rate": batch(AUDIO, None, 1, [1, 2]),
    "missing samples": batch(AUDIO, 8000, 1, None),
    "a missing sample": batch(AUDIO, 8000, 1, [1, None]),
    "samples of another type": batch(
        schema("audio", sample_rate=pa.int32(), channels=pa.int32(), samples=pa.list_(pa.int64())),
        8000,
        1,
        [1],
    ),
    "too few pixels": batch(VIDEO, 0, True, 2, 2, "gray8", "", [1, 2, 3]),
    "no width": batch(VIDEO, 0, True, 0, 2, "gray8", "", []),
    "no format": batch(VIDEO, 0, True, 2, 2, "", "", [1, 2, 3, 4]),
    "no codec": batch(VIDEO, 0, True, 2, 2, "encoded", "", [1, 2, 3, 4]),
    "another shape": batch(TENSOR, "", "float32", [3], [1, 2]),
    "a negative shape": batch(TENSOR, "", "float32", [-1, -2], [1, 2]),
    "a huge empty shape": batch(TENSOR, "", "float32", [2**62, 2**62, 0], []),
    "too many axes": batch(TENSOR, "", "float32", [1] * 70, [1]),
    "a missing axis": batch(TENSOR, "", "float32", [None], [1]),
    "another dtype": batch(TENSOR, "", "int32", [2], [1, 2]),
    "a dtype that is code": batch(TENSOR, "", "O", [2], [1, 2]),
    "no path": batch(FILE, "", "", "", 0, 0, 0, ""),
    "an unknown message": batch(CONTROL, "stop", 0, 0, 0, 0, "", 0, ""),
    "a message without its fields": batch(CONTROL, "batch_hint", 0, 0, None, 0, "", 0, None),
    "a message out of range": batch(CONTROL, "batch_hint", 0, 0, 0, 0, "", 0, None),
    "metadata that is no JSON": batch(CONTROL, "batch_hint", 0, 0, 1, 0, "", 0, "{"),
    "no row": to_arrow(Text("two"))[:0],
    "two rows": pa.concat_batches([to_arrow(Text("two"))] * 2),
    "a bad offset": BAD_OFFSETS,
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_batch_is_a_value_error(what):
    with pytest.raises(ValueError, match=r"damaged record batch"):
        from_arrow(DAMAGED[what])


def test_what_is_no_batch_is_a_type_error():
    with pytest.raises(TypeError, match="got dict"):
        from_arrow({"a": [1]})


@given(st.sampled_from(sorted(EXAMPLES)), st.data())
def test_columns_swapped_for_others_are_a_value_error_or_a_payload(kind, data):
    own = to_arrow(EXAMPLES[kind])
    strange = [
        pa.array([value], field.type) if value is not None else pa.nulls(1, field.type)
        for field in own.schema
        for value in [data.draw(cell(field.type), label=field.name)]
    ]
    changed = pa.RecordBatch.from_arrays(strange, schema=own.schema)
    with contextlib.suppress(ValueError):
        payload = from_arrow(changed)
        assert repr(payload)
        assert same(from_arrow(to_arrow(payload)), payload)


def cell(dtype):
    """Any value of an Arrow type, or None."""
    if pa.types.is_list(dtype):
        return st.none() | st.lists(cell(dtype.value_type), max_size=5)
    if pa.types.is_boolean(dtype):
        return st.none() | st.booleans()
    if pa.types.is_integer(dtype):
        low = 0 if pa.types.is_unsigned_integer(dtype) else -(2 ** (dtype.bit_width - 1))
        return st.none() | st.integers(low, low + 2**dtype.bit_width - 1) | st.integers(0, 4)
    if pa.types.is_floating(dtype):
        return st.none() | st.just(1.5)
    if pa.types.is_large_binary(dtype):
        return st.none() | st.binary(max_size=5)
    words = ["gray8", "encoded", "vp8", "float32", "batch_hint", "deadline_warning", "{}"]
    return st.none() | st.sampled_from(words)


def test_numpys_numbers_and_arrays_become_those_of_json():
    value = {"level": np.float32(0.5), "counts": np.arange(3), "on": np.bool_(True)}
    assert from_arrow(to_arrow(Json(value))) == Json(
        {"level": 0.5, "counts": [0, 1, 2], "on": True}
    )
