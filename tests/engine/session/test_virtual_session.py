"""A whole session on virtual time: everything in it takes its time from the loop it runs on."""

import asyncio
import time

import pytest

from engine.config import Settings
from engine.errors import InitTimeoutError, UsageError
from engine.operator import Operator
from engine.payloads import CancelSpeculation, Control, Text
from engine.pipeline import Pipeline
from engine.testing import Reader, Script, play, run_virtual


class Hold(Operator):
    """Hands a text out half a second later, by a timer."""

    stateful = True

    async def initialize(self, ctx):
        self.held = []

    def process(self, packet, ctx):
        self.held.append(packet)
        ctx.call_later(0.5, lambda: ctx.emit(self.held.pop(0)))

    def flush(self, ctx):
        held, self.held = self.held, []
        return held

    def reset(self, ctx):
        self.held = []


class Think(Operator):
    """Takes three seconds for each packet, as a model does."""

    async def process(self, packet, ctx):
        await asyncio.sleep(3)
        return packet


class UpperInThread(Operator):
    """Computes in a thread."""

    async def process(self, packet, ctx):
        return Text(await asyncio.to_thread(packet.payload.text.upper))


class SlowToStart(Operator):
    """Loads for ten seconds."""

    async def initialize(self, ctx):
        await asyncio.sleep(10)

    def process(self, packet, ctx):
        return packet


def pipeline(*operators, **settings):
    made = Pipeline("virtual", settings=Settings(**settings))
    for operator in operators:
        made = made | operator
    return made


@pytest.fixture(autouse=True)
def _without_sleep(monkeypatch):
    def refuse(*_):
        raise AssertionError("something slept for real")

    monkeypatch.setattr(time, "sleep", refuse)


def test_timers_fire_at_their_virtual_time_to_the_nanosecond():
    recording = run_virtual(play(pipeline(Hold().on("local")), Script.marbles("-a--b------|")))
    recording.expect("------a--b-|")


def test_coroutine_operators_wait_on_virtual_time():
    recording = run_virtual(play(pipeline(Think().on("local")), Script.marbles("(a,b,|)")))
    recording.expect([(3, "a"), (6, "b")])
    assert recording.ended_s == 6


def test_packets_are_stamped_with_virtual_time():
    async def scenario():
        await asyncio.sleep(100)
        script = Script().send(0.25, Text("a")).send(1.5, Text("b")).end(2)
        return await play(pipeline(Think().on("local")), script)

    packets = run_virtual(scenario()).packets
    assert [packet.timestamp_ns for packet in packets] == [250_000_000, 1_500_000_000]
    assert [packet.ingress_ns for packet in packets] == [100_250_000_000, 101_500_000_000]


def test_statistics_count_virtual_time():
    async def scenario():
        async with pipeline(Think().on("local")).session() as session:
            async for _ in session.stream([Text("a")]):
                pass
            return session.statistics().nodes["think"]

    assert run_virtual(scenario()).waited_ns == 3_000_000_000


def test_a_thread_works_while_the_clock_stands():
    script = Script.marbles("a-(b,|)")
    recording = run_virtual(play(pipeline(UpperInThread().on("local"), Hold().on("local")), script))
    recording.expect([(0.2, "A"), (0.2, "B")])


def test_a_slow_reader_holds_the_source_back():
    script = Script().send_every(0, [Text(str(number)) for number in range(6)]).end(0)
    nodes = (Think().on("local"), Think().on("local"))
    recording = run_virtual(
        play(pipeline(*nodes, channel_capacity=1), script, reader=Reader(every_s=20))
    )
    assert recording.times_s == [6, 26, 46, 66, 86, 106]
    first_s, *_, last_s = [at_s for at_s, _ in recording.sent]
    assert (first_s, last_s > 40) == (0, True)


def test_the_limit_of_a_start_is_virtual_too():
    async def scenario():
        with pytest.raises(InitTimeoutError, match="after 4s in node 'slow_to_start'"):
            await pipeline(SlowToStart().on("local"), init_timeout_s=4).session().start()
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == pytest.approx(4, abs=0.1)


def test_a_session_of_a_day_takes_no_time():
    script = Script().send_every(60, [Text("tick")] * 1440).end(86_400)
    recording = run_virtual(play(pipeline(Hold().on("local")), script))
    assert recording.times_s == [minute * 60 + 0.5 for minute in range(1440)]


def test_a_node_in_a_process_is_refused_by_name_and_nothing_starts():
    nodes = (Hold().on("local"), Think().named("model").on("process"))

    async def scenario():
        session = pipeline(*nodes).session()
        with pytest.raises(UsageError) as caught:
            await session.start()
        return session.phase, session.stages, caught.value.message

    phase, stages, message = run_virtual(scenario())
    assert (phase, stages) == ("closed", ())
    assert message == (
        "on virtual time every node runs local, and 'model' would run in a process, whose clock is"
        ' real: place it with .on("local") or "executor": "local", or run the session by'
        " asyncio.run"
    )


@pytest.mark.parametrize("again", [False, True])
def test_a_span_is_taken_back_at_the_instant_it_was_sent_and_may_be_sent_again(again):
    async def taken_back():
        async with (Pipeline("v") | Think()).session() as session:
            await session.send(Text("x"), timestamp_ns=5)
            await session.control(Control(CancelSpeculation(0, 10)))
            if again:
                await session.send(Text("y"), timestamp_ns=5)
            await session.end_input()
            return [packet.payload.text async for packet in session.outputs()]

    assert run_virtual(taken_back()) == ["y"] * again
