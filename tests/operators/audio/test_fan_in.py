"""What fans in comes out the same wherever its inputs come from."""

import numpy as np
import pytest

from engine.config import Settings
from engine.payloads import Audio
from remotemedia import Pipeline
from tests.operators.audio.signals import noise

pytestmark = pytest.mark.process

RATE = 48_000
PATIENT = {"wait_max_ms": 60_000}


def manifest(last, executors):
    """A stereo signal taken apart, one channel made 6 dB softer, and put together by `last`."""
    node_type, params, ports = last
    nodes = [
        ("split", "ChannelSplitNode", {}),
        ("soft", "GainNode", {"gain_db": -20}),
        ("last", node_type, {**params, **PATIENT}),
    ]
    return {
        "version": "v1",
        "metadata": {"name": "fan in"},
        "nodes": [
            {"id": name, "node_type": kind, "params": params, "executor": executors[name]}
            for name, kind, params in nodes
        ],
        "connections": [
            {"from": "split", "from_port": "ch0", "to": "soft"},
            {"from": "split", "from_port": "ch1", "to": "last", "to_port": ports[1]},
            {"from": "soft", "to": "last", "to_port": ports[0]},
        ],
    }


def run(document, blocks):
    packets = Pipeline.from_manifest(document, settings=Settings()).run(blocks)
    times = [packet.timestamp_ns for packet in packets]
    assert times == sorted(times)
    return np.concatenate([packet.payload.samples for packet in packets])


@pytest.mark.parametrize("frames", [480, 40_000], ids=["copied", "leased"])
@pytest.mark.parametrize("placement", ["lll", "lpl", "llp", "ppp"])
def test_a_slower_way_is_waited_for(placement, frames):
    where = {"l": "local", "p": "process"}
    executors = {
        name: where[letter]
        for name, letter in zip(("split", "soft", "last"), placement, strict=True)
    }
    blocks = [Audio(noise(frames, 2, seed=seed) / 4, RATE) for seed in range(30)]
    whole = np.concatenate([block.samples for block in blocks])
    merged = run(manifest(("ChannelMergeNode", {}, ("ch0", "ch1")), executors), blocks)
    factor = np.float32(0.1)
    assert np.array_equal(merged, whole * np.array([factor, 1], np.float32))
    mixed = run(manifest(("MixerNode", {}, ("in0", "in1")), executors), blocks)
    assert mixed[:, 0] == pytest.approx(whole[:, 0] * factor + whole[:, 1], abs=1e-7)
