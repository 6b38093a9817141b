import asyncio
import itertools
from pathlib import Path

import numpy as np
import pytest

from engine.errors import UsageError
from engine.payloads import Json, Text
from operators.speech.espeak_library import EspeakImage
from operators.speech.espeak_tts import EspeakTTS, split_clauses

TEXT = "Hello there, my friend. It is 3.5 degrees; how are you?"


@pytest.mark.parametrize("chunk_ms", [20, 40, 1_000])
def test_speech_comes_in_chunks(drive, joined, chunk_ms):
    chunks = drive(EspeakTTS(chunk_ms=chunk_ms)).run([Text(TEXT)])
    frames = 22_050 * chunk_ms // 1_000
    assert [chunk.frames for chunk in chunks[:-1]] == [frames] * (len(chunks) - 1)
    assert 0 < chunks[-1].frames <= frames
    assert {(chunk.sample_rate, chunk.channels) for chunk in chunks} == {(22_050, 1)}
    samples = joined(chunks)
    assert samples.dtype == np.float32
    assert 0.1 < np.abs(samples).max() <= 1
    assert 3 < len(samples) / 22_050 < 7


def test_a_text_sounds_the_same_whatever_was_said_before(drive, joined):
    voice = drive(EspeakTTS())
    first = joined(voice.run([Text(TEXT)]))
    drive(EspeakTTS(voice="de", rate_wpm=400, pitch=99)).run([Text("Noch etwas anderes.")])
    voice.run([Text("Something in between.")])
    assert np.array_equal(joined(voice.run([Text(TEXT)])), first)
    assert np.array_equal(joined(drive(EspeakTTS()).run([Text(TEXT)])), first)


def test_two_nodes_may_speak_at_the_same_time(drive, joined, make_packet):
    nodes = [drive(EspeakTTS()), drive(EspeakTTS(voice="de", pitch=80))]
    alone = [joined(node.run([Text(TEXT)])) for node in nodes]
    streams = [node.operator.process(make_packet(Text(TEXT)), node.ctx) for node in nodes]
    heard = [[], []]
    for _ in range(1_000):
        for stream, chunks in zip(streams, heard, strict=True):
            chunks.extend(chunk.payload for chunk in [next(stream, None)] if chunk is not None)
    for chunks, expected in zip(heard, alone, strict=True):
        assert np.array_equal(joined(chunks), expected)


def test_the_beginning_does_not_wait_for_the_end(drive, make_packet, monkeypatch):
    clauses = []
    speak = EspeakImage.speak
    monkeypatch.setattr(
        EspeakImage, "speak", lambda image, text: clauses.append(text) or speak(image, text)
    )
    voice = drive(EspeakTTS())
    stream = voice.operator.process(make_packet(Text(TEXT)), voice.ctx)
    assert clauses == []
    next(stream)
    assert clauses == ["Hello there,"]
    for _ in stream:
        pass
    assert clauses == ["Hello there,", "my friend.", "It is 3.5 degrees;", "how are you?"]


def test_clauses_sound_as_they_do_together(drive):
    """The pauses are espeak-ng's own: one call for all differs by less than a hundredth."""
    voice = drive(EspeakTTS())
    apart = sum(chunk.frames for chunk in voice.run([Text(TEXT)]))
    with voice.operator._library.image() as image:
        image.set_voice("en-us")
        together = len(image.speak(TEXT)) // 2
    assert apart == pytest.approx(together, rel=0.01)


@pytest.mark.parametrize("chunk_ms", [20, 40, 1_000])
def test_a_chunk_says_what_is_spoken_and_for_how_long_in_all(drive, make_packet, chunk_ms):
    packet = make_packet(Text("Yes, it is. Yes, it is."), sequence=3, metadata={"id": "7"})
    chunks = drive(EspeakTTS(chunk_ms=chunk_ms)).feed(packet)
    runs = [list(run) for _, run in itertools.groupby(chunks, lambda chunk: id(chunk.metadata))]
    texts = [run[0].metadata["text"] for run in runs]
    assert " ".join(texts) == packet.payload.text
    if chunk_ms < 100:
        assert texts == ["Yes,", "it is."] * 2
    assert {chunk.metadata["id"] for chunk in chunks} == {"7"}
    for run in runs:
        length_ms = sum(chunk.payload.frames for chunk in run) / 22.05
        assert int(run[0].metadata["text_ms"]) == int(length_ms)


def test_an_unwanted_text_is_not_spoken_to_the_end(drive, make_packet):
    voice = drive(EspeakTTS())
    stream = voice.operator.process(make_packet(Text(TEXT)), voice.ctx)
    next(stream)
    voice.ctx.cancelled = True
    assert sum(chunk.payload.frames for chunk in stream) < 22_050


def test_an_abandoned_text_leaves_nothing_loaded(drive, make_packet):
    voice = drive(EspeakTTS())
    stream = voice.operator.process(make_packet(Text(TEXT)), voice.ctx)
    next(stream)
    stream.close()
    assert "espeak" not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize("text", ["", " \n", "...", "?!", "- — -"])
def test_nothing_to_say_emits_nothing(drive, text):
    assert drive(EspeakTTS()).run([Text(text)]) == []


@pytest.mark.parametrize("payload", [Json({"text": "x"}), Text("shown", channel="ui")])
def test_what_is_not_to_be_spoken_passes_through(drive, make_packet, payload):
    packet = make_packet(payload)
    assert drive(EspeakTTS()).feed(packet) == [packet]


def test_an_unknown_voice_is_refused_when_it_starts(drive):
    with pytest.raises(ValueError, match="no voice 'en-uk'; nearest are"):
        drive(EspeakTTS(voice="en-uk"))


@pytest.mark.parametrize(
    "params", [{"rate_wpm": 79}, {"pitch": 100}, {"chunk_ms": 10}, {"volume": -1}, {"voice": ""}]
)
def test_wrong_params_are_refused(params):
    with pytest.raises(UsageError, match=next(iter(params))):
        EspeakTTS(**params)


def test_starting_reports_its_steps(drive):
    assert [message for _, message in drive(EspeakTTS()).ctx.steps] == [
        "loading espeak-ng",
        "loading voice en-us",
    ]


def test_cleanup_may_come_without_initialize_and_twice():
    operator = EspeakTTS()
    asyncio.run(operator.cleanup())
    asyncio.run(operator.cleanup())


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("One, two. Three", ["One,", "two.", "Three"]),
        ("It is 3.5 or 1,000 at 10:30", ["It is 3.5 or 1,000 at 10:30"]),
        ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
        ("Wait... what?! Yes", ["Wait...", "what?!", "Yes"]),
        ("これは。テスト", ["これは。", "テスト"]),
        ("Title\n\nText\ngoes on", ["Title", "Text\ngoes on"]),
        ("... - ...", []),
        ("a " * 500, ["a " * 199 + "a", "a " * 199 + "a", "a " * 99 + "a"]),
        ("x" * 900, ["x" * 400, "x" * 400, "x" * 100]),
    ],
)
def test_text_is_split_where_there_is_a_pause(text, clauses):
    assert split_clauses(text) == clauses
