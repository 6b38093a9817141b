"""Ctrl-C and SIGTERM: once finishes what is under way, twice ends at once."""

import signal
import subprocess

import pytest

from tests.remotemedia.cli_helpers import PATIENCE_S, json_lines, read_until

pytestmark = pytest.mark.process

LINES = 5_000


@pytest.fixture
def numbers(place):
    place.write("small.toml", "channel_capacity = 4\n")
    return place.write("numbers.jsonl", "".join(f"{number}\n" for number in range(LINES)))


@pytest.fixture
def start(place, numbers):
    def start_chain(*nodes, options=()):
        path = place.chain(*nodes)
        return place.start_operators(path, "--config", "small.toml", "--input", numbers, *options)

    return start_chain


def _end(process):
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    return process.returncode, stdout, stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("executor", ["local", "process"])
def test_once_finishes_what_is_under_way(place, start, number, executor):
    process = start(f"a:Slow@{executor}", "b:Echo", options=["--json"])
    first = process.stdout.readline()
    process.send_signal(number)
    code, stdout, stderr = _end(process)
    assert code == 0
    *packets, last = json_lines(first + stdout)
    summary = last["summary"]
    assert summary["interrupted_by"] == number.name
    sent = summary["inputs"][place.id("a")]
    assert 0 < sent < LINES
    # Nothing that was taken in is lost, and the input is what it began with.
    assert [packet["value"] for packet in packets] == list(range(sent))
    assert summary["nodes"][place.id("b")]["emitted"] == sent
    assert "no more input is read" in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("executor", ["local", "process"])
def test_twice_ends_at_once(place, start, number, code, executor):
    process = start(f"a:Stuck@{executor}")
    process.stdout.readline()
    process.send_signal(number)
    read_until(process.stderr, "no more input is read")
    process.send_signal(number)
    ended, _, stderr = _end(process)
    assert ended == code
    assert stderr == "killed\n"
    assert place.left() == set()


def test_twice_ends_an_operator_that_keeps_the_loop_busy(place, start):
    process = start("a:Echo@process", "b:Busy")
    read_until(process.stderr, "ready after")
    while process.poll() is None:  # two signals in quick succession may be one
        process.send_signal(signal.SIGINT)
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
    assert process.returncode == 130
    place.wait_left_gone()


def test_twice_ends_a_drain_that_nobody_reads(start):
    process = start("a:Endless")
    read_until(process.stderr, "ready after")
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    read_until(process.stderr, "no more input is read")
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) == 130


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("executor", ["local", "process"])
def test_once_while_starting_ends_it(place, start, number, code, executor):
    process = start(f"a:StartsSlowly@{executor}")
    said = read_until(process.stderr, "fetching nothing")
    assert f"{place.id('a')}: initializing 25%: fetching nothing" in said
    process.send_signal(number)
    ended, stdout, stderr = _end(process)
    assert (ended, stdout) == (code, "")
    assert stderr == "interrupted while starting\nended\n"
    assert place.left() == set()


def test_a_reader_that_goes_away_ends_it(place, start):
    process = start("a:Endless@process")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(PATIENCE_S) == 141
    assert "error" not in process.stderr.read()
    assert place.left() == set()
