"""engine.payloads.table: any record batch, from whatever speaks Arrow."""

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from engine.payloads import Audio, Table, to_arrow

BATCH = pa.RecordBatch.from_pydict({"n": [1, 2], "word": ["a", None]})


def addresses(batch):
    return [b.address for column in batch.columns for b in column.buffers() if b is not None]


def test_a_record_batch_is_taken_as_it_is():
    assert Table(BATCH).batch is BATCH
    assert Table(BATCH).rows == 2
    assert repr(Table(BATCH)) == "Table(2 rows: n, word)"


@pytest.mark.parametrize(
    "source",
    [
        pa.Table.from_batches([BATCH]),
        pa.RecordBatchReader.from_batches(BATCH.schema, [BATCH]),
        pa.StructArray.from_arrays(BATCH.columns, names=BATCH.schema.names),
        pl.DataFrame(BATCH),
        pd.DataFrame({"n": [1, 2], "word": ["a", None]}),
    ],
    ids=lambda source: f"{type(source).__module__}.{type(source).__name__}",
)
def test_whatever_speaks_arrow_becomes_a_table(source):
    assert Table(source).batch.to_pydict() == {"n": [1, 2], "word": ["a", None]}


def test_a_relation_of_duckdb_becomes_a_table():
    with duckdb.connect() as connection:
        relation = connection.sql("select * from (values (1, 'a'), (2, null)) as t(n, word)")
        assert Table(relation).batch.to_pydict() == {"n": [1, 2], "word": ["a", None]}


def test_one_batch_is_not_copied():
    for source in (pa.Table.from_batches([BATCH]), pa.StructArray.from_arrays(BATCH.columns, "nw")):
        assert addresses(Table(source).batch) == addresses(BATCH)


def test_several_batches_become_one():
    table = pa.Table.from_batches([BATCH, BATCH[1:], BATCH[:0]])
    assert Table(table).batch.to_pydict() == {"n": [1, 2, 2], "word": ["a", None, None]}


def test_no_batch_at_all_is_a_table_without_rows():
    table = Table(pa.RecordBatchReader.from_batches(BATCH.schema, []))
    assert table.rows == 0
    assert table.batch.schema == BATCH.schema


def test_tables_are_equal_by_columns_and_metadata():
    assert Table(BATCH) == Table(BATCH[:])
    assert Table(BATCH) != Table(BATCH[:1])
    assert Table(BATCH) != Table(BATCH.replace_schema_metadata({"a": "b"}))
    assert Table(BATCH) != BATCH


def test_another_payload_can_be_looked_at_as_a_table():
    audio = Audio(memoryview(b"\1\0\2\0").cast("h"), 8000)
    table = Table(audio)
    assert table.batch.to_pydict() == {"sample_rate": [8000], "channels": [1], "samples": [[1, 2]]}
    assert Table.from_arrow(to_arrow(table)) == table


class Broken:
    def __arrow_c_stream__(self, requested_schema=None):
        raise ValueError("the database went away")


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ({"a": [1]}, TypeError, r"got dict; try pyarrow.RecordBatch.from_pydict or from_pylist"),
        (None, TypeError, r"got NoneType"),
        ([BATCH], TypeError, r"got list"),
        (pa.array([1, 2]), ValueError, r"Int64Array gives no table: "),
        (pa.chunked_array([[1, 2]]), ValueError, r"ChunkedArray gives no table: "),
        (Broken(), ValueError, r"Broken gives no table: .*the database went away"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_table_is_refused(source, error, message):
    with pytest.raises(error, match=message):
        Table(source)
