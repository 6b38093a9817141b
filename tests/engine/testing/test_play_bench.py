"""engine.testing.play_bench: scripts played to operators on a bench, on both hosts."""

import asyncio

import numpy as np
import pytest

from engine.errors import EdgeClosedError, NodeError, UsageError
from engine.operator import Operator
from engine.payloads import Audio, Text
from engine.testing import HangError, Script, StageBench, run_virtual
from tests.engine.stage_helpers import Join, operator, repeat, texts

SCRIPT = Script.marbles("-a--b-|")


def later(seconds, times=1):
    """Hands a text out after a while, again and again."""

    def process(packet, ctx):
        def emit(left):
            ctx.emit(packet)
            if left > 1:
                ctx.call_later(seconds, lambda: emit(left - 1))

        ctx.call_later(seconds, lambda: emit(times))

    return operator(process)


class KeepOpen(Operator):
    """Its flush waits for a second: it ends later than its input."""

    def process(self, packet, ctx):
        return packet

    async def flush(self, ctx):
        await asyncio.sleep(1)


@pytest.fixture(params=["host", "loop"])
def play(request):
    """Plays a script to operators on a virtual host, or on a loop on virtual time."""

    def on_host(operators, script, **how):
        kept = how.pop("capacity", 64)
        return StageBench(operators, capacity=kept).play(script, **how)

    def on_loop(operators, script, **how):
        kept = how.pop("capacity", 64)

        async def main():
            return await StageBench(operators, capacity=kept).aplay(script, **how)

        return run_virtual(main())

    return on_host if request.param == "host" else on_loop


def test_outputs_have_the_time_at_which_they_came(play):
    play(operator(), SCRIPT).expect("-a--b-|")
    play(repeat(2), SCRIPT).expect([(0.1, "a.0"), (0.1, "a.1"), (0.4, "b.0"), (0.4, "b.1")])


def test_timers_come_at_their_time_and_after_the_end(play):
    script = Script.marbles("-a--b-", timespan_s=0.1)
    recording = play(later(0.25, times=2), script, until_s=2)
    recording.expect([(0.35, "a"), (0.6, "a"), (0.65, "b"), (0.9, "b")])
    assert recording.ended_ns is None


def test_an_end_that_takes_time_is_seen():
    async def main():
        return await StageBench(KeepOpen()).aplay(SCRIPT)

    run_virtual(main()).expect([(0.1, "a"), (0.4, "b")])
    assert run_virtual(main()).ended_s == 1.6


def test_what_is_held_comes_at_the_end(play):
    play(Join(9), SCRIPT).expect("------(j,|)", {"j": "a+b"})


def test_it_begins_where_the_bench_is():
    bench = StageBench(operator())
    bench.feed(Text("before"))
    bench.advance(100)
    bench.play(Script.marbles("-a-b")).expect("-a-b")
    bench.play(Script.marbles("-c-|")).expect("-c-|")
    assert bench.clock.now_ns() == pytest.approx(100.6e9)


def test_inputs_go_where_the_script_says(play):
    def say(packet, ctx):
        return Text(f"{packet.port}:{packet.payload.text}")

    one = operator(say, inputs=("left", "right"))
    script = Script().send(0.1, Text("x"), port="right").send(0.2, Text("y")).end(0.3)
    play(one, script).expect([(0.1, "right:x"), (0.2, "left:y")])


def test_several_sources_and_sinks():
    bench = StageBench({"a": operator(), "b": operator()}, links=[])
    script = Script.marbles("x-|", node="a") + Script.marbles("-y-|", node="b")
    recording = bench.play(script)
    assert recording.of("a").values == ["x"]
    assert recording.of("b").values == ["y"]
    assert recording.ended_s == 0.3


def test_groups_and_headers_are_played(play):
    def join(group, ctx):
        return Text("+".join(packet.payload.text for packet in group.values()))

    joining = operator(join, inputs=("left", "right"), joins=True)
    group = {"left": Text("x"), "right": Text("y")}
    script = Script().send_group(0.1, group, timestamp_ns=5, metadata={"who": "me"}).end(0.2)
    recording = play(joining, script)
    recording.expect([(0.1, "x+y")])
    (packet,) = recording.packets
    assert (packet.timestamp_ns, dict(packet.metadata)) == (5, {"who": "me"})


def test_media_time_is_what_a_session_would_stamp(play):
    blocks = [Audio(np.zeros(160, np.float32), 8_000)] * 2
    script = Script().send_every(0.3, [*blocks, Text("x")]).end(1)
    packets = play(operator(), script).packets
    assert [packet.timestamp_ns for packet in packets] == [0, 20_000_000, 600_000_000]
    assert [packet.ingress_ns for packet in packets] == [0, 300_000_000, 600_000_000]


def test_media_time_is_counted_for_each_port(play):
    block = Audio(np.zeros(160, np.float32), 8_000)
    script = Script().send(0, block, port="a").send(0.1, block, port="b").send(0.2, block, port="a")
    script = script.send_group(0.3, {"a": block, "b": block}).end(1)
    packets = play(operator(inputs=("a", "b")), script).packets
    assert [packet.timestamp_ns for packet in packets] == [0, 0, 20_000_000] + [40_000_000] * 2


def test_an_interrupt_makes_stale_what_was_sent(play):
    recording = play(Join(2), Script.marbles("-a--b-c-|").interrupt(0.2))
    recording.expect("------c-|", {"c": "b+c"})
    assert recording.packets[0].generation == 1


def test_an_error_is_raised_or_recorded(play):
    def process(packet, ctx):
        raise ValueError("no")

    with pytest.raises(NodeError, match="ValueError: no"):
        play(operator(process), SCRIPT)
    recording = play(operator(process), SCRIPT, record_errors=True)
    recording.expect("-#")
    assert recording.error.node_id == "node"


def test_a_producer_that_fails_fails_the_stage(play):
    with pytest.raises(EdgeClosedError, match="the producer failed: ScriptedError"):
        play(operator(), Script.marbles("-a-#"))


def test_what_was_sent_when_is_known(play):
    recording = play(operator(), SCRIPT)
    assert recording.sent == ((0.1, Text("a")), (0.4, Text("b")))


def test_what_it_calls_gets_the_bench(play):
    seen = []
    play(operator(), SCRIPT.call(0.2, lambda bench: seen.append(bench.values)))
    assert seen == [["a"]]


def test_coroutines_are_called_in_a_loop_only():
    seen = []

    async def look(bench):
        await asyncio.sleep(0.05)
        seen.append(asyncio.get_running_loop().time())

    async def main():
        return await StageBench(operator()).aplay(SCRIPT.call(0.2, look))

    run_virtual(main())
    assert seen == [0.25]


def test_a_coroutine_is_referred_to_a_loop():
    future = asyncio.Future(loop=asyncio.new_event_loop())
    with pytest.raises(UsageError, match=r"play it by aplay\(\)"):
        StageBench(operator()).play(SCRIPT.call(0.2, lambda bench: future))
    future.get_loop().close()


def test_credits_that_a_sink_keeps_hold_the_source_back():
    bench = StageBench(operator(), capacity=1)
    bench.sink().withholding = True
    script = Script().send_every(0, texts(4)).call(1, lambda bench: bench.sink().release())
    recording = bench.play(script)
    assert recording.timed == [(0, Text("0")), (1, Text("1"))]


def test_timers_without_an_end_are_found(monkeypatch):
    monkeypatch.setattr("engine.testing.play_bench.TIMERS_MAX", 100)
    endless = later(0.1, times=10**9)
    with pytest.raises(HangError, match="still has timers after 100: say until_s"):
        StageBench(endless).play(Script.marbles("a"))
    assert len(StageBench(endless).play(Script.marbles("a"), until_s=1).events) == 10


def test_in_a_loop_a_script_that_never_ends_needs_a_time_to_stop():
    async def main():
        await StageBench(operator()).aplay(Script.marbles("a"))

    with pytest.raises(UsageError, match="never ends its input"):
        run_virtual(main())


def test_a_stage_is_stopped_in_a_loop_too():
    async def main():
        bench = StageBench(operator())
        recording = await bench.aplay(Script.marbles("a-----b"), until_s=0.3)
        assert bench.stage.done
        return recording

    run_virtual(main()).expect("a")
