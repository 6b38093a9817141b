"""The lab finds what is left: else no cell could fail for it."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tests.fault.lab import MARK, Belongings, Mailbox, ServerProcess, first, is_left

pytestmark = pytest.mark.process


@pytest.fixture
def server(tmp_path):
    """What the lab looks at, of the test's own process."""
    return SimpleNamespace(pid=os.getpid(), mark="a mark", temporary=tmp_path)


def test_a_process_that_cut_itself_loose_is_found_by_its_mark(server):
    with subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        env={**os.environ, MARK: server.mark},
        start_new_session=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        assert [*ServerProcess.others(server)] == [process.pid]
        assert is_left(process.pid, set())
        process.stdin.close()
    assert not ServerProcess.others(server)
    assert not is_left(process.pid, set())


def test_a_zombie_is_left_where_it_is_ours_to_reap():
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert is_left(process.pid, {os.getpid()})
    assert not is_left(process.pid, {1})
    process.wait()


def test_a_descriptor_and_a_file_more_are_found(server):
    before = Belongings.of(server, server.pid)
    assert not Belongings.of(server, server.pid).more_than(before)
    memory = os.memfd_create("remotemedia-left")
    (server.temporary / "left").touch()
    left = Belongings.of(server, server.pid).more_than(before)
    os.close(memory)
    assert any("memfd:remotemedia-left" in each for each in left)
    assert any(each.endswith("/left") for each in left)
    assert len(left) == 2


def test_a_mailbox_says_what_it_waited_for_in_vain():
    reading, writing = os.pipe()
    mailbox = Mailbox()
    mailbox.watch(reading)
    os.write(writing, b'{"one": 1}\n{"two"')
    assert mailbox.wait_for(first("one"), "one") == {"one": 1}
    with pytest.raises(AssertionError, match=r"in vain for two; seen .*one"):
        mailbox.wait_for(first("two"), "two", timeout_s=0.01)
    os.write(writing, b": 2}\n")
    assert mailbox.wait_for(first("two"), "two") == {"two": 2}
    mailbox.close()
    os.close(reading)
    os.close(writing)
