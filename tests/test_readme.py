"""Every example in README.md is real: it is run as it stands there, and does what it says.

A block with a title is a file; they are written first. Then python files are run, and of console
blocks each command, whose standard output must be the lines below it ("…" stands for anything).
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from engine.config import Settings, load_settings

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
_FENCE = re.compile(r"^```(?P<info>[^\n`]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.process


class Block(NamedTuple):
    language: str
    title: str
    text: str


def _blocks():
    for found in _FENCE.finditer(README):
        language, _, title = found["info"].partition(" title=")
        yield Block(language.strip(), title.strip(), found["text"])


BLOCKS = list(_blocks())


def _commands(text):
    """The commands of a console block, each with the lines it is to print."""
    commands = []
    for line in text.splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], []))
        else:
            commands[-1][1].append(line)
    return commands


def _says(expected, actual):
    pattern = "\n".join(expected)
    parts = [re.escape(part) for part in pattern.split("…")]
    return re.fullmatch(".*?".join(parts), actual.rstrip("\n"), re.DOTALL) is not None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with every titled block as a file."""
    path = tmp_path_factory.mktemp("readme")
    for block in BLOCKS:
        if block.title:
            (path / block.title).write_text(block.text, encoding="utf-8")
    return path


def _run(command, folder):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    environment.pop("REMOTEMEDIA_CONFIG", None)
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_block_is_of_a_kind_that_is_checked():
    assert {block.language for block in BLOCKS} <= {"sh", "json", "python", "console", "toml"}
    assert all(block.title for block in BLOCKS if block.language in {"json", "python"})


def test_json_blocks_are_manifests():
    blocks = [block for block in BLOCKS if block.language == "json"]
    assert [json.loads(block.text)["version"] for block in blocks] == ["v1", "v1"]


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (
            "speak.py",
            [
                r"0 Audio\(882 frames × 1, float32, 22050 Hz\)",
                r"1 Audio\(",
                r"\d+ frames",
                "process",
            ],
        ),
        ("gain.py", [r"local 0\.49\d*", r"process 0\.49\d*"]),
    ],
)
def test_python_files_run(folder, name, lines):
    result = _run(f"python {name}", folder)
    assert result.returncode == 0, result.stderr
    for line in lines:
        assert re.search(f"^{line}", result.stdout, re.MULTILINE), result.stdout


def test_console_blocks_print_what_they_say(folder):
    # One after the other: a later one uses files of an earlier one.
    commands = [item for b in BLOCKS if b.language == "console" for item in _commands(b.text)]
    assert len(commands) >= 5
    for command, expected in commands:
        result = _run(command, folder)
        assert result.returncode == 0, f"{command}\n{result.stderr}"
        assert _says(expected, result.stdout), f"{command}\n{result.stdout}"


def test_no_python_file_is_left_out():
    titles = {block.title for block in BLOCKS if block.language == "python"}
    assert titles == {"speak.py", "gain.py"}


def test_commands_of_make_exist():
    (block,) = [block for block in BLOCKS if block.language == "sh"]
    for line in block.text.splitlines():
        words = line.partition("#")[0].split()
        assert words[0] == "make"
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_settings_are_the_defaults(tmp_path):
    (block,) = [block for block in BLOCKS if block.language == "toml"]
    file = tmp_path / "runtime.toml"
    file.write_text(block.text)
    assert load_settings(file) == Settings()


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
