"""A zygote as the server sees it: the exec'd process, its control socket, what it prints.

For the service's thread alone. Source: FR-004, NFR-002.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final

import engine
from engine import preloads
from engine.workers import strays
from engine.workers.channel import Channel, packet_socketpair
from engine.workers.interpreters import PYTHON_MIN
from engine.workers.output import new_tail, to_text
from engine.workers.pipes import OutputPipe
from engine.workers.supervisor import signal_name

if TYPE_CHECKING:
    from engine.workers.handle import WorkerRecord

#: How long a zygote may take until it can fork; it takes 0.3 s. Less than a node's init timeout by
#: default, so that the error names the zygote.
START_TIMEOUT_S: Final = 20.0

#: What other interpreters are given of the server's modules.
_OWN_PACKAGES: Final = ("engine", "operators", "remotemedia")

#: The zygote's environment: one thread (two of these libraries start more when they are loaded),
#: and an allocator that a fork shares well. SPT_NOENV: see zygote.py.
ENVIRONMENT: Final = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "PYTHONUNBUFFERED": "1",
    "SPT_NOENV": "1",
}

#: What a zygote begins with. Any Python 3 understands it, so that one which is too old can say so.
#: Another interpreter gets the engine from where it lies here, whatever else lies there: packages
#: beside it are of this interpreter's, and would be found instead of the other's own.
_BOOT: Final = f"""
import sys
if sys.path[:1] == [""]:
    del sys.path[0]  # the working directory, before anything is imported from it
import json, os
control_fd, server_pid, paths, place = json.loads(sys.argv[1])
if sys.version_info < {PYTHON_MIN}:
    versions = {{"python": sys.version.split()[0]}}
    ready = {{"type": "zygote_ready", "pid": os.getpid(), "versions": versions}}
    os.write(control_fd, json.dumps(ready).encode())
    sys.exit()
if place:
    from importlib.machinery import PathFinder
    class EngineFinder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name in {_OWN_PACKAGES}:
                return PathFinder.find_spec(name, [place])
    sys.meta_path.insert(0, EngineFinder)
    from engine.missing import set_server_paths
    set_server_paths(paths)
else:
    sys.path[:] = paths
from engine.workers.zygote import main
main(control_fd, server_pid, sys.argv[2:])
"""


def close_all(fds: tuple[int, ...]) -> None:
    """Close descriptors."""
    for fd in fds:
        os.close(fd)


def import_paths() -> list[str]:
    """What the server imports from, and the workers of its own interpreter."""
    return [str(path) or working_directory() for path in sys.path]


def working_directory() -> str:
    """The server's working directory; `/` if it was removed."""
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return "/"


class ZygoteLink:
    """Starts a zygote and holds on to it.

    Args:
        executable: the interpreter.

    Attributes:
        process: the exec'd program.
        channel: our end of its control socket.
        pidfd: readable once the process has ended. The control socket alone would not do: a fork of
            the server in the wrong moment holds a copy of its other end.
        pipe: what it prints.
        workers: its living workers, by id.
        waiting: spawns that wait for those before them: (worker, its descriptors).
        unanswered: ids of workers whose spawn was asked for and not answered yet.
        is_own: whether it is of the server's own interpreter.
        start_timeout_s: how long it may take until it can fork; then it is taken for hung.
        start_deadline_ns: when that is; monotonic.
        ready: set once it can fork, or is lost.
        lost: set once it is gone.
        how: then says how it ended, with the last it printed.

    Raises:
        OSError: it cannot be executed.
    """

    def __init__(self, executable: str) -> None:
        self.executable = executable
        self.is_own = executable == sys.executable
        self.start_timeout_s = START_TIMEOUT_S
        self.start_deadline_ns = time.monotonic_ns() + round(START_TIMEOUT_S * 1e9)
        self.marker = strays.new_marker()
        self.workers: dict[int, WorkerRecord] = {}
        self.waiting: deque[tuple[WorkerRecord, tuple[int, ...]]] = deque()
        self.unanswered: set[int] = set()
        self.ready = threading.Event()
        self.lost = False
        self.how = ""
        self.kept: deque[bytes] = new_tail()
        #: The environment it began with, to tell later workers what changed since.
        self._environment = dict(os.environ)
        self.process, self.channel, self.pipe = self._start()
        self.pidfd = os.pidfd_open(self.process.pid)

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"the zygote of {self.executable} (pid {self.process.pid})"

    def environment_changes(self) -> dict[str, str | None]:
        """Variables that were set, changed or removed (None) since it was started."""
        now = dict(os.environ)
        if now == self._environment:
            return {}
        changes: dict[str, str | None] = {
            name: value for name, value in now.items() if self._environment.get(name) != value
        }
        changes.update(dict.fromkeys(self._environment.keys() - now.keys()))
        return changes

    def end(self, timeout_s: float, why: str = "") -> None:
        """Let it end, kill it if it does not, and kill what may be left of its workers.

        Its control socket is closed by this, which is what makes it end.

        Args:
            timeout_s: how long it gets.
            why: what it ends for, where we end it; else how it ended is told.
        """
        self.lost = True
        self.channel.close()
        if not self._wait(timeout_s):
            self.process.kill()
            self._wait(1.0)
        for worker in self.workers.values():
            if worker.supervisor.pid:
                strays.kill_group(worker.supervisor.pid)
        strays.kill_marked(self.marker)
        self._read_rest()
        self.how = why or self._describe_end()
        self._close()
        self.ready.set()

    def abandon(self) -> None:
        """Close the descriptors, in a forked child: the process belongs to its parent."""
        self.lost = True
        self._close()
        self.process.returncode = 0  # or Popen would wait for another's child

    def _close(self) -> None:
        while self.waiting:
            close_all(self.waiting.popleft()[1])
        self.channel.close()
        self.pipe.close()
        os.close(self.pidfd)

    def _read_rest(self) -> None:
        while chunk := self.pipe.read():
            self.pipe.cutter.feed(chunk)

    def _start(self) -> tuple[subprocess.Popen[bytes], Channel, OutputPipe]:
        ours, theirs = packet_socketpair()
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            process = subprocess.Popen(
                self._arguments(theirs.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                pass_fds=(theirs.fileno(),),
                env={**self._environment, **ENVIRONMENT, strays.MARKER: self.marker},
                start_new_session=True,  # a Ctrl-C at the terminal is for the server to handle
            )
        except OSError:
            ours.close()
            os.close(reading)
            raise
        finally:
            theirs.close()
            os.close(writing)
        return process, Channel(ours), OutputPipe("zygote", reading, self.kept)

    def _arguments(self, control_fd: int) -> list[str]:
        place = "" if self.is_own else str(Path(engine.__file__).parent.parent)
        arguments = json.dumps([control_fd, os.getpid(), import_paths(), place])
        return [self.executable, "-c", _BOOT, arguments, *preloads.modules()]

    def _wait(self, timeout_s: float) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout_s)
        return self.process.returncode is not None

    def _describe_end(self) -> str:
        code = self.process.returncode
        if code is None:
            how = "does not end"
        elif code < 0:
            how = f"was killed by signal {-code} ({signal_name(-code)})"
        else:
            how = f"ended with exit code {code}"
        said = to_text([*self.kept, self.pipe.cutter.rest])[-10:]
        text = "\n".join(line for line in said if line)
        return f"{self.name} {how}" + (f"; it last said:\n{text}" if text else "")
