"""Old nodes in scripts and on the command line: what a worker must find by itself."""

import json
import subprocess
import sys

import pytest

from tests.remotemedia.cli_helpers import Place, json_lines
from tests.remotemedia.core.field import bare_nodes, speech_nodes

SCRIPT = """
import os
from remotemedia.core.multiprocessing import MultiprocessNode, Node, Pipeline, register_node
from remotemedia.core.multiprocessing.data import RuntimeData


@register_node("PidNode")
class PidNode(MultiprocessNode):
    async def process(self, data):
        yield RuntimeData.json({"pid": os.getpid(), "text": data.as_text(), "p": self.config["p"]})


class TaggerNode(Node):
    def process(self, data):
        return {**data, "tag": os.getpid()}


class LooseNode:
    def __init__(self, step=1, node_id=None, **kwargs):
        self.step, self.node_id = step, node_id

    async def process(self, data):
        yield {**data, "loose": self.step}


if __name__ == "__main__":
    import asyncio, json
    pipeline = Pipeline("script").add_node("a", "PidNode", {"p": 1}).add_node("b", "TaggerNode")
    found = asyncio.run(pipeline.run("hi"))
    print(json.dumps({"here": os.getpid(), **found}))
"""


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    yield place
    place.close()
    assert place.left() == set()


def test_classes_of_a_script_run_in_processes(tmp_path):
    script = tmp_path / "nodes.py"
    script.write_text(SCRIPT)
    result = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["text"], found["p"]) == ("hi", 1)
    assert len({found["here"], found["pid"], found["tag"]}) == 3


def test_the_command_knows_the_nodes_of_a_file(place):
    (place.folder / "user_nodes.py").write_text(SCRIPT)
    place.write("lines.txt", "one\ntwo\n")
    manifest = place.chain("a:PidNode", "b:TaggerNode", "c:LooseNode")
    document = json.loads(manifest.read_text())
    document["nodes"][0]["params"] = {"p": 2}
    document["nodes"][2]["params"] = {"step": 3}
    manifest.write_text(json.dumps(document))
    result = place.run(
        "run", "--operators", "user_nodes.py", "--json", manifest, "--input", "lines.txt"
    )
    assert result.returncode == 0, result.stderr
    *outputs, _ = json_lines(result.stdout)
    values = [line["value"] for line in outputs]
    assert [value["text"] for value in values] == ["one", "two"]
    assert {(value["p"], value["loose"]) for value in values} == {(2, 3)}
    assert len({values[0]["pid"], values[0]["tag"]}) == 2


def test_the_command_takes_field_files_as_they_are(place):
    place.write("lines.txt", "3\n")
    manifest = place.chain("count:CounterNode", "echo:EchoCounterNode")
    result = place.run(
        "run",
        "--operators",
        bare_nodes.__file__,
        "--operators",
        speech_nodes.__file__,
        "--json",
        manifest,
        "--input",
        "lines.txt",
    )
    assert result.returncode == 0, result.stderr
    *outputs, _ = json_lines(result.stdout)
    assert [line["value"]["count"] for line in outputs] == [1]
