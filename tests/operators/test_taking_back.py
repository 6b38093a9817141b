"""What an operator holds is dropped where a CancelSpeculation takes it back, and nothing else.

What comes out is compared with what does where the packets were never sent.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from engine.config import Settings
from engine.payloads import Audio, BatchHint, CancelSpeculation, Control, Text, Video
from engine.testing import run_virtual
from operators.audio.buffer_accumulator import AudioBufferAccumulator
from operators.audio.channel_merge import ChannelMerge
from operators.audio.chunker import AudioChunker
from operators.audio.mixer import Mixer
from operators.audio.playback import Playback
from operators.flow.buffer import Buffer
from operators.flow.combine_latest import CombineLatest
from operators.flow.debounce import Debounce
from operators.flow.delay import Delay
from operators.flow.sample import Sample
from operators.flow.throttle import Throttle
from operators.flow.time_join import TimeJoin
from operators.flow.with_latest_from import WithLatestFrom
from operators.flow.zip import Zip
from operators.media.synchronize import SynchronizedAudioVideo
from operators.speech.pocketsphinx_stt import PocketSphinxSTT
from operators.taking_back import taken_back
from operators.text.text_collector import TextCollector
from remotemedia import Pipeline
from tests.operators.test_every_executor import CASES as EXECUTOR_CASES
from tests.operators.test_every_executor import GRAMMAR

MS = 1_000_000


@dataclass
class Sent:
    """A payload, its media time, and its port where there are several."""

    ms: float
    payload: Any
    port: str | None = None


@dataclass
class Case:
    """What is taken back of what is held.

    Attributes:
        operator: what holds it.
        held: what it has been sent by then.
        span_ms: what is taken back of it.
        rest: what it is sent then.
    """

    operator: Any
    held: list[Sent]
    span_ms: tuple[float, float]
    rest: list[Sent]


def text(ms, said, port=None):
    return Sent(ms, Text(said), port)


def sound(ms, port=None, level=0.25):
    return Sent(ms, Audio(np.full(160, level + ms / 1_000, np.float32), 8_000), port)


def picture(ms, port):
    return Sent(ms, Video(np.zeros((4, 4, 3), np.uint8)), port)


def utterance():
    """A spoken command with its markers, as a detector gives it; each audio has 32 ms."""
    ms, sent = 0, []
    for payload in EXECUTOR_CASES["AudioBufferAccumulatorNode"][1]():
        sent.append(Sent(ms, payload))
        ms += 32 if isinstance(payload, Audio) else 0
    return sent


def case_of_speech(operator, held_ms, span_ms):
    sent = utterance()
    held = [each for each in sent if each.ms < held_ms]
    return Case(operator, held, span_ms, sent[len(held) :])


CASES = {
    "throttle": lambda: Case(
        Throttle(time_s=1, keep="latest"), [text(0, "a"), text(10, "b")], (10, 11), []
    ),
    "buffer": lambda: Case(
        Buffer(count=3),
        [text(0, "a"), text(10, "b")],
        (10, 20),
        [text(20, "c"), text(30, "d"), text(40, "e")],
    ),
    "buffer, the first": lambda: Case(
        Buffer(count=3), [text(0, "a"), text(10, "b")], (0, 10), [text(20, "c")]
    ),
    "buffer, all": lambda: Case(
        Buffer(count=3, time_s=1), [text(0, "a"), text(10, "b")], (0, 20), [text(20, "c")]
    ),
    "combine_latest": lambda: Case(
        CombineLatest(), [text(0, "a", "a")], (0, 1), [text(20, "b", "b"), text(30, "c", "a")]
    ),
    "with_latest_from": lambda: Case(
        WithLatestFrom(),
        [text(0, "a", "b")],
        (0, 1),
        [text(20, "b", "a"), text(30, "c", "b"), text(40, "d", "a")],
    ),
    "debounce": lambda: Case(Debounce(time_s=1), [text(0, "a")], (0, 1), []),
    "sample": lambda: Case(Sample(time_s=1), [text(0, "a")], (0, 1), []),
    "delay": lambda: Case(
        Delay(time_s=1), [text(0, "a"), text(10, "b"), text(20, "c")], (10, 20), [text(30, "d")]
    ),
    "zip": lambda: Case(
        Zip(), [text(0, "a", "a"), text(10, "b", "a")], (0, 10), [text(20, "c", "b")]
    ),
    "time_join": lambda: Case(
        TimeJoin(unmatched="emit"),
        [text(0, "a", "a"), text(100, "b", "a")],
        (0, 50),
        [text(100, "c", "b")],
    ),
    "text_collector": lambda: Case(
        TextCollector(),
        [text(0, "One. Two"), text(10, " and"), text(20, " three")],
        (10, 20),
        [text(30, " four. Five")],
    ),
    "text_collector, the first": lambda: Case(
        TextCollector(), [text(0, "Two"), text(10, " and")], (0, 10), [text(30, " four.")]
    ),
    "chunker": lambda: Case(
        AudioChunker(chunk_size=400),
        [sound(0), sound(20)],
        (0, 20),
        [sound(40), sound(60)],
    ),
    "mixer": lambda: Case(
        Mixer(),
        [sound(0, "in0"), sound(20, "in0")],
        (0, 20),
        [sound(0, "in1"), sound(20, "in1")],
    ),
    "channel_merge": lambda: Case(
        ChannelMerge(),
        [sound(0, "ch0"), sound(20, "ch0")],
        (20, 40),
        [sound(0, "ch1"), sound(20, "ch1")],
    ),
    "synchronize": lambda: Case(
        SynchronizedAudioVideo(),
        [picture(0, "video_input"), picture(40, "video_input")],
        (0, 40),
        [sound(0, "audio_input"), sound(40, "audio_input")],
    ),
    "accumulator": lambda: case_of_speech(AudioBufferAccumulator(), 1_500, (1_200, 1_300)),
}


async def run(operator, held, rest, span_ms=None, **options):
    """What comes out where some of what is held is taken back."""

    async def read(session):
        return [
            (packet.source.port, packet.timestamp_ns, packet.payload, dict(packet.metadata))
            async for packet in session.outputs()
        ]

    async def send(session, sent):
        for each in sent:
            ns = round(each.ms * MS)
            await session.send(each.payload, port=each.port, timestamp_ns=ns, **options)
        await asyncio.sleep(1e-6)  # on virtual time: until nothing is left to do

    pipeline = Pipeline("back", settings=Settings()) | operator.named("node").on("local")
    async with pipeline.session() as session, asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(read(session))
        await send(session, held)
        if span_ms is not None:
            span = CancelSpeculation(*(round(ms * MS) for ms in span_ms))
            await session.control(Control(span))
        await send(session, rest)
        await session.end_input()
    return reading.result()


@pytest.mark.parametrize("name", CASES)
def test_what_is_held_of_a_span_is_dropped_and_only_that(name):
    case = CASES[name]()
    first_ms, end_ms = case.span_ms
    kept = [each for each in case.held if not first_ms <= each.ms < end_ms]
    assert len(kept) < len(case.held)
    came = run_virtual(run(case.operator, case.held, case.rest, case.span_ms))
    never_sent = run_virtual(run(case.operator, kept, case.rest))
    assert came == never_sent
    whole = run_virtual(run(case.operator, case.held, case.rest))
    assert came != whole


@pytest.mark.parametrize("name", CASES)
def test_what_is_uninterruptible_stays(name):
    case = CASES[name]()
    options = {"uninterruptible": True}
    came = run_virtual(run(case.operator, case.held, case.rest, case.span_ms, **options))
    assert came == run_virtual(run(case.operator, case.held, case.rest, **options))


def test_speech_to_text_forgets_what_it_keeps_for_the_beginning_of_an_utterance():
    case = case_of_speech(PocketSphinxSTT(grammar=GRAMMAR), 600, (400, 500))
    (shorter,) = run_virtual(run(case.operator, case.held, case.rest, case.span_ms))
    (whole,) = run_virtual(run(case.operator, case.held, case.rest))
    assert shorter[2] == whole[2] == Text("turn on the kitchen light", "en")
    durations = [int(heard[3]["duration_ms"]) for heard in (shorter, whole)]
    assert durations[1] - durations[0] == 3 * 32


@pytest.mark.parametrize("at_ms", [0, 10, 50])
def test_playback_drops_what_is_taken_back_also_when_its_input_has_ended(at_ms):
    sent = [sound(0), sound(20), sound(100), sound(120), sound(200)]

    async def play():
        pipeline = Pipeline("back", settings=Settings()) | Playback().named("node")
        async with pipeline.session() as session, asyncio.TaskGroup() as tasks:
            for each in sent:
                await session.send(each.payload, timestamp_ns=round(each.ms * MS))
            await session.end_input()
            reading = tasks.create_task(_payloads(session))
            await asyncio.sleep(at_ms / 1_000 + 1e-6)
            await session.control(Control(CancelSpeculation(100 * MS, 200 * MS)))
            return await reading

    came = run_virtual(play())
    dropped = [sent[2], sent[3]] if at_ms < 40 else [sent[3]]
    assert came == [each.payload for each in sent if each not in dropped]


async def _payloads(session):
    return [packet.payload async for packet in session.outputs()]


@pytest.mark.parametrize("operator", [Debounce(time_s=1), Sample(time_s=1)], ids=repr)
def test_what_follows_a_packet_that_was_taken_back_comes(operator):
    held, rest = [text(0, "a")], [text(20, "b")]
    (came,) = run_virtual(run(operator, held, rest, (0, 1)))
    assert came[2] == Text("b")


def test_other_messages_take_nothing_back():
    assert taken_back(Control(BatchHint(3))) is None
