"""Streams as Arrow's integration tests make them, through an edge: every type, bit for bit.

Their files are not in any package registry, so the same cases are made here: names and contents
follow the cases of Arrow's own generator. What is damaged is refused; a child process looks at
each, since a bad offset that got through would end it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from engine.edges.ipc import write_stream
from engine.errors import EdgeError
from engine.payloads import Table
from tests.engine.edges.conftest import packet

ROWS = 40
LARGE_ROWS = 20_000
DAMAGED_EACH = 60
DAMAGE_SEED = 20


def some(values, dtype=None, *, mask=True):
    """An array of ROWS, every fifth of them null."""
    cycle = [None if mask and row % 5 == 3 else values[row % len(values)] for row in range(ROWS)]
    return pa.array(cycle, dtype)


def words(count=ROWS):
    return pa.array([None if row % 7 == 2 else f"wörd {row % 11}" for row in range(count)])


def batch(**columns):
    return pa.RecordBatch.from_pydict(columns)


def primitive():
    bounds = {f"{sign}int{bits}": (sign, bits) for sign in ("", "u") for bits in (8, 16, 32, 64)}
    integers = {
        name: some([0, 1, 2 ** (bits - (sign == "")) - 1], getattr(pa, name)())
        for name, (sign, bits) in bounds.items()
    }
    floats = {
        "half": some([np.float16(0.5), np.float16(-1)], pa.float16()),
        "single": some([0.25, float("inf"), float("nan")], pa.float32()),
        "double": some([1e300, -0.0], pa.float64()),
    }
    return batch(
        boolean=some([True, False]),
        **integers,
        **floats,
        binary=some([b"", b"\0\xff"]),
        text=words(),
        fixed=some([bytes(range(19))], pa.binary(19)),
        required=some([1, 2], mask=False),
    )


def decimals():
    value = decimal.Decimal("12.34")
    kinds = {
        "d32": pa.decimal32(9, 2),
        "d64": pa.decimal64(18, 2),
        "d128": pa.decimal128(38, 2),
        "d256": pa.decimal256(76, 2),
    }
    return batch(**{name: some([value, -value], kind) for name, kind in kinds.items()})


def times():
    day = dt.date(2026, 2, 28)
    stamps = {
        f"{unit} {zone}": some([0, -1, 10**9], pa.timestamp(unit, zone))
        for unit in ("s", "ms", "us", "ns")
        for zone in (None, "UTC", "America/New_York")
    }
    durations = {unit: some([0, -5], pa.duration(unit)) for unit in ("s", "ms", "us", "ns")}
    return batch(
        date32=some([day], pa.date32()),
        date64=some([day], pa.date64()),
        time_s=some([1], pa.time32("s")),
        time_ns=some([1], pa.time64("ns")),
        interval=some([(1, 2, 3)], pa.month_day_nano_interval()),
        **stamps,
        **durations,
    )


def nested():
    lists = some([[], [1, None], [3]], pa.list_(pa.int32()))
    deep = some([[[], [[1], []]]], pa.list_(pa.list_(pa.list_(pa.int64()))))
    return batch(
        lists=lists,
        deep=deep,
        fixed=some([[1, 2, None, 4]], pa.list_(pa.int16(), 4)),
        large=some([[1.5]], pa.large_list(pa.float32())),
        views=some([[1], [2, 3]], pa.list_view(pa.int8())),
        large_views=some([[1], [2, 3]], pa.large_list_view(pa.int8())),
        structs=some([{"a": 1, "b": "x"}, {"a": None, "b": "y"}]),
        maps=some([[("a", 1)], [("b", None), ("c", 2)]], pa.map_(pa.utf8(), pa.int32())),
        none=pa.nulls(ROWS),
    )


def unions():
    kinds = pa.array([row % 2 for row in range(ROWS)], pa.int8())
    places = pa.array([row // 2 for row in range(ROWS)], pa.int32())
    numbers = pa.array(range(ROWS), pa.int32())
    return batch(
        sparse=pa.UnionArray.from_sparse(kinds, [numbers, words()], ["n", "w"]),
        dense=pa.UnionArray.from_dense(kinds, places, [numbers, words()], ["n", "w"]),
        coded=pa.UnionArray.from_sparse(
            pa.array([(5, 7)[row % 2] for row in range(ROWS)], pa.int8()),
            [numbers, words()],
            ["n", "w"],
            [5, 7],
        ),
    )


def dictionaries():
    columns = {}
    for name in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"):
        indices = pa.array([None if row % 6 == 1 else row % 3 for row in range(ROWS)])
        values = pa.array(["a", None, "c"])
        columns[name] = pa.DictionaryArray.from_arrays(
            indices.cast(getattr(pa, name)()), values, safe=False
        )
    columns["ordered"] = pa.DictionaryArray.from_arrays(
        pa.array([0, 1] * (ROWS // 2), pa.int8()), pa.array([1.5, 2.5]), ordered=True
    )
    columns["empty"] = pa.DictionaryArray.from_arrays(
        pa.nulls(ROWS, pa.int8()), pa.array([], pa.utf8())
    )
    return batch(**columns)


def nested_dictionaries():
    inner = pa.array(["x", "y", "x"]).dictionary_encode()
    lists = pa.ListArray.from_arrays(pa.array([0, 2, 3], pa.int32()), inner)
    structs = pa.StructArray.from_arrays([words().dictionary_encode()], ["word"])
    return batch(
        of_lists=pa.DictionaryArray.from_arrays(pa.array([0, 1] * (ROWS // 2), pa.int8()), lists),
        in_structs=structs,
    )


def encodings():
    ends = pa.array([10, 25, ROWS], pa.int32())
    return batch(
        runs=pa.RunEndEncodedArray.from_arrays(ends, pa.array(["a", None, "c"])),
        view=words().cast(pa.string_view()),
        long_view=some(["short", "longer than twelve bytes"], pa.string_view()),
        binary_view=some([b"1", b"x" * 40], pa.binary_view()),
        large_text=words().cast(pa.large_utf8()),
        large_binary=some([b"", b"ab"], pa.large_binary()),
        uuid=some([bytes(16)], pa.uuid()),
        json=pa.array(['{"a": 1}'] * ROWS, pa.json_()),
        matrix=pa.FixedShapeTensorArray.from_numpy_ndarray(
            np.arange(ROWS * 4, dtype=np.float32).reshape(ROWS, 2, 2)
        ),
    )


def metadata():
    fields = [
        pa.field("twice", pa.int32(), metadata={"key": "valüe", b"\xf0": b"\x9f"}),
        pa.field("twice", pa.utf8(), nullable=False),
    ]
    columns = [pa.array(range(ROWS), pa.int32()), pa.array(["x"] * ROWS)]
    schema = pa.schema(fields, metadata={"made by": "a test", "empty": ""})
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def large():
    rng = np.random.default_rng(4)
    return batch(
        numbers=rng.random(LARGE_ROWS),
        words=words(LARGE_ROWS),
        kinds=words(LARGE_ROWS).dictionary_encode(),
    )


CASES = {
    make.__name__: make()
    for make in (
        primitive,
        decimals,
        times,
        nested,
        unions,
        dictionaries,
        nested_dictionaries,
        encodings,
        metadata,
        large,
    )
}


def through_a_file(record_batch, compression):
    """The batches of a stream of three: whole, its middle, and none of its rows."""
    parts = [record_batch, record_batch[5:17], record_batch[:0]]
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, record_batch.schema, options=options) as writer:
        for part in parts:
            writer.write_batch(part)
    with pa.ipc.open_stream(sink.getvalue()) as reader:
        return list(reader)


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
@pytest.mark.parametrize("name", CASES)
async def test_streams_of_every_type_cross_bit_for_bit(make_link, name, compression):
    link = make_link(arena_bytes=16 << 20)
    batches = through_a_file(CASES[name], compression)
    assert len(batches) == 3
    for number, one in enumerate(batches):
        assert link.sender.try_send(packet(Table(one), number))
        await link.settle()
        (came,) = await link.pass_on()
        arrived = came.payload.batch
        assert arrived.schema.equals(one.schema, check_metadata=True)
        assert write_stream(arrived).equals(write_stream(one))
        arrived.validate(full=True)


async def test_a_dictionary_that_changes_within_a_stream_is_each_batch_s_own(make_link):
    schema = pa.schema([("word", pa.dictionary(pa.int8(), pa.utf8()))])
    parts = [pa.array(["a", "b"]), pa.array(["c", "a"]), pa.array(["b", None])]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for part in parts:
            writer.write_batch(pa.record_batch([part.dictionary_encode()], schema=schema))
    link = make_link()
    with pa.ipc.open_stream(sink.getvalue()) as reader:
        batches = list(reader)
    for one, part in zip(batches, parts, strict=True):
        link.sender.try_send(packet(Table(one)))
        await link.settle()
        (came,) = await link.pass_on()
        assert came.payload.batch.column(0).to_pylist() == part.to_pylist()


# ------------------------------------------------------------------------------------- damage


def damaged(stream, seed):
    """A stream with some bits, words or parts of it changed."""
    rnd = random.Random(seed)
    data = bytearray(stream)
    for _ in range(rnd.randint(1, 3)):
        at = rnd.randrange(len(data))
        match rnd.choice(["bit", "word", "cut"]):
            case "bit":
                data[at] ^= 1 << rnd.randrange(8)
            case "word":
                word = rnd.choice([0, 1, 2**31 - 1, 2**32, 2**62, 2**64 - 1])
                data[at & ~7 : (at & ~7) + 8] = word.to_bytes(8, "little")
            case "cut":
                del data[at : at + rnd.randint(1, 40)]
    return bytes(data)


def look_at_damaged(name):
    """Read damaged streams as slots and as what is sent; what is taken for whole, look at it all.

    Returns:
        How many were refused.
    """
    from engine.edges.codec import KIND_CODES, Encoder, read_payload

    stream = memoryview(write_stream(Table(CASES[name][:ROWS]).to_arrow()))
    refused = 0
    for seed in range(DAMAGED_EACH):
        data = damaged(stream, DAMAGE_SEED * DAMAGED_EACH + seed)
        try:
            payload = read_payload(memoryview(data), KIND_CODES["table"])
        except EdgeError:
            refused += 1
        else:
            look_at(payload.batch)
        try:  # as a client would that was given such a file
            batches = list(pa.ipc.open_stream(pa.py_buffer(data)))
        except (pa.ArrowException, OSError, ValueError):
            continue
        for one in batches:
            try:
                Encoder().encode(Table(one))
            except EdgeError:
                refused += 1
    return refused


def look_at(record_batch):
    for column in record_batch.columns:
        with contextlib.suppress(OverflowError, ValueError):  # a value that Python has no form for
            column.to_pylist()


@pytest.mark.parametrize("name", CASES)
def test_damaged_streams_are_refused_and_end_nobody(name):
    root = Path(__file__).parents[3]
    child = subprocess.run(
        [sys.executable, "-m", __name__, name],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert child.returncode == 0, child.stderr[-2000:]
    assert int(child.stdout) > DAMAGED_EACH // 4


if __name__ == "__main__":
    sys.stdout.write(str(look_at_damaged(sys.argv[1])))
