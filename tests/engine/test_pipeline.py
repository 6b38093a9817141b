"""Composing in Python: what `|` builds, what it refuses, and how a pipeline runs."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import Field

from engine.config import Settings
from engine.errors import ManifestError, NodeError, UsageError
from engine.operator import Operator, Params
from engine.payloads import Json, Text
from engine.pipeline import Pipeline


class Add(Operator):
    class Params(Params):
        amount: int = Field(1, ge=0)

    def process(self, packet, ctx):
        return Json(packet.payload.value + self.params.amount)


class Refuse(Operator):
    def process(self, packet, ctx):
        raise ValueError("no")


class OtherAdd(Add):
    node_type = "Add"


def _pipeline(name="sums"):
    return Pipeline(name, settings=Settings())


def _values(packets):
    return [packet.payload.value for packet in packets]


def test_a_pipeline_is_never_changed_by_appending():
    base = _pipeline() | Add()
    longer = base | Add(amount=10)
    assert len(base.to_manifest()["nodes"]) == 1
    assert len(longer.to_manifest()["nodes"]) == 2


def test_its_manifest_names_nodes_after_classes_and_numbers_repetitions():
    pipeline = _pipeline() | Add(amount=2) | Add().named("second") | Add().on("local")
    manifest = pipeline.to_manifest()
    assert [node["id"] for node in manifest["nodes"]] == ["add", "second", "add_2"]
    assert manifest["nodes"][0]["params"] == {"amount": 2}
    assert manifest["nodes"][2]["executor"] == "local"
    assert manifest["connections"] == [
        {"from": "add", "to": "second"},
        {"from": "second", "to": "add_2"},
    ]


def test_running_gives_the_outputs_in_order():
    pipeline = _pipeline() | Add() | Add(amount=10)
    assert _values(pipeline.run([Json(0), Json(1)])) == [11, 12]


def test_a_pipeline_of_a_manifest_runs_the_same():
    pipeline = _pipeline() | Add() | Add(amount=10)
    again = Pipeline.from_manifest(
        pipeline.to_manifest(), registry=pipeline._registry, settings=Settings()
    )
    assert again.name == "sums"
    assert _values(again.run([Json(5)])) == [16]


async def test_run_works_inside_a_running_loop():
    pipeline = _pipeline() | Add()
    assert _values(await asyncio.to_thread(pipeline.run, [Json(1)])) == [2]
    assert _values(pipeline.run([Json(1)])) == [2]


async def test_an_error_inside_run_in_a_thread_reaches_the_caller():
    with pytest.raises(NodeError, match="'refuse' failed in process"):
        (_pipeline() | Refuse()).run([Json(1)])


async def test_a_session_streams_an_asynchronous_input():
    async def inputs():
        for value in range(3):
            yield Json(value)

    async with (_pipeline() | Add()).session() as session:
        assert _values([packet async for packet in session.stream(inputs())]) == [1, 2, 3]


@pytest.mark.parametrize(
    ("step", "words"),
    [(Add, "add parentheses"), (3, "an Operator"), (Json(1), "an Operator")],
)
def test_what_is_no_operator_is_refused(step, words):
    with pytest.raises(UsageError, match=words):
        _pipeline() | step


def test_an_empty_pipeline_is_refused():
    with pytest.raises(UsageError, match="is empty"):
        _pipeline().run([])
    assert "empty" in repr(_pipeline())


def test_two_classes_of_one_node_type_are_refused():
    with pytest.raises(UsageError, match="give one another node_type"):
        _pipeline() | Add() | OtherAdd()


def test_wrong_params_are_refused_at_once():
    with pytest.raises(UsageError, match="amount: Input should be greater"):
        Add(amount=-1)
    with pytest.raises(UsageError, match="amont"):
        Add(amont=1)


def test_a_class_of_a_closure_cannot_run_in_a_process():
    class Local(Operator):
        def process(self, packet, ctx):
            return packet

    with pytest.raises(ManifestError, match="move the class to a module"):
        (_pipeline() | Local().on("process")).plan()


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([Text("a"), "b"], "str is not a payload"),
        (Json(1), "must be an iterable of payloads"),
        ([("nowhere", Json(1))], "takes no input from outside"),
    ],
)
def test_wrong_inputs_are_refused(inputs, words):
    with pytest.raises(UsageError, match=words):
        (_pipeline() | Add()).run(inputs if not isinstance(inputs, list) else iter(inputs[-1:]))


def test_its_manifest_is_the_callers_own():
    pipeline = Pipeline("sums", multiprocess={"channel_capacity": 4}) | Add(amount=2)
    for mine in (pipeline, Pipeline.from_manifest(pipeline.to_manifest())):
        document = mine.to_manifest()
        document["metadata"]["multiprocess"]["channel_capacity"] = 9
        document["nodes"][0]["params"]["amount"] = 9
        assert mine.to_manifest()["metadata"]["multiprocess"] == {"channel_capacity": 4}
        assert mine.to_manifest()["nodes"][0]["params"] == {"amount": 2}


def test_two_nodes_of_one_name_do_not_stop_it_from_being_printed():
    pipeline = _pipeline() | Add().named("x") | Add().named("x")
    assert "two nodes are named 'x'" in repr(pipeline)
    assert str(pipeline) == repr(pipeline)


def test_a_chain_of_as_many_nodes_as_a_manifest_may_have_runs():
    flow = Add()
    for _ in range(999):
        flow = flow | Add()
    assert _values((_pipeline() | flow).run([Json(0), Json(1)])) == [1000, 1001]


def test_outputs_are_iterated_over_once():
    stream = (_pipeline() | Add()).stream([Json(1), Json(2)])
    first = iter(stream)
    assert next(first).payload == Json(2)
    with pytest.raises(UsageError, match="iterated over already"):
        next(iter(stream))
    assert _values(first) == [3]
    with pytest.raises(UsageError, match="iterated over already"):
        asyncio.run(anext(aiter(stream)))


async def test_a_cancellation_in_the_inputs_ends_the_stream():
    async def inputs():
        yield Json(1)
        raise asyncio.CancelledError

    packets = aiter((_pipeline() | Add()).stream(inputs()))
    assert (await anext(packets)).payload == Json(2)
    with pytest.raises(asyncio.CancelledError):
        await anext(packets)
