"""engine.edges.codec: every payload survives its slot, every damage is an EdgeError."""

from __future__ import annotations

import contextlib
import json
import math
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engine.edges import codec
from engine.edges.codec import HEAD_BYTES_MAX, KIND_CODES, SHAPES_REMEMBERED, Decoder, Encoder
from engine.errors import EdgeError
from engine.payloads import AUDIO_DTYPES, KINDS, Audio, Binary, Json, Text, kind_of


def slot_of(payload, encoder=None):
    """A slot's bytes and the message they come from."""
    message = (encoder or Encoder()).encode(payload)
    slot = bytearray(message.size_bytes)
    message.write(memoryview(slot))
    return bytes(slot), message


def read(slot, message, decoder=None):
    """What a consumer makes of a slot."""
    view = memoryview(slot)
    if message.kind != KIND_CODES["audio"]:
        return codec.read_payload(view, message.kind)
    flat, channels, rate = (decoder or Decoder()).samples(view, len(message.head))
    return Audio(flat.reshape(-1, channels), rate)


def read_by_pyarrow(slot):
    """What any reader of Arrow makes of it: one batch of one row, and nothing behind it."""
    with pa.ipc.open_stream(pa.BufferReader(slot)) as reader:
        table = reader.read_all()
    table.validate(full=True)
    assert table.num_rows == 1
    return table


SURROGATES_ARE_NO_UNICODE = st.characters(exclude_categories=["Cs"])
TEXTS = st.text(SURROGATES_ARE_NO_UNICODE)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
SAMPLES = st.sampled_from(AUDIO_DTYPES).flatmap(
    lambda dtype: hnp.arrays(
        dtype, st.tuples(st.integers(0, 40), st.integers(1, 8)), elements=hnp.from_dtype(dtype)
    )
)
AUDIO = st.builds(Audio, SAMPLES, st.integers(1, 2**31 - 1))
PAYLOADS = st.one_of(
    AUDIO,
    st.builds(Text, TEXTS, TEXTS, TEXTS),
    st.builds(Json, JSON_VALUES, TEXTS),
    st.builds(Binary, st.binary(), TEXTS),
)


def same(one, other):
    if type(one) is Audio and type(other) is Audio:
        bits = one.samples.tobytes() == other.samples.tobytes()  # NaN is equal to itself
        shapes = one.samples.shape == other.samples.shape
        return bits and shapes and one.sample_rate == other.sample_rate
    return one == other


# --------------------------------------------------------------------------------- round trips


@given(PAYLOADS)
def test_every_payload_survives_its_slot(payload):
    slot, message = slot_of(payload)
    assert same(read(slot, message), payload)


@given(PAYLOADS)
def test_every_slot_is_an_arrow_stream_of_one_row(payload):
    slot, _ = slot_of(payload)
    table = read_by_pyarrow(slot)
    assert table.schema.metadata[b"remotemedia.kind"].decode() == kind_of(payload)
    assert same(codec.from_arrow(table.to_batches()[0]), payload)


def test_every_kind_has_a_code():
    assert set(KIND_CODES) == set(KINDS)
    assert {codec.KIND_OF_CODE[code]: code for code in KIND_CODES.values()} == KIND_CODES


@pytest.mark.parametrize("dtype", [dtype.name for dtype in AUDIO_DTYPES])
@pytest.mark.parametrize("shape", [(0, 1), (0, 6), (1, 1), (1, 64), (1023, 1), (1024, 2), (7, 5)])
def test_audio_of_every_shape(dtype, shape):
    count = shape[0] * shape[1]
    payload = Audio(np.arange(count).astype(dtype).reshape(shape), 48_000)
    encoder, decoder = Encoder(), Decoder()
    first, message = slot_of(payload, encoder)
    known, _ = slot_of(payload, encoder)
    assert first == known
    column = read_by_pyarrow(first).column("samples")[0].values.to_numpy(zero_copy_only=False)
    assert np.array_equal(column.reshape(shape), payload.samples)
    for _ in range(2):  # once checked by pyarrow, once by the head alone
        assert read(first, message, decoder) == payload


def test_heads_fit_the_room_kept_for_them_and_keep_samples_aligned():
    for dtype in AUDIO_DTYPES:
        for shape in [(0, 1), (1, 1), (13, 3), (480_000, 64)]:
            message = Encoder().encode(Audio(np.zeros(shape, dtype), 2**31 - 1))
            assert len(message.head) <= HEAD_BYTES_MAX
            assert len(message.head) % 8 == 0
            assert len(message.tail) <= 64


def test_a_patched_slot_equals_what_pyarrow_writes():
    payload = Audio(np.linspace(-1, 1, 999, dtype=np.float32), 44_100)
    encoder = Encoder()
    encoder.encode(Audio(np.zeros(999, np.float32), 44_100))
    slot, _ = slot_of(payload, encoder)
    assert slot == codec.write_stream(codec.to_arrow(payload)).to_pybytes()


def test_heads_differ_by_rate_shape_and_dtype():
    encoder = Encoder()
    base = np.zeros((6, 1), np.float32)
    variants = [
        Audio(base, 8000),
        Audio(base, 16_000),
        Audio(base.reshape(3, 2), 8000),
        Audio(base.astype(np.int32), 8000),
        Audio(base[:5].copy(), 8000),
    ]
    assert len({encoder.encode(payload).head for payload in variants}) == len(variants)
    decoder = Decoder()
    for payload in variants:
        slot, message = slot_of(payload, encoder)
        assert read(slot, message, decoder) == payload


def test_big_payloads():
    rng = np.random.default_rng(1)
    audio = Audio(rng.integers(-(2**15), 2**15, (5_000_000, 1), np.int16), 48_000)
    for payload in (audio, Binary(rng.bytes(10_000_000)), Text("ü" * 1_000_000)):
        slot, message = slot_of(payload)
        assert read(slot, message) == payload


def test_writing_audio_copies_no_samples_before_the_slot():
    encoder = Encoder()
    payload = Audio(np.zeros(1_000_000, np.float32), 48_000)
    encoder.encode(payload)  # learns the head
    tracemalloc.start()
    try:
        encoder.encode(payload)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 10_000


def test_audio_read_is_a_read_only_view_of_the_slot():
    slot, message = slot_of(Audio(np.arange(8, dtype=np.float32), 8000))
    memory = bytearray(slot)
    flat, _, _ = Decoder().samples(memoryview(memory).toreadonly(), len(message.head))
    assert not flat.flags.writeable
    memory[len(message.head) : len(message.head) + 4] = np.float32(99).tobytes()
    assert flat[0] == 99


def test_other_kinds_read_no_view_of_the_slot():
    for payload in (Text("words"), Json([1, "two"]), Binary(b"bytes")):
        slot, message = slot_of(payload)
        memory = bytearray(slot)
        received = codec.read_payload(memoryview(memory), message.kind)
        memory[:] = bytes(len(memory))
        assert received == payload


def test_bytes_like_data_arrives_as_bytes():
    for data in (b"abc", bytearray(b"abc"), memoryview(b"abc")):
        slot, message = slot_of(Binary(data))
        assert read(slot, message) == Binary(b"abc")


def test_json_keeps_what_python_allows_beyond_json():
    slot, message = slot_of(Json([math.inf, "\ud800"]))
    assert read(slot, message) == Json([math.inf, "\ud800"])
    slot, message = slot_of(Json(math.nan))
    assert math.isnan(read(slot, message).value)


# --------------------------------------------------------------------------------- memory of heads


def test_more_shapes_than_are_remembered():
    encoder, decoder = Encoder(), Decoder()
    payloads = [Audio(np.full(n, n, np.int16), 8000) for n in range(SHAPES_REMEMBERED + 50)]
    for payload in payloads + payloads[::-1]:
        slot, message = slot_of(payload, encoder)
        assert read(slot, message, decoder) == payload
    assert len(encoder._frames) <= SHAPES_REMEMBERED
    assert len(decoder._shapes) <= SHAPES_REMEMBERED


# --------------------------------------------------------------------------------- no Arrow form


def deep_list(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "payload",
    [
        Json({1, 2}),
        Json({(1, 2): 3}),
        Json(np.float32(1)),
        Json(deep_list(100_000)),
        Json(1, None),
        Text("\ud800"),
        Text(5),
        Text(None),
        Text("a", "\udfff"),
        Binary(None),
        Binary(7),
        Binary(np.zeros(3, np.uint8)),
        Audio(np.zeros(3, np.float32), 3_000_000_000),
        "no payload",
    ],
    ids=lambda payload: type(payload).__name__,
)
def test_what_has_no_arrow_form_is_an_edge_error(payload):
    with pytest.raises(EdgeError):
        codec.to_arrow(payload)


# --------------------------------------------------------------------------------- damage


def batch(schema, *values, metadata=None):
    arrays = [pa.array([value], field.type) for value, field in zip(values, schema, strict=True)]
    if metadata is not None:
        schema = schema.with_metadata(metadata)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def schema(kind, **columns):
    fields = [pa.field(name, dtype, nullable=False) for name, dtype in columns.items()]
    return pa.schema(fields, metadata={"remotemedia.kind": kind})


AUDIO_COLUMNS = {"sample_rate": pa.int32(), "channels": pa.int32()}
AUDIO_SCHEMA = schema("audio", **AUDIO_COLUMNS, samples=pa.list_(pa.int16()))


@pytest.mark.parametrize(
    "damaged",
    [
        pa.RecordBatch.from_pydict({"a": [1]}),
        pa.RecordBatch.from_arrays([], schema=pa.schema([])),
        batch(schema("text", text=pa.utf8()), "short of columns"),
        batch(schema("video", text=pa.utf8()), "unknown kind"),
        batch(codec._TEXT_SCHEMA, "a", "b", "c", metadata={"remotemedia.kind": b"\xff"}),
        batch(schema("text", text=pa.int32(), language=pa.utf8(), channel=pa.utf8()), 5, "", ""),
        batch(codec._TEXT_SCHEMA, "a", None, "c"),
        batch(codec._JSON_SCHEMA, "{not json", ""),
        batch(codec._JSON_SCHEMA, "[" * 100_000 + "]" * 100_000, ""),
        batch(AUDIO_SCHEMA, 8000, 0, [1, 2]),
        batch(AUDIO_SCHEMA, 8000, -1, [1, 2]),
        batch(AUDIO_SCHEMA, 8000, 3, [1, 2]),
        batch(AUDIO_SCHEMA, 0, 1, [1, 2]),
        batch(AUDIO_SCHEMA, None, 1, [1, 2]),
        batch(AUDIO_SCHEMA, 8000, None, [1, 2]),
        batch(AUDIO_SCHEMA, 8000, 1, None),
        batch(AUDIO_SCHEMA, 8000, 1, [1, None]),
        batch(schema("audio", **AUDIO_COLUMNS, samples=pa.list_(pa.int64())), 8000, 1, [1]),
        codec.to_arrow(Text("two"))[:0],
        pa.concat_batches([codec.to_arrow(Text("two"))] * 2),
    ],
)
def test_a_batch_that_is_no_payload_is_an_edge_error(damaged):
    with pytest.raises(EdgeError):
        codec.from_arrow(damaged)


def test_samples_are_the_lists_own_not_all_of_its_values():
    flat = pa.array(np.arange(10, dtype=np.int16))
    samples = pa.ListArray.from_arrays(pa.array([2, 6], pa.int32()), flat)
    columns = [pa.array([8000], pa.int32()), pa.array([2], pa.int32()), samples]
    audio = codec.from_arrow(pa.RecordBatch.from_arrays(columns, schema=AUDIO_SCHEMA))
    assert audio.samples.tolist() == [[2, 3], [4, 5]]


EXAMPLES = [
    Audio(np.arange(6, dtype=np.int16).reshape(3, 2), 16_000),
    Audio(np.arange(300, dtype=np.float32), 16_000),
    Audio(np.zeros((0, 2), np.int32), 8000),
    Text("hé" * 20, "de", "ui"),
    Json({"a": [1, 2, {"b": None}]}, "s"),
    Binary(b"\0\1" * 100, "x/y"),
    Binary(b""),
]
SLOTS = [slot_of(payload) for payload in EXAMPLES]


@st.composite
def damaged_slots(draw):
    slot, message = SLOTS[draw(st.integers(0, len(SLOTS) - 1))]
    damaged = bytearray(slot)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(damaged)))
        how = draw(st.sampled_from(["bit", "word", "cut", "grow", "stop"]))
        if how == "bit" and at < len(damaged):
            damaged[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "word":
            word = draw(st.sampled_from([0, 1, 2**31 - 1, 2**32, 2**62, 2**64 - 1]))
            damaged[at & ~7 : (at & ~7) + 8] = word.to_bytes(8, "little")
        elif how == "cut":
            del damaged[at : at + draw(st.integers(1, 64))]
        elif how == "grow":
            damaged[at:at] = draw(st.binary(min_size=1, max_size=32))
        elif how == "stop":
            del damaged[at:]
    return bytes(damaged), message


def touch(payload):
    """Look at every byte: a bad offset would be a crash here."""
    if type(payload) is Audio:
        assert payload.samples.tobytes() is not None
        assert payload.sample_rate >= 1
    else:
        assert repr(payload)


@given(damaged_slots())
@example((b"", SLOTS[0][1]))
@example((SLOTS[3][0].replace(b"text", b"\xff\xff\xff\xff"), SLOTS[3][1]))
def test_a_damaged_slot_is_an_edge_error_or_a_payload_never_a_crash(damaged):
    slot, message = damaged
    with contextlib.suppress(EdgeError):
        touch(codec.from_arrow(codec.read_stream(memoryview(slot))))
    with contextlib.suppress(EdgeError):
        touch(read(slot, message))


@given(st.integers(0, 2).map(SLOTS.__getitem__), st.integers(0, 2000))
def test_a_head_of_another_length_is_an_edge_error(example_slot, head_bytes):
    slot, message = example_slot
    if head_bytes == len(message.head):
        return
    decoder = Decoder()
    for _ in range(2):  # it must not have been remembered either
        with pytest.raises(EdgeError):
            decoder.samples(memoryview(slot), head_bytes)
    assert read(slot, message, decoder)


@given(st.binary(max_size=300), st.integers(0, 400))
def test_noise_is_an_edge_error(noise, head_bytes):
    with pytest.raises(EdgeError):
        codec.read_stream(memoryview(noise))
    with pytest.raises(EdgeError):
        Decoder().samples(memoryview(noise), head_bytes)


@pytest.mark.parametrize("cut", [1, 8, 9, 24, 400, 4000])
def test_a_cut_off_slot_with_a_known_head_is_an_edge_error(cut):
    slot, message = slot_of(Audio(np.zeros(1024, np.float32), 8000))
    decoder = Decoder()
    read(slot, message, decoder)
    with pytest.raises(EdgeError, match="should have"):
        decoder.samples(memoryview(slot)[:-cut], len(message.head))


def test_a_slot_is_of_the_kind_it_was_announced_with():
    audio, _ = slot_of(EXAMPLES[0])
    text, message = slot_of(EXAMPLES[3])
    with pytest.raises(EdgeError, match="announced"):
        Decoder().samples(memoryview(text), len(message.head))
    for kind in (0, 2, 3, 77):
        with pytest.raises(EdgeError, match="announced"):
            codec.read_payload(memoryview(text), kind)
    for kind in (0, 1):
        with pytest.raises(EdgeError, match="announced"):
            codec.read_payload(memoryview(audio), kind)


def test_a_recording_of_many_slots_is_readable_as_it_is():
    slots = [slot_of(Text(str(number)))[0] for number in range(3)]
    texts = [read_by_pyarrow(slot).column("text")[0].as_py() for slot in slots]
    assert texts == ["0", "1", "2"]
    assert json.loads(read_by_pyarrow(slot_of(Json({"a": "ü"}))[0]).column("value")[0].as_py())
