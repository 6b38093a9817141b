"""engine.testing.waits: who waits for what."""

import asyncio

import pytest

from engine.payloads import Text
from engine.testing import HangError, StageBench, run_virtual, virtual_loop
from engine.testing.waits import FRAMES_MAX, describe_waits
from tests.engine.stage_helpers import operator, texts


def hang_of(main):
    with pytest.raises(HangError) as caught:
        run_virtual(main)
    return str(caught.value)


def named(name):
    asyncio.current_task().set_name(name)


def test_a_task_is_shown_from_its_beginning_inwards():
    async def inner():
        await asyncio.Event().wait()

    async def main():
        named("main")
        await inner()

    text = hang_of(main())
    assert r"test_waits.py:" in text
    places = text.split(" waits at ")[1].split(" → ")
    assert [place.split()[-1] for place in places] == ["main", "inner", "wait"]


def test_an_asynchronous_generator_is_looked_through():
    async def numbers():
        yield 1
        await asyncio.Event().wait()

    async def main():
        async for _ in numbers():
            pass

    assert "in main → " in (text := hang_of(main()))
    assert "in numbers → " in text


def test_deep_calls_are_shown_from_both_ends():
    async def deeper(depth):
        if depth:
            await deeper(depth - 1)
        else:
            await asyncio.Event().wait()

    places = hang_of(deeper(20)).split(" → ")
    assert len(places) == FRAMES_MAX + 1
    assert "…" in places
    assert places[-1].endswith("in wait")


def test_a_task_that_has_not_begun_is_at_its_beginning():
    with virtual_loop() as loop:
        coroutine = asyncio.sleep(0)
        task = loop.create_task(coroutine, name="new")
        assert "  - new waits at " in describe_waits(loop, [])
        loop.run_until_complete(task)
        assert describe_waits(loop, []) == "  - no task at all"


def test_stages_say_what_they_wait_for():
    async def main():
        named("main")
        bench = StageBench({"a": operator()}, capacity=2)
        bench.sink().withholding = True
        bench.feed(*texts(9))
        await bench.joined()

    text = hang_of(main())
    assert "at 0 s of virtual time nothing is ready and nothing is scheduled:" in text
    assert "stage 'stage' waits for a credit of edge 'a': its consumer has 2 of 2" in text


def test_a_stage_that_is_done_waits_for_nothing():
    async def main():
        bench = StageBench({"a": operator()})
        bench.feed(Text("x"))
        bench.finish()
        await bench.joined()
        await asyncio.Event().wait()

    assert "stage" not in hang_of(main()).replace("stage_", "")
