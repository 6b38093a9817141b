"""reactivex operators as steps of pipelines: where they may run, and what a manifest says."""

import gc
import weakref

import pytest
from reactivex import operators as ops

from engine.config import Settings
from engine.errors import ManifestError, NodeError, UsageError
from engine.payloads import Json, Text
from engine.pipeline import Pipeline
from engine.reactive.function import ReactivexNode, rx
from engine.registry import Registry
from engine.testing import run_virtual
from tests.engine.reactive import chains_for_rx
from tests.engine.reactive.bridge_operators import Numbered, Shout
from tests.engine.stage_helpers import texts

HERE = "tests.engine.reactive.chains_for_rx"


def pipeline(*steps):
    made = Pipeline("chain", settings=Settings())
    for step in steps:
        made = made | step
    return made


def values(packets):
    return [getattr(packet.payload, "text", None) or packet.payload.value for packet in packets]


def test_functions_run_in_a_pipeline():
    chain = pipeline(Shout(), rx(ops.filter(lambda packet: packet.payload.text != "A")), Numbered())
    assert values(chain.run([Text("a"), Text("b"), Text("c")])) == [[0, "B"], [1, "C"]]


def test_two_sessions_of_one_function_share_nothing():
    chain = pipeline(rx(ops.scan(lambda total, value: total + value), values=True))
    for _ in range(2):
        assert values(chain.run([Json(1), Json(2), Json(3)])) == [1, 3, 6]


def test_a_manifest_refuses_functions_by_the_nodes_id():
    chain = pipeline(Shout(), rx(ops.take(1)).named("first"))
    with pytest.raises(UsageError, match="node 'first' cannot be written to a manifest") as caught:
        chain.to_manifest()
    assert "move the function to a module and name it" in caught.value.message


def test_a_process_refuses_functions_by_the_nodes_id():
    with pytest.raises(ManifestError) as caught:
        pipeline(rx(ops.take(1)).named("first").on("process")).plan()
    (problem,) = caught.value.problems
    assert problem.node_id == "first"
    assert "move the function to a module and name it" in problem.message


def registry():
    known = Registry()
    known.register(ReactivexNode)
    return known


def test_names_travel_in_a_manifest():
    chain = pipeline(rx("map", chains_for_rx.shout), rx(f"{HERE}:tag", "!", values=True))
    manifest = chain.to_manifest()
    assert [node["node_type"] for node in manifest["nodes"]] == ["ReactivexNode"] * 2
    again = Pipeline.from_manifest(manifest, registry=registry(), settings=Settings())
    assert again.to_manifest() == manifest
    assert values(again.run(texts(2, "t"))) == ["T0!", "T1!"]


@pytest.mark.parametrize(
    ("params", "path", "sentence"),
    [
        (
            {"operators": [{"name": "take", "args": [1]}, {"name": "debounc", "args": [1]}]},
            "nodes[0].params.operators[1]",
            "'debounc' is no operator of reactivex; did you mean 'debounce'?",
        ),
        (
            {"operators": [{"name": "debounce"}]},
            "nodes[0].params.operators[0]",
            "missing a required argument: 'duetime'; its signature is (duetime: ",
        ),
        ({"operators": [{"nam": "take"}]}, "nodes[0].params.operators[0].name", "is required"),
        ({"operators": "take"}, "nodes[0].params.operators", "must be a list"),
    ],
)
def test_a_wrong_manifest_is_told_before_anything_starts(params, path, sentence):
    manifest = {
        "version": "v1",
        "metadata": {"name": "wrong"},
        "nodes": [{"id": "a", "node_type": "ReactivexNode", "params": params}],
        "connections": [],
    }
    with pytest.raises(ManifestError) as caught:
        Pipeline.from_manifest(manifest, registry=registry(), settings=Settings()).plan()
    found = [problem for problem in caught.value.problems if problem.path == path]
    assert sentence in found[0].message
    assert found[0].node_id == "a"


def test_what_a_function_of_a_users_refuses_is_told_when_the_session_starts():
    chain = pipeline(rx(f"{HERE}:tag", "!", times=0).named("tagger"))
    with pytest.raises(NodeError, match="times must be at least 1; its signature is") as caught:
        chain.run(texts(1))
    assert caught.value.node_id == "tagger"


def test_functions_live_no_longer_than_their_pipeline():
    def marked(packet):
        return packet

    alive = weakref.ref(marked)
    assert values(pipeline(rx(ops.map(marked))).run(texts(1))) == ["0"]
    del marked
    gc.collect()
    assert alive() is None


def test_time_operators_run_on_the_sessions_clock():
    import asyncio

    async def main():
        heard = []
        async with pipeline(rx("debounce", 60.0)).session() as session:
            for text in texts(3):
                await session.send(text)
            await asyncio.sleep(61)
            heard.append((await session.receive()).payload.text)
            await session.send(Text("last"))
            await session.end_input()
            heard.append((await session.receive()).payload.text)
            assert await session.receive() is None
        return heard

    assert run_virtual(main()) == ["2", "last"]
