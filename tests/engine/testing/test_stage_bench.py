"""engine.testing.stage_bench: a stage between edges that the test holds."""

import asyncio

import pytest

from engine.operator import Operator
from engine.payloads import Binary, Json, Text
from engine.testing import HangError, StageBench, run_virtual
from tests.engine.stage_helpers import Join, operator, repeat, tagged, texts


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


def test_one_operator_needs_no_name():
    bench = StageBench(tagged("a"))
    bench.feed(Text("x"))
    bench.run()
    assert (list(bench.sinks), bench.values) == (["node"], ["xa"])


def test_packets_go_to_the_first_port_where_none_is_the_default():
    bench = StageBench(operator(lambda packet, ctx: Text(packet.port), inputs=("left", "right")))
    bench.feed(Text("x"))
    bench.feed(Text("x"), port="right")
    bench.run()
    assert bench.values == ["left", "right"]


def test_a_sink_knows_when_what_came():
    def process(packet, ctx):
        ctx.call_later(0.25, lambda: ctx.emit(packet))

    bench = StageBench(operator(process))
    bench.feed(Text("x"))
    bench.advance(10)
    bench.feed(Text("y"))
    bench.advance(10)
    assert bench.sink().timed == [(0.25, Text("x")), (10.25, Text("y"))]


def test_an_interrupt_is_followed_by_a_newer_generation():
    bench = StageBench(Join(2))
    bench.feed(Text("old"))
    bench.run()
    bench.interrupt()
    bench.feed(Text("a"), Text("b"))
    bench.run()
    assert bench.values == ["a+b"]
    assert [packet.generation for packet in bench.sink().packets] == [1]


def test_operators_are_initialized_before_the_stage_starts_and_cleaned_up_behind_it():
    log = []

    class Logged(Operator):
        async def initialize(self, ctx):
            log.append("initialized")

        def process(self, packet, ctx):
            log.append("processed")

        async def cleanup(self):
            log.append("cleaned up")

    bench = StageBench(Logged(), started=False)
    bench.feed(Text("x"))
    bench.run()
    assert log == []
    run_virtual(bench.initialize())
    bench.run()
    run_virtual(bench.cleanup())
    assert log == ["initialized", "processed", "cleaned up"]
    assert bench.stage.done


def test_a_producer_may_fail():
    bench = StageBench(operator())
    bench.feed(Text("x"))
    bench.fail(OSError("the cable is out"))
    bench.run()
    assert bench.values == ["x"]
    assert bench.stage.error.message == "the producer failed: OSError: the cable is out"
