"""The parent of all workers: a small single-threaded program that has everything loaded, and forks.

Exec'd by the server, never forked from it: the user's process may have threads, locks and libraries
that no fork survives. It reaps its workers and reports how they ended; it kills what they leave
behind; it ends, and everything with it, when the server does. Source: FR-004, FR-008, NFR-002.

    server gone (EOF, or its pidfd)      everything is killed and reaped, then it exits
    SIGTERM                              the same
    zygote killed                        the kernel kills the workers (parent-death signal)
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from engine.workers import strays
from engine.workers.child import enter
from engine.workers.interpreters import installed_versions, loaded_versions
from engine.workers.kernel import become_subreaper
from engine.workers.messages import (
    DESCRIPTORS_MAX,
    MESSAGE_BYTES_MAX,
    ExitedEvent,
    Message,
    SignalCommand,
    SpawnCommand,
    SpawnReplyEvent,
    ZygoteReadyEvent,
    decode,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What every worker needs; loaded once, shared by all of them.
PRELOADED: Final = (
    "asyncio",
    "importlib.metadata",
    "numpy",
    "pyarrow",
    "pyarrow.ipc",
    "pydantic",
    "reactivex",
    "reactivex.operators",
    "setproctitle",
)
#: The same, where it is installed.
PRELOADED_OPTIONAL: Final = ("uvloop", "engine.workers.stage_runner")


def main(control_fd: int, server_pid: int, modules: Sequence[str] = ()) -> NoReturn:
    """Run the zygote; never returns.

    Args:
        control_fd: its end of a SOCK_SEQPACKET pair.
        server_pid: the process that exec'd it.
        modules: what it loads besides its own, see `engine.preloads`.
    """
    os.set_inheritable(control_fd, False)
    zygote = Zygote(socket.socket(fileno=control_fd), server_pid, modules)
    zygote.serve()


class Zygote:
    """Serves one server process.

    Args:
        control: a connected, blocking SOCK_SEQPACKET socket.
        server_pid: the server's process id.
        modules: what it loads besides its own.
    """

    def __init__(
        self, control: socket.socket, server_pid: int, modules: Sequence[str] = ()
    ) -> None:
        self._control = control
        self._modules = tuple(modules)
        self._server_pid = server_pid
        self._pid = os.getpid()
        #: Living or unreaped workers, both ways.
        self._pids: dict[int, int] = {}
        self._worker_ids: dict[int, int] = {}
        self._terminated = False

    def serve(self) -> NoReturn:
        """Fork, reap and report until the server is gone."""
        become_subreaper()
        wake = self._set_signals()
        # The control socket alone would not do: a fork of the server holds a copy of its other end.
        server = os.pidfd_open(self._server_pid)
        if os.getppid() != self._server_pid:
            self._end()
        self._load()
        poller = select.poll()
        for fd in (self._control.fileno(), server, wake.fileno()):
            poller.register(fd, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poller.poll()}
            if wake.fileno() in ready:
                wake.recv(4096)
            if self._terminated or server in ready:
                self._end()
            self._reap()
            if self._control.fileno() in ready:
                self._receive()

    def _load(self) -> None:
        """Get warm and say so; or say why not, and end."""
        try:
            preload(self._modules)
        except Exception as error:  # noqa: BLE001 - whatever loading raises, the server must hear of it
            if not isinstance(error, ModuleNotFoundError):
                traceback.print_exc()
            why = f"{type(error).__name__}: {error}"
            self._send(ZygoteReadyEvent(self._pid, installed_versions(), why))
            self._end()
        if self._terminated:  # what it is woken by was set aside meanwhile
            self._end()
        self._send(ZygoteReadyEvent(self._pid, loaded_versions()))

    def _set_signals(self) -> socket.socket:
        reading, writing = socket.socketpair()
        reading.setblocking(False)
        writing.setblocking(False)
        # The descriptor lives as long as the process, whatever becomes of the object.
        signal.set_wakeup_fd(writing.detach(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.signal(signal.SIGTERM, self._terminate)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return reading

    def _terminate(self, _number: int, _frame: object) -> None:
        self._terminated = True

    # --- the server's wishes ----------------------------------------------------------------

    def _receive(self) -> None:
        try:
            data, fds, flags, _ = socket.recv_fds(
                self._control, MESSAGE_BYTES_MAX, DESCRIPTORS_MAX, socket.MSG_CMSG_CLOEXEC
            )
        except OSError:
            data, fds, flags = b"", [], 0
        if not data:
            self._end()
        try:
            self._handle(decode(data), fds, complete=not flags & socket.MSG_CTRUNC)
        finally:
            for fd in fds:
                os.close(fd)

    def _handle(self, message: Message, fds: list[int], *, complete: bool) -> None:
        match message:
            case SpawnCommand() if complete:
                self._send(self._spawn(message, fds))
            case SpawnCommand():
                why = "the zygote is out of descriptors (ulimit -n)"
                self._send(SpawnReplyEvent(message.worker_id, 0, why))
            case SignalCommand():
                pid = self._pids.get(message.worker_id)
                # Unreaped, so the number is still the worker's.
                if pid is not None:
                    strays.kill_group(pid, message.signal)
            case _:
                raise ValueError(f"{message.type!r} is no message for a zygote")

    def _spawn(self, command: SpawnCommand, fds: list[int]) -> SpawnReplyEvent:
        threads = _thread_names()
        if len(threads) != 1:
            return SpawnReplyEvent(
                command.worker_id,
                0,
                f"the zygote has {len(threads)} threads ({', '.join(threads)})",
            )
        try:
            pid = os.fork()
        except OSError as error:
            return SpawnReplyEvent(command.worker_id, 0, f"fork failed: {error.strerror}")
        if pid == 0:
            enter(command, fds, self._pid)
        self._pids[command.worker_id] = pid
        self._worker_ids[pid] = command.worker_id
        return SpawnReplyEvent(command.worker_id, pid)

    def _send(self, message: Message) -> None:
        try:
            self._control.send(encode(message), socket.MSG_NOSIGNAL)
        except OSError:
            self._end()

    # --- the ends of processes --------------------------------------------------------------

    def _reap(self) -> None:
        gone = False
        while True:
            try:
                # WNOWAIT: while it is unreaped, its number cannot become another group's.
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                break
            if found is None:
                break
            self._bury(found.si_pid)
            gone = True
        if gone:
            self._kill_strays()

    def _bury(self, pid: int) -> None:
        worker_id = self._worker_ids.pop(pid, None)
        if worker_id is None:
            os.waitpid(pid, 0)  # a stray's end
            return
        del self._pids[worker_id]
        strays.kill_group(pid)
        self._kill_strays()
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code >= 0:
            self._send(ExitedEvent(worker_id, code=code))
        else:
            self._send(ExitedEvent(worker_id, signal=-code))

    def _kill_strays(self) -> None:
        # Adopted when its worker (a subreaper too) died, so nobody's.
        for pid in strays.children():
            if pid not in self._worker_ids:
                strays.kill_process(pid)

    def _end(self) -> NoReturn:
        for pid in self._worker_ids:
            strays.kill_group(pid)
        try:
            while True:
                for pid in strays.children():
                    strays.kill_process(pid)
                os.waitpid(-1, 0)  # what it leaves behind is ours now, and next
        except ChildProcessError:
            os._exit(0)


# --- getting warm ---------------------------------------------------------------------------


def preload(modules: Sequence[str] = ()) -> None:
    """Load what workers need and leave it where a fork shares it.

    Args:
        modules: what they are likely to need besides, where it is installed. One that fails is
            left to the worker that needs it, whose node then says why.
    """
    for name in PRELOADED:
        importlib.import_module(name)
    for name in PRELOADED_OPTIONAL:
        _load_if_installed(name)
    for name in modules:
        try:
            _load_if_installed(name)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a module may raise
            sys.stderr.write(f"cannot preload {name!r}: {error!r}\n")
    _set_title()
    from engine.workers.rehearsal import rehearse

    rehearse()
    gc.collect()
    gc.freeze()
    # A collection here would write to every object's header and so copy the pages it lies on.
    gc.disable()


def _load_if_installed(name: str) -> None:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            raise


def _set_title() -> None:
    import setproctitle

    setproctitle.setproctitle(f"remotemedia: zygote [{os.getppid()}]")
    # It is read at the first call. Without it the title of a worker overwrites the environment that
    # its descendants are recognised by.
    os.environ.pop("SPT_NOENV", None)


def _thread_names() -> list[str]:
    tasks = Path("/proc/self/task")
    return [(task / "comm").read_text().strip() for task in tasks.iterdir()]
