"""What nodes may do to themselves: the right error, soon, and nothing left behind.

What an operator raises, os._exit, signals, SIGSTOP and turns that take too long are in
tests/integration/test_failures.py; here is what takes more than a line.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
import resource
import signal
import time
from pathlib import Path

import pytest

from engine.config import Settings
from engine.errors import NodeError, RemoteMediaError, ResourceLimitError, WorkerCrashedError
from engine.payloads import Json
from engine.pipeline import Pipeline
from tests.fault.harmful import AT, CHILDREN, LAST_WORDS, make_registry
from tests.integration.conftest import PATIENCE_S

pytestmark = [pytest.mark.process, pytest.mark.fault]

SETTINGS = Settings(cleanup_grace_s=1.0)
INPUTS = 10
SESSIONS = 10
#: What the server may keep of 100 MB of output, and what else a session takes at its height.
KEPT_BYTES_MAX = 32 * 1024**2


def chain(harm, params=None, *, others="process", **settings):
    """Same → the node that does harm, in a process → Square."""
    nodes = {"before": ("Same", {}), "harm": (harm, params or {}), "after": ("Square", {})}
    manifest = {
        "version": "v1",
        "metadata": {"name": "fault"},
        "nodes": [
            {
                "id": node_id,
                "node_type": node_type,
                "params": given,
                "executor": "process" if node_id == "harm" else others,
            }
            for node_id, (node_type, given) in nodes.items()
        ],
        "connections": [
            {"from": source, "to": target} for source, target in itertools.pairwise(nodes)
        ],
    }
    chosen = dataclasses.replace(SETTINGS, **settings)
    return Pipeline.from_manifest(manifest, registry=make_registry(), settings=chosen)


async def values_of(pipeline):
    async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
        stream = session.stream([Json(number) for number in range(INPUTS)])
        return [packet.payload.value async for packet in stream]


async def failure_of(pipeline):
    """The error a session ends with; it names the node."""
    with pytest.raises(RemoteMediaError) as caught:
        await values_of(pipeline)
    error = caught.value
    assert error.context["node_id"] == "harm"
    assert error.context["session_id"]
    return error


async def crash_of(pipeline):
    """The same where a process ended; what it said last is there."""
    error = await failure_of(pipeline)
    assert type(error) is WorkerCrashedError
    assert any(LAST_WORDS in line for line in error.context["last_lines"])
    return error


def wait_gone(pids):
    """Wait until the zygote has reaped these processes; returns those that are left."""
    deadline_s = time.monotonic() + PATIENCE_S
    alive = pids
    while alive and time.monotonic() < deadline_s:
        time.sleep(0.005)
        alive = [pid for pid in alive if Path(f"/proc/{pid}").exists()]
    return alive


async def test_a_stack_that_overflows_in_c_is_a_crash_by_signal():
    error = await crash_of(chain("OverflowStack"))
    assert error.context["signal"] == signal.SIGSEGV
    assert any("in harm" in line for line in error.context["last_lines"])


async def test_a_c_call_that_keeps_everything_and_ignores_sigterm_is_found_silent():
    error = await crash_of(chain("StickInC", hang_timeout_s=0.9))
    assert "silent" in error.message


@pytest.mark.parametrize("others", ["local", "process"])
async def test_a_node_that_closes_all_its_sockets_is_ended_before_its_neighbours_are_blamed(others):
    error = await crash_of(chain("CloseSockets", others=others))
    assert "control socket" in error.message or error.context["exit_code"]


async def test_memory_beyond_the_sessions_is_refused_by_its_limit():
    error = await failure_of(chain("AskForMemory", max_session_memory_mb=256))
    assert isinstance(error, ResourceLimitError | NodeError)
    assert "MemoryError" in error.message or "memory" in error.message


@pytest.mark.parametrize("dies", [True, False])
async def test_children_that_cut_themselves_loose_end_with_their_node(tmp_path, dies):
    pids = tmp_path / "pids"
    pipeline = chain("Fork", {"pids": str(pids), "dies": dies})
    if dies:
        error = await crash_of(pipeline)
        assert error.context["exit_code"] == 5
    else:
        assert len(await values_of(pipeline)) == INPUTS
    born = [int(word) for word in pids.read_text().split()]
    assert len(born) == CHILDREN
    assert not wait_gone(born)


@pytest.mark.parametrize("harm", ["LeaveThreads", "HangAtExit", "IgnoreTerm"])
async def test_what_does_not_want_to_end_ends(harm):
    assert len(await values_of(chain(harm))) == INPUTS


async def test_a_flood_of_output_blocks_nobody_and_is_not_kept():
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    log = logging.getLogger("remotemedia.worker")
    before_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        values = await values_of(chain("Flood"))
    finally:
        log.removeHandler(handler)
        log.setLevel(logging.NOTSET)
        log.propagate = True
    assert len(values) == INPUTS
    assert any("lines of output were not logged" in line for line in lines)
    after_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert after_bytes - before_bytes < KEPT_BYTES_MAX


async def test_one_session_that_crashes_leaves_nine_untouched(tmp_path):
    alone = await values_of(chain("Same"))
    assert alone == [number**2 for number in range(INPUTS)]

    async def outcome(number):
        if number != AT:
            return await values_of(chain("Same"))
        params = {"pids": str(tmp_path / "pids"), "dies": True}
        return (await crash_of(chain("Fork", params))).context["exit_code"]

    outcomes = await asyncio.gather(*map(outcome, range(SESSIONS)))
    assert outcomes.pop(AT) == 5
    assert outcomes == [alone] * (SESSIONS - 1)
