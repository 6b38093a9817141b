"""A session without a loop of one's own: sending, reading, errors, ends."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from concurrent.futures import Future
from queue import SimpleQueue

import pytest

from engine.config import Settings
from engine.errors import EdgeClosedError, NodeError, UsageError
from engine.operator import Operator
from engine.payloads import Json, Text
from engine.pipeline import Pipeline
from engine.session.blocking import LoopThread, _Puller


class Upper(Operator):
    def process(self, packet, ctx):
        return Text(packet.payload.text.upper())


class Refuse(Operator):
    def process(self, packet, ctx):
        raise ValueError("no")


class Pair(Operator):
    inputs = ("left", "right")
    joins = True

    def process(self, packet, ctx):
        return Json({port: member.payload.text for port, member in packet.items()})


def _pipeline(*operators):
    pipeline = Pipeline("x", settings=Settings(channel_capacity=4))
    for operator in operators:
        pipeline = pipeline | operator
    return pipeline


def _texts(packets):
    return [packet.payload.text for packet in packets]


def test_sending_and_receiving_wait():
    with _pipeline(Upper()).blocking_session() as session:
        assert session.send(Text("a")) == 0
        packet = session.receive(timeout_s=10)
        assert packet.payload.text == "A"
        assert session.phase == "running"
        session.end_input()
        assert session.receive() is None
        assert session.statistics().session_id == session.id


def test_a_timeout_loses_nothing():
    with _pipeline(Upper()).blocking_session() as session:
        with pytest.raises(TimeoutError):
            session.receive(timeout_s=0.01)
        session.send(Text("a"))
        assert session.receive(timeout_s=10).payload.text == "A"


def test_one_thread_sends_while_another_reads():
    texts = [f"t{number}" for number in range(50)]
    with _pipeline(Upper(), Upper()).blocking_session() as session:

        def send():
            for text in texts:
                session.send(Text(text))
            session.end_input()

        thread = threading.Thread(target=send)
        thread.start()
        assert _texts(session.outputs()) == [text.upper() for text in texts]
        thread.join()


def test_a_stream_is_read_by_for():
    inputs = (Text(f"t{number}") for number in range(50))
    assert _texts(_pipeline(Upper()).stream(inputs)) == [f"T{number}" for number in range(50)]


def test_an_input_that_blocks_holds_no_output_up():
    """What comes next is only known once the last answer was read."""
    questions = SimpleQueue()
    questions.put("first")

    def ask():
        while (question := questions.get(timeout=30)) != "end":
            yield Text(question)

    answers = []
    for packet in _pipeline(Upper()).stream(ask()):
        answers.append(packet.payload.text)
        questions.put("end" if len(answers) == 3 else f"after {len(answers)}")
    assert answers == ["FIRST", "AFTER 1", "AFTER 2"]


def test_an_asynchronous_input_is_taken_without_a_loop():
    async def inputs():
        for number in range(3):
            await asyncio.sleep(0)
            yield Text(f"t{number}")

    assert _texts(_pipeline(Upper()).stream(inputs())) == ["T0", "T1", "T2"]
    assert _texts(_pipeline(Upper()).run(inputs())) == ["T0", "T1", "T2"]


async def test_a_stream_is_read_by_async_for():
    stream = _pipeline(Upper()).stream([Text("a"), Text("b")])
    assert [packet.payload.text async for packet in stream] == ["A", "B"]
    assert _texts(await _pipeline(Upper()).arun([Text("a")])) == ["A"]


def test_groups_are_payloads_by_port():
    group = {"right": Text("r"), "left": Text("l")}
    (packet,) = _pipeline(Pair()).run([group])
    assert packet.payload.value == {"left": "l", "right": "r"}
    (packet,) = _pipeline(Pair()).run([("pair", group)])
    assert packet.payload.value == {"left": "l", "right": "r"}
    with _pipeline(Pair()).blocking_session() as session:
        session.send_group(group)
        assert session.receive(timeout_s=10).payload.value == {"left": "l", "right": "r"}


def test_a_failing_node_ends_the_iteration_with_its_error():
    with pytest.raises(NodeError, match="'refuse' failed in process"):
        list(_pipeline(Refuse()).stream([Text("a")]))
    with _pipeline(Refuse()).blocking_session() as session:
        session.send(Text("a"))
        with pytest.raises(NodeError, match="'refuse' failed"):
            session.receive()


def test_an_error_in_the_inputs_reaches_the_caller():
    def inputs():
        yield Text("a")
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged"):
        list(_pipeline(Upper()).stream(inputs()))


def test_leaving_early_ends_the_session_and_its_threads():
    before = threading.active_count()
    for packet in _pipeline(Upper()).stream(Text("a") for _ in range(10_000)):
        assert packet.payload.text == "A"
        break
    for thread in threading.enumerate():
        if thread.name == "remotemedia-inputs":
            thread.join(timeout=10)
    assert threading.active_count() == before


def test_cancelling_drops_what_is_queued():
    with _pipeline(Upper()).blocking_session() as session:
        session.send(Text("a"))
        session.cancel()
        assert list(session.outputs()) in ([], [session])
        with pytest.raises(EdgeClosedError, match="nothing can be sent: the session is"):
            session.send(Text("b"))


def test_a_session_is_used_inside_its_block():
    session = _pipeline(Upper()).blocking_session()
    with pytest.raises(UsageError, match="use it inside its `with` block"):
        session.send(Text("a"))
    with session:
        session.send(Text("a"))
    session.close()
    with pytest.raises(UsageError, match="use it inside its `with` block"):
        session.receive()


def test_a_blocking_call_on_the_sessions_own_thread_is_refused():
    said = []

    class Reenter(Operator):
        def process(self, packet, ctx):
            with pytest.raises(UsageError, match="would wait for itself") as caught:
                session.send(Text("b"))
            said.append(caught.value.message)
            return packet

    with _pipeline(Reenter()).blocking_session() as session:
        session.send(Text("a"))
        session.receive(timeout_s=10)
    assert len(said) == 1


def test_a_failed_start_leaves_no_thread():
    class Broken(Upper):
        async def initialize(self, ctx):
            raise OSError("no weights")

    before = threading.active_count()
    with pytest.raises(NodeError, match="no weights"), _pipeline(Broken()).blocking_session():
        pass
    assert threading.active_count() == before


def test_a_class_made_in_a_function_runs_local():
    class Reverse(Operator):
        def process(self, packet, ctx):
            return Text(packet.payload.text[::-1])

    first = _pipeline(Reverse())

    class Reverse(Operator):
        def process(self, packet, ctx):
            return Text(packet.payload.text * 2)

    assert _texts(first.run([Text("ab")])) == ["ba"]
    assert _texts(_pipeline(Reverse()).run([Text("ab")])) == ["abab"]


class Interrupted(Operator):
    def process(self, packet, ctx):
        raise KeyboardInterrupt


class Unending:
    """Raises where it is asked for its iterator."""

    def __iter__(self):
        raise SystemExit(3)


def _raising(error):
    yield Text("a")
    raise error


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), ValueError("no")]
)
def test_whatever_an_iterable_raises_is_raised_behind_what_it_gave(error):
    stream = _pipeline(Upper()).stream(_raising(error))
    packets = iter(stream)
    assert next(packets).payload.text == "A"
    with pytest.raises(type(error)) as raised:
        next(packets)
    assert raised.value is error


def test_an_iterable_that_ends_the_process_at_once():
    with pytest.raises(SystemExit):
        list(_pipeline(Upper()).stream(Unending()))


def test_what_ends_the_process_on_the_sessions_thread_reaches_whoever_waits():
    async def inputs():
        yield Text("a")
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        list(_pipeline(Upper()).stream(inputs()))
    with pytest.raises(KeyboardInterrupt):
        list(_pipeline(Interrupted()).stream([Text("a")]))


def test_a_caller_that_is_interrupted_waits_until_its_call_has_ended(monkeypatch):
    started = threading.Event()
    ended = []

    async def runs():
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    def interrupted(self, timeout=None):
        assert started.wait(10)
        raise KeyboardInterrupt

    with LoopThread("test") as thread:
        with monkeypatch.context() as patch:
            patch.setattr(Future, "result", interrupted)
            with pytest.raises(KeyboardInterrupt):
                thread.call(runs)
        assert ended == [True]


def test_a_stream_may_be_dropped_after_its_session(monkeypatch):
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    with _pipeline(Upper()).blocking_session() as session:
        packets = session.stream([Text("a"), Text("b")])
        next(packets)
    del packets
    gc.collect()
    assert unraisable == []


def test_it_is_entered_once():
    with _pipeline(Upper()).blocking_session() as session:
        with pytest.raises(UsageError, match="open already"):
            session.__enter__()
        session.send(Text("a"))
        assert session.receive().payload.text == "A"


async def test_the_thread_of_the_inputs_ends_although_nobody_closes_their_items():
    """As where sending fails: the exception holds the frame that iterates."""
    puller = _Puller([Text("a"), Text("b")])
    items = puller.items()
    assert await anext(items) == Text("a")
    await asyncio.to_thread(puller.join)
    assert not puller._thread.is_alive()
    await items.aclose()


def test_statistics_stay_readable_after_the_end():
    with _pipeline(Upper()).blocking_session() as session:
        assert len(list(session.stream([Text("a"), Text("b")]))) == 2
    statistics = session.statistics()
    assert statistics.outputs == 2
    assert statistics.nodes["upper"].emitted == 2
    with (
        pytest.raises(NodeError),
        _pipeline(Refuse()).blocking_session() as failed,
    ):
        list(failed.stream([Text("a")]))
    assert failed.statistics().nodes["refuse"].received == 1
    assert _pipeline(Upper()).blocking_session().statistics().outputs == 0


@pytest.mark.parametrize("ends", ["all read", "left early", "failed"])
def test_a_source_is_closed_when_the_stream_ends(ends):
    closed = threading.Event()

    def microphone():
        try:
            for number in range(1_000):
                yield Text(str(number))
        finally:
            closed.set()

    pipeline = _pipeline(Refuse() if ends == "failed" else Upper())
    source = microphone()
    stream = iter(pipeline.stream(source))
    if ends == "failed":
        with pytest.raises(NodeError):
            list(stream)
    elif ends == "left early":
        next(stream)
        stream.close()
    else:
        assert len(list(stream)) == 1_000
    assert closed.is_set()
    assert source.gi_frame is None


async def test_run_takes_a_generator_in_and_outside_a_loop():
    def texts():
        yield Text("a")

    assert _texts(_pipeline(Upper()).run(texts())) == ["A"]
    assert _texts(await asyncio.to_thread(_pipeline(Upper()).run, texts())) == ["A"]
