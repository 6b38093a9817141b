"""The zygote's own decisions, and finding what nobody reports."""

import os
import signal
import socket
import subprocess

import pytest

from engine.workers import strays, zygote
from engine.workers.messages import SpawnCommand, decode
from engine.workers.zygote import Zygote
from tests.engine.workers.worker_helpers import PATIENCE_S

COMMAND = SpawnCommand(5, ("a",), "title", (), "/")


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def test_a_process_with_threads_does_not_fork(ends, monkeypatch):
    monkeypatch.setattr(zygote, "_thread_names", lambda: ["python", "openblas"])
    reply = Zygote(ends[1], os.getpid())._spawn(COMMAND, [])
    assert (reply.worker_id, reply.pid) == (5, 0)
    assert reply.error == "the zygote has 2 threads (python, openblas)"


def test_a_fork_that_fails_is_reported(ends, monkeypatch):
    def fork():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(zygote, "_thread_names", lambda: ["python"])
    monkeypatch.setattr(zygote.os, "fork", fork)
    reply = Zygote(ends[1], os.getpid())._spawn(COMMAND, [])
    assert reply.error == "fork failed: Resource temporarily unavailable"


def test_descriptors_that_got_lost_are_reported(ends):
    Zygote(ends[1], os.getpid())._handle(COMMAND, [], complete=False)
    assert "ulimit" in decode(ends[0].recv(1000)).error


@pytest.mark.process
def test_children_are_found():
    with subprocess.Popen(["sleep", "1000"]) as child:
        found, parent = strays.children(), strays._parent(child.pid)
        child.kill()
    assert child.pid in found
    assert parent == os.getpid()
    assert strays._parent(2**22 + 1) == 0


@pytest.mark.process
def test_only_what_carries_the_marker_is_killed():
    environment = {**os.environ, strays.MARKER: "this one"}
    with (
        subprocess.Popen(["sleep", "1000"], env=environment) as marked,
        subprocess.Popen(["sleep", "1000"]) as other,
    ):
        assert strays.kill_marked("this one") == [marked.pid]
        assert marked.wait(PATIENCE_S) == -signal.SIGKILL
        assert other.poll() is None
        other.kill()


@pytest.mark.process
def test_a_group_is_signalled_as_a_whole():
    with subprocess.Popen(["sh", "-c", "sleep 1000; true"], start_new_session=True) as leader:
        assert strays.kill_group(leader.pid)
        assert leader.wait(PATIENCE_S) == -signal.SIGKILL


@pytest.mark.process
def test_what_is_gone_cannot_be_killed():
    with subprocess.Popen(["true"], start_new_session=True) as leader:
        leader.wait(PATIENCE_S)
    assert not strays.kill_group(leader.pid)
    strays.kill_process(leader.pid)
