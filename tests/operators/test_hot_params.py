"""Each hot param of each operator is changed in a running session, and what comes then is by it.

What comes out behind the change is compared with what a node gives that was made so, and with what
comes where nothing is changed. What is held at the change is tested with each operator.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from engine.config import Settings
from engine.errors import UsageError
from engine.operator import Operator
from engine.payloads import Audio, File, Json, Text
from engine.reactive.adapter import RxOperator
from engine.registry import resolve
from engine.testing import run_virtual
from examples import demonstration_nodes as examples
from operators.audio.buffer_accumulator import AudioBufferAccumulator
from operators.audio.channel_balance import ChannelBalance
from operators.audio.channel_merge import ChannelMerge
from operators.audio.chunker import AudioChunker
from operators.audio.clipping import ClippingDetector
from operators.audio.energy_vad import EnergyVAD
from operators.audio.gain import Gain
from operators.audio.level import AudioLevel
from operators.audio.mixer import Mixer
from operators.audio.playback import Playback
from operators.audio.sample_format import AudioFormat
from operators.audio.silence import SilenceDetector
from operators.audio.vad import SileroVAD
from operators.catalog import NODE_TYPES
from operators.flow.arithmetic import Add, Multiply
from operators.flow.buffer import Buffer
from operators.flow.calculator import Calculator
from operators.flow.delay import Delay
from operators.flow.distinct import Distinct
from operators.flow.merge import Merge
from operators.flow.router import Router
from operators.flow.selection import Select
from operators.flow.throttle import Throttle
from operators.flow.time_join import TimeJoin
from operators.flow.window import Window
from operators.media.reader import MediaReader
from operators.media.synchronize import SynchronizedAudioVideo
from operators.speech.espeak_tts import EspeakTTS
from operators.speech.pocketsphinx_stt import PocketSphinxSTT
from operators.text.reply import RuleReply
from operators.text.text_collector import TextCollector
from operators.video.convert import VideoFormat
from operators.video.flip import VideoFlip
from operators.video.scale import VideoScale
from remotemedia import Pipeline
from tests.operators.flow.flow_helpers import bench_of, change
from tests.operators.test_every_executor import CASES as EXECUTOR_CASES
from tests.operators.test_every_executor import GRAMMAR

MS = 1_000_000


@dataclass
class At:
    """A payload with its media time, and where there are several its port."""

    payload: Any
    ms: float = 0
    port: str | None = None


@dataclass
class Case:
    """One change.

    Attributes:
        operator: what runs.
        change: what is changed.
        after: what is sent then: payloads, At, groups as dicts, and seconds that pass.
        before: what is sent first, of which nothing is left to come out.
        between: what is sent after the change, until it has its full effect.
        effect: whether it shows; otherwise it is enough that all comes out as it should.
    """

    operator: Any
    change: dict[str, Any]
    after: list[Any]
    before: tuple[Any, ...] = ()
    between: tuple[Any, ...] = ()
    effect: bool = True


def tone(ms=20, amplitude=0.3, rate=8_000, channels=1):
    wave = amplitude * np.sin(2 * np.pi * 440 * np.arange(rate * ms // 1_000) / rate)
    return Audio(np.repeat(wave.astype(np.float32)[:, None], channels, axis=1), rate)


def lopsided(right):
    left = tone().samples
    return Audio(np.concatenate((left, left * np.float32(right)), axis=1), 8_000)


def both(first, second, amplitude=0.6):
    return {first: tone(amplitude=amplitude), second: tone(amplitude=amplitude)}


def texts(*said):
    return [Text(text) for text in said]


def numbers(*values):
    return [Json(value) for value in values]


def speech():
    return EXECUTOR_CASES["SileroVADNode"][1]()


def marked_speech():
    return EXECUTOR_CASES["AudioBufferAccumulatorNode"][1]()


def pictures():
    return EXECUTOR_CASES["VideoFlip"][1]()


def clip():
    (named,) = EXECUTOR_CASES["MediaReaderNode"][1]()
    return File(named.path)


PICTURES, SPEECH, MARKED, CLIP = "pictures", "speech", "marked speech", "clip"
#: Made when they are needed: it takes a while.
MADE = {PICTURES: pictures, SPEECH: speech, MARKED: marked_speech, CLIP: lambda: [clip()]}


def metered(*blocks):
    return [At(block, 1_000 + 20 * index) for index, block in enumerate(blocks)]


ROUTES = [
    {"port": "small", "when": {"field": "n", "lt": 3}},
    {"port": "even", "when": {"field": "n", "in": [2, 4]}},
]
WIDER = [{"port": "small", "when": {"field": "n", "lt": 10}}, ROUTES[1]]
RULES = [{"pattern": "light", "reply": "It is on."}]
N = numbers({"n": 2}, {"n": 4}, {"n": 9})
LATE = [At(Text("a"), 0, "a"), At(Text("b"), 50, "b"), 3.0]
ALONE = [At(Text("a"), 0, "a"), 3.0, At(Text("b"), 1_000, "b")]
AHEAD = [*[At(tone(), 20 * number, "in0") for number in range(10)], 3.0]
AHEAD_0 = [At(item.payload, item.ms, "ch0") for item in AHEAD[:-1]] + [3.0]
SOUND_PICTURE = [{"audio_input": tone(), "video_input": PICTURES}]
LINE = texts("One. Two, three; ", "four and five. ", "six")

CASES = [
    Case(Add(addend=1), {"addend": 5}, numbers(1, 2), (Json(1),)),
    Case(Multiply(factor=2), {"factor": 3}, numbers(1, 2), (Json(1),)),
    Case(Calculator(operation="add", value=3), {"operation": "divide"}, numbers(6), (Json(1),)),
    Case(Calculator(operation="add", value=3), {"value": 4}, numbers(6), (Json(1),)),
    Case(Calculator(operation="add", operand=3), {"operand": 4}, numbers(6), (Json(1),)),
    Case(Merge(), {"port_key": "by"}, [{"a": Text("x"), "b": Text("y")}], (Text("z"),)),
    Case(Select(when={"kind": "text"}), {"when": {"kind": "json"}}, [Text("a"), Json(1)]),
    Case(Router(routes=ROUTES), {"routes": WIDER}, N, tuple(N)),
    Case(Router(routes=ROUTES), {"match": "all"}, N, tuple(N)),
    Case(Router(routes=ROUTES, otherwise="even"), {"otherwise": "small"}, N, tuple(N)),
    Case(Distinct(), {"memory": 1}, texts("a", "b", "a"), (Text("c"),)),
    Case(Distinct(), {"until_changed": True}, texts("a", "b", "a"), (Text("c"),)),
    Case(
        Distinct(),
        {"field": "n"},
        numbers({"n": 1, "of": 1}, {"n": 1, "of": 2}),
        (Json({"n": 1, "of": 3}),),
    ),
    Case(Throttle(time_s=1), {"time_s": 3}, [Text("a"), 2.0, *texts("b", "c")], (Text("d"), 2.0)),
    Case(Throttle(time_s=1), {"keep": "latest"}, [*texts("a", "b"), 3.0], (Text("d"), 2.0)),
    Case(TimeJoin(), {"tolerance_ms": 100}, LATE),
    Case(TimeJoin(unmatched="emit"), {"wait_max_ms": 100}, ALONE),
    Case(TimeJoin(unmatched="emit"), {"held_max": 1}, [ALONE[0], At(Text("c"), 9, "a"), 3.0]),
    Case(TimeJoin(), {"unmatched": "emit"}, ALONE),
    Case(Buffer(count=2), {"count": 3}, texts(*"abcd"), tuple(texts("e", "f"))),
    Case(Buffer(count=2), {"skip": 1}, texts(*"abcd"), tuple(texts("e", "f"))),
    Case(Buffer(count=9), {"time_s": 1}, [Text("a"), 3.0, Text("b")]),
    Case(Buffer(time_s=9, count_max=5), {"count_max": 2}, [*texts(*"abc"), 20.0]),
    Case(
        Window(accumulator="sum", count=2), {"count": 3}, numbers(1, 2, 3, 4), tuple(numbers(5, 6))
    ),
    Case(
        Window(accumulator="sum", count=2), {"skip": 1}, numbers(1, 2, 3, 4), tuple(numbers(5, 6))
    ),
    Case(Window(accumulator="sum", count=9), {"time_s": 1}, [Json(1), 3.0, Json(2)]),
    Case(RuleReply(), {"rules": RULES}, texts("light", "dark"), (Text("light"),)),
    Case(RuleReply(rules=RULES), {"fallback": "What?"}, texts("light", "dark"), (Text("dark"),)),
    Case(TextCollector(), {"split_pattern": ","}, LINE),
    Case(TextCollector(), {"min_sentence_length": 12}, LINE),
    Case(TextCollector(), {"yield_partial_on_end": False}, LINE),
    Case(TextCollector(), {"max_sentence_length": 5}, texts("no end of it")),
    Case(Gain(ramp_ms=0), {"gain_db": -6}, [tone()], (tone(),)),
    Case(Gain(), {"ramp_ms": 0}, [Json({"gain_db": -6}), tone()], (tone(),)),
    Case(AudioFormat(target_format="i16"), {"dither": True}, [tone()]),
    Case(Mixer(), {"gain_db": {"in0": -6}}, [both("in0", "in1")], between=(both("in0", "in1"),)),
    Case(Mixer(), {"clip": "soft"}, [both("in0", "in1", 0.9)], (both("in0", "in1"),)),
    Case(Mixer(), {"skew_max_ms": 50}, AHEAD),
    Case(Mixer(), {"wait_max_ms": 100}, AHEAD),
    Case(ChannelMerge(), {"skew_max_ms": 50}, AHEAD_0),
    Case(ChannelMerge(), {"wait_max_ms": 100}, AHEAD_0),
    Case(AudioLevel(), {"window_ms": 10}, metered(tone(), tone()), (At(tone()),)),
    Case(AudioLevel(), {"pass_through": True}, metered(tone(), tone()), (At(tone()),)),
    Case(AudioLevel(), {"true_peak": True}, metered(tone(), tone()), (At(tone()),)),
    Case(ChannelBalance(), {"window_ms": 10}, metered(lopsided(0.5)), (At(lopsided(1)),)),
    Case(ChannelBalance(), {"pass_through": True}, metered(lopsided(0.5)), (At(lopsided(1)),)),
    Case(ChannelBalance(), {"imbalance_threshold_db": 3}, metered(lopsided(0.5))),
    Case(ChannelBalance(), {"dead_channel_threshold_db": -20}, metered(lopsided(0.1))),
    Case(ClippingDetector(), {"window_ms": 10}, metered(tone()), (At(tone()),)),
    Case(ClippingDetector(), {"pass_through": True}, metered(tone()), (At(tone()),)),
    Case(ClippingDetector(), {"saturation_threshold": 0.2}, metered(tone()), (At(tone()),)),
    Case(
        ClippingDetector(saturation_threshold=0.2),
        {"saturation_ratio_threshold": 100},
        metered(tone()),
    ),
    Case(ClippingDetector(saturation_threshold=0.2), {"consecutive_min": 100}, metered(tone())),
    Case(EnergyVAD(), {"frame_duration_ms": 10}, [tone(), tone(amplitude=0)]),
    Case(EnergyVAD(frame_duration_ms=20), {"energy_threshold": 0.5}, [tone()]),
    Case(SileroVAD(), {"threshold": 0.99}, [SPEECH]),
    Case(SileroVAD(), {"min_speech_duration_ms": 2_000}, [SPEECH]),
    Case(SileroVAD(), {"min_silence_duration_ms": 600}, [SPEECH]),
    Case(SileroVAD(), {"speech_pad_ms": 200}, [SPEECH]),
    Case(SilenceDetector(min_silence_ms=10), {"threshold_dbfs": -6}, metered(tone())),
    Case(SilenceDetector(), {"min_silence_ms": 10}, metered(tone(amplitude=0))),
    Case(SilenceDetector(), {"pass_through": False}, metered(tone()), (At(tone()),)),
    Case(AudioBufferAccumulator(), {"min_utterance_duration_ms": 60_000}, [MARKED]),
    Case(AudioBufferAccumulator(), {"max_utterance_duration_ms": 200}, [MARKED]),
    Case(AudioBufferAccumulator(), {"stream": True}, [MARKED]),
    Case(AudioChunker(chunk_size=160), {"chunk_size": 100}, [tone(), tone()], (tone(),)),
    Case(Playback(), {"block_ms": 5}, [tone(), tone()], (tone(), 1.0)),
    Case(Playback(), {"held_max_ms": 1}, [tone(), tone()], (tone(), 1.0), effect=False),
    Case(EspeakTTS(), {"voice": "de"}, texts("One."), (Text("Two."),)),
    Case(EspeakTTS(), {"rate_wpm": 300}, texts("One."), (Text("Two."),)),
    Case(EspeakTTS(), {"pitch": 90}, texts("One."), (Text("Two."),)),
    Case(EspeakTTS(), {"volume": 50}, texts("One."), (Text("Two."),)),
    Case(EspeakTTS(), {"chunk_ms": 100}, texts("One."), (Text("Two."),)),
    Case(PocketSphinxSTT(grammar=GRAMMAR), {"noise_floor_dbfs": -30}, [MARKED]),
    Case(VideoFlip(), {"direction": "horizontal"}, [PICTURES], (PICTURES,)),
    Case(VideoFormat(format="nv12"), {"matrix": "bt709"}, [PICTURES], (PICTURES,)),
    Case(VideoFormat(format="nv12"), {"range": "full"}, [PICTURES], (PICTURES,)),
    Case(VideoScale(width=48), {"width": 24}, [PICTURES], (PICTURES,)),
    Case(VideoScale(width=48), {"height": 48}, [PICTURES], (PICTURES,)),
    Case(VideoScale(width=48, height=48), {"keep_aspect": True}, [PICTURES], (PICTURES,)),
    Case(VideoScale(width=40), {"interpolation": "nearest"}, [PICTURES], (PICTURES,)),
    Case(SynchronizedAudioVideo(), {"sync_tolerance_ms": 90}, SOUND_PICTURE),
    Case(
        SynchronizedAudioVideo(),
        {"pairing_window_ms": 100},
        [At(tone(), 0, "audio_input"), At(PICTURES, 300, "video_input")],
    ),
    Case(MediaReader(), {"loop": 2}, [CLIP]),
    Case(MediaReader(), {"start_s": 0.1}, [CLIP]),
    Case(MediaReader(), {"duration_s": 0.1}, [CLIP]),
    Case(MediaReader(), {"realtime": True}, [CLIP]),
    Case(examples.ExpanderNode(), {"expansion_factor": 2}, numbers(5), (Json(1),)),
    Case(examples.TransformAndExpandNode(), {"transforms": ["lower"]}, texts("Hi"), (Text("A"),)),
    Case(examples.ChainedTransformNode(), {"emit_intermediates": False}, numbers(5), (Json(1),)),
    Case(examples.FilterNode(), {"min_value": 3}, numbers(2, 5), (Json(1),)),
]


def name_of(case):
    return f"{case.operator.node_type}-{'-'.join(case.change)}"


#: All operators whose params may be hot: the catalogue's, and those of the examples.
CLASSES = {resolve(target) for target in NODE_TYPES.values()} | {
    cls for cls in vars(examples).values() if isinstance(cls, type) and hasattr(cls, "node_type")
}


def test_every_hot_param_has_a_case():
    declared = {f"{cls.node_type}.{name}" for cls in CLASSES for name in cls.hot}
    tested = {f"{case.operator.node_type}.{name}" for case in CASES for name in case.change}
    assert declared - tested == set()
    assert tested - declared == set()


def made(operator, change):
    """A new operator with other params."""
    params = {name: getattr(operator.params, name) for name in operator.params.model_fields_set}
    return type(operator)(**params | change)


def expanded(items):
    for item in items:
        if isinstance(item, str):
            yield from MADE[item]()
        elif isinstance(item, At) and isinstance(item.payload, str):
            yield At(MADE[item.payload]()[0], item.ms, item.port)
        elif isinstance(item, dict):
            yield {
                port: MADE[each]()[0] if isinstance(each, str) else each
                for port, each in item.items()
            }
        else:
            yield item


async def send(session, items):
    for item in expanded(items):
        if isinstance(item, float):
            await asyncio.sleep(item)
        elif isinstance(item, dict):
            await session.send_group(item)
        elif isinstance(item, At):
            await session.send(item.payload, port=item.port, timestamp_ns=round(item.ms * MS))
        else:
            await session.send(item)
    await asyncio.sleep(1e-6)  # on virtual time: until nothing is left to do


async def run_case(operator, phases, change):
    """What came out in each phase; the change, if there is one, takes effect behind the first."""
    loop = asyncio.get_running_loop()
    came = [[] for _ in phases]
    phase, began_s = 0, loop.time()

    async def read(session):
        async for packet in session.outputs():
            after_s = round(loop.time() - began_s, 4)
            output = (packet.source.port, after_s, packet.payload, dict(packet.metadata))
            came[phase].append(output)

    pipeline = Pipeline("hot", settings=Settings()) | operator.named("node").on("local")
    async with pipeline.session() as session, asyncio.TaskGroup() as tasks:
        tasks.create_task(read(session))
        for phase, items in enumerate(phases):
            began_s = loop.time()
            await send(session, items)
            if not phase and change:
                taken = await session.set_params("node", change)
                assert taken.params.keys() >= change.keys()
        await session.end_input()
    return came


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_what_follows_a_change_is_by_the_new_value(case):
    phases = [case.before, case.between, case.after]
    changed = run_virtual(run_case(case.operator, phases, case.change))
    unchanged = run_virtual(run_case(case.operator, phases, {}))
    new = made(case.operator, case.change)
    fresh = run_virtual(run_case(new, [[], [], case.after], {}))
    assert changed[0] == unchanged[0]
    assert changed[2] == fresh[2]
    if case.effect:
        assert changed[2] != unchanged[2]


class OldKind(Operator):
    """Takes any params, as the operators around old nodes do."""

    class Params(Operator.Params, extra="allow"):
        pass

    def process(self, packet, ctx):
        return packet


def test_a_node_that_takes_any_params_says_that_none_may_change():
    bench = bench_of(OldKind(speed=3))
    with pytest.raises(UsageError) as raised:
        change(bench, speed=4)
    assert raised.value.message == (
        "'speed' of node 'node' (OldKind) may not change while it runs; none of its params may;"
        " for another value, start another session"
    )


def test_operators_of_reactivex_have_no_hot_params_and_say_so():
    chains = {cls for cls in CLASSES if issubclass(cls, RxOperator)}
    assert Delay in chains
    assert [cls for cls in chains if cls.hot] == []

    async def change():
        pipeline = Pipeline("hot", settings=Settings()) | Delay(time_s=1).named("later")
        async with pipeline.session() as session:
            await session.set_params("later", {"timeS": 2})

    with pytest.raises(UsageError) as raised:
        run_virtual(change())
    assert raised.value.message == (
        "'timeS' of node 'later' (DelayNode) may not change while it runs; none of its params may;"
        " for another value, start another session"
    )
