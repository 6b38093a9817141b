"""Each operator gives the same output, packet for packet, on every executor."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest

from engine.config import Settings
from engine.packet import lineage_key
from engine.payloads import Audio, Json, Text
from operators.catalog import NODE_TYPES
from remotemedia import Pipeline

pytestmark = pytest.mark.process

GRAMMAR = "#JSGF V1.0; grammar g; public <command> = turn ( on | off ) the kitchen light;"


def _tone(rate, *, blocks=25, channels=1):
    frames = rate // 50
    time = np.arange(frames * blocks) / rate
    wave = (0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    samples = np.repeat(wave[:, None], channels, axis=1)
    return [Audio(part.copy(), rate) for part in np.split(samples, blocks)]


def _manifest(*nodes):
    ids = [f"n{index}" for index in range(len(nodes))]
    return {
        "version": "v1",
        "metadata": {"name": "one operator"},
        "nodes": [
            {"id": node_id, "node_type": node_type, "params": params, "executor": executor}
            for node_id, (node_type, params, executor) in zip(ids, nodes, strict=True)
        ],
        "connections": [{"from": a, "to": b} for a, b in itertools.pairwise(ids)],
    }


def _run(manifest, inputs):
    packets = Pipeline.from_manifest(manifest, settings=Settings()).run(inputs)
    return sorted(packets, key=lineage_key)


@functools.cache
def _speech():
    """A spoken command between pauses, at 16 kHz in blocks of 32 ms."""
    spoken = _run(
        _manifest(
            ("EspeakTTSNode", {}, "local"),
            ("FastResampleNode", {"target_rate": 16_000}, "local"),
            ("AudioChunkerNode", {"chunk_size": 512}, "local"),
        ),
        [Text("Turn on the kitchen light.")],
    )
    pause = [Audio(np.zeros((512, 1), np.float32), 16_000)] * 20
    return [*pause, *(packet.payload for packet in spoken), *pause]


@functools.cache
def _marked_speech():
    detector = _manifest(("SileroVADNode", {}, "local"))
    return [packet.payload for packet in _run(detector, _speech())]


RULES = [{"pattern": r"turn (?P<state>on|off)", "reply": "It is {state}."}]

#: Node type → params and a function that gives its input.
CASES = {
    "PassThrough": ({}, lambda: [Text("a"), Json({"b": 1}), *_tone(8_000)]),
    "AudioOutputNode": ({}, lambda: _tone(8_000, channels=2)),
    "CalculatorNode": ({"operation": "multiply", "value": 3}, lambda: [Json(2), Json(2.5)]),
    "AudioBufferAccumulatorNode": ({"minUtteranceDurationMs": 100}, _marked_speech),
    "AudioChunkerNode": ({"chunkSize": 333}, lambda: _tone(48_000, channels=2)),
    "FastResampleNode": ({"targetRate": 16_000}, lambda: _tone(44_100, channels=2)),
    "RustResampleNode": ({"target_rate": 48_000, "quality": "High"}, lambda: _tone(8_000)),
    "SileroVADNode": ({"threshold": 0.5}, _speech),
    "EspeakTTSNode": ({"rate_wpm": 200}, lambda: [Text("One, two."), Text("Three.")]),
    "PocketSphinxSTTNode": ({"grammar": GRAMMAR}, _marked_speech),
    "RuleReplyNode": ({"rules": RULES}, lambda: [Text("turn on the light"), Text("no")]),
}


def test_every_node_type_has_a_case():
    assert sorted(CASES) == sorted(NODE_TYPES)


@pytest.mark.parametrize("node_type", sorted(CASES))
def test_output_is_the_same_on_every_executor(node_type):
    params, make_inputs = CASES[node_type]
    inputs = make_inputs()
    results = {
        executor: _run(_manifest((node_type, params, executor)), inputs)
        for executor in ("local", "process")
    }
    local, process = results["local"], results["process"]
    assert local, "the case says nothing: no output"
    assert [lineage_key(packet) for packet in local] == [lineage_key(packet) for packet in process]
    assert [packet.payload for packet in local] == [packet.payload for packet in process]
    assert [dict(packet.metadata) for packet in local] == [
        dict(packet.metadata) for packet in process
    ]
    assert all(
        not packet.payload.samples.flags.writeable
        for packet in (*local, *process)
        if isinstance(packet.payload, Audio)
    )
