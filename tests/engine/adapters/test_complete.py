"""`ctx.complete`: a node that ends before its inputs do."""

from __future__ import annotations

import asyncio

import pytest

from engine.config import Settings
from engine.operator import Operator
from engine.payloads import Json, Text
from engine.pipeline import Pipeline
from engine.testing import StageBench
from operators.flow.pass_through import PassThrough


class Take(Operator):
    """Hands on so many packets, and ends."""

    class Params(Operator.Params):
        count: int = 2

    stateful = True
    flushed = False

    async def initialize(self, ctx):
        self.taken = 0

    def process(self, packet, ctx):
        self.taken += 1
        if self.taken == self.params.count:
            ctx.complete()
        return packet

    def flush(self, ctx):
        type(self).flushed = True

    def reset(self, ctx):
        pass


class TakeSlowly(Take):
    async def process(self, packet, ctx):
        await asyncio.sleep(0)
        return super().process(packet, ctx)


def test_it_ends_behind_what_it_handed_out_and_takes_nothing_more():
    take = Take()
    take.taken = 0
    bench = StageBench({"take": take})
    for text in "abc":
        bench.feed(Text(text))
    bench.run()
    assert bench.values == ["a", "b"]
    assert bench.sink().ended
    bench.feed(Text("d"))
    bench.finish()
    bench.run()
    assert (bench.values, bench.settled) == (["a", "b"], True)
    assert not Take.flushed


def test_another_branch_goes_on():
    take = Take(count=1)
    take.taken = 0
    bench = StageBench(
        {"in": PassThrough(), "take": take, "all": PassThrough()},
        links=[("in", "take"), ("in", "all")],
    )
    for text in "abc":
        bench.feed(Text(text))
    bench.finish()
    bench.run()
    assert bench.sink("take").values == ["a"]
    assert bench.sink("all").values == ["a", "b", "c"]


@pytest.mark.process
@pytest.mark.parametrize("place", ["local", "process"])
@pytest.mark.parametrize("cls", [Take, TakeSlowly])
async def test_a_session_whose_only_node_has_left_ends(place, cls):
    def numbers():
        number = 0
        while True:
            yield Json(number)
            number += 1

    pipeline = Pipeline("x", settings=Settings()) | PassThrough() | cls(count=3).on(place)
    async with asyncio.timeout(30), pipeline.session() as session:
        values = [packet.payload.value async for packet in session.stream(numbers())]
    assert values == [0, 1, 2]
