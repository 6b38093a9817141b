"""What people try with a session that cannot work, and what they are told."""

from __future__ import annotations

import asyncio
import logging

import numpy as np
import pytest

from engine.config import Settings
from engine.errors import EdgeClosedError, NodeError, UsageError
from engine.operator import Operator
from engine.payloads import Audio, Json, Text
from engine.pipeline import Pipeline
from engine.testing import run_virtual


class Echo(Operator):
    def process(self, packet, ctx):
        return packet


class Wrong(Operator):
    """Returns whatever it was made to."""

    result = None

    def process(self, packet, ctx):
        return self.result


class Writer(Operator):
    def process(self, packet, ctx):
        packet.payload.samples[0] = 1


class Lost(Operator):
    def process(self, packet, ctx):
        return ctx.to("uot", packet)


def _pipeline(operator):
    return Pipeline("x", settings=Settings(channel_capacity=4)) | operator


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("a", r"str is not a payload: use Text\(...\)"),
        (b"a", r"bytes is not a payload: use Binary\(...\)"),
        ([Text("a")], "list is not a payload: send its items one by one"),
        ({"a": 1}, r"dict is not a payload: use Json\(...\), or payloads by their ports"),
        (Text, r"Text is a class: make a payload of it, Text\(...\)"),
        (3, r"int is not a payload: use Json\(...\)"),
        (np.zeros(3), "ndarray is not a payload: use Audio"),
        ((1, 2, 3), r"an input is a payload or \(node, payload\)"),
    ],
)
async def test_what_is_no_payload_cannot_be_sent(value, words):
    with pytest.raises(UsageError, match=words):
        await _pipeline(Echo()).arun([value])


async def test_an_awaitable_is_not_a_payload():
    async def text():
        return Text("a")

    coroutine = text()
    async with _pipeline(Echo()).session() as session:
        with pytest.raises(UsageError, match="coroutine is not a payload: await it first"):
            await session.send(coroutine)
    await coroutine


async def test_a_function_is_called_to_give_inputs():
    def source():
        yield Text("a")

    with pytest.raises(UsageError, match="is a function: call it"):
        await _pipeline(Echo()).arun(source)


async def test_an_array_is_one_payload():
    with pytest.raises(UsageError, match=r"float32 is not a payload: an array is one payload"):
        await _pipeline(Echo()).arun(np.zeros(3, np.float32))


@pytest.mark.parametrize("inputs", [Text("a"), "abc", {"in": Text("a")}])
async def test_inputs_are_several(inputs):
    with pytest.raises(UsageError, match=r"must be an iterable of payloads, not one .* in a list"):
        await _pipeline(Echo()).arun(inputs)


async def test_a_port_that_is_not_there_names_the_nearest():
    async with _pipeline(Echo()).session() as session:
        with pytest.raises(UsageError, match="no input port 'inn'; did you mean 'in'"):
            await session.send(Text("a"), port="inn")
    with pytest.raises(NodeError, match="no output port 'uot'; did you mean 'out'"):
        await _pipeline(Lost()).arun([Text("a")])


async def test_sending_after_the_end_is_refused():
    async with _pipeline(Echo()).session() as session:
        await session.end_input()
        with pytest.raises(EdgeClosedError, match="nothing can be sent: the session is"):
            await session.send(Text("a"))
    with pytest.raises(EdgeClosedError, match="nothing can be sent: the session is closed"):
        await session.send(Text("a"))


async def test_a_session_is_entered_with_async_with():
    with (
        pytest.raises(UsageError, match=r"entered with `async with`.*blocking_session"),
        _pipeline(Echo()).session(),
    ):
        pass


async def test_outputs_of_a_session_come_by_async_for():
    async with _pipeline(Echo()).session() as session:
        with pytest.raises(UsageError, match=r"come by `async for`.*pipeline.stream"):
            list(session.stream([Text("a")]))
        stream = session.stream([Text("a")])
        assert [packet.payload.text async for packet in stream] == ["a"]
        await stream.aclose()


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ([1.0, 2.0], r"float is not a payload"),
        ([[Text("a")]], r"list is not a payload: "),
        ({"a": 1}, r"dict is not a payload: return Json"),
        ("text", r"str is not a payload: return Text"),
        (np.zeros(3), r"ndarray is not a payload: return Audio"),
        (Text, r"Text is a class: return one made of it"),
        ([("b", Text("a"))], r"a pair is not a payload: ctx.to"),
    ],
)
async def test_what_an_operator_may_not_return_is_named_with_its_node(result, words):
    class Result(Wrong):
        pass

    Result.result = result
    with pytest.raises(NodeError, match=f"'result' failed in process .*{words}"):
        await _pipeline(Result()).arun([Json(1)])


async def test_writing_into_a_payload_says_how_to_write():
    with pytest.raises(NodeError, match=r"'writer'.*read-only.*copy.*ctx.empty"):
        await _pipeline(Writer()).arun([Audio(np.zeros(4, np.float32), 8_000)])


def test_who_sends_and_never_reads_is_told(caplog):
    async def send(session):
        for _ in range(100):
            await session.send(Text("a"))

    async def main():
        async with _pipeline(Echo()).session() as session:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(send(session), 60)

    with caplog.at_level(logging.WARNING, "remotemedia.session"):
        run_virtual(main())
    (record,) = caplog.records
    assert "nobody has read an output meanwhile: the pipeline is full" in record.getMessage()


def test_who_reads_slowly_is_not_told(caplog):
    async def main():
        async with _pipeline(Echo()).session() as session:
            stream = session.stream(Text("a") for _ in range(20))
            async for _ in stream:
                await asyncio.sleep(4)

    with caplog.at_level(logging.WARNING, "remotemedia.session"):
        run_virtual(main())
    assert caplog.records == []


def test_send_nowait_sends_nothing_without_a_credit():
    async def main():
        pipeline = Pipeline("x", settings=Settings(channel_capacity=1)) | Echo()
        async with pipeline.session() as session:
            assert session.send_nowait(Text("a")) == 0
            assert session.send_nowait(Text("b")) is None
            assert (await session.receive()).payload.text == "a"
            assert await session.send(Text("c")) == 1  # nothing was used up by what was not sent
            assert (await session.receive()).payload.text == "c"
            await session.end_input()
            with pytest.raises(EdgeClosedError):
                session.send_nowait(Text("d"))

    run_virtual(main())
