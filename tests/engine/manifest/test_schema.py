"""The published JSON schemas."""

import json

from engine.manifest.schema import SCHEMAS, main, render, stale, write


def test_the_schemas_in_the_repository_are_current():
    assert stale() == [], "run python -m engine.manifest.schema"
    assert main(["--check"]) == 0
    assert SCHEMAS.name == "schemas"


def test_what_is_missing_or_old_is_named(tmp_path):
    assert stale(tmp_path) == ["manifest.v1.json", "runtime.v1.json"]
    write(tmp_path)
    assert stale(tmp_path) == []
    (tmp_path / "runtime.v1.json").write_text("{}")
    assert stale(tmp_path) == ["runtime.v1.json"]


def test_the_check_fails_where_they_are_not_current(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("engine.manifest.schema.SCHEMAS", tmp_path)
    monkeypatch.setattr("engine.manifest.schema.stale", lambda: ["manifest.v1.json"])
    assert main(["--check"]) == 1
    assert "manifest.v1.json is not current" in capsys.readouterr().err


def test_no_object_forbids_unknown_fields():
    for text in render().values():
        schema = json.loads(text)
        for part in (schema, *schema["$defs"].values()):
            assert part["additionalProperties"] is True


def test_the_manifest_says_what_is_required():
    schema = json.loads(render()["manifest.v1.json"])
    assert schema["required"] == ["version", "metadata", "nodes", "connections"]
    assert schema["$defs"]["Node"]["required"] == ["id", "node_type"]
    assert schema["$defs"]["Connection"]["required"] == ["from", "to"]
    assert schema["$defs"]["Node"]["properties"]["id"]["pattern"] == "^[a-zA-Z0-9_-]+$"
