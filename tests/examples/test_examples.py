"""Every example runs as it says, and prints what examples/README.md shows.

A command is a line that begins with "$ ", in a docstring, a manifest's comments or a console block
of the README, where what it prints stands below it.
"""

import json
import re
import shutil

import pytest

from tests.doc_blocks import ROOT, Page, commands, run_command, says

EXAMPLES = ROOT / "examples"
README = Page.read(EXAMPLES / "README.md")
TEXT = README.path.read_text(encoding="utf-8")
COMMANDS = [pair for block in README.of("console") for pair in commands(block)]

#: Data of other examples.
DATA = {"README.md", "numbers.jsonl"}

pytestmark = pytest.mark.process


def header_of(path):
    """The commands at the top of an example."""
    if path.suffix == ".json":
        lines = json.loads(path.read_text(encoding="utf-8"))["comments"]
    else:
        docstring = path.read_text(encoding="utf-8").split('"""')[1]
        lines = re.sub(r" \\\n\s*", " ", docstring).splitlines()
    return [line.strip()[2:] for line in lines if line.strip().startswith("$ ")]


def files():
    return sorted(path for path in EXAMPLES.iterdir() if path.is_file() and path.name not in DATA)


@pytest.mark.parametrize("path", files(), ids=lambda path: path.name)
def test_an_examples_own_commands_are_in_the_readme(path):
    header = header_of(path)
    assert header, "it does not say how it is run"
    assert set(header) <= {command for command, _ in COMMANDS}
    assert any(path.name in command for command in header)
    assert f"| `{path.name}` |" in TEXT


def test_every_command_prints_what_the_readme_shows(tmp_path):
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    assert len(COMMANDS) >= len(files())
    for command, expected in COMMANDS:  # one after the other: a later one uses an earlier's files
        done = run_command(command, tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert says(expected, done.stdout), f"{command}\n{done.stdout}"
