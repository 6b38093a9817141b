import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import NodeError, UsageError
from engine.payloads import Audio, Text
from engine.testing import StageBench
from operators.audio.channel_merge import ChannelMerge
from operators.audio.channel_split import ChannelSplit
from tests.operators.audio.signals import DTYPES, noise, sizes

RATE = 8_000


def mono(frames, value=1, dtype=np.int16, rate=RATE):
    return Audio(np.full((frames, 1), value, dtype), rate)


def bench_of(**params):
    merge = ChannelMerge(**params)
    return StageBench({"merge": merge}, inputs=[f"merge.{port}" for port in merge.inputs])


def merged(bench):
    blocks = [payload for payload in bench.sink().payloads if isinstance(payload, Audio)]
    return np.concatenate([np.empty((0, 2)), *(block.samples for block in blocks)])


@settings(deadline=None, max_examples=30)
@given(cuts=sizes, dtype=st.sampled_from(DTYPES))
def test_split_and_merge_change_nothing(cuts, dtype, split):
    whole = Audio(noise(3_000, 2, dtype=dtype), RATE)
    bench = StageBench(
        {"split": ChannelSplit(), "merge": ChannelMerge()},
        [("split.ch0", "merge.ch0"), ("split.ch1", "merge.ch1")],
    )
    for packet in split(whole, cuts, start_ns=10**9):
        bench.feed(packet.payload, timestamp_ns=packet.timestamp_ns)
    bench.run()
    assert np.array_equal(merged(bench), whole.samples)  # before the end: nothing is held
    assert bench.sink().payloads[0].samples.dtype == dtype
    assert bench.sink().packets[0].timestamp_ns == 10**9
    bench.finish()
    bench.run()
    assert len(merged(bench)) == 3_000


def test_channels_are_in_port_order_and_missing_ones_are_silent():
    bench = bench_of(names=["left", "right"])
    bench.feed(mono(40, 2), at="merge.right")
    bench.feed(mono(10, 1), at="merge.left")
    bench.finish()
    bench.run()
    assert merged(bench).tolist() == [[1, 2]] * 10 + [[0, 2]] * 30


def test_what_comes_too_late_is_dropped_and_the_rest_stays_aligned():
    bench = bench_of(wait_max_ms=50)
    bench.feed(mono(80, 1), at="merge.ch0", timestamp_ns=0)
    bench.advance(0.2)
    assert merged(bench).tolist() == [[1, 0]] * 80
    bench.feed(mono(120, 2), at="merge.ch1", timestamp_ns=0)
    bench.feed(mono(40, 1), at="merge.ch0", timestamp_ns=10_000_000)
    bench.run()
    assert merged(bench).tolist()[80:] == [[1, 2]] * 40


def test_an_end_and_others():
    bench = bench_of()
    bench.finish("merge.ch1")
    bench.feed(mono(80), at="merge.ch0")
    bench.feed(Text("x"), at="merge.ch0")
    bench.run()
    assert len(merged(bench)) == 80
    assert bench.values[-1] == "x"


def test_an_interrupt_forgets_what_is_held():
    bench = bench_of()
    bench.feed(mono(80, dtype=np.int32), at="merge.ch0")
    bench.run()
    for port in ("ch0", "ch1"):
        bench.feed(mono(10), at=f"merge.{port}", timestamp_ns=0, generation=1)
    bench.run()
    assert merged(bench).tolist() == [[1, 1]] * 10


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (mono(80, rate=16_000), "FastResampleNode"),
        (mono(80, dtype=np.float32), "'ch1' is float32, that of the others int16.*AudioFormatNode"),
        (Audio(noise(9, 2, dtype=np.int16), RATE), "'ch1' has 2 channels.*ChannelSplitNode"),
    ],
)
def test_what_does_not_go_together_is_an_error(second, words):
    bench = bench_of()
    bench.feed(mono(80), at="merge.ch0")
    bench.feed(second, at="merge.ch1")
    bench.run()
    assert isinstance(bench.stage.error, NodeError)
    with pytest.raises(NodeError, match=words):
        raise bench.stage.error


@pytest.mark.parametrize(
    ("params", "words"),
    [({"channels": 65}, "channels"), ({"names": ["a"], "channels": 2}, "2, but there are 1 names")],
)
def test_wrong_params_are_refused(params, words):
    with pytest.raises(UsageError, match=words):
        ChannelMerge(**params)
