"""What benches read of processes."""

import os
import subprocess
import sys

import pytest

from benches.processes import Ends, cpu_seconds, parent_of

pytestmark = pytest.mark.process

#: Ends with its standard input.
WAITS = "import sys; sys.stdin.read()"


@pytest.fixture
def children():
    started = [
        subprocess.Popen([sys.executable, "-I", "-c", WAITS], stdin=subprocess.PIPE)
        for _ in range(2)
    ]
    yield started
    for child in started:
        child.kill()
        child.communicate()


def test_what_has_not_ended_is_named(children):
    one, other = children
    with Ends([one.pid, other.pid]) as ends:
        one.stdin.close()

        assert ends.wait(0.2) in ([other.pid], sorted([one.pid, other.pid]))
        other.stdin.close()
        assert ends.wait(10.0) == []


def test_one_that_nobody_has_reaped_has_ended(children):
    one, _ = children
    with Ends([one.pid]) as ends:
        one.kill()

        assert ends.wait(10.0) == []
    assert parent_of(one.pid) == os.getpid()


def test_processor_time_grows_with_work():
    before = cpu_seconds([os.getpid()])
    sum(range(2_000_000))

    assert cpu_seconds([os.getpid()]) > before


def test_the_time_of_a_process_that_has_ended_cannot_be_told(children):
    one, _ = children
    one.kill()
    one.wait()

    with pytest.raises(OSError, match=str(one.pid)):
        cpu_seconds([one.pid])
