"""Packets as text: one line for people, one object for programs, for every kind."""

import json

import numpy as np
import pyarrow as pa
import pytest

from engine.payloads import (
    KINDS,
    Audio,
    Binary,
    CancelSpeculation,
    Control,
    File,
    Json,
    Table,
    Tensor,
    Text,
    Video,
    kind_of,
)
from operators.flow.pass_through import PassThrough
from remotemedia import Pipeline
from remotemedia.cli.packet_text import dump_json, one_line, packet_data

PAYLOADS = [
    Audio(np.zeros(160, np.float32), 16_000),
    Video(np.zeros((4, 6, 3), np.uint8)),
    Tensor(np.zeros((2, 3), np.float32), "NC"),
    Text("two\nlines", language="en"),
    Json({"a": [1, float("nan")]}),
    Binary(b"abc", "text/x-abc"),
    File("take.wav", size=10),
    Table(pa.record_batch({"x": [1, 2], "y": ["a", "b"]})),
    Control(CancelSpeculation(1, 2), segment_id="s"),
]


@pytest.fixture(scope="module")
def packets():
    return (Pipeline("kinds") | PassThrough()).run(PAYLOADS)


def test_all_kinds_are_here():
    assert {kind_of(payload) for payload in PAYLOADS} == set(KINDS)


@pytest.mark.parametrize("payload", PAYLOADS, ids=kind_of)
def test_one_line(payload):
    line = one_line(payload)
    assert line
    assert "\n" not in line


def test_every_packet_is_an_object_that_json_can_say(packets):
    assert len(packets) == len(PAYLOADS)
    for packet, payload in zip(packets, PAYLOADS, strict=True):
        data = json.loads(dump_json(packet_data(packet)))
        assert data["kind"] == kind_of(payload)
        assert data["node"] == "pass_through"
        assert data["value" if data["kind"] == "json" else data["kind"]] is not None


def test_what_it_says(packets):
    data = {kind_of(packet.payload): packet_data(packet) for packet in packets}
    assert data["text"]["text"] == "two\nlines"
    assert data["text"]["language"] == "en"
    assert data["audio"]["audio"] == {
        "frames": 160,
        "channels": 1,
        "sample_rate": 16_000,
        "duration_ms": 10.0,
    }
    assert data["binary"]["binary"] == {"bytes": 3, "mime_type": "text/x-abc"}
    assert (data["video"]["video"]["width"], data["video"]["video"]["height"]) == (6, 4)
    assert data["tensor"]["tensor"]["shape"] == [2, 3]
    assert data["file"]["file"]["path"] == "take.wav"
    assert data["table"]["table"]["rows"] == 2
    assert data["control"]["control"]["segment_id"] == "s"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": float("nan")}, '{"a": null}'),
        ({1: np.float32(0.5)}, '{"1": 0.5}'),
        ([np.int16(3), {"x": {1}}], '[3, {"x": "{1}"}]'),
        ("é", '"é"'),
    ],
)
def test_what_json_cannot_say_is_said_as_near_as_it_gets(value, text):
    assert dump_json(value) == text
