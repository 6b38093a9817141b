"""What `remotemedia run` prints of each kind: one line, standard JSON, never the data itself."""

import json

import numpy as np
import pyarrow as pa
import pytest

from engine.packet import Origin, Packet, Source
from engine.payloads import KINDS, Audio, Binary, Control, DeadlineWarning, Table, Tensor, Video
from remotemedia.cli.packet_text import dump_json, one_line, packet_data
from tests.engine.payloads.strategies import EXAMPLES


def as_json(payload):
    packet = Packet(payload, Source("node"), "in", 0, Origin("session", 3, 5, 0))
    return json.loads(dump_json(packet_data(packet)))


SAID = {
    "audio": {"frames": 3, "channels": 2, "sample_rate": 16_000, "duration_ms": 0.1875},
    "video": {
        "format": "rgb24",
        "width": 6,
        "height": 4,
        "frame_number": 7,
        "codec": "",
        "keyframe": True,
        "bytes": 72,
    },
    "tensor": {"shape": [2, 3], "dtype": "float32", "layout": "HW"},
    "binary": {"bytes": 200, "mime_type": "x/y"},
    "file": {
        "path": "/a/b.wav",
        "filename": "b.wav",
        "mime_type": "audio/wav",
        "size": 1000,
        "offset": 10,
        "length": 20,
        "stream_id": "s1",
    },
    "table": {"rows": 3, "columns": {"n": "int64", "word": "string"}, "columns_total": 2},
    "control": {
        "message": {"CancelSpeculation": {"from_ns": 5, "to_ns": 9}},
        "segment_id": "segment",
        "timestamp_ms": 12,
        "metadata": {"why": "barge-in"},
    },
}


@pytest.mark.parametrize("kind", SAID)
def test_a_payload_says_its_measures_as_json(kind):
    data = as_json(EXAMPLES[kind])
    assert data[kind] == SAID[kind]
    assert (data["kind"], data["node"], data["sequence"]) == (kind, "node", 3)


def test_every_kind_is_one_line():
    lines = {kind: one_line(payload) for kind, payload in EXAMPLES.items()}
    assert set(lines) == set(KINDS)
    assert all(line and "\n" not in line for line in lines.values())
    assert lines["video"] == "Video(6 × 4, rgb24, frame 7, keyframe)"
    assert lines["file"] == "/a/b.wav"
    assert lines["control"] == "CancelSpeculation(from_ns=5, to_ns=9)"


@pytest.mark.parametrize(
    "payload",
    [
        Audio(np.zeros(1_000_000, np.float32), 8000),
        Video(np.zeros((1000, 1000), np.uint8), "gray8"),
        Tensor(np.zeros((1000, 1000))),
        Binary(bytes(1_000_000)),
        Table(pa.RecordBatch.from_pydict({f"column {n}": np.zeros(1000) for n in range(1000)})),
        Control(DeadlineWarning(7)),
    ],
    ids=lambda payload: type(payload).__name__,
)
def test_nothing_large_is_printed(payload):
    assert len(one_line(payload)) < 500
    assert len(json.dumps(as_json(payload))) < 3000
