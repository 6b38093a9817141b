"""Runs cells of the kill matrix against a server in a process of its own, and looks what is left.

Everything that descends from the server carries a mark in its environment, by which it is found
however it cut itself loose.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from engine.workers import strays
from tests.fault.cells import STARTING, WORKERS, Cell, Outcome, expected
from tests.fault.moments import CLIENT, REACHED, RELEASED

ROOT = Path(__file__).parents[2]
#: Longer than anything here takes on a busy machine; what waits this long has failed.
PATIENCE_S = 40.0
GRACE_S = 1.0
HANG_S = 0.9
INIT_S = 3.0
#: On top of the settings' bounds: the search for a cause (1 s), signals by way of a zygote.
MARGIN_S = 4.0
#: A collection takes some 20 ms; more of them would keep the server from all else.
COLLECT_EVERY_S = 0.25
MARK = "FAULT_MARK"

CLIENT_PROGRAM = """
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY)
os.write(1, b"x")
sys.stdin.readline()
os._exit(3)
"""


@dataclass(frozen=True)
class Result:
    """What came of a cell: how long it took until all was clean, counted from the harm."""

    cell: Cell
    seconds: float


class Mailbox:
    """Lines of JSON from several descriptors, as one list."""

    def __init__(self) -> None:
        self.seen: list[dict] = []
        self._selector = selectors.DefaultSelector()
        self._rests: dict[int, bytes] = {}

    def watch(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._rests[fd] = b""
        self._selector.register(fd, selectors.EVENT_READ)

    def forget(self, fd: int) -> None:
        self._selector.unregister(fd)
        del self._rests[fd]

    def close(self) -> None:
        self._selector.close()

    def wait_for(self, condition, what: str, timeout_s: float = PATIENCE_S):
        """Read until a condition of what was seen holds; returns its value."""
        deadline_s = time.monotonic() + timeout_s
        while not (met := condition(self.seen)):
            left_s = deadline_s - time.monotonic()
            assert left_s > 0, f"waited in vain for {what}; seen {self.seen}"
            for key, _ in self._selector.select(left_s):
                self._read(key.fd)
        return met

    def _read(self, fd: int) -> None:
        data = os.read(fd, 65536)
        if not data:
            self.seen.append({"closed": fd})
            self.forget(fd)
            return
        *lines, self._rests[fd] = (self._rests[fd] + data).split(b"\n")
        self.seen += map(json.loads, lines)


def first(key: str):
    """A condition: the first thing seen that has this key."""
    return lambda seen: next((event for event in seen if key in event), None)


class ServerProcess:
    """The server under test, warm: it has run a session."""

    def __init__(self) -> None:
        self.mark = secrets.token_hex(8)
        self.temporary = Path(tempfile.mkdtemp(prefix="fault-server-"))
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        environment = {**os.environ, "PYTHONPATH": str(ROOT), MARK: self.mark}
        for name in ("TMPDIR", "XDG_RUNTIME_DIR"):
            environment[name] = str(self.temporary)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fault.server"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            bufsize=0,  # nothing is kept for a server that has gone
            start_new_session=True,
        )
        self.mailbox = Mailbox()
        self.mailbox.watch(self.process.stdout.fileno())
        self.mailbox.wait_for(first("ready"), "the server")

    @property
    def pid(self) -> int:
        return self.process.pid

    def tell(self, **command: object) -> None:
        with contextlib.suppress(BrokenPipeError):  # it was the victim
            self.process.stdin.write(json.dumps(command).encode() + b"\n")

    def zygote(self) -> int:
        (pid,) = [pid for pid, title in self.others().items() if "remotemedia: zygote" in title]
        return pid

    def others(self) -> dict[int, str]:
        """Pid → title of everything that carries its mark, but for itself."""
        wanted = f"{MARK}={self.mark}".encode()
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal() or int(entry.name) == self.pid:
                continue
            try:
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    title = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                    found[int(entry.name)] = title.decode(errors="replace").strip()
            except OSError:  # gone, or somebody else's
                continue
        return found

    def said(self) -> str:
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")[-3000:]

    def end(self) -> None:
        """Kill what there is of it, and remove what the test gave it."""
        for number in (signal.SIGCONT, signal.SIGKILL):
            strays.kill_group(self.pid, number)
        self.process.wait(PATIENCE_S)
        for pid in self.others():
            strays.kill_process(pid)
        self.process.stdin.close()
        self.process.stdout.close()
        self.mailbox.close()
        self.errors.close()
        shutil.rmtree(self.temporary)


@dataclass(frozen=True)
class Belongings:
    """What a server has of the system: descriptors by kind, threads, files, shared memory."""

    descriptors: Counter
    threads: int
    files: frozenset
    shared: frozenset

    @classmethod
    def of(cls, server: ServerProcess, *pids: int) -> Belongings:
        kinds: Counter = Counter()
        for pid in pids:
            kinds += Counter((pid == server.pid, kind) for kind in kinds_of_descriptors(pid))
        threads = len([*Path(f"/proc/{server.pid}/task").iterdir()]) if server.pid in pids else 0
        shared = (path.name for path in Path("/dev/shm").iterdir())
        return cls(
            kinds,
            threads,
            frozenset(path for path in server.temporary.rglob("*")),
            frozenset(name for name in shared if name.startswith("remote")),
        )

    def more_than(self, before: Belongings) -> list[str]:
        return [
            *(f"descriptor {kind}" for kind in self.descriptors - before.descriptors),
            *([f"threads: {self.threads}"] if self.threads > before.threads else []),
            *(f"file {path}" for path in self.files - before.files),
            *(f"/dev/shm/{name}" for name in self.shared - before.shared),
        ]


def kinds_of_descriptors(pid: int) -> list[str]:
    kinds = []
    with contextlib.suppress(OSError):  # it has ended
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                kinds.append(re.sub(r"\[?\d+\]?", "", str(link.readlink())))
    return kinds


def is_left(pid: int, ours: set[int]) -> bool:
    """Whether there is a process; one that has ended and is the system's to reap is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    state, parent = stat.rpartition(")")[2].split()[:2]
    return state != "Z" or int(parent) in ours


class Lab:
    """Runs cells, one after the other, on one server as long as that lives."""

    def __init__(self) -> None:
        self.results: dict[Cell, Result] = {}
        self._server = self._warm_server()

    def close(self) -> None:
        self._server.end()

    def run(self, cell: Cell) -> Result:
        """Do the harm and hold the server to what must come of it.

        Raises:
            AssertionError: something else came of it, something was left, or it took too long.
        """
        try:
            with tempfile.TemporaryDirectory(prefix="fault-cell-") as directory:
                seconds = Trial(self._server, cell, Path(directory)).run()
        except Exception as error:
            error.add_note(f"in cell {cell}; the server said:\n{self._server.said()}")
            self._renew()
            raise
        if expected(cell).status is not None:
            self._renew()
        elif cell.victim == "zygote" and cell.means != "SIGSTOP":
            self._warm(self._server)  # which now starts another one
        result = self.results[cell] = Result(cell, seconds)
        return result

    def _renew(self) -> None:
        self._server.end()
        self._server = self._warm_server()

    def _warm_server(self) -> ServerProcess:
        server = ServerProcess()
        self._warm(server)
        return server

    def _warm(self, server: ServerProcess) -> None:
        """Have it run a session, so that all it keeps is there."""
        with tempfile.TemporaryDirectory(prefix="fault-cell-") as directory:
            Trial(server, Cell("caller", "idle", "exception"), Path(directory)).run(count=False)


class Trial:
    """One cell on one server."""

    def __init__(self, server: ServerProcess, cell: Cell, directory: Path) -> None:
        self._server = server
        self._cell = cell
        self._directory = directory
        self._outcome: Outcome = expected(cell)
        self._client: subprocess.Popen | None = None
        self._zygote = 0

    def run(self, *, count: bool = True) -> float:
        """Returns the seconds from the harm until all was clean."""
        server = self._server
        mailbox = server.mailbox
        mailbox.seen.clear()
        if count:
            self._zygote = server.zygote()
            before = Belongings.of(server, server.pid, self._zygote)
        os.mkfifo(self._directory / REACHED)
        reached = os.open(self._directory / REACHED, os.O_RDWR)
        mailbox.watch(reached)
        try:
            self._start()
            victim = self._wait_for_moment()
            harmed_s = time.monotonic()
            self._harm(victim)
            self._check_outcome()
            if not count:
                return 0.0
            bound_s = self._bound_s()
            left = self._what_is_left(before, harmed_s + bound_s)
            seconds = time.monotonic() - harmed_s
            assert not left, f"after {seconds:.1f} s there still is {left}"
        finally:
            mailbox.forget(reached)
            os.close(reached)
            if self._client is not None:
                self._client.kill()
                self._client.wait()
                self._client.stdin.close()
                self._client.stdout.close()
        return seconds

    def _start(self) -> None:
        cell = self._cell
        settings = {"cleanup_grace_s": GRACE_S}
        frozen = cell.means == "SIGSTOP" and cell.victim != "zygote"
        if frozen and cell.victim in WORKERS and cell.moment in STARTING:
            settings["init_timeout_s"] = INIT_S
        elif frozen:
            settings["hang_timeout_s"] = HANG_S
        if cell.victim == "caller" and cell.means != "exception":
            self._start_client()
        self._server.tell(
            run={
                "cell": [cell.victim, cell.moment, cell.means],
                "directory": str(self._directory),
                "settings": settings,
            }
        )
        if self._client is not None:
            self._client.stdout.read(1)  # it has opened the pipe, as the server has

    def _start_client(self) -> None:
        os.mkfifo(self._directory / CLIENT)
        self._client = subprocess.Popen(
            [sys.executable, "-S", "-E", "-c", CLIENT_PROGRAM, str(self._directory / CLIENT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def _wait_for_moment(self) -> int:
        """Block until the worker is at the moment, and nobody before it; returns the victim."""
        cell, mailbox = self._cell, self._server.mailbox
        event = mailbox.wait_for(
            lambda seen: first("moment")(seen) or first("ended")(seen),
            f"the moment {cell.moment!r}",
        )
        assert event.get("moment") == cell.moment, event
        assert event["position"] == cell.position
        if cell.moment in STARTING:
            others = {*WORKERS} - {cell.position}
            if cell.victim not in WORKERS or cell.signal:
                mailbox.wait_for(
                    lambda seen: others <= {each.get("initialized") for each in seen},
                    "the other workers",
                )
        elif cell.moment == "idle" and cell.means != "os._exit":
            mailbox.wait_for(first("at"), "the first packet")
        if cell.victim in WORKERS:
            return event["pid"]
        if cell.victim == "zygote":
            return self._zygote
        return self._client.pid if self._client is not None else self._server.pid

    def _harm(self, victim: int) -> None:
        cell, server = self._cell, self._server
        if cell.victim == "caller" and cell.means == "exception":
            server.tell(**{"raise": "caller"})
        elif cell.victim == "caller" and cell.means == "os._exit":
            self._client.stdin.write(b"\n")
            self._client.stdin.flush()
        elif cell.victim == "server" and cell.means == "exception":
            server.tell(**{"raise": "server"})
        elif cell.victim == "server" and cell.means == "os._exit":
            server.tell(exit=3)
        elif cell.signal:
            os.kill(victim, cell.signal)
        if self._outcome.goes_on:
            if cell.victim == "server":
                time.sleep(HANG_S * 1.5)  # frozen for longer than a worker may be silent
                os.kill(victim, signal.SIGCONT)
            (self._directory / RELEASED).touch()
        if self._outcome.goes_on or cell.moment == "waiting for a credit":
            server.tell(go=True)

    # --- what came of it --------------------------------------------------------------------

    def _bound_s(self) -> float:
        """Until all is clean: until it is noticed, twice the grace of a close, and a margin."""
        notice_s = INIT_S if self._cell.moment in STARTING else HANG_S
        return (notice_s if self._cell.means == "SIGSTOP" else 0.0) + 2 * GRACE_S + MARGIN_S

    def _check_outcome(self) -> None:
        outcome, server = self._outcome, self._server
        if outcome.status is not None:
            assert server.process.wait(PATIENCE_S) == outcome.status
            return
        said = server.mailbox.wait_for(first("ended"), "the caller's end")
        if outcome.goes_on:
            if self._cell.victim == "zygote":
                os.kill(self._zygote, signal.SIGCONT)
            assert said["outputs"] >= 1
        assert "closed" not in said
        error = said["ended"]
        if not outcome.error:
            assert error is None, error
            return
        assert error is not None, f"no error, and {said['outputs']} outputs"
        assert error["error"] == outcome.error, error
        assert outcome.says in error["message"], error
        context = error["context"]
        if outcome.blames_victim:
            assert context.get("node_id") == self._cell.victim, error
        assert {name: context.get(name) for name in outcome.context} == outcome.context
        if outcome.error == "WorkerCrashedError" and outcome.blames_victim:
            # SIGTERM has the worker print where it was, which is more than an error carries.
            last = "File " if self._cell.means == "SIGTERM" else f"reached {self._cell.moment}"
            assert any(last in line for line in context["last_lines"]), error

    def _what_is_left(self, before: Belongings, deadline_s: float) -> list[str]:
        collect_s = 0.0
        while (left := self._look(before)) and time.monotonic() < deadline_s:
            if time.monotonic() >= collect_s:
                # An error's frames may hold packets, and those views of an arena, in a circle.
                self._server.tell(collect=True)
                collect_s = time.monotonic() + COLLECT_EVERY_S
            time.sleep(0.005)
        return left

    def _look(self, before: Belongings) -> list[str]:
        cell, server = self._cell, self._server
        living = [] if self._outcome.status is not None else [server.pid]
        if cell.victim not in ("server", "zygote") or self._outcome.goes_on:
            living.append(self._zygote)
        others = server.others()
        left = [f"process {pid}: {others[pid]}" for pid in others.keys() - living]
        pids = {event["pid"] for event in server.mailbox.seen if "pid" in event}
        left += [f"pid {pid}" for pid in pids if is_left(pid, {server.pid, self._zygote})]
        return left + Belongings.of(server, *living).more_than(before)
