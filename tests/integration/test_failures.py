"""Whatever goes wrong: the right error with the node to blame, soon, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import uvloop

from engine.errors import (
    EdgeClosedError,
    EdgeError,
    InitTimeoutError,
    NodeError,
    RemoteMediaError,
    StartupError,
    UsageError,
    WorkerCrashedError,
)
from engine.payloads import Audio, Json, Text
from tests.conftest import Footprint, what_is_left
from tests.integration.conftest import PATIENCE_S, graph, run
from tests.integration.graph_operators import Counter

pytestmark = [pytest.mark.process, pytest.mark.fault]

# The first loop of uvloop opens a pipe for all of them, which stays.
uvloop.new_event_loop().close()

#: What an ending without a ladder may take on a busy machine.
SOON_S = 4.0
PLACEMENTS = ("local", "process", "alternating")
LINKS = ["a->bad", "bad->c"]


def chain(bad, *, placed="local", params=None, fields=None, **settings):
    """Pass → the operator that does harm → Pass."""
    if placed == "alternating":
        placed = {"a": "process", "c": "process"}
    nodes = {"a": "Pass", "bad": (bad, params or {}, fields or {}), "c": "Pass"}
    return graph(nodes, LINKS, placed=placed, **settings)


def numbers(count=20):
    return [Json(number) for number in range(count)]


async def failure_of(pipeline, inputs=None, within_s=SOON_S):
    """The error a run ends with, and what came out before."""
    outputs = []

    async def run_to_the_end():
        async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
            stream = session.stream(numbers() if inputs is None else inputs)
            outputs.extend([packet async for packet in stream])

    started_s = time.monotonic()
    with pytest.raises(RemoteMediaError) as caught:
        await run_to_the_end()
    assert time.monotonic() - started_s < within_s
    return caught.value, outputs


# --------------------------------------------------------------------------------- operators raise

STYLES = [
    "Misbehave",
    "MisbehaveInCoroutine",
    "MisbehaveInGenerator",
    "MisbehaveInAsyncGenerator",
]


@pytest.mark.parametrize("placed", PLACEMENTS)
@pytest.mark.parametrize("when", ["process", "flush"])
@pytest.mark.parametrize("operator", STYLES)
async def test_an_operator_that_raises_is_named(operator, when, placed):
    error, _ = await failure_of(chain(operator, placed=placed, params={"when": when}))
    assert type(error) is NodeError
    assert error.node_id == "bad"
    assert error.context["exception"] == "ValueError"
    assert f"failed in {when}" in error.message
    assert "on purpose" in error.message
    assert "on purpose" in (error.remote_traceback or repr(error.__cause__))
    if when == "process":
        assert error.context["sequence"] == 3


@pytest.mark.parametrize("placed", PLACEMENTS)
@pytest.mark.parametrize("what", ["raise", "sysexit", "cancelled"])
async def test_an_operator_that_raises_in_initialize_is_named(placed, what):
    pipeline = chain("Misbehave", placed=placed, params={"when": "initialize", "what": what})
    error, outputs = await failure_of(pipeline)
    assert type(error) is NodeError
    assert error.node_id == "bad"
    assert "failed in initialize" in error.message
    assert not outputs


@pytest.mark.parametrize("placed", ["local", "process"])
async def test_sys_exit_in_an_operator_ends_the_session_not_the_program(placed):
    error, _ = await failure_of(chain("Misbehave", placed=placed, params={"what": "sysexit"}))
    assert type(error) is NodeError
    assert error.node_id == "bad"
    assert error.context["exception"] == "SystemExit"


@pytest.mark.parametrize("placed", ["local", "process"])
async def test_what_cleanup_raises_fails_nothing(placed):
    pipeline = chain("Misbehave", placed=placed, params={"when": "cleanup"})
    assert len(await run(pipeline, numbers())) == 20


@pytest.mark.parametrize("placed", PLACEMENTS)
async def test_a_slow_cleanup_does_not_hide_the_cause(placed):
    params = {"when": "process", "what": "raise", "seconds": 1.5}
    error, _ = await failure_of(chain("Misbehave", placed=placed, params=params), within_s=6.0)
    assert type(error) is NodeError
    assert error.node_id == "bad"


@pytest.mark.parametrize("placed", ["local", "process"])
async def test_what_can_never_cross_names_the_node_that_sent_it(placed):
    places = {"a": "process", "bad": placed, "c": "process"}
    nodes = {"a": "Pass", "bad": ("Burst", {"count": 3, "frames": 400_000}), "c": "Pass"}
    pipeline = graph(nodes, LINKS, placed=places, shm_segment_bytes=1024**2)
    error, _ = await failure_of(pipeline)
    assert type(error) is NodeError
    assert error.node_id == "bad"
    assert "shm_segment_size" in error.message


async def test_an_input_that_can_never_cross_is_refused_and_the_session_goes_on():
    pipeline = graph({"a": "Pass"}, [], placed="process", shm_segment_bytes=1024**2)
    async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
        for payload in (Text("\ud800"), Json({1, 2}), Audio(np.zeros(10**6, np.float32), 8000)):
            with pytest.raises(EdgeError):
                await session.send(payload)
        with pytest.raises(EdgeError):
            await session.send(Text("x"), timestamp_ns=2**80)
        with pytest.raises(EdgeError):
            await session.send(Text("x"), metadata={"a": 1})
        assert await session.send(Text("fine")) == 0
        await session.end_input()
        outputs = [packet async for packet in session.outputs()]
    assert [packet.payload for packet in outputs] == [Text("fine")]


# --------------------------------------------------------------------------------- processes die


@pytest.mark.parametrize(
    ("what", "context"),
    [
        ("exit", {"exit_code": 3, "signal": None}),
        ("kill", {"exit_code": None, "signal": signal.SIGKILL}),
        ("segfault", {"exit_code": None, "signal": signal.SIGSEGV}),
    ],
)
@pytest.mark.parametrize("when", ["initialize", "process", "flush"])
@pytest.mark.parametrize("others", ["local", "process"])
async def test_a_process_that_dies_is_named_with_what_it_died_of(what, context, when, others):
    placed = {"a": others, "bad": "process", "c": others}
    pipeline = chain("Misbehave", placed=placed, params={"what": what, "when": when})
    error, _ = await failure_of(pipeline)
    assert type(error) is WorkerCrashedError
    assert error.node_id == "bad"
    assert {name: error.context[name] for name in context} == context


async def test_a_process_that_dies_first_is_the_cause_for_those_that_follow():
    nodes = dict.fromkeys("abcde", "Pass") | {"bad": ("Misbehave", {"what": "kill"})}
    pipeline = graph(nodes, ["a->b", "b->bad", "bad->c", "bad->d", "d->e"], placed="process")
    error, _ = await failure_of(pipeline, numbers(200))
    assert type(error) is WorkerCrashedError
    assert error.node_id == "bad"


async def test_a_zygote_that_dies_takes_its_sessions_along_and_a_new_one_serves_others():
    async def kill_the_zygote():
        async with chain("Pass", placed="process").session() as session:
            status = stat_of(session.stages[0].pid)
            os.kill(int(status[1]), signal.SIGKILL)
            return [packet async for packet in session.stream(numbers(10**6))]

    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(WorkerCrashedError, match="zygote"):
            await kill_the_zygote()
    assert await one_session() == 30


def stat_of(pid):
    """State, parent and so on of a process."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


async def test_a_turn_that_takes_too_long_ends_the_session():
    pipeline = chain(
        "Misbehave",
        placed={"bad": "process"},
        params={"what": "spin"},
        fields={"process_timeout_ms": 300},
    )
    error, _ = await failure_of(pipeline)
    assert type(error) is WorkerCrashedError
    assert error.node_id == "bad"
    assert error.context["process_timeout_ms"] == 300


async def test_a_process_that_is_stopped_is_found_silent():
    params = {"what": "stop"}
    pipeline = chain("Misbehave", placed={"bad": "process"}, params=params, hang_timeout_s=0.9)
    error, _ = await failure_of(pipeline, within_s=10.0)
    assert type(error) is WorkerCrashedError
    assert error.node_id == "bad"
    assert "silent" in error.message


@pytest.mark.parametrize("placed", ["local", "process"])
async def test_an_initialize_that_takes_too_long(placed):
    pipeline = chain(
        "Misbehave",
        placed=placed,
        params={"when": "initialize", "what": "nothing", "seconds": 60},
        init_timeout_s=0.7,
    )
    error, _ = await failure_of(pipeline)
    assert type(error) is InitTimeoutError
    assert error.context["node_id"] == "bad"


@pytest.mark.parametrize(
    ("what", "bad", "slow"),
    [
        ("raise", "local", "process"),
        ("raise", "process", "local"),
        ("raise", "process", "process"),
        ("exit", "process", "local"),
        ("exit", "process", "process"),
    ],
)
async def test_a_start_that_fails_does_not_wait_for_the_others(what, bad, slow):
    nodes = {
        "slow": ("Misbehave", {"when": "initialize", "what": "nothing", "seconds": 60}),
        "bad": ("Misbehave", {"when": "initialize", "what": what}),
    }
    pipeline = graph(nodes, ["slow->bad"], placed={"slow": slow, "bad": bad})
    error, _ = await failure_of(pipeline)
    assert isinstance(error, NodeError)
    assert error.node_id == "bad"


@pytest.mark.parametrize("slow", ["local", "process"])
async def test_a_process_that_dies_ready_while_others_start_is_the_cause(slow, tmp_path):
    pid_file = tmp_path / "pid"
    nodes = {
        "slow": ("Misbehave", {"when": "initialize", "what": "nothing", "seconds": 60}),
        "bad": ("Misbehave", {"pid_file": str(pid_file)}),
    }
    ready = asyncio.Event()

    def on_progress(progress):
        if (progress.node_id, progress.status) == ("bad", "ready"):
            ready.set()

    pipeline = graph(nodes, ["slow->bad"], placed={"slow": slow, "bad": "process"})
    async with asyncio.timeout(PATIENCE_S):
        starting = asyncio.create_task(pipeline.session(on_progress).start())
        await ready.wait()
        os.kill(int(pid_file.read_text()), signal.SIGKILL)
        killed_s = time.monotonic()
        with pytest.raises(WorkerCrashedError) as caught:
            await starting
    assert time.monotonic() - killed_s < SOON_S
    assert caught.value.node_id == "bad"


# --------------------------------------------------------------------------------- cancelled tasks


async def cancel_when(condition_met, work):
    """Run a coroutine as a task and cancel it once an event is set; how long it then took."""
    task = asyncio.create_task(work)
    async with asyncio.timeout(PATIENCE_S):
        await condition_met.wait()
        cancelled_s = time.monotonic()
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()
    return time.monotonic() - cancelled_s


@pytest.mark.parametrize("placed", PLACEMENTS)
async def test_cancelling_a_start(placed):
    nodes = {
        "a": "Pass",
        "slow": ("Misbehave", {"when": "initialize", "what": "nothing", "seconds": 60}),
        "c": "Pass",
    }
    places = {"a": "process", "c": "process"} if placed == "alternating" else placed
    pipeline = graph(nodes, ["a->slow", "slow->c"], placed=places)
    begun = asyncio.Event()

    def on_progress(progress):
        if progress.node_id == "slow":
            begun.set()

    session = pipeline.session(on_progress)

    async def work():
        async with session:
            pytest.fail("it cannot have started")

    assert await cancel_when(begun, work()) < SOON_S
    assert session.phase == "closed"


async def test_cancelling_a_start_before_any_worker_runs():
    session = graph({"a": "Pass", "b": "Pass"}, ["a->b"], placed="process").session()
    task = asyncio.create_task(session.start())
    await asyncio.sleep(0)
    task.cancel()
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert session.phase == "closed"


@pytest.mark.parametrize("placed", PLACEMENTS)
async def test_cancelling_in_mid_stream(placed):
    pipeline = graph(
        {"a": ("Burst", {"count": 10**9}), "b": "Pass", "c": "Pass"},
        ["a->b", "b->c"],
        placed={"a": "process", "c": "process"} if placed == "alternating" else placed,
    )
    flowing = asyncio.Event()

    async def work():
        async with pipeline.session() as session:
            async for packet in session.stream(numbers(1)):
                if packet.index == 500:
                    flowing.set()

    assert await cancel_when(flowing, work()) < SOON_S


@pytest.mark.parametrize("placed", ["local", "process"])
async def test_cancelling_a_close_lets_the_ending_go_on(placed):
    params = {"when": "never", "what": "nothing", "seconds": 0.8}
    session = chain("Misbehave", placed=placed, params=params).session()
    await session.start()
    begun = asyncio.Event()

    async def work():
        asyncio.get_running_loop().call_soon(begun.set)
        await session.aclose()

    assert await cancel_when(begun, work()) < 0.5
    assert session.phase == "stopping"
    async with asyncio.timeout(PATIENCE_S):
        await session.aclose()
    assert session.phase == "closed"


def test_a_loop_that_ends_in_mid_close_leaves_nothing():
    params = {"when": "never", "what": "nothing", "seconds": 1.0}

    async def main():
        session = chain("Misbehave", placed="process", params=params).session()
        await session.start()
        closing = asyncio.create_task(session.aclose())
        await asyncio.sleep(0)
        closing.cancel()

    before = Footprint.take()
    asyncio.run(main())
    # The service's thread ends the workers; no loop of ours hears of it.
    assert not what_is_left(before, PATIENCE_S)


# --------------------------------------------------------------------------------- the user's ways


@pytest.mark.parametrize("placed", PLACEMENTS)
async def test_breaking_out_of_the_stream(placed):
    pipeline = graph(
        {"a": ("Burst", {"count": 10**9}), "b": "Pass"},
        ["a->b"],
        placed={"a": "process"} if placed == "alternating" else placed,
    )
    async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
        async for packet in session.stream(numbers(5)):
            if packet.index == 300:
                break
        broken_s = time.monotonic()
    assert time.monotonic() - broken_s < SOON_S
    assert session.phase == "closed"


@pytest.mark.parametrize("placed", PLACEMENTS)
async def test_an_error_of_the_users_own_passes_through(placed):
    async def work():
        async with chain("Pass", placed=placed).session() as session:
            async for packet in session.stream(numbers()):
                assert 1 / (3 - packet.sequence)

    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(ZeroDivisionError):
            await work()


@pytest.mark.parametrize("placed", ["local", "process"])
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_inputs_that_raise(placed, kind):
    def inputs():
        yield from numbers(5)
        raise LookupError("no more input")

    async def async_inputs():
        for item in inputs():
            yield item

    async with asyncio.timeout(PATIENCE_S), chain("Pass", placed=placed).session() as session:
        stream = session.stream(inputs() if kind == "sync" else async_inputs())
        with pytest.raises(LookupError):
            await asyncio.wait_for(anext_until_the_end(stream), PATIENCE_S)
        assert session.phase == "running"
        await session.end_input()
        async for packet in session.outputs():  # what was sent before is not lost by it
            assert packet.sequence < 5


async def anext_until_the_end(stream):
    return [packet async for packet in stream]


@pytest.mark.parametrize(
    "wrong", [["text"], [None], 5, Json(1), [("nowhere", Json(1))], [(1, 2, 3)]]
)
async def test_inputs_that_are_none(wrong):
    async with asyncio.timeout(PATIENCE_S), chain("Pass", placed="process").session() as session:
        with pytest.raises((UsageError, TypeError)):
            async for _ in session.stream(wrong):
                pass


async def test_inputs_that_wait_while_the_session_fails():
    async def inputs():
        for item in numbers():
            yield item
        await asyncio.Event().wait()

    error, _ = await failure_of(chain("Misbehave", placed="process"), inputs())
    assert error.node_id == "bad"


async def test_an_input_generator_is_closed_when_the_stream_is():
    closed = asyncio.Event()

    async def inputs():
        try:
            for number in range(10**9):
                yield Json(number)
        finally:
            closed.set()

    async with (
        asyncio.timeout(PATIENCE_S),
        chain("Pass", placed="process").session() as session,
        contextlib.aclosing(session.stream(inputs())) as outputs,
    ):
        async for packet in outputs:
            if packet.sequence == 10:
                break
    assert closed.is_set()


@pytest.mark.parametrize("placed", ["local", "process"])
async def test_sending_at_the_wrong_time(placed):
    session = chain("Pass", placed=placed).session()
    with pytest.raises(UsageError):
        await session.send(Json(0))
    async with asyncio.timeout(PATIENCE_S), session:
        await session.send(Json(1))
        await session.end_input()
        await session.end_input()
        with pytest.raises(EdgeClosedError):
            await session.send(Json(2))
        assert [packet.payload for packet in [p async for p in session.outputs()]] == [Json(1)]
        with pytest.raises(EdgeClosedError):
            await session.send(Json(3))
        assert await session.receive() is None
    with pytest.raises(EdgeClosedError):
        await session.send(Json(4))
    assert await session.receive() is None
    with pytest.raises(UsageError):
        await session.start()


@pytest.mark.parametrize("placed", ["local", "process"])
async def test_closing_twice_and_at_once(placed):
    session = chain("Pass", placed=placed).session()
    await session.start()
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(session.aclose(), session.aclose(), session.aclose())
        await session.aclose()
    assert session.phase == "closed"
    session.cancel()
    assert session.phase == "closed"


async def test_closing_what_was_never_started():
    session = chain("Pass", placed="process").session()
    async with asyncio.timeout(PATIENCE_S):
        await session.aclose()
    assert session.phase == "closed"
    with pytest.raises(UsageError):
        await session.start()


@pytest.mark.parametrize("placed", PLACEMENTS)
async def test_closing_while_it_starts(placed):
    nodes = {
        "a": "Pass",
        "slow": ("Misbehave", {"when": "initialize", "what": "nothing", "seconds": 60}),
    }
    places = {"a": "process"} if placed == "alternating" else placed
    session = graph(nodes, ["a->slow"], placed=places).session()
    starting = asyncio.create_task(session.start())
    await asyncio.sleep(0)
    async with asyncio.timeout(SOON_S):
        await session.aclose()
        with pytest.raises((StartupError, EdgeClosedError)):
            await starting
    assert session.phase == "closed"


@pytest.mark.parametrize("placed", PLACEMENTS)
async def test_cancel_wakes_who_waits(placed):
    session = chain("Pass", placed=placed, channel_capacity=1).session()
    await session.start()
    receiving = asyncio.create_task(session.receive())

    async def send():
        for number in range(1000):
            await session.send(Json(number))

    sending = asyncio.create_task(send())
    async with asyncio.timeout(PATIENCE_S):
        assert (await receiving).payload == Json(0)
        session.cancel()
        with pytest.raises(EdgeClosedError):
            await sending
        assert await session.receive() is None
        await session.aclose()


@pytest.mark.parametrize("ends", ["aclose", "cancel", "kill"])
@pytest.mark.parametrize("placed", ["local", "process"])
async def test_a_stream_that_is_cut_short_says_so(placed, ends):
    session = chain("Pass", placed=placed).session()
    received = []

    async def read():
        async for packet in session.stream(Json(number) for number in range(100_000)):
            received.append(packet.payload.value)
            if len(received) == 10:
                ending = getattr(session, ends)()
                if ending is not None:
                    await ending

    async with asyncio.timeout(PATIENCE_S), session:
        with pytest.raises(EdgeClosedError, match="the session"):
            await read()
    assert received == list(range(10))
    assert session.statistics().outputs == 10


async def test_a_reader_that_waits_is_told_that_the_session_was_closed():
    gate = asyncio.Event()

    async def inputs():
        yield Json(0)
        gate.set()
        await asyncio.Event().wait()

    async def read(session):
        return [packet.payload async for packet in session.stream(inputs())]

    async with asyncio.timeout(PATIENCE_S), chain("Pass", placed="process").session() as session:
        reading = asyncio.create_task(read(session))
        await gate.wait()
        await session.aclose()
        with pytest.raises(EdgeClosedError, match=r"closed while `stream` ran: [01] outputs"):
            await reading


async def test_a_stream_that_gave_everything_ends_whoever_closes_the_session():
    async with asyncio.timeout(PATIENCE_S), chain("Pass", placed="process").session() as session:
        packets = aiter(session.stream([Json(0)]))
        assert (await anext(packets)).payload == Json(0)
        while not (session.phase == "finished" and session._exits.ended):
            await session._wait_changed()
        await session.aclose()
        assert await anext(packets, None) is None


async def test_outputs_nobody_takes_do_not_delay_the_close():
    pipeline = graph({"g": ("Burst", {"count": 90}), "p": "Pass"}, ["g->p"], placed="process")
    session = pipeline.session()
    first_finished = asyncio.Event()
    stage_finished = session.stage_finished

    def note_finished(stage):
        stage_finished(stage)
        first_finished.set()

    session.stage_finished = note_finished
    async with asyncio.timeout(PATIENCE_S), session:
        await session.send(Json("go"))
        await session.end_input()
        assert (await session.receive()).index == 0
        await first_finished.wait()  # g; p has the rest and waits for us
        begun_s = time.monotonic()
    # Well below the first step of the ladder, 0.4 of the grace period of 3 s.
    assert time.monotonic() - begun_s < 1.0


async def test_a_pipeline_that_takes_only_so_much_is_no_obstacle():
    nodes = {"a": "Pass", "f": ("First", {"count": 3}), "c": "Pass"}
    outputs = await run(graph(nodes, ["a->f", "f->c"], placed="process"), numbers(5000))
    assert [packet.sequence for packet in outputs] == [0, 1, 2]


@pytest.mark.parametrize("placed", ["local", "process"])
@pytest.mark.parametrize("stubborn", [False, True])
async def test_a_coroutine_that_never_ends_does_not_hold_the_close(placed, stubborn):
    pipeline = chain("Forever", placed={"bad": placed}, params={"stubborn": stubborn})
    async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
        await session.send(Json(1))
        await asyncio.sleep(0)
        begun_s = time.monotonic()
    assert time.monotonic() - begun_s < 2 * 3.0 + 1.0
    if placed == "local" and stubborn:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            with contextlib.suppress(RuntimeError):
                task.get_coro().throw(GeneratorExit)


# --------------------------------------------------------------------------------- again and again


async def one_session(placed="process", count=30):
    pipeline = chain("Mark", placed=placed)
    return len(await run(pipeline, [Audio(np.zeros(20_000, np.float32), 8000)] * count))


async def test_twenty_sessions_in_a_row_leave_nothing():
    before = Footprint.take()
    for _ in range(20):
        assert await one_session() == 30
    assert not what_is_left(before)


async def test_five_sessions_at_once_leave_nothing():
    before = Footprint.take()
    assert await asyncio.gather(*(one_session() for _ in range(5))) == [30] * 5
    assert not what_is_left(before)


async def test_failures_at_once_stay_apart():
    def failing(number):
        what = ["raise", "kill", "nothing"][number % 3]
        return chain("Misbehave", placed="process", params={"what": what, "at": number})

    async def outcome(number):
        try:
            return len(await run(failing(number), numbers()))
        except RemoteMediaError as error:
            return type(error), error.node_id

    outcomes = await asyncio.gather(*(outcome(number) for number in range(6)))
    expected = [(NodeError, "bad"), (WorkerCrashedError, "bad"), 20]
    assert outcomes == expected * 2


async def test_descriptors_that_run_out_are_an_error_and_nothing_is_left(monkeypatch):
    # As where another thread takes them after the session was let in.
    monkeypatch.setattr("engine.limits.check_descriptors", lambda *_: None)
    pipeline = chain("Pass", placed="process")
    before = Footprint.take()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = free_descriptors()
    errors = []
    for spare in range(2, 40, 3):
        resource.setrlimit(resource.RLIMIT_NOFILE, (free[spare], hard))
        try:
            async with asyncio.timeout(PATIENCE_S):
                await run(pipeline, numbers(2))
        except RemoteMediaError as error:
            errors.append(error.message)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert not what_is_left(before)
    assert errors
    assert all("oo many open files" in message for message in errors)


def free_descriptors():
    """The numbers that the next descriptors will get."""
    taken = {int(path.name) for path in Path("/proc/self/fd").iterdir()}
    return [number for number in range(1000) if number not in taken]


# --------------------------------------------------------------------------------- loops, threads


def test_three_loops_one_after_the_other():
    for _ in range(3):
        assert asyncio.run(one_session()) == 30


def test_sessions_in_two_threads_at_once():
    results = []

    def work():
        results.extend(asyncio.run(one_session()) for _ in range(3))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert results == [30] * 6


@pytest.mark.parametrize("placed", PLACEMENTS)
def test_on_uvloop(placed):
    assert uvloop.run(one_session(placed)) == 30


def test_a_failure_on_uvloop():
    async def main():
        error, _ = await failure_of(chain("Misbehave", placed="process", params={"what": "kill"}))
        assert type(error) is WorkerCrashedError

    uvloop.run(main())


def test_run_within_a_running_loop():
    async def main():
        return chain("Mark", placed="process").run(numbers(5))

    assert len(asyncio.run(main())) == 5


def test_interrupting_a_run_from_the_keyboard(tmp_path):
    progress = str(tmp_path / "progress")
    nodes = {"g": ("Burst", {"count": 10**9, "progress": progress}), "p": "Pass"}
    pipeline = graph(nodes, ["g->p"], placed="process")

    def interrupt():
        deadline_s = time.monotonic() + PATIENCE_S
        while Counter.read(progress) < 100 and time.monotonic() < deadline_s:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        pipeline.run([Json("go")])
    thread.join()
