"""The operators together: a spoken command comes in, a spoken answer goes out."""

import numpy as np

from engine.packet import Packet
from engine.payloads import Audio, Text
from operators.audio.buffer_accumulator import AudioBufferAccumulator
from operators.audio.chunker import AudioChunker
from operators.audio.resample import FastResample
from operators.audio.vad import SileroVAD
from operators.speech.espeak_tts import EspeakTTS
from operators.speech.pocketsphinx_stt import PocketSphinxSTT
from operators.text.reply import RuleReply

RULES = [
    {
        "pattern": r"turn (?P<state>on|off) the (?P<room>[a-z ]+) light",
        "reply": "The {room} light is {state}.",
    },
    {"pattern": "what time", "reply": "It is noon."},
]


def through(stream: list, *drivers) -> list:
    for driver in drivers:
        outputs = [*driver.feed(*stream), *driver.flush()]
        stream = outputs
    return [output.payload if isinstance(output, Packet) else output for output in stream]


def test_spoken_commands_are_answered(drive, grammar, commands, split):
    """From 48 kHz in 20 ms packets, as a browser sends it, to speech."""
    silence = np.zeros((24_000, 1), np.float32)
    upsampler = drive(FastResample(target_rate=48_000))
    spoken = [
        *upsampler.run([commands["turn on the kitchen light"]]),
        Audio(silence, 48_000),
        *upsampler.run([commands["what time is it"]]),
        Audio(silence, 48_000),
    ]
    microphone = Audio(np.concatenate([silence, *(part.samples for part in spoken)]), 48_000)
    replies = through(
        list(split(microphone, [960])),
        drive(FastResample()),
        drive(AudioChunker()),
        drive(SileroVAD()),
        drive(AudioBufferAccumulator()),
        drive(PocketSphinxSTT(grammar=grammar)),
        drive(RuleReply(rules=RULES)),
    )
    assert replies == [Text("The kitchen light is on.", "en"), Text("It is noon.", "en")]
    answers = through(replies, drive(EspeakTTS()))
    assert sum(answer.frames for answer in answers) > 2 * 22_050
