"""What is asked wrongly is refused before anything starts; what goes wrong is told clearly."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from engine.workers.service import WorkerService
from remotemedia.cli import app
from tests.remotemedia.cli_helpers import OPERATORS, json_lines, manifest

ASKED_WRONGLY = 2
WENT_WRONG = 1

TEN_FAULTS = {
    "version": "v2",
    "metadata": {"name": ""},
    "nodes": [
        {"id": "no spaces please", "node_type": "PassThrough"},
        {"id": "typo", "node_type": "PassThru"},
        {"id": "range", "node_type": "AudioChunkerNode", "params": {"chunkSize": 0}},
        {"id": "twice", "node_type": "PassThrough"},
        {"id": "twice", "node_type": "PassThrough"},
        {"id": "nowhere", "node_type": "PassThrough", "executor": "moon"},
        {"id": "a", "node_type": "PassThrough"},
        {"id": "b", "node_type": "PassThrough"},
    ],
    "connections": [
        {"from": "a", "to": "missing"},
        {"from": "a", "to": "b"},
        {"from": "b", "to": "a"},
        {"from": "a", "to": "range", "from_port": "left"},
    ],
}
PATHS = [
    "version",
    "metadata.name",
    "nodes[0].id",
    "nodes[1].node_type",
    "nodes[2].params.chunkSize",
    "nodes[4].id",
    "nodes[5].executor",
    "connections[0].to",
    "connections[2]",
    "connections[3].from_port",
]


@pytest.fixture
def nothing_spawned(monkeypatch):
    def spawn(self, spec, notify):
        raise AssertionError(f"spawned {spec.title}")

    monkeypatch.setattr(WorkerService, "spawn", spawn)


@pytest.fixture
def invoke(place, monkeypatch, nothing_spawned):
    """Run the command in this process; results have `exit_code`, `stdout` and `stderr`."""
    monkeypatch.chdir(place.folder)
    monkeypatch.delenv("REMOTEMEDIA_CONFIG", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*arguments):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert isinstance(result.exception, SystemExit | None), result.exception
        assert "Traceback" not in result.output
        return result

    return run


# --- manifests --------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "validate"])
def test_ten_faults_are_ten_problems(invoke, place, command):
    result = invoke(command, place.write("ten.json", TEN_FAULTS))
    assert result.exit_code == ASKED_WRONGLY
    assert result.stdout == ""
    first, *lines, hint = result.stderr.splitlines()
    assert first == "error: 10 problems in the manifest"
    assert "--operators" in hint
    assert [line.split()[0].removesuffix(":") for line in lines] == PATHS
    assert "did you mean 'PassThrough'?" in lines[3]
    assert "(node 'range')" in lines[4]


def test_ten_faults_are_ten_problems_as_json(invoke, place):
    path = place.write("ten.json", TEN_FAULTS)
    verdict = json.loads(invoke("validate", path, "--json").stdout)
    assert (verdict["ok"], verdict["plan"]) == (False, None)
    assert [problem["path"] for problem in verdict["problems"]] == PATHS
    assert verdict["problems"][4]["node_id"] == "range"
    (line,) = json_lines(invoke("run", path, "--json").stdout)
    assert line["error"]["code"] == "manifest"
    assert [problem["path"] for problem in line["error"]["context"]["problems"]] == PATHS
    assert "traceback" not in line["error"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no manifest"),
        ("", "is empty"),
        ("{nodes: []}", "is not valid JSON: line 1, column 2"),
        ("[]", "must be an object"),
        ('{"version": "v1"}', "metadata"),
    ],
)
@pytest.mark.parametrize("command", ["run", "validate", "explain"])
def test_what_is_no_manifest(invoke, place, content, words, command):
    path = place.folder / "bad.json" if content is None else place.write("bad.json", content)
    result = invoke(command, path)
    assert result.exit_code == ASKED_WRONGLY
    assert words in result.stderr


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("m.yaml", "", "manifest: is empty"),
        ("m.yaml", "nodes:\n\t- a\n", "line 2, column 1: a tab cannot indent YAML"),
        ("m.yaml", "a: 1\n---\nb: 2\n", "line 2, column 1: a second document begins"),
        ("m.yaml", "- a\n- b\n", "must be an object, got a list"),
        ("m.yaml", "a: 1\nb: 2\na: 3\n", "the key 'a' is there twice; it stands in line 1"),
        ("m.yaml", "a: !!python/name:os.system x\n", "the tag !!python/name:os.system is not"),
        ("m.json", "version: v1\n", "it looks like YAML: name the file .yaml"),
        ("m.toml", "[metadata]\n", "a manifest is a .json, .yaml or .yml file"),
        ("m.json", '{"version": "v1",}', "line 1, column"),
        ("m.json", '[{"version": "v1"}]', "give the item alone"),
        (
            "m.yaml",
            (
                "version: v1\nmetadata: {name: x}\nconnections: []\n"
                "nodes: [{id: a, node_type: PassThrough, executor: proces}]\n"
            ),
            "there is no executor 'proces'; did you mean 'process'?",
        ),
    ],
)
def test_what_is_no_manifest_in_a_file_of_its_name(invoke, place, name, content, words):
    result = invoke("validate", place.write(name, content))
    assert result.exit_code == ASKED_WRONGLY
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_a_manifest_with_another_suffix_is_suggested(invoke, place):
    place.write("voice.yml", "version: v1\n")
    result = invoke("run", "voice.yaml")
    assert result.exit_code == ASKED_WRONGLY
    assert "there is no manifest voice.yaml; did you mean voice.yml?" in result.stderr


def test_a_manifest_that_may_not_be_read(invoke, place, monkeypatch):
    path = place.chain("a:PassThrough")

    def refuse(*_arguments, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    result = invoke("validate", path)
    assert result.exit_code == ASKED_WRONGLY
    assert f"cannot read the manifest {path}: Permission denied" in result.stderr


def test_a_folder_is_no_manifest(invoke, place):
    result = invoke("run", place.folder)
    assert result.exit_code == ASKED_WRONGLY
    assert "Is a directory" in result.stderr


@pytest.mark.parametrize("value", [60.5, "loud", None])
def test_params_out_of_range_name_the_node(invoke, place, value):
    node = {"id": "louder", "node_type": "Level", "params": {"gain_db": value}}
    result = invoke("run", "--operators", OPERATORS, place.write("m.json", manifest(node)))
    assert result.exit_code == ASKED_WRONGLY
    assert "nodes[0].params.gain_db (node 'louder'): must be" in result.stderr


def test_a_class_inside_a_function_is_refused_for_a_process(invoke, place):
    result = invoke("run", "--operators", OPERATORS, place.chain("a:Hidden@process"))
    assert result.exit_code == ASKED_WRONGLY
    assert place.id("a") in result.stderr
    assert "move the class to a module" in result.stderr


def test_more_processes_than_allowed(invoke, place):
    place.write("runtime.toml", "max_processes_per_session = 1\n")
    path = place.chain("a:PassThrough@process", "b:PassThrough@process")
    result = invoke("run", path)
    assert result.exit_code == ASKED_WRONGLY
    assert "2 processes and a session may have 1" in result.stderr
    assert json.loads(invoke("validate", path, "--json").stdout)["ok"] is False


def test_a_wrong_configuration(invoke, place):
    path = place.chain("a:PassThrough")
    place.write("wrong.toml", "channel_capacity = 0\n")
    result = invoke("run", path, "--config", "wrong.toml")
    assert result.exit_code == ASKED_WRONGLY
    assert "channel_capacity" in result.stderr
    assert invoke("run", path, "--config", "none.toml").exit_code == ASKED_WRONGLY


# --- inputs and outputs -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("a=none.wav", "there is no file none.wav for node 'a'"),
        ("none.wav", "say which node it is for"),
        ("a=.", ". for node 'a' is a directory"),
        ("a=noise.wav", "noise.wav is not a sound file"),
        ("a=broken.json", "broken.json is not JSON: line 1, column 2"),
        ("aa=said.txt", "no node 'aa' (did you mean 'a'?); the ingress nodes are a, b"),
        ("c=said.txt", "takes what other nodes emit, no input from outside; the ingress"),
        ("a=/dev/null", "is no regular file"),
    ],
)
def test_inputs_that_cannot_be(invoke, place, option, words):
    place.write("noise.wav", "this is not sound")
    place.write("broken.json", "{")
    place.write("said.txt", "hello\n")
    nodes = ["a:PassThrough", "b:PassThrough", "c:PassThrough@process"]
    connections = [{"from": "a", "to": "c"}, {"from": "b", "to": "c"}]
    path = place.write("m.json", manifest(*nodes, connections=connections))
    result = invoke("run", path, "--input", option, "--json")
    assert result.exit_code == ASKED_WRONGLY
    assert words in result.stderr
    (line,) = json_lines(result.stdout)
    assert words in line["error"]["message"]


def test_a_node_takes_one_file(invoke, place):
    said = place.write("said.txt", "hello\n")
    path = place.write("m.json", manifest("a:PassThrough"))
    result = invoke("run", path, "--input", said, "--input", f"a={said}")
    assert result.exit_code == ASKED_WRONGLY
    assert "is fed by" in result.stderr


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("b=none/out.txt", "there is no directory none"),
        ("b=.", "it is a directory"),
        (
            "bb=out.txt",
            "no node 'bb' (did you mean 'b'?); the nodes whose outputs leave the pipeline are b, c",
        ),
        ("a=out.txt", 'set "is_output_node": true'),
        ("out.txt", "say whose outputs it is for"),
        ("b=said.txt", "is an input of this run"),
        ("b=out.json", "goes into .jsonl"),
        ("b=out.flac", "goes into .wav"),
        (
            "c=out.txt",
            "node 'c' emits audio, and out.txt takes control, file, json and text; audio goes into",
        ),
    ],
)
def test_outputs_that_cannot_be(invoke, place, option, words):
    place.write("said.txt", "hello\n")
    connections = [{"from": "a", "to": "b"}, {"from": "a", "to": "c"}]
    nodes = ["a:PassThrough", "b:PassThrough", "c:EspeakTTSNode"]
    path = place.write("m.json", manifest(*nodes, connections=connections))
    result = invoke("run", path, "--input", "said.txt", "--output", option)
    assert result.exit_code == ASKED_WRONGLY
    assert words in result.stderr
    assert place.folder.joinpath("said.txt").read_text() == "hello\n"


def test_a_file_takes_one_node(invoke, place):
    path = place.write("m.json", manifest("a:PassThrough", "b:PassThrough", connections=[]))
    result = invoke("run", path, "--output", "a=out.txt", "--output", "b=./out.txt")
    assert result.exit_code == ASKED_WRONGLY
    assert "is the output of another node already" in result.stderr
    result = invoke("run", path, "--output", "a=out.txt", "--output", "a=out2.txt")
    assert "goes to out.txt already" in result.stderr


def test_a_kind_that_the_file_does_not_take(invoke, place):
    said = place.write("said.txt", "hello\n")
    path = place.write("m.json", manifest("a:PassThrough"))
    result = invoke("run", path, "--input", said, "--output", "out.wav")
    assert result.exit_code == ASKED_WRONGLY
    assert "node 'a' emits text, and out.wav takes audio" in result.stderr
    assert not place.folder.joinpath("out.wav").exists()


def test_damaged_lines_are_told_by_number(invoke, place):
    path = place.write("m.json", manifest("a:PassThrough"))
    place.write("lines.jsonl", '1\n\n{"a": }\n')
    result = invoke("run", path, "--input", "lines.jsonl")
    assert result.exit_code == ASKED_WRONGLY
    assert result.stdout == "a: 1\n"
    assert "lines.jsonl, line 3, is not JSON: column 7" in result.stderr
    (place.folder / "latin.txt").write_bytes(b"caf\xe9\n")
    result = invoke("run", path, "--input", "latin.txt")
    assert result.exit_code == ASKED_WRONGLY
    assert "latin.txt is not UTF-8 text" in result.stderr


# --- operators --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none.py", "there is no such file"),
        ("no.such.module", "cannot import it: ModuleNotFoundError"),
        ("empty.py", "no subclass of Operator"),
        ("raises.py", "cannot import it: ZeroDivisionError"),
        ("exits.py", "it ended the command while it was imported (exit 3)"),
        ("json.py", "the name 'json' belongs to another module"),
    ],
)
def test_modules_without_operators(invoke, place, name, words):
    texts = {"empty.py": "", "raises.py": "1 / 0", "exits.py": "exit(3)", "json.py": ""}
    for file, text in texts.items():
        place.write(file, text)
    result = invoke("run", place.chain("a:PassThrough"), "--operators", name)
    assert result.exit_code == ASKED_WRONGLY
    assert words in result.stderr


@pytest.mark.process
@pytest.mark.parametrize("executor", ["local", "process"])
@pytest.mark.parametrize(
    ("node_type", "words"),
    [
        ("RaisesInInitialize", "failed in initialize: RuntimeError: the model is missing"),
        ("RaisesInProcess", "failed in process (packet 1): RuntimeError: cannot digest this"),
        ("RaisesInFlush", "failed in flush (packet 2): RuntimeError: nothing to round off"),
    ],
)
def test_operators_that_raise(place, executor, node_type, words):
    place.write("numbers.jsonl", "1\n2\n3\n")
    path = place.chain("a:Echo@process", f"bad:{node_type}@{executor}", "c:Echo@process")
    result = place.run_operators(path, "--input", "numbers.jsonl", "--json")
    assert result.returncode == WENT_WRONG
    assert place.left() == set()
    sentence = f"node {place.id('bad')!r} {words}"
    assert f"error: {sentence}\n" in result.stderr
    error = json_lines(result.stdout)[-1]["error"]
    assert error["message"] == sentence
    assert error["context"]["node_id"] == place.id("bad")
    assert "Traceback" not in result.stdout + result.stderr


@pytest.mark.process
@pytest.mark.parametrize(
    ("node_type", "executor"),
    [
        ("RaisesInInitialize", "local"),
        ("RaisesInInitialize", "process"),
        ("RaisesInProcess", "local"),
        ("RaisesInProcess", "process"),
    ],
)
def test_debug_shows_where_it_happened(place, node_type, executor):
    place.write("numbers.jsonl", "1\n2\n3\n")
    path = place.chain(f"bad:{node_type}@{executor}")
    result = place.run_operators(path, "--input", "numbers.jsonl", "--json", "--debug")
    assert result.returncode == WENT_WRONG
    assert "Traceback" in result.stderr
    assert "cli_operators.py" in result.stderr
    assert "Traceback" in json_lines(result.stdout)[-1]["error"]["traceback"]


@pytest.mark.process
def test_a_process_that_dies(place):
    place.write("numbers.jsonl", "1\n2\n3\n")
    path = place.chain("a:Echo@process", "bad:Dies@process", "c:Echo@process")
    result = place.run_operators(path, "--input", "numbers.jsonl")
    assert result.returncode == WENT_WRONG
    assert place.left() == set()
    assert f"error: node {place.id('bad')!r}: Process crashed: killed by signal 9" in result.stderr


@pytest.mark.process
def test_a_class_in_a_notebook_is_refused_for_a_process():
    # What a notebook is to Python: a __main__ without a file.
    code = (
        "from remotemedia import *\n"
        "class Mine(Operator):\n"
        "    def process(self, packet, ctx): return packet\n"
        "print((Pipeline('x') | Mine()).run([Text('a')])[0].payload.text)\n"
        "try: (Pipeline('x') | Mine().on('process')).run([Text('a')])\n"
        "except ManifestError as error: print(error.problems[0])\n"
    )
    result = subprocess.run(
        [sys.executable], input=code, capture_output=True, text=True, timeout=60, check=True
    )
    said, refused = result.stdout.splitlines()
    assert said == "a"
    assert refused.startswith("nodes[0].executor: Mine is defined in a notebook or")
    assert refused.endswith("move the class to a module, or run the node local")


def test_a_fault_of_ours_is_told_as_one(invoke, place, monkeypatch):
    def prepare(*_):
        raise KeyError("oh no")

    monkeypatch.setattr("engine.prepare.prepare", prepare)
    path = place.chain("a:PassThrough")
    result = invoke("run", path, "--json")
    assert result.exit_code == WENT_WRONG
    assert "error: internal: KeyError: 'oh no'" in result.stderr
    assert json_lines(result.stdout)[0]["error"]["code"] == "internal"
    debug = CliRunner().invoke(app, ["run", str(path), "--debug"])
    assert "Traceback" in debug.stderr


def test_an_unknown_type_says_how_types_of_ones_own_are_made_known(invoke, place):
    document = {
        "version": "v1",
        "metadata": {"name": "x"},
        "nodes": [{"id": "a", "node_type": "MyOwnNode"}],
        "connections": [],
    }
    place.write("own.json", json.dumps(document))
    result = invoke("validate", "own.json")
    assert result.exit_code == ASKED_WRONGLY
    assert "made known by --operators MODULE or FILE.py" in result.stderr
