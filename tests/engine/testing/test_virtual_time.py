"""engine.testing.virtual_time: a clock that a synchronous test holds."""

import asyncio

import pytest

from engine.config import Settings
from engine.operator import Operator
from engine.payloads import Text
from engine.pipeline import Pipeline
from engine.testing import HangError, Script, VirtualTime


class Slow(Operator):
    async def process(self, packet, ctx):
        await asyncio.sleep(2)
        return packet


@pytest.fixture
def clock():
    with VirtualTime() as clock:
        yield clock


def test_time_goes_on_from_one_call_to_the_next(clock):
    assert clock.now_s == 0
    assert clock.run(asyncio.sleep(1.5, "done")) == "done"
    clock.advance(10)
    assert (clock.now_s, clock.now_ns) == (11.5, 11_500_000_000)


def test_what_was_started_goes_on_while_time_passes(clock):
    ticks = []

    async def tick():
        while True:
            await asyncio.sleep(1)
            ticks.append(clock.now_s)

    clock.start(tick())
    clock.advance(2.5)
    assert ticks == [1, 2]
    clock.advance(1)
    assert ticks == [1, 2, 3]


def test_what_was_started_gives_its_result(clock):
    task = clock.start(asyncio.sleep(3, "done"))
    clock.advance(2.9)
    assert not task.done()
    clock.advance(0.1)
    assert task.result() == "done"


def test_what_was_started_does_not_fail_in_silence(clock):
    async def fail():
        await asyncio.sleep(1)
        raise ValueError("no")

    clock.start(fail())
    clock.advance(0.5)
    with pytest.raises(ValueError, match="no"):
        clock.advance(1)
    clock.advance(1)


def test_what_was_started_and_cancelled_is_no_error(clock):
    task = clock.start(asyncio.sleep(10))
    clock.advance(1)
    task.cancel()
    clock.advance(1)
    assert task.cancelled()


def test_what_still_runs_is_cancelled_at_the_end():
    ended = []

    async def wait():
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append("ended")

    with VirtualTime() as clock:
        clock.start(wait())
        clock.advance(1)
    assert ended == ["ended"]
    clock.close()


def test_a_session_may_be_driven_bit_by_bit(clock):
    pipeline = Pipeline("p", settings=Settings()) | Slow().on("local")
    session = pipeline.session()
    clock.run(session.start())
    clock.run(session.send(Text("a")))
    clock.advance(1.9)
    assert session.statistics().outputs == 0
    assert clock.run(session.receive()).payload == Text("a")
    assert clock.now_s == 2
    clock.run(session.aclose())


def test_a_script_begins_at_the_present(clock):
    clock.advance(100)
    pipeline = Pipeline("p", settings=Settings()) | Slow().on("local")
    clock.play(pipeline, Script.marbles("a-|")).expect([(2, "a")])
    assert clock.now_s == 102
    clock.play(pipeline, Script.marbles("a-"), until_s=3).expect([(2, "a")])
    assert clock.now_s == 105


def test_a_hang_is_an_error(clock):
    async def wait():
        await asyncio.Event().wait()

    with pytest.raises(HangError, match="in wait"):
        clock.run(wait())
