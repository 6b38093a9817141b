import numpy as np
import pytest
from hypothesis import given, settings

from engine.errors import UsageError
from engine.payloads import Audio, Text
from engine.testing import StageBench
from operators.audio.channel_split import ChannelSplit
from tests.operators.audio.signals import DTYPES, noise, sizes


def by_port(outputs):
    ports = {}
    for output in outputs:
        ports.setdefault(output.port, []).append(output.payload)
    return ports


@pytest.mark.parametrize("dtype", DTYPES)
def test_each_channel_has_a_port(drive, dtype):
    block = Audio(noise(50, 3, dtype=dtype), 8_000)
    ports = by_port(drive(ChannelSplit(channels=3)).feed(block))
    assert list(ports) == ["ch0", "ch1", "ch2"]
    for index, (mono,) in enumerate(ports.values()):
        assert mono == Audio(block.samples[:, index].copy(), 8_000)


@settings(deadline=None)
@given(sizes=sizes)
def test_channels_do_not_depend_on_packets(drive, split, joined, sizes):
    whole = Audio(noise(1_000, 2), 8_000)
    ports = by_port(drive(ChannelSplit()).feed(*split(whole, sizes)))
    for index, blocks in enumerate(ports.values()):
        assert np.array_equal(joined(blocks)[:, 0], whole.samples[:, index])


def test_ports_may_have_names():
    split = ChannelSplit(names=["left", "right"])
    assert split.outputs == ("left", "right")
    bench = StageBench({"split": split})
    bench.feed(Audio(noise(10, 2), 8_000), Text("x"), Audio(noise(0, 2), 8_000))
    bench.finish()
    bench.run()
    assert [type(payload) for payload in bench.sink("split.left").payloads] == [Audio, Text, Audio]
    assert [block.frames for block in bench.sink("split.right").payloads] == [10, 0]


def test_other_channels_than_ports_are_an_error(drive):
    with pytest.raises(ValueError, match=r"has 1 channels, .* 2 ports .*: set channels to 1"):
        drive(ChannelSplit()).feed(Audio(noise(10), 8_000))


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"channels": 0}, "channels"),
        ({"names": ["a", "a"]}, "occurs twice"),
        ({"names": ["a", "b"], "channels": 3}, "3, but there are 2 names"),
        ({"names": ["a b"]}, "names"),
        ({"names": []}, "names"),
    ],
)
def test_wrong_params_are_refused(params, words):
    with pytest.raises(UsageError, match=words):
        ChannelSplit(**params)
