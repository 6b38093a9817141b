"""`remotemedia validate`, and what the command says about itself."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import remotemedia
import remotemedia.registration
from remotemedia.cli import app
from tests.remotemedia.cli_helpers import OPERATORS, manifest


@pytest.fixture
def invoke(place, monkeypatch):
    monkeypatch.chdir(place.folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return lambda *arguments: CliRunner().invoke(app, [str(item) for item in arguments])


def test_a_good_manifest_is_described(invoke, place):
    result = invoke("validate", place.write("m.json", manifest("a:PassThrough", "b:Calculator")))
    assert result.exit_code == 2
    path = place.write("m.json", manifest("a:PassThrough", "b:PassThrough@process", name="pair"))
    result = invoke("validate", path)
    assert result.exit_code == 0
    assert result.stdout.startswith("pair: 2 nodes in 2 stages, 1 process\n")
    assert "b  PassThrough: process, the manifest says so" in result.stdout
    assert result.stderr == ""


def test_a_good_manifest_as_json(invoke, place):
    result = invoke("validate", place.write("m.json", manifest("a:PassThrough")), "--json")
    assert result.exit_code == 0
    verdict = json.loads(result.stdout)
    assert (verdict["ok"], verdict["problems"]) == (True, [])
    assert verdict["plan"].startswith("test: 1 node in 1 stage")


def test_a_yaml_manifest(invoke, place):
    text = "version: v1\nmetadata: {name: y}\nnodes: [{id: a, nodeType: PassThrough}]\n"
    result = invoke("validate", place.write("m.yml", f"{text}connections: []\n"))
    assert result.exit_code == 0
    assert result.stdout.startswith("y: 1 node in 1 stage")


def test_warnings_do_not_make_it_bad(invoke, place):
    node = {"id": "a", "node_type": "AudioChunkerNode", "params": {"chunk_sise": 3}}
    path = place.write("m.json", manifest(node))
    result = invoke("validate", path)
    assert result.exit_code == 0
    assert "did you mean 'chunk_size'?" in result.stdout
    (problem,) = json.loads(invoke("validate", path, "--json").stdout)["problems"]
    assert problem["severity"] == "warning"
    assert problem["path"] == "nodes[0].params.chunk_sise"


def test_operators_of_ones_own(invoke, place, monkeypatch):
    path = place.write("m.json", manifest("a:Level"))
    assert invoke("validate", path).exit_code == 2
    assert invoke("validate", path, "--operators", OPERATORS).exit_code == 0
    place.write("my_operators.py", OPERATORS.read_text())
    assert invoke("validate", path, "--operators", "my_operators").exit_code == 0


def test_operators_on_extra_paths(invoke, place):
    (place.folder / "lib").mkdir()
    place.write("lib/operators_elsewhere.py", OPERATORS.read_text())
    place.write("runtime.toml", 'extra_paths = ["lib"]\n')
    path = place.write("m.json", manifest("a:Level"))
    result = invoke("validate", path, "--operators", "operators_elsewhere")
    assert result.exit_code == 0, result.stderr


def test_importing_the_command_loads_what_help_needs_and_no_more():
    code = (
        "import sys, remotemedia, remotemedia.cli\n"
        "print([name for name in 'rich.console rich.progress soundfile soxr pocketsphinx"
        " operators.audio operators.speech'.split() if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout == "[]\n"


def test_version(invoke):
    result = invoke("--version")
    assert (result.exit_code, result.stdout) == (0, f"remotemedia {remotemedia.__version__}\n")


@pytest.mark.parametrize("arguments", [["nonsense"], ["run"], ["run", "m.json", "--nonsense"]])
def test_wrong_usage(invoke, arguments):
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "Usage" in result.stderr


def test_operators_that_only_register_themselves(invoke, place, monkeypatch):
    process = remotemedia.registration._Process()
    monkeypatch.setattr(remotemedia.registration, "_PROCESS", process)
    place.write(
        "registering.py",
        "from remotemedia import Operator, register_node\n"
        "def make():\n"
        "    @register_node('MadeNode')\n"
        "    class Made(Operator):\n"
        "        def process(self, packet, ctx): return packet\n"
        "    Made.__module__, Made.__qualname__ = __name__, 'Made'\n"
        "make()\n",
    )
    path = place.write("m.json", manifest("a:MadeNode"))
    monkeypatch.delitem(sys.modules, "registering", raising=False)
    assert invoke("validate", path, "--operators", "registering.py").exit_code == 0
    # Imported already: what it registered is still its own.
    assert invoke("validate", path, "--operators", "registering.py").exit_code == 0


@pytest.mark.parametrize("command", ["run", "validate", "explain", "demo"])
def test_help(invoke, command):
    assert command in invoke("--help").stdout
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert "--debug" in result.stdout
