"""engine.testing.stage_bench: a stage between edges that the test holds."""

import asyncio

import pytest

from engine.payloads import Binary, Json, Text
from engine.testing import HangError, StageBench, run_virtual
from tests.engine.stage_helpers import operator, repeat, tagged, texts


def test_operators_without_links_are_a_chain():
    bench = StageBench({"a": tagged("a"), "b": tagged("b"), "c": tagged("c")})
    bench.feed(Text("x"))
    bench.finish()
    bench.run()
    assert bench.values == ["xabc"]
    assert bench.sink().ended
    assert (list(bench.feeders), list(bench.sinks)) == (["a"], ["c"])


def test_every_loose_end_has_an_edge():
    nodes = {"a": operator(), "b": operator(), "c": operator(outputs=("out", "side"))}
    bench = StageBench(nodes, [("a", "c")])
    assert list(bench.feeders) == ["a", "b"]
    assert list(bench.sinks) == ["b", "c", "c.side"]


def test_packets_are_numbered_per_input():
    bench = StageBench({"a": operator(), "b": operator()}, links=[])
    bench.feed(*texts(2), at="a")
    bench.feed(Text("y"), at="b")
    bench.feed(Text("z"), at="a", sequence=9)
    bench.feed(Text("z"), at="a")
    bench.run()
    assert bench.sink("a").lineage == [(0, 0), (1, 0), (9, 0), (10, 0)]
    assert bench.sink("b").lineage == [(0, 0)]
    assert bench.sink("a").packets[1].timestamp_ns == 1_000_000


def test_what_finds_no_credit_waits_and_follows():
    bench = StageBench({"a": operator()}, capacity=2)
    bench.feed(*texts(10))
    bench.finish()
    feeder = bench.feeders["a"]
    assert len(feeder.waiting) == 8
    bench.run()
    assert not feeder.waiting
    assert len(bench.values) == 10
    assert bench.sink().ended


def test_a_sink_may_keep_its_credits():
    bench = StageBench({"a": operator()}, capacity={"a": 3})
    sink = bench.sink()
    sink.withholding = True
    bench.feed(*texts(10))
    bench.run()
    assert (len(sink.packets), sink.held) == (3, 3)
    sink.release(2)
    bench.run()
    assert (len(sink.packets), sink.held) == (5, 3)
    assert not bench.settled
    sink.withholding = False
    sink.release()
    bench.run()
    assert (len(sink.packets), sink.held) == (10, 0)
    assert bench.settled


def test_values_are_what_is_inside_the_payloads():
    bench = StageBench({"a": operator()})
    bench.feed(Text("x"), Json({"a": 1}), Binary(b"y"))
    bench.run()
    assert bench.values == ["x", {"a": 1}, Binary(b"y")]
    assert bench.sink().payloads == [Text("x"), Json({"a": 1}), Binary(b"y")]


def test_the_name_of_an_end_may_be_left_out_only_if_there_is_one():
    bench = StageBench({"a": operator(), "b": operator()}, links=[])
    with pytest.raises(ValueError, match="too many values"):
        bench.feed(Text("x"))
    with pytest.raises(ValueError, match="too many values"):
        bench.sink()


def test_in_a_running_loop_the_loop_drives_it():
    async def process(packet, ctx):
        await asyncio.sleep(1)
        return packet

    async def scenario():
        bench = StageBench({"a": operator(process), "b": repeat(2)}, capacity=1)
        bench.feed(*texts(3))
        bench.finish()
        await bench.joined()
        assert len(bench.values) == 6
        assert asyncio.get_running_loop().time() == pytest.approx(3)

    run_virtual(scenario())


def test_a_stage_that_never_ends_hangs_its_test():
    async def scenario():
        bench = StageBench({"a": operator()})
        await bench.joined()

    with pytest.raises(HangError):
        run_virtual(scenario())
