"""Limits over real sessions: refused before anything starts, and given back whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import threading
from itertools import pairwise
from pathlib import Path

import pytest

from engine import limits
from engine.config import Settings
from engine.errors import NodeError, ResourceLimitError
from engine.limits import LEDGER, descriptors_needed
from engine.payloads import Json
from engine.pipeline import Pipeline
from engine.session.wiring import Wiring
from engine.testing.leaks import workers_under
from tests.integration.conftest import PATIENCE_S
from tests.integration.hog_operators import make_registry

pytestmark = pytest.mark.process


def chain(*nodes, fields=None, **settings):
    """Nodes in a row: "id:Type@executor", or (that, params); `fields` are each node's."""
    described = []
    for node in nodes:
        text, params = node if isinstance(node, tuple) else (node, {})
        name, _, place = text.partition(":")
        node_type, _, executor = place.partition("@")
        described.append(
            {"id": name, "node_type": node_type, "params": params, "executor": executor or "local"}
            | (fields or {})
        )
    manifest = {
        "version": "v1",
        "metadata": {"name": "limits"},
        "nodes": described,
        "connections": [{"from": a["id"], "to": b["id"]} for a, b in pairwise(described)],
    }
    return Pipeline.from_manifest(
        manifest, registry=make_registry(), settings=Settings(cleanup_grace_s=3.0, **settings)
    )


@pytest.fixture(autouse=True)
def the_accounts_are_empty():
    """Before each test, and after it."""
    assert (LEDGER.sessions, LEDGER.processes) == (0, 0)
    yield
    assert (LEDGER.sessions, LEDGER.processes) == (0, 0)


# -------------------------------------------------------------------------------------- processes


async def test_the_processes_of_all_sessions_are_bounded_together():
    two = chain("a:Pass@process", "b:Pass@process", max_processes_total=3)
    one = chain("c:Pass@process", max_processes_total=3)
    async with asyncio.timeout(PATIENCE_S), two.session():
        async with one.session():
            assert LEDGER.processes == 3
            there = workers_under(os.getpid()).keys()
            with pytest.raises(ResourceLimitError, match="3 of 3 are taken") as caught:
                await one.session().start()
            assert (caught.value.context["limit"], caught.value.context["requested"]) == (3, 4)
            assert workers_under(os.getpid()).keys() == there
        # Free as soon as the session has ended.
        async with one.session() as third:
            assert await echo(third) == 1


async def echo(session):
    await session.send(Json(1))
    return (await session.receive()).payload.value


async def test_sessions_are_counted_wherever_their_nodes_run():
    local = chain("a:Pass", max_sessions=2)
    placed = chain("a:Pass@process", max_sessions=2)
    async with asyncio.timeout(PATIENCE_S), local.session(), placed.session():
        with pytest.raises(ResourceLimitError, match="raise max_sessions") as caught:
            await local.session().start()
        assert (caught.value.context["limit"], caught.value.context["requested"]) == (2, 3)


async def test_a_start_that_fails_gives_everything_back():
    pipeline = chain("a:Pass@process", "b:Refuse@process", max_processes_total=2, max_sessions=1)
    for _ in range(2):
        with pytest.raises(NodeError, match="not today"):
            await pipeline.session().start()
        assert (LEDGER.sessions, LEDGER.processes) == (0, 0)


async def test_a_start_that_is_cancelled_gives_everything_back():
    lingers = asyncio.Event()

    def watch(progress):
        if progress.status == "lingering":
            lingers.set()

    pipeline = chain("a:Linger@process", max_processes_total=1, max_sessions=1)
    session = pipeline.session(on_progress=watch)
    starting = asyncio.create_task(session.start())
    async with asyncio.timeout(PATIENCE_S):
        await lingers.wait()
    assert (LEDGER.sessions, LEDGER.processes) == (1, 1)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert (LEDGER.sessions, LEDGER.processes) == (0, 0)


async def test_a_close_that_is_cancelled_gives_everything_back_when_it_is_through():
    session = chain("a:Pass@process").session()
    await session.start()
    with held_service():  # so that the worker is not found to be gone meanwhile
        closing = asyncio.create_task(session.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert (LEDGER.sessions, LEDGER.processes) == (1, 1)
    await session.aclose()
    assert (LEDGER.sessions, LEDGER.processes) == (0, 0)


def test_sessions_of_several_threads_share_the_limit():
    pipeline = chain("a:Pass@process", max_processes_total=2)
    permits, too_many, done = threading.Semaphore(2), [], []

    async def run():
        while True:
            try:
                session = pipeline.session()
                await session.start()
            except ResourceLimitError:
                await asyncio.sleep(0.002)  # another thread's session; nothing tells of its end
                continue
            if not permits.acquire(blocking=False):
                too_many.append(session)
            done.append(await echo(session))
            permits.release()
            await session.aclose()
            return

    threads = [threading.Thread(target=lambda: asyncio.run(run())) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not too_many
    assert done == [1] * 5


async def test_a_session_holds_its_processes_until_it_has_ended_also_those_that_died():
    session = chain("a:Pass@process", "b:Pass@process").session()
    await session.start()
    session.kill()
    async with asyncio.timeout(PATIENCE_S):
        for stage in session.stages:
            await stage.wait_stopped()
    assert LEDGER.processes == 2
    await session.aclose()
    assert LEDGER.processes == 0


# ------------------------------------------------------------------------------------- open files


async def test_a_session_starts_with_exactly_as_many_descriptors_as_it_may_need():
    pipeline = chain("a:Pass@process", "b:Pass", "c:Pass@process")
    needed = descriptors_needed(pipeline.plan())
    async with asyncio.timeout(PATIENCE_S):
        with free_descriptors(needed):
            async with pipeline.session() as session:
                assert await echo(session) == 1
        there = open_descriptors()
        with free_descriptors(needed - 1):
            with pytest.raises(ResourceLimitError, match="too many open files"):
                await pipeline.session().start()
            assert open_descriptors() == there


def open_descriptors():
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def is_open(number):
    """Whether a descriptor is open; that of the listing it was found in is not any more."""
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def free_descriptors(count):
    """Lower the limit of open files, so that so many are free."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = {int(name) for name in open_descriptors() if is_open(int(name))}
    free = [number for number in range(soft) if number not in taken]
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[count], hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


RESTARTS = {"restart": {"max": 1, "backoff_ms": 1}}


@pytest.mark.parametrize(
    ("nodes", "fields"),
    [
        (["a:Pass", "b:Pass@process", "c:Pass"], {}),
        (["a:Pass@process"], {}),
        (["a:Pass@process"], RESTARTS),
    ],
)
async def test_what_a_start_takes_at_a_time_is_what_was_counted(monkeypatch, nodes, fields):
    pipeline = chain(*nodes, fields=fields)
    async with asyncio.timeout(PATIENCE_S), pipeline.session():
        pass  # the loop and the service have opened what they keep
    before, peaks = len(open_descriptors()), []
    hand_over = Wiring.hand_over

    def look_first(self, *arguments):
        peaks.append(len(open_descriptors()) - before)
        hand_over(self, *arguments)

    monkeypatch.setattr(Wiring, "hand_over", look_first)
    with held_service():
        session = pipeline.session()
        starting = asyncio.create_task(session.start())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE_S):
        await starting
        await session.aclose()
    assert peaks == [descriptors_needed(pipeline.plan()) - limits._SPARE_DESCRIPTORS]


@contextlib.contextmanager
def held_service():
    """Keep the service's thread from handing descriptors on, meanwhile."""
    from engine.workers.service import WorkerService

    holds, go = threading.Event(), threading.Event()

    def hold():
        holds.set()
        go.wait(PATIENCE_S)

    WorkerService.shared()._loop.post(hold)
    assert holds.wait(PATIENCE_S)
    try:
        yield
    finally:
        go.set()


# ----------------------------------------------------------------------------------------- memory


async def test_workers_within_the_limit_go_on():
    pipeline = chain(("a:Hog@process", {"mib": 64}), max_session_memory_mb=1024)
    async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
        assert await echo_kept(session) == 64 << 20


async def echo_kept(session):
    await session.send(Json(1))
    return (await session.receive()).payload.value["kept"]


async def test_the_largest_of_those_that_are_too_large_together_is_killed_by_name():
    pipeline = chain(
        ("small:Hog@process", {"mib": 80}),
        ("large:HogLater@process", {"mib": 180}),
        max_session_memory_mb=220,
    )
    async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
        await session.send(Json(1))
        with pytest.raises(ResourceLimitError, match="node 'large'") as caught:
            await session.receive()
    error = caught.value
    assert error.context["limit"] == 220
    assert error.context["requested"] > 220
    assert error.context["node_id"] == "large"
    assert "max_session_memory_mb" in error.message


async def test_what_is_too_large_while_it_starts_is_told_by_the_start():
    pipeline = chain(
        ("a:Hog@process", {"mib": 150}),
        ("b:Linger@process", {}),
        ("c:Hog@process", {"mib": 150}),
        max_session_memory_mb=200,
    )
    with pytest.raises(ResourceLimitError, match=r"node '[ac]': the session's processes use"):
        async with asyncio.timeout(PATIENCE_S):
            await pipeline.session().start()


async def test_one_allocation_beyond_the_limit_is_refused_by_name():
    pipeline = chain(("a:Hog@process", {"mib": 300, "step_mib": 300}), max_session_memory_mb=200)
    with pytest.raises(ResourceLimitError, match="node 'a' needs more memory") as caught:
        async with asyncio.timeout(PATIENCE_S):
            await pipeline.session().start()
    assert caught.value.context["limit"] == 200


@pytest.mark.parametrize("limit_mb", [1, 5])
async def test_a_limit_that_leaves_too_little_for_a_start_is_said(limit_mb):
    pipeline = chain("a:Pass@process", max_session_memory_mb=limit_mb)
    with pytest.raises(ResourceLimitError, match="node 'a' needs more memory") as caught:
        await pipeline.arun([Json(1)])
    assert caught.value.context["resource"] == "memory"
    assert caught.value.context["limit"] == limit_mb
