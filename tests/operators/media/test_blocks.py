import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.media.blocks import AudioBlocks

SECOND = 1_000_000_000


def ramp(frames, first=0):
    return np.arange(first, first + frames, dtype=np.int32)[:, None]


def cut(blocks, parts):
    """Blocks of (samples, rate, timestamp_ns)."""
    out = [block for part in parts for block in blocks.feed(*part)]
    return out + list(blocks.flush())


def values(out):
    return [int(value) for block in out for value in block.audio.samples[:, 0]]


@given(
    st.lists(st.integers(1, 3_000), min_size=1, max_size=30),
    st.sampled_from([300, 8_000, 11_025, 44_100, 48_000]),
    st.integers(0, 100),
)
def test_nothing_is_lost_and_every_block_says_when_it_begins(sizes, rate, block_ms):
    parts, position = [], 0
    for size in sizes:
        parts.append((ramp(size, position), rate, position * SECOND // rate))
        position += size
    out = cut(AudioBlocks(block_ms), parts)
    assert values(out) == list(range(position))
    for block in out:
        assert block.timestamp_ns == int(block.audio.samples[0, 0]) * SECOND // rate
    if block_ms:
        length = rate * block_ms / 1_000
        assert all(abs(block.audio.frames - length) <= 1 for block in out[:-1])


def test_blocks_do_not_depend_on_how_the_decoder_cut():
    whole = cut(AudioBlocks(20), [(ramp(5_000), 8_000, 0)])
    pieces = [(ramp(7, at), 8_000, at * SECOND // 8_000) for at in range(0, 4_998, 7)]
    pieces.append((ramp(2, 4_998), 8_000, None))
    assert cut(AudioBlocks(20), pieces) == whole


def test_a_containers_rounding_moves_nothing():
    parts = [
        (ramp(480, at), 48_000, at * 1_000 // 48_000 * 1_000_000) for at in range(0, 9_600, 480)
    ]
    parts = [(samples, rate, at + 700_000) for samples, rate, at in parts]
    out = cut(AudioBlocks(15), parts)
    assert [block.timestamp_ns for block in out[:3]] == [700_000, 15_700_000, 30_700_000]


def test_a_gap_ends_a_block():
    out = cut(AudioBlocks(20), [(ramp(250), 1_000, 0), (ramp(30), 1_000, SECOND)])
    assert [block.audio.frames for block in out[-4:]] == [20, 10, 20, 10]
    assert out[-2].timestamp_ns == SECOND


def test_a_jump_back_is_laid_end_to_end():
    out = cut(AudioBlocks(0), [(ramp(1_000), 1_000, 0), (ramp(10), 1_000, SECOND // 2)])
    assert out[-1].timestamp_ns == SECOND


def test_another_rate_begins_anew_where_the_last_ended():
    out = cut(AudioBlocks(0), [(ramp(500), 1_000, 0), (ramp(10), 2_000, None)])
    assert [(block.audio.sample_rate, block.timestamp_ns) for block in out] == [
        (1_000, 0),
        (2_000, SECOND // 2),
    ]


@pytest.mark.parametrize("size", [1, 7, 100, 1_000])
def test_the_window_cuts_to_the_sample(size):
    blocks = AudioBlocks(20, begin_ns=SECOND // 4, end_ns=SECOND // 2)
    parts = [(ramp(size, at), 1_000, at * 1_000_000) for at in range(0, 1_000, size)]
    out = cut(blocks, parts)
    assert values(out) == list(range(250, 500))
    assert out[0].timestamp_ns == SECOND // 4
    assert [block.audio.frames for block in out] == [20] * 12 + [10]


def test_audio_that_begins_within_the_window_keeps_its_time():
    blocks = AudioBlocks(0, begin_ns=SECOND, end_ns=3 * SECOND)
    out = cut(blocks, [(ramp(2_000), 1_000, 2 * SECOND)])
    assert (out[0].timestamp_ns, len(values(out))) == (2 * SECOND, 1_000)


def test_nothing_gives_nothing():
    assert cut(AudioBlocks(20), [(ramp(0), 1_000, 0)]) == []
