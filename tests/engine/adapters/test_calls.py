"""engine.adapters.calls: a call beside the stage, its items, its errors and its cancellation."""

import asyncio

import pytest

from engine.payloads import Text
from engine.testing import StageBench
from tests.engine.adapters.adapter_helpers import failed
from tests.engine.stage_helpers import Join, operator, texts, virtual


@virtual
async def test_a_generator_is_one_item_ahead_of_what_the_out_edges_accepted():
    made = 0

    async def process(packet, ctx):
        nonlocal made
        for number in range(100):
            made += 1
            yield Text(str(number))

    bench = StageBench({"a": operator(process), "b": operator()}, capacity=2)
    sink = bench.sink()
    sink.withholding = True
    bench.feed(Text("go"))
    while len(sink.packets) < 100:
        await asyncio.sleep(1)
        assert made == min(100, len(sink.packets) + 1)
        assert bench.stage.outbox == 0
        sink.release(1)
    assert sink.values == [str(number) for number in range(100)]
    bench.finish()
    await bench.joined()
    assert bench.settled


@virtual
async def test_the_clock_stands_still_while_a_generator_waits_for_credits():
    async def process(packet, ctx):
        ctx.call_later(5, lambda: ctx.emit(Text("timer")))
        for number in range(3):
            await asyncio.sleep(1)
            yield Text(str(number))

    bench = StageBench({"a": operator(process)}, capacity={"a": 1})
    sink = bench.sink()
    sink.withholding = True
    bench.feed(Text("go"))
    await asyncio.sleep(60)
    assert sink.values == ["0"]
    sink.withholding = False
    sink.release()
    await asyncio.sleep(1.5)
    assert sink.values == ["0", "1", "2"]
    await asyncio.sleep(60)
    assert sink.values == ["0", "1", "2", "timer"]
    bench.stage.cancel()
    await bench.joined()


@virtual
async def test_a_cancellation_that_was_not_ours_is_the_nodes_error():
    async def process(packet, ctx):
        inner = asyncio.ensure_future(asyncio.sleep(60))
        asyncio.get_running_loop().call_later(1, inner.cancel)
        await inner

    bench = StageBench({"a": operator(process)})
    bench.feed(Text("x"))
    await bench.joined()
    assert isinstance(failed(bench, "a", "process").__cause__, asyncio.CancelledError)


@virtual
async def test_a_system_exit_in_a_coroutine_is_the_nodes_error():
    async def process(packet, ctx):
        raise SystemExit(3)

    bench = StageBench({"a": operator(process)})
    bench.feed(Text("x"))
    await bench.joined()
    failed(bench, "a", "process")


@pytest.mark.parametrize("after", [None, 0, 1, 3.5, 20])
@pytest.mark.parametrize("kind", ["coroutine", "generator"])
@virtual
async def test_a_cancel_at_any_time_returns_all_credits_and_ends_the_calls(kind, after):
    open_calls = set()

    async def coroutine(packet, ctx):
        open_calls.add(packet)
        try:
            await asyncio.sleep(3)
        finally:
            open_calls.remove(packet)
        return packet

    async def generator(packet, ctx):
        open_calls.add(packet)
        try:
            for number in range(3):
                await asyncio.sleep(1)
                yield Text(str(number))
        finally:
            open_calls.remove(packet)

    process = coroutine if kind == "coroutine" else generator
    bench = StageBench({"a": operator(process, concurrency=2), "b": operator()}, capacity=3)
    bench.sink().withholding = True
    bench.feed(*texts(8))
    if after is None:
        bench.stage.run()  # the calls have been made and have not begun
    else:
        await asyncio.sleep(after)
    bench.stage.cancel()
    await bench.joined()
    assert not open_calls
    edge = bench._feeder(None).edge
    assert edge._credits == edge.capacity
    bench.sink().release()
    assert bench.sink().edge._credits == 3
    assert bench.stage.error is None


@pytest.mark.parametrize("kind", ["coroutine", "generator"])
@pytest.mark.parametrize("after", [None, 0.5, 1.5])
@virtual
async def test_an_interrupt_cancels_the_calls_and_the_stream_goes_on(kind, after):
    cancelled = []

    async def coroutine(packet, ctx):
        try:
            await asyncio.sleep(2)
        except asyncio.CancelledError:
            cancelled.append(packet.payload.text)
            raise
        return packet

    async def generator(packet, ctx):
        yield await coroutine(packet, ctx)

    process = coroutine if kind == "coroutine" else generator
    bench = StageBench({"a": operator(process, concurrency=2)})
    bench.feed(*texts(3, "old"))
    bench.finish()
    if after is None:
        bench.stage.run()
    else:
        await asyncio.sleep(after)
    bench.stage.interrupt_all(1)
    bench.host.wake()
    await bench.joined()
    assert bench.values == []
    assert cancelled == ([] if after is None else ["old0", "old1"])
    assert bench.sink().ended
    assert bench.settled


@virtual
async def test_a_generator_that_raises_when_it_is_cancelled_is_only_reported(caplog):
    async def process(packet, ctx):
        try:
            yield Text("1")
            yield Text("2")
        finally:
            raise ValueError("in finally")

    bench = StageBench({"a": operator(process)}, capacity=1)
    bench.sink().withholding = True
    bench.feed(Text("x"))
    await asyncio.sleep(1)
    bench.stage.cancel()
    await bench.joined()
    assert "in finally" in caplog.text
    assert bench.stage.error is None


@pytest.mark.parametrize("kind", ["coroutine", "generator"])
@virtual
async def test_an_asynchronous_flush_is_waited_for(kind):
    async def coroutine(ctx):
        await asyncio.sleep(1)
        return [Text("y"), Text("z")]

    async def generator(ctx):
        for text in ("y", "z"):
            await asyncio.sleep(1)
            yield Text(text)

    flush = coroutine if kind == "coroutine" else generator
    nodes = {"a": operator(flush=flush), "b": Join(2)}
    bench = StageBench(nodes, capacity=1)
    bench.feed(Text("x"), sequence=4)
    bench.finish()
    await bench.joined()
    assert bench.values == ["x+y", "z"]
    assert bench.sink().lineage == [(4, 0), (4, 1)]


@pytest.mark.parametrize("kind", ["coroutine", "generator"])
@virtual
async def test_an_error_in_an_asynchronous_flush_says_so(kind):
    async def coroutine(ctx):
        raise ValueError("no")

    async def generator(ctx):
        yield Text("x")
        raise ValueError("no")

    async def wrong(ctx):
        return "text"

    flushes = (coroutine, wrong) if kind == "coroutine" else (generator,)
    for flush in flushes:
        bench = StageBench({"a": operator(flush=flush)})
        bench.finish()
        await bench.joined()
        failed(bench, "a", "flush")


@pytest.mark.parametrize("when", [None, 0.5])
@virtual
async def test_an_interrupt_during_an_asynchronous_flush_completes_the_node(when):
    async def flush(ctx):
        await asyncio.sleep(1)
        return Text("late")

    bench = StageBench({"a": operator(flush=flush)})
    bench.finish()
    if when is None:
        bench.stage.run()
    else:
        await asyncio.sleep(when)
    bench.stage.interrupt_all(1)
    bench.host.wake()
    await bench.joined()
    assert bench.values == []
    assert bench.sink().ended
