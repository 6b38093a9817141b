"""What operators are driven with: a context that records, packets, and speech to listen to."""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest

from engine.operator import Emission, Operator
from engine.packet import DEFAULT_INPUT, DEFAULT_OUTPUT, Origin, Packet, Source
from engine.payloads import PAYLOAD_TYPES, Audio, Payload, Text
from operators.audio.resample import FastResample
from operators.speech.espeak_tts import EspeakTTS

#: All that the tests say, with the grammar for it.
COMMANDS = (
    "turn on the kitchen light",
    "turn off the bedroom light",
    "what time is it",
    "what is the weather",
    "set the temperature to twenty degrees",
    "play the music",
    "good morning",
)
GRAMMAR = """#JSGF V1.0;
grammar home;
public <command> = <switch> | <question> | <climate> | <media> | <greeting>;
<switch> = turn ( on | off ) the ( kitchen | bedroom | living room ) light;
<question> = what time is it | what is the weather;
<climate> = set the temperature to ( eighteen | twenty | twenty two ) degrees;
<media> = ( play | stop ) the music;
<greeting> = good morning | good night;
"""


class RecordingContext:
    """A context without a stage."""

    def __init__(self) -> None:
        self.node_id = "node"
        self.session_id = "session"
        self.logger = logging.getLogger("tests.operators")
        self.cancelled = False
        self.now_ns = 0
        self.steps: list[tuple[float, str]] = []

    def to(self, port: str, payload: Any) -> Emission:
        return Emission(port, payload)

    def emit(self, output: Any) -> None:
        raise NotImplementedError

    def call_later(self, delay_s: float, callback: Any) -> Any:
        raise NotImplementedError

    def progress(self, fraction: float, message: str = "") -> None:
        self.steps.append((fraction, message))

    def empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        return np.empty(shape, dtype)


def make(
    payload: Payload,
    *,
    sequence: int = 0,
    timestamp_ns: int = 0,
    metadata: dict[str, str] | None = None,
) -> Packet:
    origin = Origin("session", sequence, timestamp_ns, 0, metadata=metadata or {})
    return Packet(payload, Source("input"), DEFAULT_INPUT, 0, origin)


def listed(outputs: Any) -> list[Any]:
    """What process or flush returned, as a list; packets stay packets."""
    if outputs is None:
        return []
    if isinstance(outputs, (Emission, Packet, *PAYLOAD_TYPES)):
        return [outputs]
    return list(outputs)


def bare(output: Any) -> Any:
    """What goes to the usual port, without the media time it was given."""
    usual = isinstance(output, Emission) and output.port == DEFAULT_OUTPUT
    return output.payload if usual else output


def payload_of(output: Any) -> Payload:
    return output.payload if isinstance(output, Packet) else output


class Driver:
    """Runs an operator by hand, as a stage would."""

    def __init__(self, operator: Operator) -> None:
        self.operator = operator
        self.ctx = RecordingContext()
        asyncio.run(operator.initialize(self.ctx))

    def feed(self, *packets: Packet | Payload) -> list[Any]:
        """Outputs of some packets; bare payloads get a header."""
        outputs: list[Any] = []
        for packet in packets:
            whole = packet if isinstance(packet, Packet) else make(packet)
            outputs += listed(self.operator.process(whole, self.ctx))
        return [bare(output) for output in outputs]

    def flush(self) -> list[Any]:
        return [bare(output) for output in listed(self.operator.flush(self.ctx))]

    def run(self, packets: Iterable[Packet | Payload]) -> list[Payload]:
        """Payloads of a whole stream."""
        return [payload_of(output) for output in [*self.feed(*packets), *self.flush()]]

    def reset(self) -> None:
        self.operator.reset(self.ctx)

    def cleanup(self) -> None:
        asyncio.run(self.operator.cleanup())


@pytest.fixture(scope="session")
def make_packet():
    return make


@pytest.fixture(scope="session")
def drive():
    """Gives initialized operators in drivers; usable within hypothesis, cleaned up at the end."""
    drivers: list[Driver] = []

    def drive_one(operator: Operator) -> Driver:
        drivers.append(Driver(operator))
        return drivers[-1]

    yield drive_one
    for driver in drivers:
        driver.cleanup()


@pytest.fixture(scope="session")
def split():
    """Cuts audio into packets of given sizes (used in turn), with exact timestamps."""

    def split_audio(audio: Audio, sizes: Iterable[int], *, start_ns: int = 0) -> Iterator[Packet]:
        sizes = list(sizes)
        position = sequence = 0
        while position < audio.frames:
            size = sizes[sequence % len(sizes)]
            # A copy: packets share no memory, as they do not between processes.
            samples = audio.samples[position : position + size].copy()
            timestamp_ns = start_ns + position * 1_000_000_000 // audio.sample_rate
            yield make(
                Audio(samples, audio.sample_rate), sequence=sequence, timestamp_ns=timestamp_ns
            )
            position += size
            sequence += 1

    return split_audio


@pytest.fixture(scope="session")
def joined():
    """The samples of some audio payloads, one after the other."""

    def join(payloads: Iterable[Payload]) -> np.ndarray:
        return np.concatenate([payload.samples for payload in payloads])

    return join


@pytest.fixture(scope="session")
def grammar() -> str:
    return GRAMMAR


@pytest.fixture(scope="session")
def say(drive, joined):
    """Speaks a text: float32, mono, 16 kHz."""
    voice = drive(EspeakTTS(rate_wpm=150))

    def say_text(text: str) -> Audio:
        spoken = voice.run([Text(text)])
        return Audio(joined(drive(FastResample()).run(spoken)), 16_000)

    return say_text


@pytest.fixture(scope="session")
def commands(say) -> dict[str, Audio]:
    """Commands, spoken."""
    return {command: say(f"{command.capitalize()}.") for command in COMMANDS}


@pytest.fixture(scope="session")
def conversation(commands) -> Audio:
    """All commands, one after the other, with half a second of silence around each."""
    silence = np.zeros((8_000, 1), np.float32)
    parts = [silence]
    for command in commands.values():
        parts += [command.samples, silence]
    return Audio(np.concatenate(parts), 16_000)
