"""Sessions that start and end at once: without a task, where nothing has to be waited for."""

from __future__ import annotations

import asyncio

import pytest

from engine.errors import EdgeClosedError
from engine.operator import Operator
from engine.payloads import Json
from engine.pipeline import Pipeline


class Plain(Operator):
    def process(self, packet, ctx):
        return packet


class Waits(Operator):
    begun = None

    async def process(self, packet, ctx):
        self.begun.set()
        await asyncio.sleep(3_600)


class Loads(Operator):
    """Has an initialize and a cleanup of its own, which take a turn of the loop each."""

    log = ()

    async def initialize(self, ctx):
        await asyncio.sleep(0)
        type(self).log = (*self.log, "loaded")

    async def cleanup(self):
        await asyncio.sleep(0)
        type(self).log = (*self.log, "released")

    def process(self, packet, ctx):
        return packet


@pytest.fixture
def tasks():
    """The tasks that were made in the test so far."""
    made = []

    def make(loop, coroutine, **options):
        made.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **options)

    return made, make


async def test_a_session_of_plain_local_nodes_needs_no_task(tasks):
    made, make = tasks
    asyncio.get_running_loop().set_task_factory(make)
    progress = []
    async with (Pipeline("x") | Plain() | Plain()).session(progress.append) as session:
        assert session.phase == "running"
        await session.send(Json(1))
        await session.end_input()
        assert [packet.payload.value async for packet in session.outputs()] == [1]
    assert session.phase == "closed"
    assert [(each.node_id, each.status) for each in progress] == [
        ("plain", "initializing"),
        ("plain", "ready"),
        ("plain_2", "initializing"),
        ("plain_2", "ready"),
    ]
    assert made == []


async def test_initialize_and_cleanup_are_waited_for():
    Loads.log = ()
    session = (Pipeline("x") | Plain() | Loads()).session()
    await session.start()
    assert Loads.log == ("loaded",)
    assert not session.close_nowait()
    assert session.phase == "stopping"
    await session.aclose()
    assert Loads.log == ("loaded", "released")
    assert session.phase == "closed"
    assert session.close_nowait()


async def test_a_call_under_way_is_waited_for():
    Waits.begun = asyncio.Event()
    session = (Pipeline("x") | Waits()).session()
    await session.start()
    await session.send(Json(1))
    await Waits.begun.wait()
    assert not session.close_nowait()
    await session.aclose()
    assert session.phase == "closed"


async def test_what_waits_for_a_session_that_is_closed_at_once_is_told():
    session = (Pipeline("x") | Plain()).session()
    await session.start()
    receiving = asyncio.create_task(session.receive())
    await asyncio.sleep(0)
    await session.send(Json(1))
    assert session.close_nowait()
    assert await receiving is None
    with pytest.raises(EdgeClosedError, match="closed"):
        await session.send(Json(2))


async def test_one_that_was_never_started_is_closed_at_once():
    session = (Pipeline("x") | Loads()).session()
    assert session.close_nowait()
    assert session.phase == "closed"


@pytest.mark.process
async def test_a_session_with_a_process_is_not_closed_at_once():
    session = (Pipeline("x") | Plain().on("process")).session()
    await session.start()
    assert not session.close_nowait()
    await session.aclose()
    assert session.close_nowait()
