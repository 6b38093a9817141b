"""A worker, from the fork to its exit: isolate the process, run the stage, leave.

Runs in the zygote's forked child, on its main thread. Source: FR-004, FR-008.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import importlib.util
import json
import os
import random
import resource
import signal
import socket
import sys
import traceback
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from engine.errors import NodeError, RemoteMediaError, StartupError, UsageError
from engine.missing import remedy
from engine.workers.control_page import ControlPage
from engine.workers.kernel import become_subreaper, die_with_parent
from engine.workers.lane import Lane
from engine.workers.messages import SPAWN_DESCRIPTORS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import ModuleType

    from engine.workers.messages import SpawnCommand

EXIT_FINISHED: Final = 0
EXIT_FAILED: Final = 1

#: What runs in a worker, unless its start spec names another "entry".
DEFAULT_ENTRY: Final = "engine.workers.stage_runner:run_stage"
#: Name under which the user's script is loaded; its `if __name__ == "__main__"` stays quiet.
MAIN_NAME: Final = "__remotemedia_main__"
#: Between threads of a worker; 5 ms, Python's default, keep the lane waiting that long.
SWITCH_INTERVAL_S: Final = 0.0005


def enter(command: SpawnCommand, fds: Sequence[int], zygote_pid: int) -> NoReturn:
    """Become a worker; never returns.

    Args:
        command: what the server asked for.
        fds: the descriptors that came with it, in the order of SPAWN_DESCRIPTORS, then the stage's.
        zygote_pid: the parent.
    """
    code = EXIT_FAILED
    try:
        _isolate(command, fds, zygote_pid)
        code = _work(command, fds)
    except BaseException:  # noqa: BLE001 - nothing may return into the zygote's frames
        traceback.print_exc()
    finally:
        _flush_stdio()
        # No atexit hook, thread or finalizer of an operator's library can hold this back.
        os._exit(code)


# --- the process ----------------------------------------------------------------------------


def _isolate(command: SpawnCommand, fds: Sequence[int], zygote_pid: int) -> None:
    os.setsid()
    die_with_parent(signal.SIGKILL)
    if os.getppid() != zygote_pid:  # it died before the line above
        os._exit(EXIT_FAILED)
    become_subreaper()
    _set_signals()
    _set_descriptors(fds)
    _set_limits(command.memory_limit_bytes)
    _set_title(command.title)
    _set_surroundings(command)
    _set_randomness()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.enable()


def _set_signals() -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _set_descriptors(fds: Sequence[int]) -> None:
    named = dict(zip(SPAWN_DESCRIPTORS, fds, strict=False))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(named["stdout"], 1)
    os.dup2(named["stderr"], 2)
    keep = {0, 1, 2, *fds} - {named["stdout"], named["stderr"]}
    for fd in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
        if fd not in keep:
            with contextlib.suppress(OSError):  # the listing's own descriptor is closed already
                os.close(fd)
    # One write per line: the zygote runs unbuffered, which makes two of each print.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, write_through=False)  # type: ignore[union-attr]
    faulthandler.enable()
    # The ladder's SIGTERM shows where a stuck worker was stuck, then does what it always does.
    faulthandler.register(signal.SIGTERM, chain=True)


def _set_limits(memory_limit_bytes: int | None) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_limit_bytes is not None:
        # Not RLIMIT_AS: pyarrow reserves 1 GiB of addresses it never touches. What came with the
        # fork, some 120 MB of addresses, is not the worker's doing.
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = _data_bytes() + memory_limit_bytes
        if hard == resource.RLIM_INFINITY or limit < hard:
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _data_bytes() -> int:
    """The private writable memory of this process, touched or not."""
    return int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()


def _set_title(title: str) -> None:
    import setproctitle

    setproctitle.setproctitle(title)


def _set_surroundings(command: SpawnCommand) -> None:
    for name, value in command.environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    with contextlib.suppress(
        OSError
    ):  # removed since: relative paths fail by themselves, with their names
        os.chdir(command.directory)
    sys.path[:] = [*command.extra_paths, *(command.paths or sys.path)]


def _set_randomness() -> None:
    # Workers forked from one zygote would otherwise draw the same numbers.
    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


# --- the work -------------------------------------------------------------------------------


def _work(command: SpawnCommand, fds: Sequence[int]) -> int:
    control_fd, page_fd, start_fd = fds[0], fds[1], fds[4]
    lane = Lane(socket.socket(fileno=control_fd), ControlPage.of_fd(page_fd))
    os.close(page_fd)
    lane.start()
    try:
        spec = _read_start(start_fd)
        if spec.get("main_module"):
            sys.modules["__main__"] = importlib.import_module(spec["main_module"])
        elif spec.get("main_path"):
            load_main(spec["main_path"])
        entry = resolve_entry(spec.get("entry") or DEFAULT_ENTRY)
        entry(spec, list(fds[len(SPAWN_DESCRIPTORS) :]), lane)
        if not lane.ended:
            lane.finished()
    except BaseException as error:  # noqa: BLE001 - whatever it is, the server must hear of it
        if not lane.ended:
            lane.failed(_as_error(command.node_ids, error).to_dict())
        return EXIT_FAILED
    return EXIT_FINISHED


def _read_start(fd: int) -> dict[str, Any]:
    with open(fd, "rb") as file:
        file.seek(0)  # the offset is shared with whoever wrote it
        spec = json.load(file)
    if not isinstance(spec, dict):
        raise StartupError(f"the start spec is {type(spec).__name__}, not an object")
    return spec


def resolve_entry(target: str) -> Callable[[dict[str, Any], list[int], Lane], None]:
    """Import what a worker runs.

    Args:
        target: "module:function".

    Raises:
        StartupError: there is no such function.
    """
    module_name, _, name = target.partition(":")
    try:
        entry: Callable[[dict[str, Any], list[int], Lane], None]
        entry = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise StartupError(f"cannot find the worker's entry {target!r}: {error}") from error
    return entry


def load_main(path: str) -> ModuleType:
    """Load the user's script as a module, so that operators defined in it are found.

    It becomes `__remotemedia_main__` and, as in the server, `__main__`; the code under its
    `if __name__ == "__main__"` does not run.

    Args:
        path: the script; any suffix.

    Raises:
        StartupError: it cannot be read or it raised.
    """
    loader = SourceFileLoader(MAIN_NAME, path)
    spec = importlib.util.spec_from_loader(MAIN_NAME, loader, origin=path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = path
    sys.modules[MAIN_NAME] = sys.modules["__main__"] = module
    sys.argv[:] = [path]
    try:
        loader.exec_module(module)
    except Exception as error:
        guard = 'keep what starts something under `if __name__ == "__main__":`'
        if isinstance(error, RemoteMediaError):  # it began to run a pipeline of its own
            text = f"{guard}: a worker imports the script {path!r}, and must not run it"
        else:
            text = (
                f"a worker cannot import the script {path!r}: {type(error).__name__}: {error};"
                f" {_remedy(error) or guard}"
            )
        raise StartupError(text, path=path) from error
    return module


def _as_error(node_ids: Sequence[str], error: BaseException) -> RemoteMediaError:
    if isinstance(error, RemoteMediaError):
        return _with_node(node_ids, error)
    hint = _remedy(error)
    wrapped = NodeError.of(_names(node_ids), error, during="its worker", hint=hint)
    wrapped.context["node_id"] = node_ids[0] if node_ids else ""
    wrapped.context["node_ids"] = list(node_ids)
    return wrapped


def _remedy(error: BaseException) -> str:
    return remedy(error) if isinstance(error, ImportError) else ""


def _with_node(node_ids: Sequence[str], error: RemoteMediaError) -> RemoteMediaError:
    """Say whose worker it was that could not begin; what knows its node says so itself."""
    if not isinstance(error, StartupError | UsageError) or "node_id" in error.context:
        return error
    context = {**error.context, "node_id": node_ids[0] if node_ids else ""}
    named = type(error)(f"node {_names(node_ids)!r}: {error.message}", **context)
    named.__cause__ = error
    return named


def _names(node_ids: Iterable[str]) -> str:
    return ", ".join(node_ids)


def _flush_stdio() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # closed, or nobody reads it any more
            stream.flush()
