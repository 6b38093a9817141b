"""Each operator gives the same output, packet for packet, on every executor."""

from __future__ import annotations

import atexit
import functools
import itertools
import tempfile

import numpy as np
import pytest

from engine.config import Settings
from engine.packet import lineage_key
from engine.payloads import Audio, File, Json, Text, Video
from operators.catalog import NODE_TYPES
from operators.media.writer import MediaWriter
from remotemedia import Pipeline

pytestmark = pytest.mark.process

#: Files of the cases; gone at the end.
SCRATCH = tempfile.TemporaryDirectory()
atexit.register(SCRATCH.cleanup)

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


def _pairs(count):
    """Groups for the ports a and b."""
    return [{"a": Text(f"a{number}"), "b": Json(number)} for number in range(count)]


def _pictures(count):
    """Frames of colours that change along both sides and with time."""
    ramp = np.add.outer(np.arange(48), np.arange(96))[..., None] + np.arange(3) * 40
    return [Video((ramp + 9 * n).astype(np.uint8), frame_number=n) for n in range(count)]


@functools.cache
def _clip():
    """A media file of some sound and pictures."""
    path = f"{SCRATCH.name}/clip.mkv"
    writer = MediaWriter(output_path=path, video_codec="ffv1", audio_codec="flac")
    (Pipeline("clip") | writer.on("local")).run([*_tone(8_000), *_pictures(5)])
    return path


RULES = [{"pattern": r"turn (?P<state>on|off)", "reply": "It is {state}."}]

#: Node type → params and a function that gives its input.
CASES = {
    "PassThrough": ({}, lambda: [Text("a"), Json({"b": 1}), *_tone(8_000)]),
    "AudioOutputNode": ({}, lambda: _tone(8_000, channels=2)),
    "CalculatorNode": ({"operation": "multiply", "value": 3}, lambda: [Json(2), Json(2.5)]),
    "AddNode": ({"addend": 2}, lambda: [Json(2), Json({"value": 2.5, "unit": "m"})]),
    "Echo": ({}, lambda: [Json(2), Text("b"), *_tone(8_000, blocks=2)]),
    "MultiplyNode": ({"multiplier": 3}, lambda: [Json(2), Json({"value": 2.5})]),
    "BufferNode": ({"count": 4, "timeS": 600}, lambda: _tone(8_000, blocks=10)),
    "CombineLatestNode": ({}, lambda: _pairs(5)),
    "DebounceNode": ({"timeS": 600}, lambda: [Text("a"), Text("b")]),
    "DelayNode": ({"timeS": 0.01, "countMax": 3}, lambda: _tone(8_000, blocks=1)),
    "DistinctNode": ({"untilChanged": True}, lambda: [Text(text) for text in "aabbba"]),
    "MergeNode": ({"portKey": "by"}, lambda: _pairs(5)),
    "ReactivexNode": (
        {
            "operators": [
                {"name": "scan", "args": [{"import": "operator:add"}]},
                {"name": "buffer_with_count", "kwargs": {"count": 2}},
            ],
            "values": True,
        },
        lambda: [Text(text) for text in "abcde"],
    ),
    "RouterNode": (
        {"routes": [{"port": "even", "when": {"field": "n", "in": [0, 2]}}], "match": "all"},
        lambda: [Json({"n": number}) for number in range(4)],
    ),
    "SampleNode": ({"timeS": 600}, lambda: [Text("a"), Text("b")]),
    "ScanNode": ({"accumulator": "mean", "field": "n"}, lambda: [Json({"n": 1}), Json({"n": 2})]),
    "SelectNode": ({"when": {"kind": "text"}}, lambda: [Text("a"), Json(1), Text("b")]),
    "ThrottleNode": ({"timeS": 600, "keep": "latest"}, lambda: _tone(8_000, blocks=5)),
    "TimeoutNode": ({"timeS": 600, "onTimeout": "emit"}, lambda: _tone(8_000, blocks=5)),
    "WindowNode": ({"count": 2, "accumulator": "max"}, lambda: [Json(n) for n in (3, 1, 2)]),
    "TimeJoinNode": ({}, lambda: _pairs(5)),
    "WithLatestFromNode": ({}, lambda: _pairs(5)),
    "ZipNode": ({"skewMax": 2}, lambda: _pairs(5)),
    "AudioBufferAccumulatorNode": ({"minUtteranceDurationMs": 100}, _marked_speech),
    "AudioChunkerNode": ({"chunkSize": 333}, lambda: _tone(48_000, channels=2)),
    "AudioFormatNode": ({"targetFormat": "i16", "dither": True}, lambda: _tone(8_000)),
    "AudioLevelNode": (
        {"windowMs": 35, "truePeak": True, "passThrough": True},
        lambda: _tone(44_100, channels=2),
    ),
    "ChannelBalanceNode": ({"window_ms": 35}, lambda: _tone(44_100, channels=2)),
    "ChannelMergeNode": ({"names": ["left", "right"], "wait_max_ms": 60_000}, lambda: _tone(8_000)),
    "ChannelSplitNode": ({"names": ["left", "right"]}, lambda: _tone(8_000, channels=2)),
    "ClippingDetectorNode": ({"saturationThreshold": 0.2}, lambda: _tone(8_000)),
    "GainNode": (
        {"gainDb": -6, "rampMs": 50},
        lambda: [*_tone(8_000, channels=2), Json({"gain_db": 3}), *_tone(8_000, channels=2)],
    ),
    "MixerNode": ({"gainDb": {"in0": 3}, "waitMaxMs": 60_000}, lambda: _tone(8_000, channels=2)),
    "PlaybackNode": ({"blockMs": 15}, lambda: [*_tone(8_000, blocks=3), Text("end")]),
    "RustFormatConverterNode": ({"target_format": "i32"}, lambda: _tone(8_000, channels=2)),
    "RustVADNode": ({"frameDurationMs": 20}, _speech),
    "SilenceDetectorNode": ({"minSilenceMs": 100}, _speech),
    "FastResampleNode": ({"targetRate": 16_000}, lambda: _tone(44_100, channels=2)),
    "RustResampleNode": ({"target_rate": 48_000, "quality": "High"}, lambda: _tone(8_000)),
    "SileroVADNode": ({"threshold": 0.5}, _speech),
    "EspeakTTSNode": ({"rate_wpm": 200}, lambda: [Text("One, two."), Text("Three.")]),
    "PocketSphinxSTTNode": ({"grammar": GRAMMAR}, _marked_speech),
    "TextCollectorNode": (
        {"minSentenceLength": 4},
        lambda: [Text("One. Tw", "en"), Text("o. Thr", "en"), Text("ee<|text_end|>", "en")],
    ),
    "RuleReplyNode": ({"rules": RULES}, lambda: [Text("turn on the light"), Text("no")]),
    "VideoFlip": ({"direction": "horizontal"}, lambda: _pictures(3)),
    "VideoFormatNode": ({"format": "nv12"}, lambda: _pictures(3)),
    "VideoScaleNode": ({"height": 64, "keepAspect": True}, lambda: _pictures(3)),
    "MediaReaderNode": ({"videoFormat": "yuv420p", "loop": 2}, lambda: [File(_clip())]),
    "MediaWriterNode": ({"output_path": f"{SCRATCH.name}/case.flac"}, lambda: _tone(8_000)),
    "SynchronizedAudioVideoNode": (
        {"syncToleranceMs": 5},
        lambda: [
            {"audio_input": sound, "video_input": video}
            for sound, video in zip(_tone(8_000, blocks=3), _pictures(3), strict=True)
        ],
    ),
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
