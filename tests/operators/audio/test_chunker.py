import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.payloads import Audio, Json
from engine.testing import StageBench
from operators.audio.chunker import AudioChunker


def ramp(frames: int, channels: int = 1, dtype: type = np.float32) -> np.ndarray:
    return np.arange(frames * channels, dtype=dtype).reshape(frames, channels)


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    chunk_size=st.integers(1, 50),
    frames=st.integers(0, 300),
    channels=st.integers(1, 3),
)
def test_chunks_do_not_depend_on_packets(drive, split, joined, sizes, chunk_size, frames, channels):
    samples = ramp(frames, channels)
    packets = split(Audio(samples.copy(), 16_000), sizes)
    chunks = drive(AudioChunker(chunk_size=chunk_size)).run(packets)
    assert [chunk.frames for chunk in chunks[:-1]] == [chunk_size] * (len(chunks) - 1)
    assert all(0 < chunk.frames <= chunk_size for chunk in chunks)
    assert np.array_equal(joined([Audio(samples[:0], 16_000), *chunks]), samples)


@given(
    sizes=st.lists(st.integers(0, 300), min_size=1, max_size=8).filter(any),
    chunk_size=st.integers(1, 200),
)
def test_chunks_have_the_media_time_of_their_first_frame(split, sizes, chunk_size):
    bench = StageBench(AudioChunker(chunk_size=chunk_size), capacity=5_000)
    for packet in split(Audio(ramp(1_000), 8_000), sizes, start_ns=10**9):
        bench.feed(packet.payload, timestamp_ns=packet.timestamp_ns)
    bench.finish()
    bench.run()
    for packet in bench.sink().packets:
        frame = round(float(packet.payload.samples[0, 0]))
        assert packet.timestamp_ns == pytest.approx(10**9 + frame * 125_000, abs=1)


def test_a_chunk_begins_before_the_gap_that_it_spans():
    bench = StageBench(AudioChunker(chunk_size=80))
    for at_ms in (0, 100):
        bench.feed(Audio(ramp(120), 8_000), timestamp_ns=at_ms * 1_000_000)
    bench.finish()
    bench.run()
    times_ms = [packet.timestamp_ns / 1e6 for packet in bench.sink().packets]
    assert times_ms == [0, 10, 105]


def test_chunks_within_a_packet_are_views_of_it(drive):
    audio = Audio(ramp(1_200), 16_000)
    outputs = drive(AudioChunker(chunk_size=512)).feed(audio)
    assert [output.frames for output in outputs] == [512, 512]
    assert all(np.shares_memory(output.samples, audio.samples) for output in outputs)
    assert not any(output.samples.flags.writeable for output in outputs)


def test_a_packet_of_the_right_size_goes_through_as_it_is(drive, make_packet):
    packet = make_packet(Audio(ramp(512), 16_000))
    assert drive(AudioChunker()).feed(packet) == [packet]


@pytest.mark.parametrize(
    "other",
    [
        Audio(ramp(10), 8_000),
        Audio(ramp(10, 2), 16_000),
        Audio(ramp(10, dtype=np.int16), 16_000),
    ],
    ids=["rate", "channels", "dtype"],
)
def test_another_format_ends_the_chunk(drive, other):
    first = Audio(ramp(5), 16_000)
    assert drive(AudioChunker(chunk_size=8)).run([first, other]) == [
        first,
        Audio(other.samples[:8], other.sample_rate),
        Audio(other.samples[8:], other.sample_rate),
    ]


def test_other_payloads_pass_at_once(drive, make_packet):
    chunker = drive(AudioChunker(chunk_size=8))
    packet = make_packet(Json({"is_speech_start": True}))
    assert chunker.feed(Audio(ramp(5), 16_000), packet) == [packet]
    assert [output.frames for output in chunker.flush()] == [5]


def test_reset_forgets_the_remainder(drive):
    chunker = drive(AudioChunker(chunk_size=8))
    chunker.feed(Audio(ramp(5), 16_000))
    chunker.reset()
    assert chunker.feed(Audio(ramp(3), 16_000)) == []
    assert [output.frames for output in chunker.flush()] == [3]
    assert chunker.flush() == []


@pytest.mark.parametrize("chunk_size", [0, -1, 2_000_000, "many"])
def test_wrong_sizes_are_refused(chunk_size):
    with pytest.raises(UsageError, match="chunk_size"):
        AudioChunker(chunk_size=chunk_size)
