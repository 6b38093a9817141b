"""Reading a document: JSON or YAML, wrapped or not, and what is said about neither."""

import json

import pytest

from engine.errors import ManifestError, UsageError
from engine.manifest.document import load_document, read_document
from engine.manifest.limits import ManifestLimits
from engine.manifest.load import load_manifest

DOCUMENT = {
    "version": "v1",
    "metadata": {"name": "voice"},
    "nodes": [{"id": "a", "node_type": "Gain"}],
    "connections": [],
}
YAML = """\
version: v1
metadata: {name: voice}
nodes:
  - id: a
    node_type: Gain
connections: []
"""


def problem_of(source, **limits):
    document, problems = read_document(source, ManifestLimits(**limits))
    assert document is None
    (problem,) = problems
    assert problem.path == "manifest"
    return problem.message


class TestKinds:
    @pytest.mark.parametrize("name", ["m.yaml", "m.yml", "m.YAML", "m.txt", "m"])
    def test_a_yaml_file(self, tmp_path, name):
        path = tmp_path / name
        path.write_text(YAML)
        assert load_document(path).manifest == DOCUMENT

    @pytest.mark.parametrize("name", ["m.json", "m.yaml", "m.yml", "m.txt", "m"])
    def test_a_json_file(self, tmp_path, name):
        path = tmp_path / name
        path.write_bytes(b"\xef\xbb\xbf" + json.dumps(DOCUMENT, indent="\t").encode())
        assert load_document(path).manifest == DOCUMENT

    def test_text_and_bytes(self):
        for text in (YAML, json.dumps(DOCUMENT)):
            assert load_document(text).manifest == DOCUMENT
            assert load_document(text.encode()).manifest == DOCUMENT
            assert load_manifest(text).to_dict() == DOCUMENT

    def test_yaml_in_a_json_file_is_told_so(self, tmp_path):
        path = tmp_path / "m.json"
        path.write_text(YAML)
        message = problem_of(path)
        assert "is not valid JSON: line 1, column 1" in message
        assert "it looks like YAML: name the file .yaml" in message

    def test_neither(self, tmp_path):
        path = tmp_path / "m.toml"
        path.write_text("[metadata]\n")
        assert "a manifest is a .json, .yaml or .yml file" in problem_of(path)


class TestSentences:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ('{"a": 1,}', "line 1, column"),
            ("{'a': 1}", "texts are put in double quotes"),
            ('{\n  // why\n  "a": 1}', "JSON has no comments"),
            ('{"a": 1} {"b": 2}', "one object and nothing behind it"),
            ('{"a": [1, 2}', "line 1, column 12"),
            ("[" * 5_000 + "]" * 5_000, "levels deep"),
            ('[{"version": "v1"}]', "must be an object, got a list of one item; give the item"),
            ("[{}, {}]", "got a list; several manifests are several files"),
            ("voice.yaml", "a file is named by a pathlib.Path"),
            ("a: 1\n\tb: 2", "line 2, column 1: a tab cannot indent YAML"),
            ("a: 1\n---\nb: 2", "line 2, column 1: a second document begins"),
            ("a: 1\na: 2", "line 2, column 1: the key 'a' is there twice"),
            ({"manifest": "text"}, '`manifest` field must be an object, got "text"'),
        ],
    )
    def test_each_fault_has_one(self, text, words):
        assert words in problem_of(text)

    @pytest.mark.parametrize("content", [b"", b"# nothing yet\n", b"---\n"])
    def test_an_empty_yaml_file(self, tmp_path, content):
        path = tmp_path / "m.yaml"
        path.write_bytes(content)
        assert problem_of(path) == "is empty"

    @pytest.mark.parametrize("name", ["m.json", "m.yaml", "m.txt"])
    def test_what_is_no_text(self, tmp_path, name):
        path = tmp_path / name
        path.write_bytes(b"RIFF\x00\x00\xff\xfeWAVE")
        message = problem_of(path)
        assert "UTF-8" in message or "U+0000" in message or "not valid" in message

    def test_latin_1_in_yaml(self, tmp_path):
        path = tmp_path / "m.yaml"
        path.write_bytes(b"metadata: {name: caf\xe9}\n")
        assert "is not UTF-8 text: invalid continuation byte at byte 20" in problem_of(path)

    def test_a_list_in_a_yaml_file(self, tmp_path):
        path = tmp_path / "m.yaml"
        path.write_text("- a\n- b\n")
        assert "must be an object, got a list" in problem_of(path)

    def test_too_large(self, tmp_path):
        path = tmp_path / "m.yaml"
        path.write_text(YAML)
        assert "more than 50 bytes" in problem_of(path, document_bytes_max=50)

    def test_the_number_of_nodes_is_bounded_inside_a_wrapper_too(self):
        wrapped = {"manifest": {**DOCUMENT, "nodes": DOCUMENT["nodes"] * 3}}
        _, problems = read_document(wrapped, ManifestLimits(nodes_max=2))
        assert [problem.path for problem in problems] == ["nodes"]

    def test_all_of_them_are_manifest_errors(self):
        with pytest.raises(ManifestError, match="1 problem in the manifest"):
            load_document("a: [")


class TestRepetition:
    def test_two_values_for_one_field_mean_nothing(self):
        message = problem_of('{"nodes": [], "x": {"id": "a", "id": "b"}}')
        assert message == 'has the field \'id\' twice in one object, with "a" and "b"; keep one'

    @pytest.mark.parametrize(
        "text",
        [
            '{"a": 1, "a": 1}',
            '{"_comment": "x", "_comment": "y"}',
            '{"//": 1, "//": 2}',
            '{"$comment": "x", "$comment": "y"}',
            '{"comment": 1, "comment": 2}',
            '{"#": 1, "#": 2}',
        ],
    )
    def test_the_same_value_and_remarks_may_be_repeated(self, text):
        document, problems = read_document(text)
        assert not problems
        assert len(document.manifest) == 1


class TestFiles:
    def test_a_missing_file_and_what_lies_beside_it(self, tmp_path):
        (tmp_path / "voice.yml").write_text(YAML)
        with pytest.raises(
            UsageError, match=r"no manifest .*voice\.json; did you mean .*voice\.yml"
        ):
            load_document(tmp_path / "voice.json")
        with pytest.raises(UsageError, match="check the path"):
            load_document(tmp_path / "other.json")

    def test_a_folder(self, tmp_path):
        with pytest.raises(UsageError, match=r"cannot read the manifest .*: Is a directory"):
            load_document(tmp_path)

    def test_a_path_that_no_system_has(self, tmp_path):
        with pytest.raises(UsageError, match="null byte"):
            load_document(tmp_path / "a\0b.json")


class TestWrapper:
    @pytest.mark.parametrize("field", ["input_data", "inputData"])
    def test_what_is_wrapped_is_the_manifest(self, field):
        wrapped = {"manifest": DOCUMENT, field: ["a", {"b": 1}], "client": "x"}
        for source in (wrapped, json.dumps(wrapped)):
            document = load_document(source)
            assert document.manifest == DOCUMENT
            assert document.input_data == ["a", {"b": 1}]
            assert load_manifest(source).to_dict() == DOCUMENT

    def test_without_input(self):
        assert load_document({"manifest": DOCUMENT}).input_data is None
        assert load_document({"manifest": DOCUMENT, "input_data": None}).input_data is None

    def test_a_field_of_that_name_is_no_wrapper(self):
        document = {**DOCUMENT, "manifest": {"kind": "note"}}
        assert load_document(document) == (document, None)
        assert load_manifest(document).to_dict() == document
