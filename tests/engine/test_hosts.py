"""engine.hosts: a stage driven by a loop, without a task, a thread or a sleep of its own."""

import asyncio
import sys
import threading

import pytest

from engine.hosts import AsyncioGate, AsyncioHost
from engine.payloads import Text
from engine.stage import Stage
from engine.testing import StageBench, VirtualLoop
from tests.engine.stage_helpers import operator, repeat, texts, virtual

LOOPS = [asyncio.new_event_loop, VirtualLoop]
if sys.platform == "linux":
    import uvloop

    LOOPS.append(uvloop.new_event_loop)


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_a_stage_runs_to_its_end_on_every_loop(loop_factory):
    async def scenario():
        async def process(packet, ctx):
            await asyncio.sleep(0)
            return packet

        bench = StageBench({"a": operator(process), "b": repeat(3, "generator")}, capacity=2)
        bench.feed(*texts(200))
        bench.finish()
        await bench.joined()
        assert len(bench.values) == 600
        assert bench.settled

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(scenario())


@virtual
async def test_many_packets_are_one_turn_of_the_loop():
    bench = StageBench({"a": operator()}, capacity=1000)
    bench.feed(*texts(640))
    bench.finish()
    rounds = 0
    while not bench.stage.done:
        await asyncio.sleep(0)
        rounds += 1
    assert rounds <= 12  # turns of 64
    await bench.joined()


@virtual
async def test_a_busy_stage_lets_the_loop_have_its_turns():
    loop = asyncio.get_running_loop()
    gaps = []
    last = loop.time()

    def process(packet, ctx):
        loop.jump(0.000_3)  # that is how long it computes
        return packet

    def look():
        nonlocal last
        gaps.append(loop.time() - last)
        last = loop.time()
        if not bench.stage.done:
            loop.call_soon(look)

    bench = StageBench({"a": operator(process)}, capacity=1000)
    bench.feed(*texts(100))
    bench.finish()
    loop.call_soon(look)
    await bench.joined()
    assert max(gaps) < 0.001_5


@virtual
async def test_nothing_runs_before_the_start():
    finished = []
    host = AsyncioHost(finished.append)
    host.wake()
    host.wake_threadsafe()
    await asyncio.sleep(1)
    assert finished == []


@virtual
async def test_wakes_are_one_turn(monkeypatch):
    bench = StageBench({"a": operator()})
    await asyncio.sleep(1)
    runs = 0
    run = Stage.run

    def counting(stage):
        nonlocal runs
        runs += 1
        return run(stage)

    monkeypatch.setattr(Stage, "run", counting)
    for _ in range(5):
        bench.host.wake()
    await asyncio.sleep(1)
    assert runs == 1
    bench.stage.cancel()


@virtual
async def test_a_timer_wakes_the_stage_when_it_is_due():
    loop = asyncio.get_running_loop()
    fired = []

    def process(packet, ctx):
        ctx.call_later(2, lambda: fired.append(loop.time()))
        ctx.call_later(1, lambda: fired.append(loop.time()))

    bench = StageBench({"a": operator(process)})
    bench.feed(Text("go"))
    await asyncio.sleep(5)
    assert fired == pytest.approx([1, 2], abs=1e-5)
    bench.stage.cancel()
    await bench.joined()


def arm_a_timer(packet, ctx):
    ctx.call_later(60, list)


@virtual
async def test_a_finished_stage_leaves_no_timer_behind():
    loop = asyncio.get_running_loop()
    bench = StageBench({"a": operator(arm_a_timer)})
    bench.feed(Text("go"))
    await asyncio.sleep(1)
    bench.finish()
    await bench.joined()
    assert bench.stage.error is None
    assert not [handle for handle in loop._scheduled if not handle.cancelled()]


@virtual
async def test_a_cancelled_stage_leaves_no_timer_behind():
    loop = asyncio.get_running_loop()
    bench = StageBench({"a": operator(arm_a_timer)})
    bench.feed(Text("go"))
    await asyncio.sleep(1)
    bench.stage.cancel()
    assert not [handle for handle in loop._scheduled if not handle.cancelled()]
    await bench.joined()


@virtual
async def test_join_ends_what_the_stage_has_spawned():
    ended = []

    async def process(packet, ctx):
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(packet.payload.text)

    bench = StageBench({"a": operator(process, concurrency=2)})
    bench.feed(*texts(2))
    await asyncio.sleep(1)
    await bench.host.join()
    assert sorted(ended) == ["0", "1"]
    bench.stage.cancel()
    await bench.host.join()


def test_another_thread_wakes_the_loop():
    async def scenario():
        here = []
        arrived = asyncio.Event()

        def process(packet, ctx):
            def elsewhere():
                here.append(bench.host.in_thread())
                ctx.emit(Text("from elsewhere"))

            assert bench.host.in_thread()
            threading.Thread(target=elsewhere).start()

        bench = StageBench({"a": operator(process), "b": operator(lambda *_: arrived.set())})
        bench.feed(Text("x"))
        await arrived.wait()
        assert here == [False]
        bench.stage.cancel()

    asyncio.run(scenario())


def test_who_comes_after_the_loop_has_closed_wakes_nobody():
    async def scenario():
        return StageBench({"a": operator()})

    bench = asyncio.run(scenario())
    bench.host.wake_threadsafe()


def test_time_is_the_monotonic_clock_or_a_virtual_loops_own():
    async def clock():
        host = AsyncioHost(lambda stage: None)
        return host.now_ns(), asyncio.get_running_loop().time()

    now_ns, now = asyncio.run(clock())
    assert now_ns / 1e9 == pytest.approx(now, abs=1)
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(5_000)) as runner:
        assert runner.run(clock()) == (5_000, 5e-6)


@virtual
async def test_a_turn_that_breaks_fails_the_stage_instead_of_stalling_it(caplog, monkeypatch):
    def broken(stage):
        raise RuntimeError("our own mistake")

    bench = StageBench({"a": operator()})
    monkeypatch.setattr(Stage, "run", broken)
    bench.feed(Text("x"))
    await bench.joined()
    assert bench.stage.error.message == "stage 'stage' broke: RuntimeError('our own mistake')"
    assert bench.settled
    assert "turn_raised" in caplog.text


@virtual
async def test_a_gate_lets_one_through_each_time_it_is_opened():
    gate = AsyncioGate()
    passed = []

    async def walk():
        for number in range(3):
            await gate.wait()
            passed.append(number)

    task = asyncio.create_task(walk())
    await asyncio.sleep(1)
    assert passed == []
    gate.open()
    gate.open()
    await asyncio.sleep(1)
    assert passed == [0]
    gate.open()
    await asyncio.sleep(1)
    assert passed == [0, 1]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    gate.open()
    await gate.wait()
