"""Two hundred sessions cost no more than a few: `make fault`; twenty of them in `make test`."""

from __future__ import annotations

import gc
import os
import re
from pathlib import Path

import pytest

from engine.errors import WorkerCrashedError
from engine.payloads import Json
from engine.testing.leaks import Footprint, what_is_left
from tests.fault.conftest import EVERYTHING
from tests.integration.conftest import PATIENCE_S, graph, run

pytestmark = [pytest.mark.process, pytest.mark.fault]

SESSIONS = 200 if EVERYTHING else 20
#: Sessions after which caches are full and allocators have what they reuse.
WARM_UP = 20
PACKETS = 20
#: What the memory of a process that does not leak may differ by, from one look to the next.
NOISE_BYTES = 3 * 1024**2
MEMORY_KINDS = ("Pss_Anon", "Pss_Shmem")


def memory_bytes(pid):
    """What a process has of its own, its share of what it shares included; not its programs."""
    gc.collect()
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    sizes = dict(re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE))
    return sum(int(sizes[kind]) for kind in MEMORY_KINDS) * 1024


def zygote():
    """The zygote's pid."""
    for child in Path(f"/proc/{os.getpid()}/task").glob("*/children"):
        for pid in child.read_text().split():
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"remotemedia: zygote"):
                return int(pid)
    raise AssertionError("there is no zygote")


async def one_session(number):
    """Every fifth ends with a crash."""
    what = "exit" if number % 5 == 4 else "nothing"
    nodes = {"a": "Pass", "b": ("Misbehave", {"what": what}), "c": "Pass"}
    pipeline = graph(nodes, ["a->b", "b->c"], placed="process")
    inputs = [Json({"number": number, "packet": packet}) for packet in range(PACKETS)]
    if what == "exit":
        with pytest.raises(WorkerCrashedError):
            await run(pipeline, inputs)
    else:
        assert len(await run(pipeline, inputs)) == PACKETS


@pytest.mark.timeout(SESSIONS * 2 + PATIENCE_S)
async def test_many_sessions_leave_processes_memory_and_descriptors_as_they_were():
    for number in range(WARM_UP):
        await one_session(number)
    footprint = Footprint.take(all_processes=True)
    pids = {"server": os.getpid(), "zygote": zygote()}
    before = {name: memory_bytes(pid) for name, pid in pids.items()}
    for number in range(SESSIONS):
        await one_session(number)
    assert not what_is_left(footprint, all_processes=True)
    grown = {name: memory_bytes(pid) - before[name] for name, pid in pids.items()}
    assert zygote() == pids["zygote"]
    assert max(grown.values()) < NOISE_BYTES, grown
