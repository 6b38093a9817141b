"""What is said in the demonstration, and the recording of it. Source: US1.

The recording is made by the synthesizer, run through the engine like anything else, and kept: a
later run finds it.

    0.6 s silence ┃ command ┃ 1.2 s silence ┃ command ┃ … ┃ 1.2 s silence
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from engine.payloads import Audio, Text
from operators.audio.wav_file import WavWriter, read_info
from operators.speech.espeak_tts import EspeakTTS
from remotemedia.pipeline import Pipeline

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

COMMANDS: Final = (
    "turn on the light in the kitchen",
    "set the heating to twenty one degrees",
    "close the blinds in the bedroom",
    "lock the front door",
    "play the music in the living room",
)
_VOICE: Final = "en-us"
_RATE_WPM: Final = 150
_SILENCE_BEFORE_S: Final = 0.6
_SILENCE_AFTER_S: Final = 1.2
#: What is louder than this share of a command's peak is speech, not its decay.
_SPEECH_SHARE: Final = 0.01


@dataclass(frozen=True, slots=True)
class Command:
    """One spoken command.

    Attributes:
        text: what is said.
        start_s: its first speech sample, counted from the recording's beginning.
        end_s: the end of its last speech sample.
    """

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Recording:
    """The recorded commands.

    Attributes:
        path: the WAV file.
        commands: what is in it, in order.
        duration_s: its length.
        maker_pid: the process in which it was spoken just now; 0: it was there already.
    """

    path: Path
    commands: tuple[Command, ...]
    duration_s: float
    maker_pid: int


def recording_in(folder: Path) -> Recording:
    """The recording in a folder, made now if it is not there or is of something else.

    Raises:
        RemoteMediaError: the synthesizer failed, or the folder cannot be written to.
    """
    path = folder / "commands.wav"
    note = folder / "commands.json"
    return _found(path, note) or _make(path, note)


def _recipe() -> dict[str, object]:
    """What a recording is made of; another recipe makes another recording."""
    return {
        "texts": list(COMMANDS),
        "voice": _VOICE,
        "rate_wpm": _RATE_WPM,
        "silence_s": [_SILENCE_BEFORE_S, _SILENCE_AFTER_S],
    }


def _found(path: Path, note: Path) -> Recording | None:
    if not (path.is_file() and note.is_file()):
        return None
    try:
        data = json.loads(note.read_text(encoding="utf-8"))
        known = data["recipe"] == _recipe() and data["bytes"] == path.stat().st_size
        commands = tuple(Command(**command) for command in data["commands"])
    except (KeyError, TypeError, ValueError):
        return None
    return Recording(path, commands, read_info(path).duration_s, 0) if known else None


def _make(path: Path, note: Path) -> Recording:
    spoken, rate, pid = asyncio.run(_speak())
    commands = []
    parts = [_silence(_SILENCE_BEFORE_S, rate)]
    frames = len(parts[0])
    for text, samples in zip(COMMANDS, spoken, strict=True):
        first, last = _speech_bounds(samples)
        commands.append(Command(text, (frames + first) / rate, (frames + last + 1) / rate))
        # Cut behind the last speech sample: what follows is silence of a known length.
        parts += [samples[: last + 1], _silence(_SILENCE_AFTER_S, rate)]
        frames += len(parts[-2]) + len(parts[-1])
    with WavWriter(path) as file:
        file.write(Audio(np.concatenate(parts), rate))
    data = {
        "recipe": _recipe(),
        "bytes": path.stat().st_size,
        "commands": [asdict(command) for command in commands],
    }
    note.write_text(f"{json.dumps(data, indent=2)}\n", encoding="utf-8")
    return Recording(path, tuple(commands), frames / rate, pid)


async def _speak() -> tuple[list[npt.NDArray[np.float32]], int, int]:
    """Speak the commands; gives their samples, the rate in Hz, and the process it was done in."""
    pipeline = Pipeline("recorder") | EspeakTTS(voice=_VOICE, rate_wpm=_RATE_WPM).named("speaker")
    chunks: list[list[npt.NDArray[np.float32]]] = [[] for _ in COMMANDS]
    rate = 0
    async with pipeline.session() as session:
        pid = session.stages[0].pid
        async for packet in session.stream(Text(text) for text in COMMANDS):
            assert isinstance(packet.payload, Audio)
            rate = packet.payload.sample_rate
            chunks[packet.sequence].append(packet.payload.mono())
    return [np.concatenate(parts) for parts in chunks], rate, pid


def _silence(length_s: float, rate: int) -> npt.NDArray[np.float32]:
    return np.zeros(round(length_s * rate), np.float32)


def _speech_bounds(samples: npt.NDArray[np.float32]) -> tuple[int, int]:
    """First and last sample of speech."""
    loud = np.flatnonzero(np.abs(samples) > _SPEECH_SHARE * np.abs(samples).max())
    return int(loud[0]), int(loud[-1])
