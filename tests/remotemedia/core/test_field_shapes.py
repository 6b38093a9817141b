"""Nodes of many shapes: the same on every executor, and nothing to complain about."""

import asyncio
import warnings

import numpy as np
import pytest

from engine.payloads import Audio, Binary, Json, Tensor, Text
from remotemedia.core.node import Node
from tests.remotemedia.core.compat_helpers import EXECUTORS, chain, everywhere, run

pytestmark = pytest.mark.process


def test_a_node_that_can_be_made_in_two_ways_and_takes_envelopes():
    envelope = {"__aux_port__": "context", "payload": {"text": "facts"}}
    inputs = [Json(envelope), Text("hi")]
    assert everywhere(("TurnChatNode", {"maxNewTokens": 7}), inputs=inputs) == [
        Text("brief|facts|hi|7")
    ]


def test_a_model_in_a_thread_whose_progress_is_a_task():
    params = {"speed": "2", "text": "ignored", "language": "en"}
    assert everywhere(("StepTTSNode", params), inputs=[Text("hello you"), Json(1)]) == [
        Audio(np.full(25, 0.25, np.float32), 24_000),
        Audio(np.full(15, 0.25, np.float32), 24_000),
        Json(1),
    ]


def test_a_task_beside_the_items():
    assert everywhere("SessionTurnsNode", inputs=[Text("a"), Text("b")]) == [
        Json({"turn": 1, "running": True}),
        Json({"turn": 2, "running": True}),
    ]


def test_synchronous_steps_call_those_of_the_base_class():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert everywhere(("SyncStepsNode", {"factor": 3}), inputs=[Json(2)]) == [
            Json({"value": 6, "ready": True, "lines": ["ready"]})
        ]


def test_asynchronous_steps_that_do_not_wait_for_those_of_the_base_class():
    assert everywhere("ForgotAwaitNode", inputs=[Json(2)]) == [Json({"ready": True})]


def test_the_steps_of_the_base_class_are_called_awaited_or_made_a_task_of():
    async def awaited_and_made_a_task():
        node = Node()
        await node.initialize()
        assert node.is_initialized
        await asyncio.create_task(node.cleanup())
        assert not node.is_initialized

    node = Node()
    asyncio.run(node.initialize())
    assert node.is_initialized
    asyncio.run(awaited_and_made_a_task())


def test_a_dataclass():
    params = {"threshold": 1, "labels": ["a"]}
    assert everywhere(("ThresholdDataNode", params), inputs=[Json(2)]) == [
        Json({"over": True, "labels": ["a"]})
    ]


def test_params_without_a_default_in_either_spelling():
    params = {"modelPath": "m", "dim": 3}
    assert everywhere(("ModelPathNode", params), inputs=[Json(0)]) == [
        Json({"model": "m", "dim": 3})
    ]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_every_kind_of_value_that_process_gives(executor):
    expected = {
        "none": [],
        "list": [Json([1, "a"])],
        "several": [Text("a"), Binary(b"b")],
        "tuple": [Json([1, "x"])],
        "bytes": [Binary(b"\x00\x01")],
        "generator": [Json(1), Json(2)],
        "map": [Text("3")],
        "zero": [Json(0)],
        "false": [Json(False)],
        "empty": [Json({})],
        "numpy": [Json({"a": 1.5, "b": [1, 2], "c": True})],
        "array": [Tensor(np.arange(6, dtype=np.float32).reshape(2, 3))],
        "set": [Json([3])],
    }
    outputs = run(chain("ManyKindsNode", executor=executor), [Text(kind) for kind in expected])
    assert [payload for payload, _ in outputs] == [
        payload for payloads in expected.values() for payload in payloads
    ]
