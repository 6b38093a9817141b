"""What a worker of `benches.bench_spawn` runs: ready at once, then waits to be told to end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.workers.lane import Lane

ENTRY = f"{__name__}:run"


def run(spec: dict[str, Any], fds: list[int], lane: Lane) -> None:
    del spec, fds
    asked = threading.Event()
    lane.on_shutdown(asked.set)
    lane.ready()
    asked.wait()
