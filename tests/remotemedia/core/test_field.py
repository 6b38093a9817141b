"""Node files of other hands, run unchanged in manifests: the same on every executor."""

import asyncio
import logging

import numpy as np
import pytest

from engine.payloads import (
    Audio,
    BatchHint,
    Binary,
    Control,
    Json,
    Tensor,
    Text,
    Video,
)
from tests.remotemedia.core.compat_helpers import PATIENCE_S, chain, everywhere, run

pytestmark = pytest.mark.process

RAMP = np.linspace(-1, 1, 400, dtype=np.float32)
MONO = Audio(RAMP, 16_000)
STEREO = Audio(RAMP.reshape(200, 2), 16_000)


def tone(word, *, pitch=110.0, rate=24_000):
    samples = 0.3 * np.sin(2 * np.pi * pitch * (1 + len(word)) * np.arange(rate // 50) / rate)
    return Audio(samples.astype(np.float32), rate)


# --------------------------------------------------------------------------- MultiprocessNode style


def test_an_accumulator_with_camel_case_params_and_a_flush():
    outputs = everywhere(("UtteranceCollectorNode", {"chunkSize": 512}), inputs=[MONO] * 3)
    whole = np.tile(RAMP, 3)
    assert outputs == [
        Audio(part.copy(), 16_000) for part in (whole[:512], whole[512:1024], whole[1024:])
    ]


def test_a_generator_that_streams_audio_out_of_one_buffer():
    params = {"voice": "high"}
    outputs = everywhere(("ToneTTSNode", params), inputs=[Text("say this<|text_end|>"), Json(1)])
    assert outputs == [tone("say", pitch=220.0), tone("this", pitch=220.0), Json(1)]


def test_a_node_that_loads_for_a_while():
    assert everywhere("HeavyModelNode", inputs=[Text("a"), MONO]) == [
        Json({"score": 6.0, "type": "text"}),
        Json({"score": 6.0, "type": "audio"}),
    ]


def test_a_node_that_counts_and_uses_its_session():
    assert everywhere("EchoCounterNode", inputs=[Text("a"), Json({"b": 1}), Text("c")]) == [
        Text("[n0 #1] a"),
        Json({"b": 1}),
        Text("[n0 #3] c"),
    ]


def test_a_node_in_the_attribute_style():
    outputs = everywhere(("WaveShaperNode", {"drive": 2.0}), inputs=[MONO, STEREO, Text("x")])
    expected = np.clip(RAMP * 2, -1, 1)
    assert outputs == [Audio(expected, 16_000), Audio(expected.reshape(200, 2), 16_000)]


def test_a_coroutine_that_returns_an_asynchronous_generator():
    outputs = everywhere(("TokenStreamNode", {"separator": "-"}), inputs=[Text("a-b"), Json(0)])
    assert outputs == [Text("a", "en", "ui"), Text("b", "en", "ui")]


def test_other_kinds_of_data():
    frame = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    inputs = [Binary(b"abcd", "x/y"), Tensor(np.eye(2)), Video(frame), STEREO]
    assert everywhere("BlobSplitterNode", inputs=inputs) == [
        Binary(b"ab", "x/y"),
        Binary(b"cd", "x/y"),
        Tensor(np.eye(2) * 2),
        Video(frame[::-1].copy()),
        Json({"shape": [200, 2]}),
    ]


# --------------------------------------------------------------------------------------- Node style


def test_a_synchronous_node_on_numbers_and_lists():
    outputs = everywhere(("AddNode", {"addend": 2}), inputs=[Json(1), Json(0.5), Json([1, 2])])
    assert outputs == [Json(3), Json(2.5), Json([3, 4])]


def test_a_synchronous_node_on_dicts():
    asked = {"text": "hi you", "operations": ["upper", "words"]}
    params = {"language": "en"}
    assert everywhere(("TextStatsNode", params), inputs=[Json(asked), Text("x")]) == [
        Json(
            {
                "original_text": "hi you",
                "results": {"upper": "HI YOU", "words": 2},
                "node_config": {"language": "en"},
            }
        ),
        Json({"error": "Input must be a dictionary", "input": "x", "processed_by": "n0"}),
    ]


def test_a_synchronous_generator():
    outputs = everywhere(("SentenceSplitNode", {"min_length": 2}), inputs=[Text("One. T. Two.")])
    assert outputs == [Text("One"), Text("Two")]


def test_a_coroutine():
    assert everywhere("ShoutNode", inputs=[Text("hi"), Json(1)]) == [Text("HI!", "en")]


def test_state_that_comes_out_at_the_end():
    outputs = everywhere("RunningMeanNode", inputs=[Json({"value": 1}), Json(3), Json(8)])
    assert outputs == [Json({"mean": 4.0, "count": 3})]


def test_audio_as_a_pair():
    outputs = everywhere(("TupleGainNode", {"gain": 2.0}), inputs=[MONO, STEREO, Text("x")])
    expected = np.clip(RAMP * 2, -1, 1)
    assert outputs == [
        Audio(expected, 16_000),
        Audio(expected.reshape(200, 2), 16_000),
        Text("x"),
    ]


def test_an_asynchronous_generator_with_state_per_session():
    assert everywhere("EnvelopeNode", inputs=[MONO, MONO]) == [
        Audio(np.abs(RAMP), 16_000),
        Json({"seen": 1}),
        Audio(np.abs(RAMP), 16_000),
        Json({"seen": 2}),
    ]


# ------------------------------------------------------------------------------------ plain classes


def test_one_item_becomes_several():
    inputs = [Json({"value": 1}), Json(4)]
    assert everywhere(("RepeaterNode", {"expansionFactor": 2}), inputs=inputs) == [
        Json({"value": 1, "index": 0}),
        Json({"value": 2, "index": 1}),
        Json(4),
        Json(5),
    ]


def test_one_item_becomes_none():
    inputs = [Json(0), Json(2.5), Json({"value": 3, "more": [1]})]
    outputs = everywhere(("ThresholdNode", {"min_value": 1}), inputs=inputs)
    assert outputs == [Json(2.5), Json({"value": 3, "more": [1]})]


def test_input_that_stands_in_the_output():
    inputs = [Json({"a": [1]}), Text("t")]
    assert everywhere(("CounterNode", {"initial_count": 5}), inputs=inputs) == [
        Json({"count": 6, "input": {"a": [1]}}),
        Json({"count": 7, "input": "t"}),
    ]


def test_positional_params_in_camel_case():
    outputs = everywhere(("WindowNode", {"window_size": 2}), inputs=[Json(n) for n in range(3)])
    assert outputs == [
        Json({"window": [0, 1], "node": "n0"}),
        Json({"window": [1, 2], "node": "n0"}),
    ]


def test_samples_changed_in_place():
    outputs = everywhere(("GainNode", {"gain": 0.5}), inputs=[MONO, STEREO])
    assert outputs == [Audio(RAMP * 0.5, 16_000), Audio(RAMP.reshape(200, 2) * 0.5, 16_000)]


# ------------------------------------------------------------------------------------- all together


def test_the_three_styles_in_one_chain():
    outputs = everywhere(
        ("SentenceSplitNode", {}),
        ("ShoutNode", {}),
        ("CounterNode", {}),
        ("EchoCounterNode", {}),
        inputs=[Text("One. Two. Three."), Text("Four.")],
    )
    assert [payload.value["input"] for payload in outputs] == ["ONE!", "TWO!", "THREE!", "FOUR!"]
    assert [payload.value["count"] for payload in outputs] == [1, 2, 3, 4]


def test_where_they_run_by_default():
    plan = chain("ShoutNode", "PassThrough", "EchoCounterNode").plan()
    placed = {node.id: (node.executor, node.rule) for stage in plan.stages for node in stage.nodes}
    assert placed == {
        "n0": ("process", "pattern"),
        "n1": ("local", "default"),
        "n2": ("process", "pattern"),
    }


@pytest.mark.parametrize("executor", ["local", "process"])
async def test_metadata_survives_the_way_through(executor):
    pipeline = chain("ShoutNode", "EchoCounterNode", "CounterNode", executor=executor)
    async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
        await session.send(Text("a"), metadata={"speaker": "ann"})
        await session.end_input()
        packets = [packet async for packet in session.outputs()]
    (packet,) = packets
    assert packet.payload == Json({"count": 1, "input": "[n1 #1] A!"})
    assert packet.metadata == {"speaker": "ann", "seen_by": "n1"}


@pytest.mark.parametrize("executor", ["local", "process"])
async def test_what_nodes_publish_is_the_sessions_progress(executor):
    told = []
    pipeline = chain("HeavyModelNode", executor=executor)
    async with asyncio.timeout(PATIENCE_S), pipeline.session(told.append):
        pass
    own = [(step.node_id, step.status, step.fraction, step.message) for step in told]
    assert [step for step in own if step[1] not in {"starting", "importing", "initializing"}] == [
        ("n0", "allocating", 0.0, "some memory"),
        ("n0", "loading_model", 0.0, "reading weights"),
        ("n0", "loading_model", 0.5, "in a thread"),
        ("n0", "warming_up", 0.9, "first pass"),
        ("n0", "ready", 1.0, ""),
    ]


def test_control_messages_go_past_process():
    hint = Control(BatchHint(4))
    outputs = everywhere("ShoutNode", ("AddNode", {"addend": 1}), inputs=[hint])
    assert outputs == [hint]


def test_what_nodes_log_bears_their_name(caplog):
    caplog.set_level(logging.DEBUG)
    run(chain("UtteranceCollectorNode", executor="local"), [MONO])
    assert any(
        record.name == "remotemedia.node.n0" and record.message.startswith("collector for ")
        for record in caplog.records
    )
