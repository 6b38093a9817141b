"""engine.testing.virtual: time that moves only when it is told to."""

import asyncio
import socket
import threading
import time

import pytest

from engine.payloads import Text
from engine.testing import (
    HangError,
    StageBench,
    VirtualHost,
    VirtualLoop,
    run_virtual,
    virtual_loop,
)
from tests.engine.stage_helpers import operator, texts

# ------------------------------------------------------------------------------- the host


def test_the_clock_moves_only_by_what_the_test_says():
    host = VirtualHost(5)
    assert host.now_ns() == 5
    host.run_until_idle()
    assert host.now_ns() == 5
    host.advance(1.5)
    host.spend(0.25)
    assert host.now_ns() == 1_750_000_005


def test_each_timer_runs_at_the_instant_it_is_due():
    fired = []

    def process(packet, ctx):
        for seconds in (3, 1, 2):
            ctx.call_later(seconds, lambda: fired.append(bench.clock.now_ns()))

    bench = StageBench({"a": operator(process)})
    bench.feed(Text("go"))
    bench.run()
    bench.clock.advance(2)
    assert fired == [1_000_000_000, 2_000_000_000]
    bench.clock.advance(0.5)
    bench.clock.advance(10)
    assert fired == [1_000_000_000, 2_000_000_000, 3_000_000_000]
    assert bench.clock.now_ns() == 12_500_000_000


def test_a_timer_that_arms_itself_runs_each_time():
    fired = []

    def process(packet, ctx):
        def tick():
            fired.append(bench.clock.now_ns())
            ctx.call_later(1, tick)

        ctx.call_later(1, tick)

    bench = StageBench({"a": operator(process)})
    bench.feed(Text("go"))
    bench.advance(5)
    assert fired == [second * 1_000_000_000 for second in range(1, 6)]


def test_a_stage_that_is_never_idle_hangs(monkeypatch):
    monkeypatch.setattr("engine.testing.virtual.RUNS_MAX", 100)

    def process(packet, ctx):
        def again():
            ctx.call_later(0, again)

        again()

    bench = StageBench({"a": operator(process)})
    bench.feed(Text("go"))
    with pytest.raises(HangError, match="stage 'stage' is not idle after 100 runs"):
        bench.run()


def test_a_finished_stage_is_counted():
    bench = StageBench({"a": operator()})
    bench.finish()
    assert bench.clock.finished_count == 0
    bench.run()
    bench.stage.cancel()
    assert bench.clock.finished_count == 1


def test_the_longest_run_is_known():
    def process(packet, ctx):
        bench.clock.spend(0.02)

    bench = StageBench({"a": operator(process)})
    bench.feed(*texts(3))
    bench.run()
    assert bench.clock.longest_run_ns == 20_000_000  # each packet used up its slice


def test_it_knows_its_thread():
    host = VirtualHost()
    seen = []
    thread = threading.Thread(target=lambda: seen.append(host.in_thread()))
    thread.start()
    thread.join()
    assert (host.in_thread(), seen) == (True, [False])


def test_coroutines_are_referred_to_a_loop():
    async def coroutine(packet, ctx):
        return packet

    async def generator(packet, ctx):
        yield packet

    for process in (coroutine, generator):
        bench = StageBench({"a": operator(process)})
        bench.feed(Text("x"))
        with pytest.raises(RuntimeError, match=r"run the test by run_virtual\(\)"):
            bench.run()


# ------------------------------------------------------------------------------- the loop


def test_sleeping_takes_no_time():
    async def sleep():
        await asyncio.sleep(3600)
        await asyncio.sleep(0.5)
        return asyncio.get_running_loop().time()

    started = time.monotonic()
    assert run_virtual(sleep()) == pytest.approx(3600.5)
    assert time.monotonic() - started < 60


def test_tasks_wake_in_the_order_of_their_times():
    woken = []

    async def wake(name, seconds):
        await asyncio.sleep(seconds)
        woken.append((name, round(asyncio.get_running_loop().time(), 6)))

    async def scenario():
        await asyncio.gather(wake("c", 3), wake("a", 1), wake("b", 2), wake("a2", 1))

    run_virtual(scenario())
    assert woken == [("a", 1), ("a2", 1), ("b", 2), ("c", 3)]


def test_timeouts_run_on_virtual_time():
    async def scenario():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.sleep(31)
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == pytest.approx(30)


def test_what_can_never_happen_is_an_error_that_says_who_waits():
    async def waits_for_ever():
        await asyncio.get_running_loop().create_future()

    async def scenario():
        asyncio.current_task().set_name("main")
        await waits_for_ever()

    with pytest.raises(HangError, match=r"nothing is scheduled:\n  - main waits at .*\.py:\d+"):
        run_virtual(scenario())


def test_a_hang_leaves_no_task_behind():
    ended = []

    async def scenario():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    with pytest.raises(HangError):
        run_virtual(scenario())
    assert ended == ["ended"]


def test_sockets_that_are_ready_are_served_before_time_moves():
    async def scenario():
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        with left, right:
            left.setblocking(False)
            right.setblocking(False)
            timer = loop.call_later(60, lambda: None)
            await loop.sock_sendall(left, b"x")
            assert await loop.sock_recv(right, 10) == b"x"
            assert loop.time() == 0
            timer.cancel()

    run_virtual(scenario())


def test_times_are_whole_nanoseconds():
    times = []

    async def scenario():
        loop = asyncio.get_running_loop()
        for seconds in (0.1, 0.1, 0.1, 0.7, 1e-9, 3600.000000001):
            await asyncio.sleep(seconds)
            times.append(loop.now_ns())

    run_virtual(scenario())
    assert times == [
        100_000_000,
        200_000_000,
        300_000_000,
        1_000_000_000,
        1_000_000_001,
        3_601_000_000_002,
    ]


def test_a_wait_of_less_than_a_nanosecond_ends():
    async def scenario():
        await asyncio.sleep(1e-12)
        return asyncio.get_running_loop().now_ns()

    assert run_virtual(scenario()) <= 1


def test_the_clock_stands_while_a_thread_works():
    started, go_on = threading.Event(), threading.Event()

    def work():
        started.set()
        assert go_on.wait(60)
        return "worked"

    async def scenario():
        loop = asyncio.get_running_loop()
        work_done = loop.run_in_executor(None, work)
        timer = asyncio.create_task(asyncio.sleep(10))
        await asyncio.to_thread(started.wait, 60)
        assert loop.time() == 0
        assert not timer.done()
        go_on.set()
        assert (await work_done, loop.time()) == ("worked", 0)
        await timer
        return loop.time()

    assert run_virtual(scenario()) == 10


def test_a_thread_that_never_answers_is_an_error(monkeypatch):
    monkeypatch.setattr("engine.testing.virtual.THREAD_PATIENCE_S", 0.01)
    go_on = threading.Event()

    async def scenario():
        await asyncio.to_thread(go_on.wait, 60)

    with pytest.raises(HangError, match=r"a thread has not answered within 0\.01 s of real time"):
        run_virtual(scenario())
    go_on.set()


def test_a_loop_may_be_driven_bit_by_bit():
    with virtual_loop(7) as loop:
        assert isinstance(loop, VirtualLoop)
        assert loop.now_ns() == 7
        loop.run_until_complete(asyncio.sleep(1))
        assert loop.now_ns() == pytest.approx(1_000_000_007, abs=1)
        loop.jump(1)
        assert loop.time() == pytest.approx(2, abs=1e-6)
    assert loop.is_closed()


def test_the_result_and_the_error_come_out():
    async def result():
        return 5

    async def error():
        raise ValueError("no")

    assert run_virtual(result()) == 5
    with pytest.raises(ValueError, match="no"):
        run_virtual(error())
