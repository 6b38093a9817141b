"""Every kind of payload crosses into a process and back, and arrives as it left."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from engine.packet import Source
from engine.payloads import KINDS, Audio, Binary, Json, Table, Tensor, Text, Video, kind_of
from engine.pipeline import Pipeline
from operators.flow.pass_through import PassThrough
from tests.engine.payloads.strategies import EXAMPLES
from tests.integration.conftest import run

pytestmark = pytest.mark.process


def large_ones():
    """Some of each kind that are larger than what is copied."""
    rng = np.random.default_rng(1)
    rows = {"x": rng.random(100_000), "word": pa.array(["a", None] * 50_000).dictionary_encode()}
    return [
        Audio(rng.random((100_000, 2), np.float32), 48_000),
        *(Video(rng.bytes(640 * 480 * 3), "rgb24", 640, 480, number) for number in range(5)),
        Video(rng.bytes(640 * 720), "nv12", 640, 480, 9, keyframe=True),
        Video(rng.bytes(100_000), "encoded", 640, 480, 2**40, "av1"),
        Tensor(rng.random((3, 224, 224)).astype(np.float16), "CHW"),
        Text("ü" * 200_000, "de"),
        Json(list(range(50_000))),
        Binary(rng.bytes(300_000), "image/png"),
        Table(pa.RecordBatch.from_pydict(rows).replace_schema_metadata({"made by": "a test"})),
    ]


async def test_every_kind_crosses_a_process_and_comes_back_equal():
    payloads = [*EXAMPLES.values(), *large_ones()]
    assert {kind_of(payload) for payload in payloads} == set(KINDS)
    pipeline = Pipeline("kinds") | PassThrough().on("process").named("there")
    outputs = await run(pipeline, payloads)
    assert [packet.payload for packet in outputs] == payloads
    assert {packet.source for packet in outputs} == {Source("there")}
