"""Whether workers really start and talk, and what servers that are gone have left.

Source: FR-004, FR-008, NFR-002, SC-006.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.errors import RemoteMediaError
from engine.payloads import Text
from remotemedia.checkup.finding import BROKEN, OK, WARNING, Finding
from remotemedia.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.config import Settings
    from engine.workers.strays import Stray

_AREA: Final = "workers"
#: A zygote takes 0.3 s, on a cold disk several.
_ZYGOTE_TIMEOUT_S: Final = 60.0
_SESSION_TIMEOUT_S: Final = 60.0
_HOPS: Final = 100
#: What is about to end is gone after this.
_SECOND_LOOK_S: Final = 1.0


def worker_findings(settings: Settings) -> Iterator[Finding]:
    """Start what sessions start, and look for what others have left.

    Args:
        settings: say which interpreters there are.
    """
    if sys.platform != "linux":
        return
    if settings.enabled:
        yield from _interpreters(settings)
        yield _session(settings)
    else:
        yield Finding(
            _AREA,
            "session",
            WARNING,
            "processes are disabled (enabled = false)",
            "all nodes run on the server's loop",
            "set enabled = true in runtime.toml to have processes",
        )
    yield strays_finding()


# --- starting ---------------------------------------------------------------------------------


def _interpreters(settings: Settings) -> Iterator[Finding]:
    for role, interpreter in _named_interpreters(settings):
        yield _interpreter(role, interpreter)


def _named_interpreters(settings: Settings) -> Iterator[tuple[str, str]]:
    """What each interpreter or virtual environment is for, and its name; each once."""
    named = {settings.python_executable: "python_executable"}
    if settings.venv_path is not None:  # then it is what sessions use
        named = {settings.venv_path: "venv_path"}
    for interpreter in settings.allowed:
        named.setdefault(interpreter, "allowed")
    for interpreter, role in named.items():
        yield role, interpreter


def _interpreter(role: str, named: str) -> Finding:
    from engine.workers.interpreters import venv_python
    from engine.workers.service import WorkerService

    name = f"interpreter {named}"
    started_s = time.monotonic()
    try:
        is_venv = role == "venv_path" or Path(named).is_dir()
        interpreter = venv_python(named) if is_venv else named
        WorkerService.shared().warm(interpreter, wait_s=_ZYGOTE_TIMEOUT_S)
    except RemoteMediaError as error:
        advice = f"mend it, or name another one ({role} in runtime.toml)"
        meaning = "nodes cannot run in processes of this interpreter"
        return Finding(_AREA, name, BROKEN, error.message, meaning, advice)
    took_ms = round((time.monotonic() - started_s) * 1000)
    return Finding(
        _AREA,
        name,
        OK,
        f"its zygote was ready after {took_ms} ms",
        "it has what workers need; later workers start from it in milliseconds",
        details={"executable": interpreter, "ready_ms": took_ms},
    )


def _session(settings: Settings) -> Finding:
    try:
        start_ms, hop_us = asyncio.run(_measure(settings))
    except (RemoteMediaError, OSError, TimeoutError) as error:
        lines = getattr(error, "context", {}).get("last_lines") or []
        return Finding(
            _AREA,
            "session",
            BROKEN,
            str(error) or type(error).__name__,
            "a session with a process node does not run here",
            "see the other findings; remotemedia run --debug shows where it happened",
            {"last_lines": lines},
        )
    return Finding(
        _AREA,
        "session",
        OK,
        f"started in {start_ms:.0f} ms; a packet there and back takes {hop_us:.0f} µs",
        "a worker starts, takes packets and gives them back",
        details={"start_ms": round(start_ms, 1), "round_trip_us": round(hop_us, 1)},
    )


async def _measure(settings: Settings) -> tuple[float, float]:
    """How long a session of one process node takes to start (ms), and a packet through it (µs)."""
    from operators.flow.pass_through import PassThrough

    one = replace(settings, max_sessions=None)
    pipeline = Pipeline("doctor", settings=one) | PassThrough().on("process")
    started_ns = time.monotonic_ns()
    async with asyncio.timeout(_SESSION_TIMEOUT_S), pipeline.session() as session:
        start_ms = (time.monotonic_ns() - started_ns) / 1e6
        times_us = []
        for _ in range(_HOPS):
            sent_ns = time.monotonic_ns()
            await session.send(Text("hop"))
            await session.receive()
            times_us.append((time.monotonic_ns() - sent_ns) / 1e3)
    return start_ms, statistics.median(times_us)


# --- strays -----------------------------------------------------------------------------------


def strays_finding() -> Finding:
    """What is left of servers that are gone, looked at twice."""
    from engine.workers.strays import find_strays

    found = find_strays()
    if found:
        time.sleep(_SECOND_LOOK_S)
        there = {(stray.pid, stray.started_ticks) for stray in found}
        found = [s for s in find_strays() if (s.pid, s.started_ticks) in there]
    if not found:
        return Finding(_AREA, "strays", OK, "none", "no server that is gone has left a process")
    return Finding(
        _AREA,
        "strays",
        WARNING,
        "; ".join(map(_described, found)),
        "their servers are gone; they hold memory, and perhaps devices and files",
        f"kill -9 {' '.join(str(stray.pid) for stray in found)}",
        {"strays": [asdict(stray) for stray in found]},
    )


def _described(stray: Stray) -> str:
    stopped = ", stopped" if stray.state in "Tt" else ""
    return (
        f"{stray.pid} ({stray.title or 'no title'}{stopped}), {stray.age_s:.0f} s old, of server"
        f" {stray.server_pid}"
    )
