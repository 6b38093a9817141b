"""What the tests of the command line share: manifests, the command, and what is left of it."""

import json
import os
import select
import subprocess
import sys
import time
import uuid
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path

COMMAND = Path(sys.executable).with_name("remotemedia")
OPERATORS = Path(__file__).with_name("cli_operators.py")
PATIENCE_S = 30


def manifest(*nodes, name="test", connections=None, metadata=None):
    """A chain: each node is "id:Type" or "id:Type@executor", or a dict of its own."""
    items = [node if isinstance(node, dict) else _node(node) for node in nodes]
    return {
        "version": "v1",
        "metadata": {"name": name, **(metadata or {})},
        "nodes": items,
        "connections": (
            [{"from": a["id"], "to": b["id"]} for a, b in pairwise(items)]
            if connections is None
            else connections
        ),
    }


def _node(text):
    place, _, executor = text.partition("@")
    node_id, _, node_type = place.partition(":")
    node = {"id": node_id, "node_type": node_type}
    return {**node, "executor": executor} if executor else node


class Place:
    """A folder to run the command in, and a watch on the processes it starts."""

    def __init__(self, folder):
        self.folder = folder
        #: Part of every node id, so that workers are known by their titles.
        self.token = uuid.uuid4().hex[:12]
        self._started = []

    def write(self, name, content):
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def chain(self, *nodes, **settings):
        """Write a manifest of a chain whose node ids get this place's token; gives its path."""
        marked = [node.replace(":", f"-{self.token}:", 1) for node in nodes]
        return self.write("manifest.json", manifest(*marked, **settings))

    def id(self, name):
        return f"{name}-{self.token}"

    def start(self, *arguments):
        process = subprocess.Popen(
            [COMMAND, *map(str, arguments)],
            cwd=self.folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def run(self, *arguments):
        """Run the command to its end; gives it with `stdout` and `stderr` as text."""
        process = self.start(*arguments)
        stdout, stderr = process.communicate(timeout=PATIENCE_S)
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    def run_operators(self, *arguments):
        """`remotemedia run` with the test operators."""
        return self.run("run", "--operators", OPERATORS, *arguments)

    def start_operators(self, *arguments):
        return self.start("run", "--operators", OPERATORS, *arguments)

    def left(self):
        """Workers and zygotes of commands started here that still run, known by their titles."""
        marks = [self.token, *(f"zygote [{process.pid}]" for process in self._started)]
        return {pid for pid, title in _titles() if any(mark in title for mark in marks)} - {
            process.pid for process in self._started
        }

    def wait_left_gone(self):
        """Wait until none of them runs any more."""
        for pid in self.left():
            with suppress(ProcessLookupError), closing(_PidFd(pid)) as pidfd:
                assert pidfd.wait_exited(PATIENCE_S), f"{pid} still runs"

    def close(self):
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=PATIENCE_S)


def eventually(condition):
    """Wait until a condition holds."""
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


class _PidFd:
    def __init__(self, pid):
        self._fd = os.pidfd_open(pid)

    def wait_exited(self, timeout_s):
        poller = select.poll()
        poller.register(self._fd, select.POLLIN)
        return bool(poller.poll(timeout_s * 1000))

    def close(self):
        os.close(self._fd)


def _titles():
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # gone meanwhile
                title = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
                if title:
                    yield int(entry.name), title


def environment():
    """That of a user without settings of ours."""
    ours = {"COLUMNS", "REMOTEMEDIA_CONFIG"}
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ours and not name.startswith("GRPC_")
    }


def read_until(stream, words):
    """Read lines until one has these words in it; gives all of them."""
    lines = []
    while not lines or words not in lines[-1]:
        line = stream.readline()
        assert line, f"ended without {words!r}: {''.join(lines)}"
        lines.append(line)
    return "".join(lines)


def json_lines(text):
    return [json.loads(line) for line in text.splitlines()]
