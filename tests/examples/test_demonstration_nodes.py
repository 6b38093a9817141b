import pytest

from engine.config import Settings
from engine.errors import NodeError
from engine.payloads import Binary, Json, Text
from examples import demonstration_nodes as nodes
from remotemedia import Pipeline


def run(operator, *inputs, executor="local"):
    pipeline = Pipeline("one", settings=Settings()) | operator.on(executor)
    return [packet.payload.value for packet in pipeline.run(list(inputs))]


@pytest.mark.parametrize(
    ("operator", "given", "expected"),
    [
        (
            nodes.ExpanderNode(),
            Json({"value": 5}),
            [{"value": 5 + index, "index": index} for index in range(3)],
        ),
        (nodes.ExpanderNode(expansion_factor=1), Json(1.5), [{"value": 1.5, "index": 0}]),
        (nodes.ExpanderNode(expansion_factor=0), Json(1), []),
        (nodes.RangeGeneratorNode(), Json(3), [{"value": number} for number in (0, 1, 2)]),
        (
            nodes.RangeGeneratorNode(),
            Json({"start": 5, "end": 0, "step": -2}),
            [{"value": 5}, {"value": 3}, {"value": 1}],
        ),
        (
            nodes.TransformAndExpandNode(),
            Text("Ab"),
            [
                {"text": "AB", "transform": "upper"},
                {"text": "ab", "transform": "lower"},
                {"text": "bA", "transform": "reverse"},
                {"text": "AbAb", "transform": "double"},
            ],
        ),
        (
            nodes.TransformAndExpandNode(transforms=["reverse"]),
            Json({"text": "Ab"}),
            [{"text": "bA", "transform": "reverse"}],
        ),
        (
            nodes.ChainedTransformNode(),
            Json(3),
            [
                {"stage": 1, "value": 6},
                {"stage": 2, "value": 16},
                {"stage": 3, "value": 256, "final": True},
            ],
        ),
        (
            nodes.ChainedTransformNode(emit_intermediates=False),
            Json({"value": 3}),
            [{"stage": 3, "value": 256, "final": True}],
        ),
        (
            nodes.ConditionalExpanderNode(),
            Json(-2),
            [{"original": -2, "index": index, "count": 2} for index in (0, 1)],
        ),
        (nodes.ConditionalExpanderNode(), Json(0), []),
        (nodes.FilterNode(min_value=2), Json(2), [2]),
        (nodes.FilterNode(), Json({"value": -1}), []),
    ],
)
def test_outputs(operator, given, expected):
    assert run(operator, given) == expected


def test_a_large_number_expands_to_ten():
    assert len(run(nodes.ConditionalExpanderNode(), Json(1_000))) == 10


@pytest.mark.parametrize(
    ("operator", "given", "words"),
    [
        (nodes.ExpanderNode(), Json("x"), "expected a number"),
        (nodes.FilterNode(), Text("1"), "expected a number"),
        (nodes.RangeGeneratorNode(), Json({"start": 1}), "expected"),
        (nodes.RangeGeneratorNode(), Json({"end": 5, "step": 0}), "must not be zero"),
        (nodes.TransformAndExpandNode(), Json(5), "expected a text"),
        (nodes.TransformAndExpandNode(), Binary(b"x"), "expected a text"),
    ],
)
def test_what_they_cannot_take_is_an_error(operator, given, words):
    with pytest.raises(NodeError, match=words):
        run(operator, given)


@pytest.mark.process
def test_they_run_in_processes_by_default():
    pipeline = Pipeline("two", settings=Settings()) | nodes.ExpanderNode() | nodes.FilterNode()
    assert {stage.executor for stage in pipeline.plan().stages} == {"process"}
    assert [packet.payload.value["value"] for packet in pipeline.run([Json(-1)])] == [0, 1]
