"""Every example in README.md is real: it is run as it stands there, and does what it says."""

import re

import pytest

from tests.doc_blocks import ROOT, Page, commands, run_command, says

README = Page.read(ROOT / "README.md")
TEXT = README.path.read_text(encoding="utf-8")

pytestmark = pytest.mark.process

#: File → what it prints, line by line.
PRINTS = {
    "speak.py": [
        r"0 Audio\(882 frames × 1, float32, 22050 Hz\)",
        r"1 Audio\(",
        r"\d+ frames",
        r"hello: 2 nodes in 2 stages, 1 process",
    ],
    "softer.py": [r"local 0\.25", r"process 0\.25"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with every titled block as a file."""
    path = tmp_path_factory.mktemp("readme")
    README.write_files(path)
    return path


def test_every_block_is_of_a_kind_that_is_checked():
    assert {block.language for block in README.blocks} == {"sh", "yaml", "python", "console"}
    assert {block.title for block in README.of("python")} == set(PRINTS)


@pytest.mark.parametrize("name", PRINTS)
def test_python_files_run(folder, name):
    result = run_command(f"python {name}", folder)
    assert result.returncode == 0, result.stderr
    for line in PRINTS[name]:
        assert re.search(f"^{line}", result.stdout, re.MULTILINE), result.stdout


def test_console_blocks_print_what_they_say(folder):
    # One after the other: a later one uses files of an earlier one.
    for block in README.of("console"):
        for command, expected in commands(block):
            result = run_command(command, folder)
            assert result.returncode == 0, f"{command}\n{result.stderr}"
            assert says(expected, result.stdout), f"{command}\n{result.stdout}"


def test_commands_of_make_exist():
    (block,) = README.of("sh")
    for line in block.text.splitlines():
        words = line.partition("#")[0].split()
        assert words[0] == "make"
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT):
        assert (ROOT / target).exists(), target
