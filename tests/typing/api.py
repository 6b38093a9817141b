"""The public API as a user's type checker sees it; checked by mypy and pyright, never run.

What a user writes here must need no cast, no ignore and no Any of ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any, assert_type

import numpy as np
import numpy.typing as npt
import reactivex
from reactivex import operators as rx_operators

import remotemedia
from remotemedia import (
    Audio,
    BlockingSession,
    Context,
    Flow,
    Json,
    ManifestError,
    NodeError,
    Operator,
    Output,
    Packet,
    Payload,
    Pipeline,
    Ports,
    Progress,
    Session,
    Tensor,
    Text,
    Video,
    register_node,
)

# --- operators ----------------------------------------------------------------------------------


@register_node("GainNode")
class Gain(Operator):
    class Params(Operator.Params):
        gain_db: float = 0.0

    params: Params

    def process(self, packet: Packet, ctx: Context) -> Payload:
        audio = packet.expect(Audio)
        samples: npt.NDArray[Any] = audio.samples * 10 ** (self.params.gain_db / 20)
        return Audio(samples.astype(np.float32), audio.sample_rate)


class Words(Operator):
    """One text in, several out."""

    stateful = True

    async def initialize(self, ctx: Context) -> None:
        ctx.progress(0.5, "loading")
        self._held: list[str] = []

    def process(self, packet: Packet, ctx: Context) -> Iterator[Output]:
        for word in packet.expect(Text).text.split():
            self._held.append(word)
            yield Text(word)
            yield ctx.to("out", packet, timestamp_ns=packet.timestamp_ns)

    def flush(self, ctx: Context) -> list[Json]:
        return [Json({"words": len(self._held)})]

    def reset(self, ctx: Context) -> None:
        self._held.clear()


class Slow(Operator):
    concurrency = 4

    async def process(self, packet: Packet, ctx: Context) -> Packet | None:
        return None if ctx.cancelled else packet


class Tokens(Operator):
    async def process(self, packet: Packet, ctx: Context) -> AsyncIterator[Text]:
        yield Text(packet.expect(Text).text)


class Join(Operator):
    joins = True

    @classmethod
    def ports(cls, params: Any) -> Ports:
        return Ports(("audio", "video"), ("out",))

    def process(self, group: Mapping[str, Packet], ctx: Context) -> Json:
        return Json({port: packet.timestamp_ns for port, packet in group.items()})


# --- composition --------------------------------------------------------------------------------

assert_type(Gain(gain_db=3.0) | Words(), Flow)
assert_type(Gain() & Gain(), Flow)
assert_type(Gain().on("process", timeout_ms=100).named("gain").as_output(), Flow)

pipeline = Pipeline("voice", description="an example") | Gain() | Words().on("process")
assert_type(pipeline, Pipeline)
assert_type(
    pipeline.connect("gain", "words", capacity=10, overflow="latest", max_age_ms=50), Pipeline
)
assert_type(pipeline.to_manifest(), dict[str, Any])
assert_type(Pipeline.from_manifest(pipeline.to_manifest()), Pipeline)
assert_type(pipeline | rx_operators.debounce(0.2), Pipeline)

inputs: list[Payload] = [Text("a b"), Json({"c": 1})]
grouped = [{"audio": Text("a"), "video": Text("b")}]
named: Iterable[tuple[str, Payload]] = [("gain", Text("a"))]
assert_type(pipeline.run(inputs), list[Packet])
assert_type(pipeline.run(grouped), list[Packet])
assert_type(pipeline.run(named), list[Packet])


# --- running ------------------------------------------------------------------------------------


def show(progress: Progress) -> None:
    print(progress.node_id, progress.fraction, progress.message)


async def use_a_session() -> None:
    assert_type(await pipeline.arun(inputs), list[Packet])
    async with pipeline.session(on_progress=show) as session:
        assert_type(session, Session)
        assert_type(session.on_progress(show), Callable[[], None])
        assert_type(await session.send(Text("a"), timestamp_ns=0, metadata={"k": "v"}), int)
        await session.end_input()
        assert_type(await session.receive(), Packet | None)
        async for packet in session.stream([Text("a")]):
            assert_type(packet, Packet)
            assert_type(packet.sequence, int)
            assert_type(packet.metadata, Mapping[str, str])
    async for packet in pipeline.stream(inputs):
        assert_type(packet.payload, Payload)


def use_it_without_a_loop() -> None:
    with pipeline.blocking_session() as session:
        assert_type(session, BlockingSession)
        assert_type(session.send(Text("a")), int)
        assert_type(session.receive(timeout_s=1.0), Packet | None)
    for packet in pipeline.stream(inputs):
        assert_type(packet, Packet)
    try:
        pipeline.run(inputs)
    except NodeError as error:
        assert_type(error.node_id, str)
    except ManifestError as error:
        print([problem.path for problem in error.problems])


def use_it_in_a_chain(source: reactivex.Observable[Payload]) -> reactivex.Observable[Packet]:
    return source.pipe(pipeline.as_operator(overflow="drop_oldest", capacity=8))


# --- payloads -----------------------------------------------------------------------------------


def use_payloads(payload: Payload) -> str:
    match payload:
        case Audio(samples=samples, sample_rate=rate):
            return f"{samples.shape} {rate}"
        case Video():
            return f"{payload.width} × {payload.height}"
        case Tensor():
            return str(payload.array.shape)
        case Text(text=text):
            return text
        case _:
            return str(payload)


assert_type(remotemedia.__version__, str)
