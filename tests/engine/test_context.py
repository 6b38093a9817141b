"""engine.context: what an operator sees of its stage."""

import logging
import threading

import numpy as np

from engine.payloads import Text
from engine.testing import StageBench
from tests.engine.stage_helpers import operator, tagged


def test_ctx_emit_within_process_goes_out_at_once():
    def process(packet, ctx):
        ctx.emit(Text("first"))
        ctx.emit(ctx.to("out", Text("second")))
        return Text("third")

    bench = StageBench({"a": operator(process), "b": tagged("!")})
    bench.feed(Text("x"))
    bench.run()
    assert bench.values == ["first!", "second!", "third!"]
    assert bench.sink().lineage == [(0, 0), (0, 1), (0, 2)]


def test_ctx_emit_from_another_thread_is_a_turn_of_its_own():
    threads = []

    def process(packet, ctx):
        if packet.payload.text == "go":
            thread = threading.Thread(target=lambda: ctx.emit(Text("from the thread")))
            thread.start()
            thread.join(10)
        return packet

    def watch(packet, ctx):
        threads.append(threading.current_thread())
        return packet

    bench = StageBench({"a": operator(process), "b": operator(watch)})
    bench.feed(Text("go"), Text("on"))
    bench.run()
    assert bench.values == ["go", "from the thread", "on"]
    assert set(threads) == {threading.current_thread()}


def test_ctx_emit_between_turns_wakes_the_stage():
    contexts = []
    bench = StageBench({"a": operator(lambda packet, ctx: contexts.append(ctx))})
    bench.feed(Text("x"))
    bench.run()
    contexts[0].emit(Text("later"))
    assert bench.values == []
    bench.run()
    assert bench.values == ["later"]


def test_ctx_empty_gives_writable_memory_and_reserves_where_it_can():
    bench = StageBench({"a": operator()})
    ctx = bench.stage.adapters[0].context
    array = ctx.empty((3, 2), np.float32)
    array[:] = 1
    assert (array.shape, array.dtype) == ((3, 2), np.float32)
    arena = np.zeros(4)
    ctx.reserve = lambda shape, dtype: arena if shape == (4,) else None
    assert ctx.empty((4,), np.float64) is arena
    assert ctx.empty((5,), np.float64).shape == (5,)


def test_ctx_tells_who_it_is_and_reports_progress():
    bench = StageBench({"a": operator()})
    ctx = bench.stage.adapters[0].context
    reports = []
    ctx.progress(0.5)  # nobody listens
    ctx.on_progress = lambda *report: reports.append(report)
    ctx.progress(0.5, "half")
    ctx.progress(7)
    ctx.progress(0.25, "weights", status="loading_model")
    assert reports == [
        ("a", "initializing", 0.5, "half"),
        ("a", "initializing", 1.0, ""),
        ("a", "loading_model", 0.25, "weights"),
    ]
    assert (ctx.node_id, ctx.session_id) == ("a", "session")
    assert ctx.logger is logging.getLogger("remotemedia.node.a")
    assert not ctx.cancelled
    bench.stage.cancel()
    assert ctx.cancelled


def test_now_is_the_clock_by_which_it_calls_later():
    seen = []

    def process(packet, ctx):
        seen.append(ctx.now_ns)
        ctx.call_later(0.25, lambda: seen.append(ctx.now_ns))

    bench = StageBench({"a": operator(process)})
    bench.clock.spend(1)
    bench.feed(Text("x"))
    bench.run()
    bench.advance(1)
    assert seen == [1_000_000_000, 1_250_000_000]
