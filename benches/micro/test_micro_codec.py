"""What it costs to write 1024 float32 samples into a slot as Arrow IPC, and to read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.edges.codec import Decoder, Encoder
from engine.edges.ipc import from_arrow, read_stream, to_arrow, write_stream
from engine.payloads import Audio

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

SAMPLES = np.linspace(-1, 1, 1024, dtype=np.float32)


@pytest.fixture
def audio() -> Audio:
    return Audio(SAMPLES.copy(), 16_000)


def test_encode(benchmark: BenchmarkFixture, audio: Audio) -> None:
    encoder = Encoder()
    slot = memoryview(bytearray(encoder.encode(audio).size_bytes))

    def encode() -> None:
        encoder.encode(audio).write(slot)

    benchmark(encode)
    assert from_arrow(read_stream(slot)) == audio


def test_decode(benchmark: BenchmarkFixture, audio: Audio) -> None:
    message = Encoder().encode(audio)
    slot = memoryview(bytearray(message.size_bytes))
    message.write(slot)
    decoder = Decoder()
    view = slot.toreadonly()
    samples, rebuild = benchmark(decoder.body, view, len(message.head), message.kind)
    assert np.array_equal(samples, SAMPLES)
    assert rebuild(samples, view) == audio


def test_encode_with_pyarrow_alone(benchmark: BenchmarkFixture, audio: Audio) -> None:
    """The same without the cached head, for comparison."""
    stream = benchmark(lambda: write_stream(to_arrow(audio)))
    assert from_arrow(read_stream(memoryview(stream))) == audio


def test_decode_with_pyarrow_alone(benchmark: BenchmarkFixture, audio: Audio) -> None:
    """The same without the known head, for comparison."""
    stream = memoryview(write_stream(to_arrow(audio)))
    assert benchmark(lambda: from_arrow(read_stream(stream))) == audio
