"""engine.stage_waiting: what a stage waits for, in words."""

import asyncio

from engine.payloads import Text
from engine.testing import StageBench, run_virtual
from tests.engine.stage_helpers import operator, repeat, texts


def waiting(bench):
    return [(each.kind, each.where) for each in bench.stage.waiting_for()]


def test_an_idle_stage_waits_for_its_inputs():
    bench = StageBench({"a": operator(), "b": operator()}, links=[])
    assert waiting(bench) == [("input", "a"), ("input", "b")]
    assert str(bench.stage.waiting_for()[1]) == "a packet, or the end, of edge 'b' to node 'b'"
    bench.finish("a")
    bench.run()
    assert waiting(bench) == [("input", "b")]


def test_a_full_edge_is_waited_for_first():
    bench = StageBench({"a": repeat(3)}, capacity={"a": 4})
    bench.sink().withholding = True
    bench.feed(*texts(2))
    bench.run()
    credit, entrance = bench.stage.waiting_for()
    assert (credit.kind, credit.where, entrance.kind) == ("credit", "a", "input")
    assert str(credit) == "a credit of edge 'a': its consumer has 4 of 4, and 2 more wait behind it"


def test_a_full_edge_with_nothing_behind_it_is_named_too():
    bench = StageBench({"a": operator()}, capacity={"a": 1})
    bench.sink().withholding = True
    bench.feed(Text("x"))
    bench.run()
    assert str(bench.stage.waiting_for()[0]) == "a credit of edge 'a': its consumer has 1 of 1"


def test_a_timer_is_waited_for_until_it_is_due():
    bench = StageBench({"a": operator(lambda packet, ctx: ctx.call_later(2.5, print) and None)})
    bench.feed(Text("x"))
    bench.advance(1)
    timer, _ = bench.stage.waiting_for()
    assert (timer.kind, timer.where) == ("timer", "a")
    assert str(timer) == "a timer of node 'a', due in 1.5 s"


def test_a_silent_call_is_named_with_how_long_it_has_been():
    async def process(packet, ctx):
        await asyncio.sleep(60)

    async def scenario():
        bench = StageBench({"model": operator(process, concurrency=2)})
        bench.feed(*texts(3))
        await asyncio.sleep(12)
        call, _ = bench.stage.waiting_for()
        bench.stage.cancel()
        await bench.host.join()
        return call

    call = run_virtual(scenario())
    assert (call.kind, call.where) == ("call", "model")
    assert str(call) == "process of node 'model', silent for 12 s, and 1 more wait behind it"


def test_a_flush_that_waits_is_named_as_one():
    async def flush(ctx):
        await asyncio.sleep(60)

    async def scenario():
        bench = StageBench({"model": operator(flush=flush)})
        bench.finish()
        await asyncio.sleep(1)
        (call,) = bench.stage.waiting_for()
        bench.stage.cancel()
        await bench.host.join()
        return str(call)

    assert run_virtual(scenario()) == "flush of node 'model', silent for 1 s"


def test_a_stage_that_is_done_waits_for_nothing():
    bench = StageBench({"a": operator()})
    bench.finish()
    bench.run()
    assert bench.stage.waiting_for() == ()


def test_asking_changes_nothing():
    bench = StageBench({"a": operator()}, capacity=1)
    bench.sink().withholding = True
    bench.feed(*texts(3))
    bench.run()
    before = bench.sink().edge.statistics()
    for _ in range(3):
        bench.stage.waiting_for()
    assert bench.sink().edge.statistics() == before
