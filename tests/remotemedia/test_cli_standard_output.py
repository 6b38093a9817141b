"""Standard streams that are closed, full, or read by nobody any more."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.remotemedia.cli_helpers import COMMAND, PATIENCE_S, environment

pytestmark = pytest.mark.process

FULL = "error: cannot write to standard output: No space left on device\n"


def shell(place, text):
    """Run a line of the shell, in which $REMOTEMEDIA is the command."""
    return subprocess.run(
        ["/bin/sh", "-c", text],
        cwd=place.folder,
        env={**environment(), "REMOTEMEDIA": str(COMMAND)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments",
    ["nodes list", "nodes list --json", "--version", "--help", "validate m.json", "explain m.json"],
)
def test_a_full_standard_output_is_told(place, arguments):
    place.chain("a:PassThrough").rename(place.folder / "m.json")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [COMMAND, *arguments.split()],
            cwd=place.folder,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, FULL)


@pytest.mark.net
def test_a_service_that_cannot_say_where_it_is_ends(place):
    done = shell(place, "$REMOTEMEDIA serve --no-process --grpc 127.0.0.1:0 >/dev/full")
    assert done.returncode == 1
    assert FULL in done.stderr


def test_a_reader_that_has_gone_is_no_fault_of_the_program():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as gone:
        done = subprocess.run(
            [COMMAND, "nodes", "list"],
            stdout=gone,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    assert (done.returncode, done.stderr) == (141, "")


def test_without_standard_streams_a_run_writes_its_files(place):
    place.write("in.txt", "hello\n")
    path = place.chain("a:PassThrough").name
    line = f"$REMOTEMEDIA run {path} --input in.txt --output out.txt <&- >&- 2>&-"
    assert shell(place, line).returncode == 0
    assert (place.folder / "out.txt").read_text() == "hello\n"


def test_without_a_standard_output_a_run_ends_well(place):
    place.write("in.txt", "hello\n")
    path = place.chain("a:PassThrough@process").name
    done = shell(place, f"$REMOTEMEDIA run {path} --input in.txt >&-")
    assert done.returncode == 0, done.stderr
    assert "1 packet in" in done.stderr


@pytest.mark.net
def test_without_a_standard_output_a_service_serves(place):
    process = subprocess.Popen(
        ["/bin/sh", "-c", f"exec {COMMAND} serve --grpc 127.0.0.1:0 --log-format json >&-"],
        cwd=place.folder,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        lines = map(json.loads, process.stderr)
        assert any(line["event"] == "serving" for line in lines)
        process.terminate()
        _, rest = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert process.returncode == 0, rest
