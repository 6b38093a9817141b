"""The zygote's rehearsal goes through a worker's whole work, and leaves nothing of it behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from engine.workers.zygote_link import ENVIRONMENT

pytestmark = pytest.mark.process

LOOK = """
import gc, json, os, signal, socket
from engine.workers.rehearsal import Echo, rehearse

def look():
    fds = os.listdir("/proc/self/fd")
    paths = [f"/proc/self/fd/{fd}" for fd in fds]
    links = [os.readlink(path) for path in paths if os.path.exists(path)]
    return {
        "shared": sum("memfd" in line for line in open("/proc/self/maps")),
        "memfds": sum("memfd" in link for link in links),
        "sockets": sum(link.startswith("socket") for link in links),
        "threads": len(os.listdir("/proc/self/task")),
        "wakeup": signal.set_wakeup_fd(signal.set_wakeup_fd(-1), warn_on_full_buffer=False),
    }

ours, theirs = socket.socketpair()
theirs.setblocking(False)
signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
before, heard = look(), []
process = Echo.process
def listen(self, packet, ctx):
    heard.append(type(packet.payload).__name__)
    return process(self, packet, ctx)
Echo.process = listen
rehearse()
first = len(heard)
rehearse()
print(json.dumps([before, look(), sorted(set(heard)), first, len(heard)]))
"""


FAIL = """
from engine.workers.rehearsal import Echo, rehearse

def fail(self, packet, ctx):
    raise ValueError("on purpose")

Echo.process = fail
try:
    rehearse()
except Exception as error:
    print(error)
"""


def test_what_fails_in_it_is_told_as_it_is():
    child = subprocess.run(
        [sys.executable, "-c", FAIL],
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "ValueError: on purpose" in child.stdout, child.stderr


def test_it_plays_every_part_and_leaves_nothing_behind():
    child = subprocess.run(
        [sys.executable, "-c", LOOK],
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    before, after, kinds, first, both = json.loads(child.stdout)
    assert after == before
    assert before["threads"] == 1
    assert kinds == ["Audio", "Json", "Text"]
    assert both == 2 * first > 0
