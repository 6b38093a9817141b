"""engine.payloads: the kinds, their names and sizes, and what is said of values that are none."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from engine.payloads import (
    KIND_NAMES,
    KINDS,
    PAYLOAD_TYPES,
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
    not_an_output,
    payload_bytes,
)
from tests.engine.payloads.strategies import EXAMPLES


def test_every_kind_has_a_name():
    assert set(EXAMPLES) == set(KINDS)
    assert {kind_of(payload): type(payload) for payload in EXAMPLES.values()} == KINDS
    assert set(KINDS.values()) == PAYLOAD_TYPES == set(KIND_NAMES)


@pytest.mark.parametrize(
    ("payload", "count"),
    [
        (Audio(np.zeros((480, 2), np.float32), 48_000), 3840),
        (Video(np.zeros((4, 6, 3), np.uint8)), 72),
        (Tensor(np.zeros((2, 3), np.float16)), 12),
        (Text("abc"), 3),
        (Text("äö"), 4),
        (Text("\ud800"), 3),
        (Binary(b"abcd"), 4),
        (Json({"a": 1}), 0),
        (File("/tmp/a"), 0),
        (Control(DeadlineWarning(5)), 0),
    ],
    ids=lambda value: value if isinstance(value, int) else type(value).__name__,
)
def test_payloads_have_a_size(payload, count):
    assert payload_bytes(payload) == count


def test_a_table_is_as_large_as_arrow_writes_it():
    """Only what a slice shows counts, and what Arrow puts around it does, too."""
    whole = pa.record_batch({"a": np.arange(10_000, dtype=np.int32)})
    for batch, data_bytes in ((whole, 40_000), (whole[:100], 400)):
        assert data_bytes < payload_bytes(Table(batch)) < data_bytes + 500
    union = pa.UnionArray.from_sparse(
        pa.array([0, 1], pa.int8()), [pa.array([1, 2]), pa.array(["a", "b"])]
    )
    assert payload_bytes(Table(pa.record_batch({"u": union})[:0])) < 500


@pytest.mark.parametrize("kind", EXAMPLES)
def test_payloads_are_equal_by_value_and_have_no_hash(kind):
    payload = EXAMPLES[kind]
    again = type(payload).from_arrow(payload.to_arrow())
    assert again is not payload
    assert again == payload
    assert all(payload != other for name, other in EXAMPLES.items() if name != kind)
    assert payload != "something else"
    with pytest.raises(TypeError, match="unhashable"):
        hash(payload)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_payload_has_no_other_attributes(kind):
    with pytest.raises(AttributeError):
        EXAMPLES[kind].timestamp = 5


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("words", r"str is not a payload: return Text"),
        (b"bytes", r"return Binary"),
        ({"a": 1}, r"return Json"),
        (1.5, r"return Json"),
        (np.zeros(3), r"return Audio\(samples, sample_rate\), Video\(pixels\) or Tensor"),
        (Path("a"), r"return File\(path\)"),
        (pa.table({"a": [1]}), r"return Table"),
        (object(), r"object is not a payload: return a payload, a Packet"),
    ],
)
def test_what_is_no_payload_is_told_what_to_return(value, hint):
    with pytest.raises(AssertionError, match=hint):
        raise AssertionError(not_an_output(value))


# ---------------------------------------------------------------------------------- reprs


HUGE = 10_000_000
DEEP = [0]
for _ in range(500):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "payload",
    [
        Audio(np.zeros(HUGE, np.float32), 8000),
        Video(np.zeros((2000, 3000), np.uint8), "gray8"),
        Video(bytes(HUGE), "encoded", 64, 64, codec="av1"),
        Tensor(np.zeros((1, HUGE), np.uint8), "x" * HUGE),
        Text("x" * HUGE, "y" * HUGE),
        Json("x" * HUGE),
        Json([["x" * HUGE] * 100] * 100),
        Json({"k" * HUGE: {str(number): "v" * 1000 for number in range(1000)}}),
        Json(10**10_000),
        Json(DEEP),
        Json({"deep": DEEP, "empty": [{}, [], (), ""]}),
        Binary(bytes(HUGE)),
        File("p" * 10_000),
        Control(DeadlineWarning(5), "s" * HUGE, metadata=["x" * HUGE] * 1000),
        Table(pa.RecordBatch.from_pydict({"c" * 1000 + str(n): [1] for n in range(1000)})),
    ],
    ids=lambda payload: type(payload).__name__,
)
def test_no_repr_shows_a_whole_payload(payload):
    assert len(repr(payload)) < 3000


def test_reprs_of_small_payloads_say_everything():
    shown = [repr(payload) for payload in EXAMPLES.values()]
    assert shown == [
        "Audio(3 frames × 2, int16, 16000 Hz)",
        "Video(6 × 4, rgb24, frame 7, keyframe)",
        "Tensor((2, 3), float32, HW)",
        f"Text(text={'hé' * 20!r}, language='de', channel='ui')",
        "Json(value={'a': [1, 2, {'b': None}]}, schema_type='s')",
        "Binary(data=" + repr(b"\0\1" * 30) + "… (200 bytes), mime_type='x/y')",
        (
            "File(path='/a/b.wav', filename='b.wav', mime_type='audio/wav', size=1000, offset=10,"
            " length=20, stream_id='s1')"
        ),
        "Table(3 rows: n, word)",
        (
            "Control(message=CancelSpeculation(from_ns=5, to_ns=9), segment_id='segment',"
            " timestamp_ms=12, metadata={'why': 'barge-in'})"
        ),
    ]


WITHOUT_PANDAS = """
import sys
from engine.edges.codec import Decoder, Encoder, NUMERIC_CODES, read_payload
import numpy as np
from engine.payloads import *
for payload in (
    Audio(np.zeros(320, np.float32), 16_000),
    Video(np.zeros((4, 6, 3), np.uint8)),
    Tensor(np.zeros((2, 3), np.float16), "HW"),
    Text("text", "de"),
    Json({"a": [1, None]}),
    Binary(b"data"),
    File("/tmp/a", size=3),
    Control(DeadlineWarning(5)),
):
    message = Encoder().encode(payload)
    slot = bytearray(message.size_bytes)
    message.write(memoryview(slot))
    slot = memoryview(slot).toreadonly()
    if message.kind in NUMERIC_CODES and len(message.head) < len(slot):
        flat, rebuild = Decoder().body(slot, len(message.head), message.kind)
        assert rebuild(flat, slot) == payload
    else:
        assert read_payload(slot, message.kind) == payload
assert "pandas" not in sys.modules
"""


def test_no_payload_loads_pandas_on_its_way():
    """It takes a second, on the loop that sends the first packet."""
    root = Path(__file__).parents[3]
    child = subprocess.run(
        [sys.executable, "-c", WITHOUT_PANDAS],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert child.returncode == 0, child.stderr
