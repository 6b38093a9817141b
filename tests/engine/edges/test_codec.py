"""engine.edges.codec: every payload survives its slot, every damage is an EdgeError."""

from __future__ import annotations

import contextlib
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.edges import codec, ipc
from engine.edges.codec import (
    HEAD_BYTES_MAX,
    KIND_CODES,
    NUMERIC_CODES,
    SHAPES_REMEMBERED,
    Decoder,
    Encoder,
)
from engine.errors import EdgeError
from engine.payloads import (
    AUDIO_DTYPES,
    KINDS,
    VIDEO_FORMATS,
    Audio,
    Binary,
    Control,
    DeadlineWarning,
    File,
    Json,
    Table,
    Tensor,
    Text,
    Video,
    kind_of,
    to_arrow,
)
from engine.payloads.tensor import TENSOR_DTYPES
from tests.engine.payloads.strategies import EXAMPLES as ONE_OF_EACH
from tests.engine.payloads.strategies import PAYLOADS, same


def slot_of(payload, encoder=None):
    """A slot's bytes and the message they come from."""
    message = (encoder or Encoder()).encode(payload)
    slot = bytearray(message.size_bytes)
    message.write(memoryview(slot))
    return bytes(slot), message


def read(slot, message, decoder=None):
    """What a consumer makes of a slot."""
    view = memoryview(slot)
    if message.kind not in NUMERIC_CODES or len(message.head) == message.size_bytes:
        return codec.read_payload(view, message.kind)
    flat, rebuild = (decoder or Decoder()).body(view, len(message.head), message.kind)
    return rebuild(flat, view)


def read_by_pyarrow(slot):
    """What any reader of Arrow makes of it: one batch, and nothing behind it."""
    with pa.ipc.open_stream(pa.BufferReader(slot)) as reader:
        (batch,) = list(reader)
    batch.validate(full=True)
    return batch


def video(number=0, *, keyframe=False, format_="rgb24", seed=0):
    """A frame of 8 × 6 pixels."""
    size = {"rgb24": 144, "rgba32": 192, "gray8": 48}.get(format_, 72)
    pixels = np.random.default_rng(seed).bytes(size)
    return Video(pixels, format_, 8, 6, number, keyframe=keyframe)


# --------------------------------------------------------------------------------- round trips


@given(PAYLOADS)
def test_every_payload_survives_its_slot(payload):
    slot, message = slot_of(payload)
    assert same(read(slot, message), payload)


@given(PAYLOADS)
def test_every_slot_is_an_arrow_stream_of_one_batch(payload):
    slot, _ = slot_of(payload)
    batch = read_by_pyarrow(slot)
    assert batch.schema.metadata[b"remotemedia.kind"].decode() == kind_of(payload)
    assert batch.num_rows == (payload.rows if type(payload) is Table else 1)
    assert same(ipc.from_arrow(batch), payload)


@given(st.lists(PAYLOADS, max_size=8))
def test_what_was_learnt_of_others_changes_nothing(payloads):
    encoder, decoder = Encoder(), Decoder()
    for payload in payloads * 2:
        slot, message = slot_of(payload, encoder)
        assert same(read(slot, message, decoder), payload)


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


@pytest.mark.parametrize("name", sorted(TENSOR_DTYPES))
@pytest.mark.parametrize("shape", [(), (1,), (1023,), (7, 5), (2, 3, 4, 5)])
def test_tensors_of_every_dtype_and_shape(name, shape):
    payload = Tensor(np.arange(np.prod(shape, dtype=int)).astype(name).reshape(shape), "axes")
    encoder, decoder = Encoder(), Decoder()
    slot, message = slot_of(payload, encoder)
    assert len(message.body) == payload.array.nbytes
    assert slot_of(payload, encoder)[0] == slot == ipc.write_stream(to_arrow(payload))
    for _ in range(2):
        assert read(slot, message, decoder) == payload


@pytest.mark.parametrize("format_", [name for name in VIDEO_FORMATS if name != "encoded"])
def test_frames_of_one_size_share_a_head_whatever_their_number(format_):
    encoder, decoder = Encoder(), Decoder()
    numbers = [0, 1, 255, 2**33 + 7, 2**64 - 1]
    for number in numbers:
        for keyframe in (False, True):
            payload = video(number, keyframe=keyframe, format_=format_, seed=number % 97)
            slot, message = slot_of(payload, encoder)
            assert slot == ipc.write_stream(to_arrow(payload)).to_pybytes()
            assert read(slot, message, decoder) == payload
    assert len(encoder._frames) == len(decoder._known) == 1


def test_encoded_frames_are_not_remembered():
    encoder, decoder = Encoder(), Decoder()
    for size in range(1, 40):
        payload = Video(bytes(size), "encoded", 8, 6, size, "av1", keyframe=size == 1)
        slot, message = slot_of(payload, encoder)
        assert (len(message.body), len(message.tail)) == (0, 0)
        assert read(slot, message, decoder) == payload
    assert not encoder._frames
    assert not decoder._known


def test_heads_fit_the_room_kept_for_them_and_keep_arrays_aligned():
    payloads = [
        Audio(np.zeros(shape, dtype), 2**31 - 1)
        for dtype in AUDIO_DTYPES
        for shape in [(0, 1), (1, 1), (13, 3), (480_000, 64)]
    ]
    payloads += [video(format_=name) for name in VIDEO_FORMATS if name != "encoded"]
    payloads += [Tensor(np.zeros((1,) * axes), "N" * 200) for axes in (0, 1, 9, 32)]
    for payload in payloads:
        message = Encoder().encode(payload)
        assert len(message.head) <= HEAD_BYTES_MAX
        assert len(message.head) % 8 == 0
        assert len(message.tail) <= 64


def test_a_patched_slot_equals_what_pyarrow_writes():
    payload = Audio(np.linspace(-1, 1, 999, dtype=np.float32), 44_100)
    encoder = Encoder()
    encoder.encode(Audio(np.zeros(999, np.float32), 44_100))
    slot, _ = slot_of(payload, encoder)
    assert slot == ipc.write_stream(codec.to_arrow(payload)).to_pybytes()


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
    frame = Video(rng.bytes(1920 * 1080 * 3), "rgb24", 1920, 1080)
    tensor = Tensor(rng.random((1000, 1000)))
    table = Table(pa.RecordBatch.from_pydict({"x": rng.random(1_000_000)}))
    others = (Binary(rng.bytes(10_000_000)), Text("ü" * 1_000_000))
    for payload in (audio, frame, tensor, table, *others):
        slot, message = slot_of(payload)
        assert read(slot, message) == payload


@pytest.mark.parametrize(
    "payload",
    [
        Audio(np.zeros(1_000_000, np.float32), 48_000),
        Video(np.zeros((1000, 1000, 4), np.uint8), "rgba32"),
        Tensor(np.zeros((1000, 1000), np.float16)),
    ],
    ids=lambda payload: type(payload).__name__,
)
def test_writing_an_array_copies_nothing_before_the_slot(payload):
    encoder = Encoder()
    encoder.encode(payload)  # learns the head
    tracemalloc.start()
    try:
        encoder.encode(payload)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 10_000


def test_an_array_read_is_a_read_only_view_of_the_slot():
    for payload in (
        Audio(np.arange(8, dtype=np.float32), 8000),
        video(),
        Tensor(np.arange(8, dtype=np.float32)),
    ):
        slot, message = slot_of(payload)
        memory = bytearray(slot)
        view = memoryview(memory).toreadonly()
        received = codec.array_of(read(view, message))
        assert not received.flags.writeable
        memory[len(message.head) : len(message.head) + 4] = b"\xff\xff\xff\x42"
        assert received.tobytes()[:4] == b"\xff\xff\xff\x42"


def test_a_table_read_is_a_view_of_the_slot_and_keeps_it():
    slot, message = slot_of(Table(pa.RecordBatch.from_pydict({"x": np.arange(100)})))
    root = np.frombuffer(slot, np.uint8)
    column = codec.read_payload(root, message.kind).batch.column(0)
    start = root.ctypes.data
    assert start <= column.buffers()[1].address < start + len(slot)
    del root, slot
    assert column.to_pylist() == list(range(100))


def test_other_kinds_read_no_view_of_the_slot():
    others = (
        Text("words"),
        Json([1, "two"]),
        Binary(b"bytes"),
        Video(b"bytes", "encoded", 4, 4, codec="vp8"),
        Tensor(np.zeros((0, 3))),
        File("path"),
        Control(DeadlineWarning(7)),
    )
    for payload in others:
        slot, message = slot_of(payload)
        memory = bytearray(slot)
        received = codec.read_payload(memoryview(memory), message.kind)
        memory[:] = bytes(len(memory))
        assert received == payload


# --------------------------------------------------------------------------------- memory of heads


def test_more_shapes_than_are_remembered():
    encoder, decoder = Encoder(), Decoder()
    payloads = [Audio(np.full(n, n, np.int16), 8000) for n in range(SHAPES_REMEMBERED + 50)]
    payloads += [Tensor(np.full((1, n), n, np.int16)) for n in range(1, SHAPES_REMEMBERED)]
    for payload in payloads + payloads[::-1]:
        slot, message = slot_of(payload, encoder)
        assert read(slot, message, decoder) == payload
    assert len(encoder._frames) <= SHAPES_REMEMBERED
    assert len(decoder._known) <= SHAPES_REMEMBERED


# --------------------------------------------------------------------------------- no Arrow form


@pytest.mark.parametrize(
    "payload",
    [
        Json({1, 2}),
        Text("\ud800"),
        Audio(np.zeros(3, np.float32), 3_000_000_000),
        Tensor(np.zeros(3), "\ud800"),
        File("\ud800"),
        Control(DeadlineWarning(7), metadata=object()),
        "no payload",
    ],
    ids=lambda payload: type(payload).__name__,
)
def test_what_has_no_arrow_form_is_an_edge_error(payload):
    with pytest.raises(EdgeError):
        Encoder().encode(payload)


WORDS = pa.array(["a", "a word longer than any that is kept inline", "b"])
#: A dictionary inside a dictionary, which streams of Arrow do not know.
TWICE_ENCODED = pa.DictionaryArray.from_arrays(pa.array([0, 1]), WORDS.dictionary_encode())


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (TWICE_ENCODED, "decode one of the two"),
        (pa.StructArray.from_arrays([TWICE_ENCODED], names=["inner"]), "decode one of the two"),
        (pa.nulls(2**31), "cannot be written: .*larger than"),
    ],
    ids=["dictionary of a dictionary", "inside a struct", "too long"],
)
def test_a_table_that_arrow_cannot_write_is_an_edge_error(column, message):
    with pytest.raises(EdgeError, match=message):
        Encoder().encode(Table(pa.RecordBatch.from_arrays([column], ["x"])))


#: Columns of three rows, of types that are laid out in different ways.
COLUMNS = {
    "null": pa.nulls(3),
    "bool": pa.array([True, None, False]),
    "half": pa.array(np.zeros(3, np.float16)),
    "decimal": pa.array([1, 2, 3], pa.decimal128(20, 3)),
    "timestamp": pa.array([1, 2, None], pa.timestamp("us", "UTC")),
    "interval": pa.array([(1, 2, 3)] * 3, pa.month_day_nano_interval()),
    "large": WORDS.cast(pa.large_utf8()),
    "view": WORDS.cast(pa.string_view()),
    "dictionary": WORDS.dictionary_encode(),
    "runs": pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), WORDS[:2]),
    "map": pa.array([[("a", 1)], None, []], pa.map_(pa.utf8(), pa.int8())),
    "fixed": pa.array([[1, 2]] * 3, pa.list_(pa.int8(), 2)),
    "list view": pa.array([[1], [2, 3], None], pa.list_view(pa.int8())),
    "sparse union": pa.UnionArray.from_sparse(pa.array([0, 1, 0], pa.int8()), [WORDS, WORDS]),
    "dense union": pa.UnionArray.from_dense(
        pa.array([0, 1, 0], pa.int8()), pa.array([0, 0, 1], pa.int32()), [WORDS, WORDS]
    ),
    "struct": pa.StructArray.from_arrays([WORDS.dictionary_encode()], names=["inner"]),
    "extension": pa.array([bytes(16)] * 3, pa.uuid()),
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("part", [slice(None), slice(1, 2), slice(0, 0)], ids=str)
def test_tables_of_every_type_of_column(name, part):
    payload = Table(pa.RecordBatch.from_arrays([COLUMNS[name]], [name])[part])
    slot, message = slot_of(payload)
    assert read(slot, message) == payload


def test_a_table_without_columns():
    for rows in (0, 2):
        payload = Table(pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([]))))
        slot, message = slot_of(payload)
        assert read(slot, message).rows == rows


# --------------------------------------------------------------------------------- damage


def test_a_batch_that_is_no_payload_is_an_edge_error():
    damaged = pa.concat_batches([to_arrow(Text("two"))] * 2)
    with pytest.raises(EdgeError, match="damaged record batch"):
        ipc.from_arrow(damaged)


EXAMPLES = [
    Audio(np.arange(6, dtype=np.int16).reshape(3, 2), 16_000),
    Audio(np.arange(300, dtype=np.float32), 16_000),
    Audio(np.zeros((0, 2), np.int32), 8000),
    Text("hé" * 20, "de", "ui"),
    Json({"a": [1, 2, {"b": None}]}, "s"),
    Binary(b"\0\1" * 100, "x/y"),
    Binary(b""),
    video(7, keyframe=True),
    Tensor(np.arange(6, dtype=np.float64).reshape(2, 3), "HW"),
    Video(b"access unit", "encoded", 4, 4, 9, "h264"),
    *ONE_OF_EACH.values(),
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
    array = codec.array_of(payload)
    if array is not None:
        assert array.tobytes() is not None
    elif type(payload) is Table:
        assert payload.batch.to_pylist() is not None
    else:
        assert payload == payload  # noqa: PLR0124  compares every field
    assert repr(payload)


@given(damaged_slots())
@example((b"", SLOTS[0][1]))
@example((SLOTS[3][0].replace(b"text", b"\xff\xff\xff\xff"), SLOTS[3][1]))
def test_a_damaged_slot_is_an_edge_error_or_a_payload_never_a_crash(damaged):
    slot, message = damaged
    with contextlib.suppress(EdgeError):
        touch(ipc.from_arrow(ipc.read_stream(memoryview(slot))))
    with contextlib.suppress(EdgeError):
        touch(read(slot, message))


@given(st.sampled_from([0, 1, 7, 8]).map(SLOTS.__getitem__), st.integers(0, 2000))
def test_a_head_of_another_length_is_an_edge_error(example_slot, head_bytes):
    slot, message = example_slot
    if head_bytes == len(message.head):
        return
    decoder = Decoder()
    for _ in range(2):  # it must not have been remembered either
        with pytest.raises(EdgeError):
            decoder.body(memoryview(slot), head_bytes, message.kind)
    assert read(slot, message, decoder)


@given(st.binary(max_size=2000), st.integers(0, 2000), st.sampled_from(sorted(NUMERIC_CODES)))
def test_noise_is_an_edge_error(noise, head_bytes, kind):
    with pytest.raises(EdgeError):
        ipc.read_stream(memoryview(noise))
    with pytest.raises(EdgeError):
        Decoder().body(memoryview(noise), head_bytes, kind)


@pytest.mark.parametrize("cut", [1, 8, 9, 24, 400, 4000])
@pytest.mark.parametrize(
    "payload",
    [
        Audio(np.zeros(1024, np.float32), 8000),
        Video(np.zeros((64, 64), np.uint8), "gray8"),
        Tensor(np.zeros(1024, np.float32)),
    ],
    ids=lambda payload: type(payload).__name__,
)
def test_a_cut_off_slot_with_a_known_head_is_an_edge_error(payload, cut):
    slot, message = slot_of(payload)
    decoder = Decoder()
    read(slot, message, decoder)
    with pytest.raises(EdgeError, match="should have"):
        decoder.body(memoryview(slot)[:-cut], len(message.head), message.kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_slot_is_of_the_kind_it_was_announced_with(kind):
    slot, message = slot_of(ONE_OF_EACH[kind])
    others = [code for code in (*KIND_CODES.values(), 77) if code != KIND_CODES[kind]]
    for code in others:
        with pytest.raises(EdgeError, match="announced"):
            codec.read_payload(memoryview(slot), code)
    for code in NUMERIC_CODES & set(others):
        with pytest.raises(EdgeError):
            Decoder().body(memoryview(slot), len(message.head), code)


def test_a_known_head_counts_for_its_own_kind_only():
    decoder = Decoder()
    slot, message = slot_of(ONE_OF_EACH["tensor"])
    read(slot, message, decoder)
    with pytest.raises(EdgeError, match=r"announced as audio .* its head says tensor"):
        decoder.body(memoryview(slot), len(message.head), KIND_CODES["audio"])


def test_a_recording_of_many_slots_is_readable_as_it_is():
    slots = [slot_of(Text(str(number)))[0] for number in range(3)]
    texts = [read_by_pyarrow(slot).column("text")[0].as_py() for slot in slots]
    assert texts == ["0", "1", "2"]
