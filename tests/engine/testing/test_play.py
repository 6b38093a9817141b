"""engine.testing.play: scripts played to whole sessions."""

import asyncio

import numpy as np
import pytest

from engine.config import Settings
from engine.errors import NodeError, UsageError
from engine.operator import Operator
from engine.payloads import Audio, Text
from engine.pipeline import Pipeline
from engine.testing import HangError, Reader, Script, ScriptedError, play, run_virtual, source


class Echo(Operator):
    def process(self, packet, ctx):
        if packet.payload == Text("bad"):
            raise ValueError("no")
        return packet


class Pair(Operator):
    inputs = ("left", "right")
    joins = True

    def process(self, group, ctx):
        return Text(f"{group['left'].payload.text}+{group['right'].payload.text}")


class First(Operator):
    """Says which port a packet came to."""

    inputs = ("left", "right")

    def process(self, packet, ctx):
        return Text(f"{packet.port}:{packet.payload.text}")


def played(target, script, **how):
    return run_virtual(play(target, script, **how))


def many(count):
    return Script().send_every(0, [Text(str(number)) for number in range(count)]).end(0)


# ------------------------------------------------------------------------------- what is played


@pytest.mark.parametrize(
    "target",
    [Echo(), Echo().on("local"), Echo() | Echo(), Pipeline("p", settings=Settings()) | Echo()],
    ids=["operator", "placed", "flow", "pipeline"],
)
def test_whatever_makes_a_session_can_be_played_to(target):
    played(target, Script.marbles("-a--b-|")).expect("-a--b-|")


def test_inputs_go_where_the_script_says():
    script = Script().send(0.1, Text("x"), port="right").send(0.2, Text("y")).end(0.3)
    played(First(), script).expect([(0.1, "right:x"), (0.2, "left:y")])
    pipeline = Pipeline("two", settings=Settings()) | (Echo().named("a") & Echo().named("b"))
    recording = played(
        pipeline, Script.marbles("x---|", node="a") + Script.marbles("--y", node="b")
    )
    assert recording.of("a").timed == [(0, Text("x"))]
    assert recording.of("b").timed == [(0.2, Text("y"))]


def test_groups_are_played_whole():
    script = Script().send_group(0.1, {"left": Text("x"), "right": Text("y")}).end(0.2)
    played(Pair(), script).expect([(0.1, "x+y")])


def test_headers_are_played():
    script = Script().send(0, Text("x"), timestamp_ns=77, metadata={"who": "me"}).end(0)
    (packet,) = played(Echo(), script).packets
    assert (packet.timestamp_ns, dict(packet.metadata)) == (77, {"who": "me"})


def test_what_is_called_gets_the_session():
    seen = []

    async def look(session):
        await asyncio.sleep(0.5)
        seen.append(session.phase)

    script = Script.marbles("a----|").call(0.1, look).call(0.2, lambda s: seen.append(s.phase))
    recording = played(Echo(), script)
    assert seen == ["running", "running"]
    assert recording.ended_s == 0.6  # the script waits for what it calls


def test_a_session_can_be_cancelled_by_its_script():
    script = Script.marbles("a---b|").call(0.2, lambda session: session.cancel())
    assert played(Echo(), script).values == ["a"]


# ------------------------------------------------------------------------------- how it ends


def test_a_script_that_never_ends_needs_a_time_to_stop():
    endless = Script.marbles("-a-b-")
    with pytest.raises(UsageError, match=r"never ends its input: end it with \.end\(at_s\)"):
        played(Echo(), endless)
    recording = played(Echo(), endless, until_s=0.2)
    recording.expect("-a-")
    assert recording.ended_s is None


def test_an_error_of_a_node_is_raised_or_recorded():
    script = Script.marbles("-a-b-c|", {"b": Text("bad")})
    with pytest.raises(NodeError, match="ValueError: no"):
        played(Echo(), script)
    recording = played(Echo(), script, record_errors=True)
    recording.expect("-a-#")
    assert recording.error.node_id == "echo"


def test_an_error_of_the_source_is_raised_or_recorded():
    with pytest.raises(ScriptedError, match="the script says #"):
        played(Echo(), Script.marbles("-a-#"))
    error = OSError("the cable is out")
    recording = played(Echo(), Script.marbles("-a-#", error=error), record_errors=True)
    recording.expect("-a-#")
    assert recording.error is error


@pytest.mark.parametrize("record_errors", [False, True])
def test_a_mistake_of_the_script_is_never_recorded(record_errors):
    script = Script().send(0, Text("x"), port="nowhere").end(1)
    with pytest.raises(UsageError, match="nowhere"):
        played(Echo(), script, record_errors=record_errors)


def test_a_sessions_input_ends_with_the_last_node_that_is_ended():
    pipeline = Pipeline("two", settings=Settings()) | (Echo().named("a") & Echo().named("b"))
    script = Script.marbles("a|", node="a") + Script.marbles("--b-|", node="b")
    recording = played(pipeline, script)
    assert (recording.values, recording.ended_s) == (["a", "b"], 0.4)


def test_a_session_is_interrupted():
    recording = played(Pipeline("p") | Echo(), Script.marbles("a-b|").interrupt(0.1))
    assert [packet.generation for packet in recording.packets] == [0, 1]


# ------------------------------------------------------------------------------- readers


def test_a_slow_reader_takes_one_at_a_time():
    played(Echo(), many(4), reader=Reader(every_s=1)).expect(
        [(0, "0"), (1, "1"), (2, "2"), (3, "3")]
    )


def test_a_reader_may_stop_for_a_while():
    script = Script.marbles("-a-b-c-d-|")
    reader = Reader(stops_s=0.4, resumes_s=2)
    played(Echo(), script, reader=reader).expect([(0.1, "a"), (0.3, "b"), (2, "c"), (2, "d")])


def test_a_reader_that_stops_for_ever_stops_the_source_and_is_found():
    pipeline = Pipeline("p", settings=Settings(channel_capacity=2)) | Echo()
    with pytest.raises(HangError) as caught:
        played(pipeline, many(50), reader=Reader(stops_s=0))
    text = str(caught.value)
    assert "stage 'echo' waits for a credit of edge" in text
    assert "its consumer has 2 of 2, and 1 more wait behind it" in text
    assert "scripted source waits at" in text
    recording = played(pipeline, many(50), reader=Reader(stops_s=0), until_s=9)
    assert len(recording.sent) < 50
    assert recording.values == []


# ------------------------------------------------------------------------------- as an input


def stream(script, operator=None):
    async def main():
        pipeline = Pipeline("p", settings=Settings()) | (operator or Echo())
        async with pipeline.session() as session:
            clock = asyncio.get_running_loop().time
            return [(clock(), packet.payload) async for packet in session.stream(source(script))]

    return run_virtual(main())


def test_a_script_is_an_input_of_a_stream():
    assert stream(Script.marbles("-a--b-|")) == [(0.1, Text("a")), (0.4, Text("b"))]
    script = Script().send_group(0.1, {"left": Text("x"), "right": Text("y")}).end(0.2)
    assert stream(script, Pair()) == [(0.1, Text("x+y"))]
    assert stream(Script.marbles("-a|", node="echo")) == [(0.1, Text("a"))]


def test_an_input_may_raise():
    with pytest.raises(ScriptedError):
        stream(Script.marbles("-a-#"))


def test_an_input_that_stalls_for_ever_hangs_its_test():
    with pytest.raises(HangError, match=r"play\.py:\d+ in source → "):
        stream(Script.marbles("-a-|").stalled(0.2))


def test_an_input_cannot_interrupt():
    with pytest.raises(UsageError, match=r"an input cannot do this: Interrupt"):
        stream(Script().interrupt(0))


def test_media_time_is_laid_end_to_end_as_by_a_session():
    blocks = [Audio(np.zeros(160, np.float32), 8_000)] * 3
    packets = played(Echo(), Script().send_every(0.02, blocks).end(1)).packets
    assert [packet.timestamp_ns for packet in packets] == [0, 20_000_000, 40_000_000]
