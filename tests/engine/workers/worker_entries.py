"""What the workers of these tests run; imported there through extra_paths."""

# ruff: noqa: T201 - what workers print is under test

import ctypes
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from engine.errors import NodeError, UsageError


def finish(spec, fds, lane):
    lane.ready()
    lane.finished({"answer": spec.get("answer"), "fds": len(fds)})


def return_only(spec, fds, lane):
    lane.ready()


def finish_with_a_ping_unread(spec, fds, lane):
    lane._receive = threading.Event().wait  # the lane's thread sees that there is something
    lane.ready()
    os.read(fds[0], 1)
    lane.finished()


def wait_for_shutdown(spec, fds, lane):
    asked = threading.Event()
    lane.on_shutdown(asked.set)
    lane.ready()
    asked.wait()
    lane.finished({"cancelled": lane.page.cancelled})


def report_surroundings(spec, fds, lane):
    lane.ready()
    own = Path("/proc/self")
    ignored = int(re.search(r"SigIgn:\s*(\w+)", (own / "status").read_text())[1], 16)
    facts = {
        "environment": {
            name: os.environ.get(name) for name in ("ADDED_LATER", "SPT_NOENV", "HOME")
        },
        "directory": str(Path.cwd()),
        "title": (own / "cmdline").read_text().strip("\0 "),
        "threads": len(list((own / "task").iterdir())),
        "fds": sorted(open_targets()),
        "stdin": str((own / "fd" / "0").readlink()),
        "session": os.getsid(0) == os.getpid() == os.getpgid(0),
        "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
        "data": resource.getrlimit(resource.RLIMIT_DATA)[0],
        "switch_interval_s": sys.getswitchinterval(),
        "ignores_term": bool(ignored & (1 << (signal.SIGTERM - 1))),
        "random": random.random(),
        "numpy_random": float(np.random.random()),  # noqa: NPY002 - the one that forks would share
        "path": sys.path[0],
    }
    lane.finished(facts)


def open_targets():
    targets = [
        str(path.readlink()) for path in list(Path("/proc/self/fd").iterdir()) if path.is_symlink()
    ]
    return [target.split(":")[0] for target in targets]


def say_to_fds(spec, fds, lane):
    lane.ready()
    for number, fd in enumerate(fds):
        os.write(fd, f"fd {number}".encode())
        os.close(fd)
    lane.finished()


def raise_error(spec, fds, lane):
    lane.ready()
    raise LookupError("no such voice")


def raise_node_error(spec, fds, lane):
    try:
        {}["missing"]
    except KeyError as error:
        raise NodeError.of("second", error, during="initialize") from error


def raise_usage_error(spec, fds, lane):
    raise UsageError("there is no such class")


def raise_enormous(spec, fds, lane):
    raise LookupError("é\ud800" * 1_000_000)


def leave(spec, fds, lane):
    lane.ready()
    print("leaving without a word")
    os._exit(3)


def kill_self(spec, fds, lane):
    lane.ready()
    os.kill(os.getpid(), spec["signal"])
    signal.pause()


def segfault(spec, fds, lane):
    lane.ready()
    ctypes.string_at(0)


def block_initialize(spec, fds, lane):
    lane.progress("a", "initializing", 0.0, "opening")
    lane.progress("a", "loading_model", 0.4, "weights, 2 of 5")
    print("still loading", flush=True)
    threading.Event().wait()


def stubborn(spec, fds, lane):
    """SIGTERM is ignored, and a C call keeps the interpreter lock: no thread of ours runs again."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    lane.ready()
    re.match(r"(a+)+$", "a" * 60 + "b")


def stop_self(spec, fds, lane):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    lane.ready()
    os.kill(os.getpid(), signal.SIGSTOP)
    threading.Event().wait()


def long_turn(spec, fds, lane):
    lane.ready()
    lane.page.begin_turn(1, time.monotonic_ns())
    threading.Event().wait()


def close_control(spec, fds, lane):
    lane.ready()
    os.closerange(3, 64)
    threading.Event().wait()


def send_nonsense(spec, fds, lane):
    lane.ready()
    lane._control.send(b'{"type": "nonsense"}')
    threading.Event().wait()


def leave_daemons(spec, fds, lane):
    """Two descendants in sessions of their own: one exec'd and orphaned, one only forked."""
    script = (
        "import subprocess as s;"
        " print(s.Popen(['sleep', '1000'], stdout=s.DEVNULL, start_new_session=True).pid)"
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True)
    forked = os.fork()
    if forked == 0:
        os.setsid()
        signal.pause()
        os._exit(0)
    same_group = subprocess.Popen(["sleep", "1000"])
    pids = [int(done.stdout), forked, same_group.pid]
    lane.progress("a", "pids", 0.0, json.dumps(pids))
    wait_for_shutdown(spec, fds, lane)


def flood(spec, fds, lane):
    lane.ready()
    block = b"".join(b"line %07d of a flood\n" % number for number in range(10_000))
    written = 0
    with os.fdopen(os.dup(1), "wb") as out:
        while written < spec["bytes"]:
            written += out.write(block)
    print("one line without an end: " + "x" * 100_000)
    print("last line")
    lane.finished({"written": written})


def watch_generation(spec, fds, lane):
    """Busy Python code sees the shared word; the lane hears of it as well."""
    heard = threading.Event()
    lane.on_command(
        lambda command, _: (
            lane.progress("a", "lane", 0.0, f"{command.generation} {sorted(command.node_ids)}"),
            heard.set(),
        )
    )
    lane.ready()
    while lane.page.stale_below < 7:
        pass
    lane.progress("a", "word", 0.0, str(lane.page.stale_below))
    heard.wait()
    lane.finished()


def allocate(spec, fds, lane):
    lane.ready()
    bytearray(spec["bytes"])


def use_main(spec, fds, lane):
    main = sys.modules["__remotemedia_main__"]
    lane.ready()
    lane.finished(
        {"answer": main.answer(), "guard": main.GUARDED, "alias": sys.modules["__main__"] is main}
    )


def spawn_nothing_but_heartbeats(spec, fds, lane):
    threading.Event().wait()
