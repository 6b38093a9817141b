"""Who hears what nodes print in their processes."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import logging, sys
from remotemedia import Operator, Pipeline, Text, NodeError

class Loud(Operator):
    def process(self, packet, ctx):
        print("heard", packet.payload.text)
        if packet.payload.text == "bad":
            1 / 0
        return packet

if __name__ == "__main__":
    if "own" in sys.argv:
        logging.basicConfig(level="INFO", format="own %(name)s %(message)s")
    (Pipeline("x") | Loud().on("process")).run([Text(sys.argv[1])])
"""


def run(tmp_path, *arguments):
    script = tmp_path / "loud.py"
    script.write_text(PROGRAM)
    return subprocess.run(
        [sys.executable, script, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.process
def test_a_program_without_logging_hears_them_on_standard_error(tmp_path):
    done = run(tmp_path, "hello")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "loud | heard hello\n"


@pytest.mark.process
def test_a_program_with_logging_hears_them_there_and_once(tmp_path):
    done = run(tmp_path, "hello", "own")
    assert done.stderr.count("heard hello") == 1
    assert "own remotemedia.worker heard hello" in done.stderr


@pytest.mark.process
def test_an_uncaught_error_shows_where_it_was_raised(tmp_path):
    done = run(tmp_path, "bad")
    assert done.returncode == 1
    assert "In its own process:" in done.stderr
    assert "1 / 0" in done.stderr
    assert "ZeroDivisionError" in done.stderr
