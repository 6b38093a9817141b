"""`remotemedia explain`: as text, as data, as drawings."""

import json
import sys
import xml.etree.ElementTree as ET

import pytest
from typer.testing import CliRunner

from engine.workers.service import WorkerService
from remotemedia.cli import app
from remotemedia.cli.explanation_text import size_text
from tests.remotemedia.cli_helpers import OPERATORS, manifest


@pytest.fixture
def invoke(place, monkeypatch):
    def spawn(self, spec, notify):
        raise AssertionError(f"spawned {spec.title}")

    monkeypatch.setattr(WorkerService, "spawn", spawn)
    monkeypatch.chdir(place.folder)
    monkeypatch.delenv("REMOTEMEDIA_CONFIG", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*arguments):
        result = CliRunner().invoke(app, ["explain", *map(str, arguments)])
        assert isinstance(result.exception, SystemExit | None), result.exception
        return result

    return run


@pytest.fixture
def path(place):
    chunker = {"id": "a", "node_type": "AudioChunkerNode", "params": {"chunkSize": 256, "odd": 1}}
    return place.write(
        "m.json",
        manifest(
            chunker,
            "b:PassThrough@process",
            "c:PassThrough",
            name="explained",
            connections=[
                {"from": "a", "to": "b", "capacity": 8},
                {"from": "b", "to": "c"},
                {"from": "a", "to": "c"},
            ],
            metadata={"multiprocess": {"shm_segment_size": 1048576, "channel_capacity": 50}},
        ),
    )


class TestText:
    def test_what_runs_where_and_why(self, invoke, path):
        result = invoke(path)
        assert result.exit_code == 0
        said = result.stdout
        for words in (
            "explained: 3 nodes in 3 stages, 1 process",
            "packets enter at a",
            "and leave from c",
            "stage a, in the session's own loop",
            "a  AudioChunkerNode: local, nothing says otherwise",
            "chunk_size 256",
            "stage b, in its own process",
            "b  PassThrough: process, the manifest says so",
        ):
            assert words in said

    def test_edges_cuts_and_what_it_takes(self, invoke, path):
        lines = invoke(path).stdout.splitlines()
        said = "\n".join(lines)
        for words in (
            "8 packets and as many credits, when full: block, 8 under way at once in the arena of",
            "a.out→b.in  b runs in a process of its own",
            "a.out→c.in  as one stage it would stand on a cycle of stages",
            "processes      1 of at most 10",
            "shared memory  2 arenas of 1 MiB, at most 2 MiB; only what is used is taken",
            "memory limit   none for the session",
            "packets        208 at most on all edges together",
            "nodes[0].params.odd  is no param of this node and is ignored",
        ):
            assert words in said
        (ingress,) = [line for line in lines if line.startswith("  →a")]
        assert ingress.endswith("  local, 50 packets and as many credits, when full: block")

    def test_why_stages_are_cut(self, invoke, place):
        nodes = ["s:Slow", "e:Echo", "f:Echo", "p:Echo@process", "q:Echo@process", "g:Echo"]
        links = ["e s", "s f", "f p", "p q", "e f", "q g"]
        connections = [dict(zip(("from", "to"), link.split(), strict=True)) for link in links]
        path = place.write("m.json", manifest(*nodes, connections=connections))
        cuts = json.loads(invoke(path, "--json", "--operators", OPERATORS).stdout)["cuts"]
        reasons = {cut["edge"]: cut["reason"] for cut in cuts}
        assert "s waits or chooses between its inputs" in reasons["e.out→s.in"]
        assert "s waits: only what it alone feeds" in reasons["s.out→f.in"]
        assert reasons["f.out→p.in"] == "p runs in a process of its own"
        assert reasons["p.out→q.in"] == "p and q each run in a process of their own"
        assert reasons["q.out→g.in"] == "q runs in a process of its own"

    def test_without_anything_special(self, invoke, place):
        said = invoke(place.write("m.json", manifest("a:PassThrough"))).stdout
        assert "shared memory  none" in said
        assert "where stages are cut" not in said
        assert "warnings" not in said

    def test_the_limits_of_the_service(self, invoke, place):
        place.write("runtime.toml", "max_session_memory_mb = 512\nmax_processes_per_session = 3\n")
        said = invoke(place.write("m.json", manifest("a:PassThrough@process"))).stdout
        assert "memory limit   512 MiB for the session" in said
        assert "processes      1 of at most 3" in said

    def test_groups_and_restarts(self, invoke, place):
        document = manifest("a:PassThrough", "b:PassThrough@process", "c:PassThrough")
        for node in (document["nodes"][0], document["nodes"][2]):
            node["executor"] = {"process": "g"}
        document["nodes"][1]["restart"] = {"max": 2}
        path = place.write("m.json", document)
        said = invoke(path).stdout
        assert "3 nodes in 3 stages, 2 processes" in said
        assert "stage a, in the process g" in said
        assert "b runs in a process of its own and a runs in the process 'g'" in said
        assert "started again at most 2 times" in said
        first, second, last = json.loads(invoke(path, "--json").stdout)["stages"]
        assert (first["group"], first["worker"], last["worker"]) == ("g", "a", "a")
        assert second["nodes"][0]["restart"] == {"max": 2, "backoff_ms": 100}


class TestData:
    def test_as_json(self, invoke, path):
        data = json.loads(invoke(path, "--json").stdout)
        assert (data["name"], data["ingress"], data["sinks"]) == ("explained", ["a"], ["c"])
        first, second, _ = data["stages"]
        assert first["nodes"][0]["params"] == {"chunk_size": 256}
        node = second["nodes"][0]
        assert (node["executor"], node["rule"]) == ("process", "manifest")
        edges = {edge["id"]: edge for edge in data["edges"]}
        assert edges["a.out→b.in"]["arena"] == "a"
        assert edges["a.out→b.in"]["arena_bytes"] == 1048576
        assert edges["b.out→c.in"]["in_flight_max"] == 50
        assert edges["→a"]["arena"] is None
        assert data["resources"]["arenas_bytes"] == 2 * 1048576
        assert data["warnings"][0]["path"] == "nodes[0].params.odd"

    def test_as_mermaid(self, invoke, path):
        result = invoke(path, "--mermaid")
        assert result.exit_code == 0
        assert result.stdout.startswith("flowchart LR\n")
        assert "<b>a</b><br/>AudioChunkerNode" in result.stdout

    def test_as_svg(self, invoke, path, place):
        result = invoke(path, "--svg", "plan.svg")
        assert (result.exit_code, result.stdout) == (0, "")
        assert "plan.svg: explained, 3 nodes in 3 stages, 1 process" in result.stderr
        svg = (place.folder / "plan.svg").read_text(encoding="utf-8")
        assert ET.fromstring(svg).tag.endswith("svg")

    def test_a_yaml_manifest(self, invoke, place):
        text = "version: v1\nmetadata: {name: y}\nnodes: [{id: a, node_type: PassThrough}]\n"
        path = place.write("m.yaml", f"{text}connections: []\n")
        assert invoke(path).stdout.startswith("y: 1 node in 1 stage, 0 processes\n")


class TestMisuse:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--json", "--mermaid"], "--json, --mermaid and --svg exclude one another"),
            (["--svg", "x.svg", "--json"], "exclude one another"),
            (["--svg", "plan.png"], "--svg plan.png: name the file plan.svg"),
            (["--svg", "none/plan.svg"], "there is no directory none"),
        ],
    )
    def test_options_that_cannot_be(self, invoke, path, place, arguments, words):
        result = invoke(path, *arguments)
        assert result.exit_code == 2
        assert words in result.stderr
        assert list(place.folder.glob("*.svg")) == []

    def test_a_manifest_that_would_not_run(self, invoke, place):
        path = place.write("m.json", manifest("a:PassThru"))
        result = invoke(path, "--svg", "plan.svg")
        assert result.exit_code == 2
        assert "did you mean 'PassThrough'?" in result.stderr
        assert not (place.folder / "plan.svg").exists()

    def test_a_file_that_cannot_be_written(self, invoke, path, place):
        (place.folder / "plan.svg").mkdir()
        result = invoke(path, "--svg", "plan.svg")
        assert result.exit_code == 1
        assert "cannot write plan.svg: Is a directory" in result.stderr


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (268435456, "256 MiB"),
        (2**40, "1 TiB"),
        (2**52, "4096 TiB"),
        (1536, "1.5 KiB"),
    ],
)
def test_sizes(size_bytes, text):
    assert size_text(size_bytes) == text
