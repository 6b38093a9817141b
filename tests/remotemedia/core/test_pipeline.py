"""Pipeline: nodes in a list become a manifest, and run."""

import json

import numpy as np
import pytest

from engine.config import Settings
from engine.errors import ManifestError, NodeError
from engine.payloads import Json, Text
from engine.pipeline import Pipeline as EnginePipeline
from remotemedia import builtin_registry
from remotemedia.core.node import Node, NodeConfig, Pipeline, PipelineError, RuntimeData
from tests.remotemedia.core.field.bare_nodes import RepeaterNode
from tests.remotemedia.core.field.shape_nodes import StepTTSNode
from tests.remotemedia.core.field.speech_nodes import ToneTTSNode
from tests.remotemedia.core.field.value_nodes import RunningMeanNode, SentenceSplitNode, ShoutNode

pytestmark = pytest.mark.process


class Times(Node):
    """Keeps its params to itself."""

    def __init__(self, factor, offset=0, **kwargs):
        super().__init__(**kwargs)
        self.factor, self.offset = factor, offset

    def process(self, data):
        return data * self.factor + self.offset if self.offset else data * self.factor

    def get_capabilities(self):
        return {"memory_gb": 1.0}


def nodes_of(pipeline):
    return [
        (node["id"], node["node_type"], node["params"])
        for node in json.loads(pipeline.serialize())["nodes"]
    ]


# ------------------------------------------------------------------------------------ as a document


def test_it_becomes_a_linear_manifest():
    pipeline = Pipeline([SentenceSplitNode(name="split", minLength=2), ShoutNode()], name="talk")
    manifest = json.loads(pipeline.serialize(description="for the test"))
    assert manifest["version"] == "v1"
    assert manifest["metadata"]["name"] == "talk"
    assert manifest["metadata"]["description"] == "for the test"
    assert manifest["metadata"]["created_at"].endswith("Z")
    assert nodes_of(pipeline) == [
        ("split_0", "SentenceSplitNode", {"minLength": 2}),
        ("ShoutNode_1", "ShoutNode", {}),
    ]
    assert manifest["connections"] == [{"from": "split_0", "to": "ShoutNode_1"}]
    assert EnginePipeline.from_manifest(manifest, registry=builtin_registry()).plan()


def test_params_are_what_the_node_was_made_with():
    pipeline = (
        Pipeline(name="x")
        .add_node(Times(3, name="times"))
        .add_node(Times(factor=2, offset=np.float32(0.5)))
        .add_node(RepeaterNode(expansion_factor=5))
        .add_node(ToneTTSNode("tts", voice="high"))
        .add_node(ToneTTSNode(config=NodeConfig("tts", "ToneTTSNode", {"voice": "low"})))
    )
    assert nodes_of(pipeline) == [
        ("times_0", "Times", {"factor": 3}),
        ("Times_1", "Times", {"factor": 2, "offset": 0.5}),
        ("RepeaterNode_2", "RepeaterNode", {"expansion_factor": 5}),
        ("tts_3", "ToneTTSNode", {"voice": "high"}),
        ("tts_4", "ToneTTSNode", {"voice": "low"}),
    ]
    assert pipeline.node_count == 5
    assert pipeline.get_node("times").factor == 3


def test_a_node_that_did_not_call_its_base_class_has_the_id_it_gave_itself():
    node = StepTTSNode(voice="b", speed=2)  # without a config it makes itself up
    assert nodes_of(Pipeline([node])) == [("tts_0", "StepTTSNode", {"speed": 2, "voice": "b"})]


def test_capabilities_may_be_left_out():
    pipeline = Pipeline([Times(1)])
    assert json.loads(pipeline.serialize())["nodes"][0]["capabilities"] == {"memory_gb": 1.0}
    assert (
        "capabilities" not in json.loads(pipeline.serialize(include_capabilities=False))["nodes"][0]
    )


def test_names_become_ids():
    assert nodes_of(Pipeline([Times(1, name="my node: 1")]))[0][0] == "my_node__1_0"


def test_nodes_may_be_given_by_type_and_linked():
    pipeline = (
        Pipeline("talk")
        .add_node("a", "PassThrough")
        .add_node("b", "ShoutNode", config={"x": 1})
        .add_node("c", "PassThrough")
        .connect("a", "c")
        .connect("a", "b", channel_name="text")
    )
    manifest = json.loads(pipeline.serialize())
    assert manifest["metadata"]["name"] == "talk"
    assert nodes_of(pipeline)[1] == ("b", "ShoutNode", {"x": 1})
    assert manifest["connections"] == [{"from": "a", "to": "c"}, {"from": "a", "to": "b"}]


@pytest.mark.parametrize(
    ("compose", "said"),
    [
        (lambda: Pipeline().serialize(), "is empty: add_node first"),
        (lambda: Pipeline([ShoutNode]), "is no node object: add parentheses"),
        (lambda: Pipeline([3]), "it has no process"),
        (lambda: Pipeline().add_node("a"), r"needs the node's type"),
        (lambda: Pipeline().add_node("a", "A").add_node("a", "B"), "'a' is in pipeline"),
        (lambda: Pipeline().add_node("a", "A").connect("a", "b"), "there is no node 'b'"),
        (lambda: Pipeline([Times(object())]).serialize(), "Times_0.*factor is object is nothing"),
    ],
)
def test_what_cannot_be_composed_says_so(compose, said):
    with pytest.raises(PipelineError, match=said):
        compose()


# ------------------------------------------------------------------------------------------ running


async def test_a_run_gives_a_list_one_value_or_none():
    pipeline = Pipeline([Times(2), Times(1, offset=1)])
    assert await pipeline.run([1, 2, 3]) == [3, 5, 7]
    assert await pipeline.run(4) == 9
    assert await pipeline.run() is None
    assert (await pipeline.run(4)).as_json() == 9


async def test_a_stream_goes_in_and_comes_out():
    async def spoken():
        yield "One. Two."
        yield RuntimeData.text("Three.", metadata={"speaker": "ann"})

    async with Pipeline([SentenceSplitNode(), Times(2)]).managed_execution() as pipeline:
        found = [item async for item in pipeline.process(spoken())]
    assert found == ["OneOne", "TwoTwo", "ThreeThree"]
    assert found[2].metadata["speaker"] == "ann"


async def test_nodes_named_so_run_in_processes_and_keep_their_params():
    plain = Pipeline([Times(2), RunningMeanNode()])
    assert await plain.run([1, 2, 3]) == {"mean": 4.0, "count": 3}
    assert {node.executor for stage in plain.to_engine().plan().stages for node in stage.nodes} == {
        "local",
        "process",
    }


async def test_classes_out_of_reach_run_local():
    class InnerNode(Node):
        def process(self, data):
            return data + 1

    assert await Pipeline([InnerNode()]).run(1) == 2


async def test_an_error_names_the_node():
    with pytest.raises(NodeError, match="node 'Times_0' failed in process") as caught:
        await Pipeline([Times("a")]).run(2.5)
    assert caught.value.node_id == "Times_0"


async def test_a_value_that_cannot_be_sent_is_said():
    with pytest.raises(TypeError, match="no payload can be made"):
        await Pipeline([Times(1)]).run([1, object()])


async def test_what_cannot_run_is_found_before():
    with pytest.raises(ManifestError, match="NoSuchType"):
        await Pipeline("x").add_node("a", "NoSuchType").initialize()


def test_its_manifest_runs_like_any_other():
    manifest = Pipeline([Times(2, name="t")]).serialize()
    pipeline = EnginePipeline.from_manifest(
        manifest, registry=builtin_registry(), settings=Settings()
    )
    assert [packet.payload for packet in pipeline.run([Json(2), Text("ab")])] == [
        Json(4),
        Text("abab"),
    ]
