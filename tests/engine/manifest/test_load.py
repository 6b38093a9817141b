"""Reading a manifest: what is taken, and what is said about what is not."""

import json
from types import MappingProxyType

import pytest

from engine.errors import ManifestError, UsageError
from engine.manifest.limits import ManifestLimits
from engine.manifest.load import PROBLEMS_MAX, examine, load_manifest


def document(**changes):
    return {
        "version": "v1",
        "metadata": {"name": "voice"},
        "nodes": [{"id": "a", "node_type": "Gain"}, {"id": "b", "node_type": "Gain"}],
        "connections": [{"from": "a", "to": "b"}],
        **changes,
    }


def errors_of(source, **limits):
    with pytest.raises(ManifestError) as caught:
        load_manifest(source, ManifestLimits(**limits))
    return {problem.path: problem.message for problem in caught.value.problems}


class TestSources:
    def test_text_bytes_mapping_and_file_are_the_same(self, tmp_path):
        text = json.dumps(document())
        path = tmp_path / "voice.json"
        path.write_text(text)
        read = load_manifest(text)
        assert read.metadata.name == "voice"
        for source in (text.encode(), document(), MappingProxyType(document()), path, read):
            assert load_manifest(source) == read

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(UsageError, match=r"no manifest .*none\.json"):
            load_manifest(tmp_path / "none.json")

    def test_a_folder_cannot_be_read(self, tmp_path):
        with pytest.raises(UsageError, match="cannot read the manifest"):
            load_manifest(tmp_path)

    def test_a_syntax_error_has_line_and_column(self):
        (message,) = errors_of('{\n  "version": "v1",\n  "nodes": [1,,]\n}').values()
        assert "line 3, column 15" in message

    def test_a_path_given_as_text_is_told_what_it_should_be(self):
        (message,) = errors_of("pipelines/voice.json").values()
        assert "pathlib.Path" in message

    @pytest.mark.parametrize(
        ("source", "words"),
        [
            ("", "is empty"),
            (b" \r\n", "is empty"),
            ("{", "not valid JSON"),
            ('{"a": NaN}', "NaN is not a JSON value"),
            ('{"a": ' + "9" * 5_000 + "}", "not valid JSON"),
            (b'{"a": "\xff"}', "not UTF-8"),
            ("[]", "must be an object, got a list"),
            ("3", "must be an object, got 3"),
            ("[" * 100_000, "levels deep"),
            ({"manifest": 3, "input_data": []}, "`manifest` field must be an object, got 3"),
        ],
    )
    def test_what_is_no_manifest_at_all_is_one_problem(self, source, words):
        problems = errors_of(source)
        assert list(problems) == ["manifest"]
        assert words in problems["manifest"]


class TestStructure:
    @pytest.mark.parametrize("missing", ["version", "metadata", "nodes", "connections"])
    def test_required_fields(self, missing):
        whole = document()
        del whole[missing]
        assert errors_of(whole) == {missing: "is required and missing"}

    @pytest.mark.parametrize(
        ("changes", "path", "words"),
        [
            ({"version": "v2"}, "version", 'must be "v1", got "v2"'),
            ({"version": 1}, "version", 'must be "v1", got 1'),
            ({"metadata": {"name": ""}}, "metadata.name", "at least 1 character"),
            ({"metadata": {"name": "x" * 256}}, "metadata.name", "at most 255 characters"),
            ({"metadata": {"name": 3}}, "metadata.name", "must be a string, got 3"),
            ({"metadata": []}, "metadata", "must be an object"),
            ({"nodes": []}, "nodes", "at least 1 item"),
            ({"nodes": {}}, "nodes", "must be a list"),
            ({"connections": None}, "connections", "must be a list, got null"),
            ({"connections": [3]}, "connections[0]", "must be an object, got 3"),
            ({"connections": [{"from": "a"}]}, "connections[0].to", "is required"),
            (
                {"connections": [{"from": "a", "to": "b", "toPort": 3}]},
                "connections[0].toPort",
                "must be a string, got 3",
            ),
            (
                {"connections": [{"from": "a", "to": "b", "capacity": 0}]},
                "connections[0].capacity",
                "greater than or equal to 1, got 0",
            ),
        ],
    )
    def test_what_is_wrong_is_said_with_its_path(self, changes, path, words):
        problems = errors_of(document(**changes))
        assert list(problems) == [path]
        assert words in problems[path]

    @pytest.mark.parametrize(
        ("field", "value", "words"),
        [
            ("id", "a b", "must match pattern"),
            ("id", "a\n", "must match pattern"),
            ("node_type", "", "at least 1 character"),
            ("params", "{}", 'must be an object, got "{}"'),
            ("params", [1], "must be an object, got a list"),
            ("host", "nowhere", "must match pattern"),
            ("is_streaming", "yes", 'must be true or false, got "yes"'),
            ("process_timeout_ms", 0, "got 0"),
            ("process_timeout_ms", 1.5, "must be a whole number, got 1.5"),
            ("executor", 3, "must be a string"),
            ("executor", {}, 'or {"process": "name of a group"}'),
            ("executor", {"process": ""}, 'or {"process": "name of a group"}'),
            ("restart", 3, "must be an object, got 3"),
            ("restart", {"max": 0}, "greater than or equal to 1"),
            ("restart", {"backoff_ms": -1}, "greater than or equal to 0"),
            ("capabilities", {"cpu": {"cores": 0}}, "greater than or equal to 1"),
            ("capabilities", {"gpu": {"type": "tpu"}}, "'cuda'"),
        ],
    )
    def test_a_wrong_field_of_a_node(self, field, value, words):
        node = {"id": "a", "node_type": "Gain", field: value}
        ((path, message),) = errors_of(document(nodes=[node], connections=[])).items()
        assert path.startswith(f"nodes[0].{field}")
        assert words in message

    def test_all_problems_come_at_once_each_with_its_node(self):
        nodes = [{"id": "a", "node_type": 1, "params": 2}, 3, {"id": "c d", "host": "x"}]
        _, problems = examine(document(version="v2", nodes=nodes, connections=[{}]))
        assert [(problem.path, problem.node_id) for problem in problems] == [
            ("version", None),
            ("nodes[0].node_type", "a"),
            ("nodes[0].params", "a"),
            ("nodes[1]", None),
            ("nodes[2].id", "c d"),
            ("nodes[2].node_type", "c d"),
            ("nodes[2].host", "c d"),
            ("connections[0].from", None),
            ("connections[0].to", None),
        ]

    def test_no_answer_is_endless(self):
        _, problems = examine(document(nodes=[{}] * 900))
        assert len(problems) == PROBLEMS_MAX + 1
        assert "more problems" in problems[-1].message


class TestSalvage:
    """What `examine` makes of a faulty document, so that the rest of it is still looked at."""

    def test_what_is_sound_is_kept(self):
        manifest, problems = examine(
            document(
                metadata={"name": 3, "multiprocess": {"channel_capacity": 5}},
                nodes=[
                    {"id": "a", "nodeType": "Gain", "params": {"gain_db": 3}, "host": ""},
                    {"id": "b", "node_type": "Gain"},
                    "nothing",
                ],
                connections=[{"from": "a", "to": "b", "fromPort": "x", "capacity": "y"}, 3],
            )
        )
        assert len(problems) == 5
        assert manifest.metadata.multiprocess == {"channel_capacity": 5}
        first, second, third = manifest.nodes
        assert (first.id, first.node_type, first.params) == ("a", "Gain", {"gain_db": 3})
        assert (second.id, second.node_type) == ("b", "Gain")
        assert (third.id, third.node_type) == ("", "")
        link, nothing = manifest.connections
        assert (link.source, link.source_port, link.target, link.target_port) == (
            "a",
            "x",
            "b",
            None,
        )
        assert (nothing.source, nothing.target) == ("", "")

    def test_nothing_is_left_of_what_is_no_list(self):
        manifest, problems = examine({"nodes": 3, "connections": 4})
        assert manifest.nodes == manifest.connections == []
        assert len(problems) == 4

    def test_keys_that_are_no_strings_are_dropped(self):
        node = {"id": "a", "node_type": "Gain", "params": {1: 2, "x": 3}}
        manifest, problems = examine(document(nodes=[node]))
        assert manifest.nodes[0].params == {"x": 3}
        (problem,) = problems
        assert problem.path.startswith("nodes[0].params")
