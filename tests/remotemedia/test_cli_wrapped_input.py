"""The input that a manifest is wrapped with: what it becomes, and who is fed."""

import base64
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from engine.config import Settings
from engine.errors import MediaError, UsageError
from engine.payloads import Audio, Binary, Json, Text
from engine.prepare import prepare
from remotemedia import builtin_registry
from remotemedia.cli import app
from remotemedia.cli.wrapped_input import wrapped_inputs
from tests.remotemedia.cli_helpers import json_lines, manifest


def plan_of(*nodes, connections=None):
    return prepare(manifest(*nodes, connections=connections), builtin_registry(), Settings())


@pytest.fixture
def invoke(place, monkeypatch):
    monkeypatch.chdir(place.folder)
    monkeypatch.delenv("REMOTEMEDIA_CONFIG", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return lambda *arguments: CliRunner().invoke(app, ["run", *map(str, arguments)])


class TestPayloads:
    @pytest.mark.parametrize(
        ("item", "payload"),
        [
            ("hello", Text("hello")),
            ("", Text("")),
            (3, Json(3)),
            (None, Json(None)),
            ([1, 2], Json([1, 2])),
            ({}, Json({})),
            ({"value": 1}, Json({"value": 1})),
            ({"text": "hello"}, Text("hello")),
            ({"text": 3}, Json({"text": 3})),
            ({"text": "a", "language": "en"}, Json({"text": "a", "language": "en"})),
            ({"json": {"text": "a"}}, Json({"text": "a"})),
            ({"binary_b64": base64.b64encode(b"abc").decode()}, Binary(b"abc")),
            ({"binary_b64": 3}, Json({"binary_b64": 3})),
            ({"audio": {"rate": 3}}, Json({"audio": {"rate": 3}})),
        ],
    )
    def test_what_an_item_becomes(self, item, payload):
        (fed,) = wrapped_inputs([item], plan_of("a:PassThrough"))
        assert list(fed.payloads()) == [payload]
        assert (fed.node, fed.name) == ("a", "input_data → a")

    def test_audio(self):
        audio = {"samples": [0.5, -0.5, 0.25, 0], "sample_rate": 8000, "channels": 2}
        (fed,) = wrapped_inputs([{"audio": audio}], plan_of("a:PassThrough"))
        (payload,) = fed.payloads()
        assert isinstance(payload, Audio)
        assert (payload.sample_rate, payload.samples.tolist()) == (
            8000,
            [[0.5, -0.5], [0.25, 0.0]],
        )
        assert payload.samples.dtype == np.float32

    def test_an_object_is_left_alone_where_the_node_takes_no_text(self):
        (fed,) = wrapped_inputs([{"text": "a"}], plan_of("a:CalculatorNode"))
        assert list(fed.payloads()) == [Json({"text": "a"})]

    @pytest.mark.parametrize(
        ("item", "words"),
        [
            ({"binary_b64": "?"}, r"input_data\[1\].binary_b64 is not base64"),
            ({"audio": {"samples": ["a"], "sample_rate": 1}}, r"input_data\[1\].audio is no audio"),
            ({"audio": {"samples": [1.0]}}, "sample_rate in Hz"),
            ({"audio": {"samples": [1.0], "sample_rate": 0}}, "at least 1 Hz"),
            ({"audio": {"samples": [1.0], "sample_rate": 1, "channels": 2}}, "is no audio"),
            ({"audio": {"samples": {}, "sample_rate": 1}}, "is no audio"),
        ],
    )
    def test_what_looks_like_media_and_is_none(self, item, words):
        with pytest.raises(MediaError, match=words):
            wrapped_inputs(["fine", item], plan_of("a:PassThrough"))


class TestNodes:
    def test_one_item_needs_no_list(self):
        for data in ("hello", {"value": 1}, 3):
            (fed,) = wrapped_inputs(data, plan_of("a:PassThrough"))
            assert len(fed.items) == 1

    def test_by_node(self):
        plan = plan_of("a:PassThrough", "b:PassThrough", connections=[])
        fed = wrapped_inputs({"b": ["x", "y"], "a": 1}, plan)
        assert [(item.node, len(item.items)) for item in fed] == [("b", 2), ("a", 1)]

    @pytest.mark.parametrize("data", [["x"], {"value": 1}, {"a": 1, "value": 2}, "x", {}])
    def test_which_of_several_is_asked_for(self, data):
        plan = plan_of("a:PassThrough", "b:PassThrough", connections=[])
        with pytest.raises(UsageError, match=r"does not say which node.*ingress nodes are a, b"):
            wrapped_inputs(data, plan)


class TestRun:
    def test_it_is_fed_where_there_is_no_other_input(self, invoke, place):
        wrapped = {"manifest": manifest("a:PassThrough"), "input_data": ["hello", {"value": 2}, 3]}
        result = invoke(place.write("m.json", wrapped))
        assert result.exit_code == 0, result.stderr
        assert result.stdout == 'a: hello\na: {"value": 2}\na: 3\n'

    def test_in_yaml_and_as_json_lines(self, invoke, place):
        path = place.write(
            "m.yaml",
            "manifest:\n  version: v1\n  metadata: {name: y}\n"
            "  nodes: [{id: calc, node_type: CalculatorNode, params: {operation: add, value: 5}}]\n"
            "  connections: []\ninput_data:\n  - value: 1\n  - 2\n",
        )
        result = invoke(path, "--json")
        assert result.exit_code == 0, result.stderr
        *lines, last = json_lines(result.stdout)
        assert [line["value"]["result"] for line in lines] == [6, 7]
        assert last["summary"]["inputs"] == {"calc": 2}

    def test_an_input_option_counts_before_it(self, invoke, place):
        place.write("said.txt", "from the file\n")
        wrapped = {"manifest": manifest("a:PassThrough"), "input_data": ["from the wrapper"]}
        result = invoke(place.write("m.json", wrapped), "--input", "said.txt")
        assert result.stdout == "a: from the file\n"
        assert "input_data is not used: --input feeds the pipeline" in result.stderr

    def test_without_input_data_only_the_end_comes(self, invoke, place):
        result = invoke(place.write("m.json", {"manifest": manifest("a:PassThrough")}))
        assert (result.exit_code, result.stdout) == (0, "")

    def test_what_cannot_be_fed_is_told_before_anything_starts(self, invoke, place):
        nodes = manifest("a:PassThrough", "b:PassThrough@process", connections=[])
        result = invoke(place.write("m.json", {"manifest": nodes, "input_data": ["x"]}))
        assert result.exit_code == 2
        assert "make it an object with their names as keys" in result.stderr
