"""engine.interruption: what an interrupt makes stale in a plan, and in a stage."""

from __future__ import annotations

import asyncio

import pytest

from engine.flags import FLAG_GAP, FLAG_UNINTERRUPTIBLE
from engine.interruption import Interrupt, Settlement, is_stale, scope_of
from engine.packet import Origin
from engine.payloads import Text
from engine.testing import StageBench
from operators.flow.pass_through import PassThrough
from remotemedia import Pipeline
from tests.engine.stage_helpers import Join, operator, repeat, texts, virtual


def origin(generation, flags=0):
    return Origin("session", 0, 0, 0, generation, flags)


def test_what_is_older_is_stale_unless_it_is_uninterruptible():
    assert is_stale(origin(1), 2)
    assert is_stale(origin(1, FLAG_GAP), 2)
    assert not is_stale(origin(2), 2)
    assert not is_stale(origin(3), 2)
    assert not is_stale(origin(0, FLAG_UNINTERRUPTIBLE), 2)


@pytest.mark.parametrize("place", ["local", "process"])
@pytest.mark.parametrize(
    ("node", "scope"),
    [
        (None, "abcde"),
        ("a", "abcd"),
        ("b", "bd"),
        ("c", "cd"),
        ("d", "d"),
        ("e", "de"),
    ],
)
def test_a_scope_is_a_node_and_all_behind_it_wherever_they_run(place, node, scope):
    a, b, c, d, e = (PassThrough().named(name).on(place) for name in "abcde")
    pipeline = Pipeline("x") | ((a | (b & c)) & e) | d
    assert scope_of(pipeline.plan(), node) == frozenset(scope)


def test_a_settlement_counts_what_was_dropped_where_something_was():
    settlement = Settlement(1)
    settlement.add_dropped({"a→b": 2, "b": 0})
    settlement.add_dropped({"a→b": 3, "c": 1})
    assert settlement.dropped == {"a→b": 5, "c": 1}


# ------------------------------------------------------------------------------- in a stage


def test_a_node_outside_the_scope_loses_nothing_and_gives_what_is_newer():
    bench = StageBench({"a": repeat(3, "generator"), "b": Join(3)}, capacity=1)
    bench.sink().withholding = True
    bench.feed(*texts(2))
    bench.run()
    bench.stage.interrupt(Interrupt(1, frozenset("b")))
    bench.sink().withholding = False
    bench.sink().release()
    bench.finish()
    bench.run()
    assert bench.stage.done
    # What b had taken is forgotten; nothing of what a had yet to give is.
    assert "+".join(bench.values).split("+")[-3:] == ["1.0", "1.1", "1.2"]
    assert bench.sink().packets[-1].generation == 1
    assert bench.settled


def test_a_node_that_was_told_to_complete_completes_in_spite_of_an_interrupt():
    def process(packet, ctx):
        ctx.complete()
        return packet

    bench = StageBench({"a": operator(process)})
    bench.feed(Text("last"))
    bench.stage.run(turns_max=1)  # what it posted has not been looked at
    bench.interrupt()
    bench.run()
    assert bench.sink().ended
    assert bench.stage.done


def test_an_interrupt_that_a_packet_has_told_of_is_applied_once():
    resets = []
    node = operator(stateful=True, reset=lambda ctx: resets.append(1))
    bench = StageBench({"a": node})
    bench.feed(Text("new"), generation=1)
    bench.run()
    bench.stage.interrupt_all(1)
    bench.run()
    bench.stage.interrupt_all(2)
    bench.run()
    assert len(resets) == 2


def test_a_flush_without_any_input_that_has_given_nothing_yet_is_stale():
    def flush(ctx):
        yield Text("stale")

    nodes = {"a": operator(), "b": operator(flush=flush)}
    bench = StageBench(nodes, [], capacity=1)
    bench.sink("a").withholding = True
    bench.feed(Text("x"), at="a")
    bench.run()
    bench.finish("b")
    bench.run()
    assert bench.stage.has_suspended
    bench.interrupt()
    bench.sink("a").release()
    bench.run()
    assert bench.sink("b").values == []
    assert bench.sink("b").ended


@virtual
async def test_a_flush_waits_for_the_calls_that_an_interrupt_lets_go_on():
    async def process(packet, ctx):
        await asyncio.sleep(1)
        return packet

    bench = StageBench({"a": operator(process, flush=lambda ctx: Text("flushed"))})
    bench.feed(Text("kept"), flags=FLAG_UNINTERRUPTIBLE)
    bench.finish()
    await asyncio.sleep(0.5)
    bench.interrupt()
    await bench.joined()
    assert bench.values == ["kept", "flushed"]
    assert {packet.generation for packet in bench.sink().packets} == {1}


@virtual
async def test_a_call_that_waited_behind_a_cancelled_one_begins():
    begun = []

    async def process(packet, ctx):
        begun.append(packet.payload.text)
        await asyncio.sleep(1)
        return packet

    node = operator(process, concurrency=2, inputs=("one", "two"))
    bench = StageBench({"a": node})
    bench.feed(Text("stale"), port="one")
    group = {"one": Text("first"), "two": Text("second")}
    bench.feed_together(group, flags=FLAG_UNINTERRUPTIBLE)
    await asyncio.sleep(0.5)
    assert begun == ["stale", "first"]
    bench.interrupt()
    await asyncio.sleep(0.1)
    assert begun == ["stale", "first", "second"]
    bench.finish()
    await bench.joined()
    assert bench.values == ["first", "second"]
    assert bench.settled
