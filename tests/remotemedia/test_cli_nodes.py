"""`remotemedia nodes list` and `nodes show`."""

import json
import sys

import pytest
from typer.testing import CliRunner

from engine.config import Settings
from operators.catalog import NODE_TYPES
from remotemedia.cli import app
from remotemedia.cli.node_catalog import facts_of, rows_of
from remotemedia.cli.operator_modules import registry_with
from remotemedia.cli.param_schema import type_text

MODULE = '''
"""Operators that say much about themselves."""

from typing import Literal

from pydantic import BaseModel, Field

from remotemedia import Operator
from engine.operator import Params as Base
from engine.operator import Ports


class Inner(BaseModel):
    depth: int = 3


class Telling(Operator):
    """Says all it can. And more.

    A second paragraph.
    """

    node_type = "TellingNode"
    accepts = frozenset({"audio", "text"})
    emits = frozenset()
    inputs = ("left", "right")
    outputs = ()
    default_executor = "process"
    joins = True
    strict = True
    stateful = True
    held_max = 7
    concurrency = 4

    class Params(Base):
        gain_db: float = Field(0.0, ge=-60, le=60, description="louder or softer")
        mode: Literal["low", "high"] = "low"
        path: str = Field(min_length=1)
        parts: list[Inner] = Field(default_factory=list, max_length=4)
        maybe: int | None = Field(None, gt=0, validation_alias="maybeNot")

    async def process(self, packet, ctx):
        return None

    def reset(self, ctx):
        pass


class Free(Operator):
    class Params(Base, extra="allow"):
        pass

    @classmethod
    def ports(cls, params):
        return Ports(("in",), ("a", "b"))
'''


@pytest.fixture
def invoke(place, monkeypatch):
    monkeypatch.chdir(place.folder)
    monkeypatch.delenv("REMOTEMEDIA_CONFIG", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "telling_operators", raising=False)

    def run(*arguments):
        result = CliRunner().invoke(app, ["nodes", *map(str, arguments)])
        assert isinstance(result.exception, SystemExit | None), result.exception
        return result

    return run


@pytest.fixture
def telling(place):
    return place.write("telling_operators.py", MODULE)


class TestHot:
    def test_a_param_says_whether_it_may_change_while_it_runs(self, invoke):
        lines = invoke("show", "FastResampleNode").stdout.splitlines()
        assert not any("may change" in line for line in lines)
        lines = invoke("show", "GainNode").stdout.splitlines()
        assert [line for line in lines if "default 10.0" in line] == [
            "      number from 0 to 60000; default 10.0; may change while it runs"
        ]

    def test_as_json(self, invoke):
        facts = json.loads(invoke("show", "MixerNode", "--json").stdout)
        assert {param["name"] for param in facts["params"] if param["hot"]} == {
            *("clip", "gain_db", "skew_max_ms", "wait_max_ms")
        }


class TestList:
    def test_every_operator_of_this_project_can_be_had(self):
        rows = {row.node_type: row for row in rows_of(registry_with([], Settings()))}
        assert set(NODE_TYPES) <= set(rows)
        assert [row for row in rows.values() if row.fault] == []
        for name, target in NODE_TYPES.items():
            assert rows[name].group == target.split(".")[1]
            assert rows[name].summary
            assert rows[name].executor in {"local", "process"}

    def test_it_is_grouped_and_readable(self, invoke):
        result = invoke("list")
        assert result.exit_code == 0
        lines = result.stdout.splitlines()
        start = lines.index("audio")
        (line,) = [line for line in lines[start:] if line.startswith("  AudioChunkerNode ")]
        assert "audio → audio" in line
        assert " local " in line
        assert "Emits audio of exactly" in line
        groups = [line for line in lines if line and not line.startswith(" ")]
        assert groups == sorted(groups)

    def test_as_json(self, invoke):
        rows = json.loads(invoke("list", "--json").stdout)
        (row,) = [row for row in rows if row["node_type"] == "EspeakTTSNode"]
        assert (row["group"], row["accepts"], row["emits"], row["executor"]) == (
            "speech",
            ["text"],
            ["audio"],
            "process",
        )

    def test_with_ones_own(self, invoke, telling):
        result = invoke("list", "--operators", telling)
        (line,) = [line for line in result.stdout.splitlines() if "TellingNode" in line]
        assert "audio, text → nothing  process  Says all it can." in line
        assert "\ntelling_operators\n" in result.stdout

    def test_what_cannot_be_had_is_listed_with_the_reason(self, invoke, monkeypatch):
        import remotemedia.registration

        process = remotemedia.registration._Process()
        process.registry.declare("BrokenNode", "nowhere_at_all:X", origin="acme 1.0")
        monkeypatch.setattr(remotemedia.registration, "_PROCESS", process)
        result = invoke("list")
        assert result.exit_code == 0
        (line,) = [line for line in result.stdout.splitlines() if "BrokenNode" in line]
        assert "cannot be had: cannot import 'nowhere_at_all:X'" in line
        assert "\nacme 1.0\n" in f"\n{result.stdout}"
        rows = json.loads(invoke("list", "--json").stdout)
        assert [row["fault"] != "" for row in rows if row["node_type"] == "BrokenNode"] == [True]


class TestShow:
    def test_everything_there_is_to_know(self, invoke, telling):
        result = invoke("show", "TellingNode", "--operators", telling)
        assert result.exit_code == 0
        said = result.stdout
        for words in (
            "TellingNode\n  Says all it can. And more.\n\n  A second paragraph.\n",
            "takes  audio, text at left, right, taken together; another kind is an error",
            "gives  nothing at no port",
            "runs   process, its own default",
            "keeps something between packets (at most 7 packets)",
            "waits (up to 4 at once)",
            "begins a stage where it runs local",
            "class  telling_operators:Telling",
            "  gain_db (also gainDb)\n      number from -60 to 60; default 0.0\n",
            "      louder or softer\n",
            '  mode\n      one of "low", "high"; default "low"',
            "  path\n      text of at least 1 characters; required",
            "  parts\n      list of (object of depth) with at most 4 items; default []",
            "  maybe (also maybeNot, maybe_not)\n      whole number above 0 or null; default null",
        ):
            assert words in said

    def test_as_json(self, invoke, telling):
        facts = json.loads(invoke("show", "TellingNode", "--json", "--operators", telling).stdout)
        assert facts["target"] == "telling_operators:Telling"
        assert facts["inputs"] == ["left", "right"]
        assert (facts["process"], facts["begins_stage"]) == ("coroutine", True)
        params = {param["name"]: param for param in facts["params"]}
        assert params["gain_db"]["spellings"] == ["gain_db", "gainDb"]
        assert params["gain_db"]["schema"]["minimum"] == -60
        assert params["path"]["required"] is True
        assert params["parts"]["schema"]["items"]["properties"]["depth"]["default"] == 3

    def test_ports_and_params_that_are_not_fixed(self, invoke, telling):
        said = invoke("show", "Free", "--operators", telling).stdout
        assert "takes  any at in (by its params)" in said
        assert "no params\n  and others, which are handed on" in said

    def test_other_names_of_the_same_class(self, invoke):
        assert "also   AudioOutputNode" in invoke("show", "PassThrough").stdout

    @pytest.mark.parametrize("name", sorted(NODE_TYPES))
    def test_every_operator_of_this_project(self, name):
        facts = facts_of(name, registry_with([], Settings()))
        json.dumps(facts.to_dict())
        assert facts.origin == "remotemedia"
        for param in facts.params:
            assert param.type not in {"", "anything"} or param.schema, param.name

    def test_an_unknown_type_suggests_the_nearest(self, invoke):
        result = invoke("show", "AudioChunkNode")
        assert result.exit_code == 2
        assert "there is no node type 'AudioChunkNode'; did you mean 'AudioChunkerNode'?" in (
            result.stderr
        )

    def test_a_type_whose_class_is_missing_says_why(self, invoke, monkeypatch):
        import remotemedia.registration

        process = remotemedia.registration._Process()
        process.registry.declare("BrokenNode", "nowhere_at_all:X")
        monkeypatch.setattr(remotemedia.registration, "_PROCESS", process)
        result = invoke("show", "BrokenNode")
        assert result.exit_code == 2
        assert "cannot import 'nowhere_at_all:X'" in result.stderr


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "integer"}, "whole number"),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, "number above 0 and at most 1"),
        ({"type": "number", "maximum": 1}, "number at most 1"),
        ({"type": "number", "minimum": 0, "exclusiveMaximum": 1}, "number from 0 and below 1"),
        ({"type": "string", "maxLength": 3}, "text of at most 3 characters"),
        ({"type": "string", "minLength": 2, "maxLength": 2}, "text of 2 characters"),
        ({"type": "string", "pattern": "^a+$"}, "text like ^a+$"),
        ({"type": "array", "items": {"type": "string"}}, "list of (text)"),
        ({"type": "array"}, "list"),
        ({"const": "x"}, '"x"'),
        ({"anyOf": [{"type": "string"}, {"type": "null"}, {"type": "string"}]}, "text or null"),
        ({}, "anything"),
        ({"properties": {}}, "anything"),
        ({"type": "boolean"}, "true or false"),
    ],
)
def test_a_schema_in_words(schema, text):
    assert type_text(schema) == text


def test_without_a_command_it_helps(invoke):
    result = invoke()
    assert "list" in result.output
    assert "show" in result.output
