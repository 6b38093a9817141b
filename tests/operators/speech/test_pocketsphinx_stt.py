from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.packet import Packet
from engine.payloads import Audio, Json, Text
from operators.audio.buffer_accumulator import AudioBufferAccumulator
from operators.audio.vad import SileroVAD
from operators.speech.pocketsphinx_stt import PocketSphinxSTT


def padded(audio: Audio) -> Audio:
    silence = np.zeros((4_800, 1), np.float32)
    return Audio(np.concatenate((silence, audio.samples, silence)), 16_000)


def heard(outputs: list[Packet]) -> list[tuple[str, dict[str, str]]]:
    return [(output.payload.text, dict(output.metadata)) for output in outputs]


@pytest.fixture(scope="session")
def recognizer(drive, grammar):
    return drive(PocketSphinxSTT(grammar=grammar))


@pytest.fixture(scope="session")
def utterances(commands):
    return [padded(audio) for audio in commands.values()]


@pytest.fixture(scope="session")
def marked(drive, split, conversation):
    """What the detector makes of the conversation, in packets of 20 ms."""
    return drive(SileroVAD()).feed(*split(conversation, [320]))


@pytest.fixture(autouse=True)
def _fresh(request):
    if "recognizer" in request.fixturenames:
        driver = request.getfixturevalue("recognizer")
        driver.ctx.cancelled = False
        driver.operator._streamed = False
        driver.reset()


def test_commands_are_understood(recognizer, commands, utterances):
    assert [text for text, _ in heard(recognizer.feed(*utterances))] == list(commands)


def test_an_utterance_gives_one_text_with_its_measures(recognizer, make_packet, utterances):
    packet = make_packet(utterances[0], metadata={"speaker": "a"})
    (output,) = recognizer.feed(packet)
    assert output.payload == Text("turn on the kitchen light", "en")
    assert output.origin.sequence == packet.origin.sequence
    assert output.metadata["speaker"] == "a"
    assert 0 < float(output.metadata["confidence"]) <= 1
    assert output.metadata["duration_ms"] == str(utterances[0].frames // 16)


def test_an_utterance_is_heard_the_same_after_any_other(drive, grammar, utterances):
    fresh = [heard(drive(PocketSphinxSTT(grammar=grammar)).feed(one)) for one in utterances[:3]]
    used = drive(PocketSphinxSTT(grammar=grammar))
    for order in ((0, 1, 2), (2, 1, 0)):
        assert [heard(used.feed(utterances[number])) for number in order] == [
            fresh[number] for number in order
        ]


def test_an_utterance_is_decoded_to_the_same_score_after_any_other(recognizer, utterances):
    def score(audio: Audio) -> float:
        recognizer.feed(audio)
        return recognizer.operator._decoder.hyp().best_score

    first = score(utterances[0])
    recognizer.feed(Audio(np.zeros(16_000, np.float32), 16_000), *utterances[1:])
    assert score(utterances[0]) == first


def test_steps_give_the_score_of_the_whole_utterance_at_once(recognizer, utterances):
    recognizer.feed(utterances[0])
    operator = recognizer.operator
    decoder = operator._decoder
    by_steps = decoder.hyp().best_score
    operator._frames = 0
    decoder.reinit_feat()
    decoder.start_utt()
    decoder.process_raw(operator._pcm(utterances[0].mono()).tobytes())
    decoder.end_utt()
    assert by_steps == decoder.hyp().best_score


def test_a_stream_with_markers_is_heard_like_its_utterances(drive, grammar, commands, marked):
    spoken = drive(AudioBufferAccumulator()).run(marked)
    collected = drive(PocketSphinxSTT(grammar=grammar)).feed(*spoken)
    streamed = drive(PocketSphinxSTT(grammar=grammar)).feed(*marked)
    assert heard(streamed) == heard(collected)
    assert [text for text, _ in heard(streamed)] == list(commands)


def test_parts_of_utterances_are_heard_like_whole_ones(drive, grammar, commands, marked):
    parts = drive(AudioBufferAccumulator(stream=True)).feed(*marked)
    assert len(parts) > 10 * len(commands)
    followed = drive(PocketSphinxSTT(grammar=grammar)).feed(*parts)
    whole = drive(AudioBufferAccumulator()).feed(*marked)
    assert heard(followed) == heard(drive(PocketSphinxSTT(grammar=grammar)).feed(*whole))
    assert [text for text, _ in heard(followed)] == list(commands)


def test_parts_that_break_off_are_heard_to_there_and_after_a_reset_not_at_all(
    drive, grammar, commands, marked
):
    parts = drive(AudioBufferAccumulator(stream=True)).feed(*marked)
    end = next(i for i, part in enumerate(parts) if part.metadata["utterance_part"] == "end")
    recognizer = drive(PocketSphinxSTT(grammar=grammar))
    assert recognizer.feed(*parts[:end]) == []
    assert [text for text, _ in heard(recognizer.flush())] == [next(iter(commands))]
    recognizer.feed(*parts[:end])
    recognizer.reset()
    assert recognizer.feed(parts[end]) == []


def test_the_text_is_there_with_the_packet_that_ends_the_utterance(drive, grammar, marked):
    recognizer = drive(PocketSphinxSTT(grammar=grammar))
    ending = False
    for packet in marked:
        outputs = recognizer.feed(packet)
        if isinstance(packet.payload if isinstance(packet, Packet) else packet, Json):
            assert outputs == []
            ending = (packet.payload if isinstance(packet, Packet) else packet).value[
                "is_speech_end"
            ]
        else:
            assert len(outputs) == int(ending)


@settings(deadline=None, max_examples=12)
@given(sizes=st.lists(st.integers(100, 50_000), min_size=1, max_size=5))
def test_texts_do_not_depend_on_packets(drive, recognizer, split, conversation, sizes):
    beginning = Audio(conversation.samples[:75_000], 16_000)
    results = []
    for packing in ([512], sizes):
        recognizer.reset()
        packets = drive(SileroVAD()).run(split(beginning, packing))
        results.append(heard([*recognizer.feed(*packets), *recognizer.flush()]))
    assert results[0] == results[1]
    assert len(results[0]) == 2


def test_the_end_of_the_stream_ends_an_utterance(drive, grammar, split, commands):
    recognizer = drive(PocketSphinxSTT(grammar=grammar))
    start = Json({"is_speech_start": True, "is_speech_end": False, "offset_samples": 4_800})
    packets = split(padded(commands["good morning"]), [320])
    assert recognizer.feed(start, *packets) == []
    assert [text for text, _ in heard(recognizer.flush())] == ["good morning"]
    assert recognizer.flush() == []


@pytest.mark.parametrize("frames", [0, 1, 100, 409, 640, 8_000])
def test_silence_and_splinters_give_an_empty_text(recognizer, frames):
    (output,) = recognizer.feed(Audio(np.zeros(frames, np.float32), 16_000))
    assert output.payload == Text("", "en")


def test_any_format_of_the_samples_will_do(recognizer, utterances):
    samples = np.rint(utterances[0].samples * 32_767).astype(np.int16)
    formats = [
        Audio(samples, 16_000),
        Audio(np.repeat(samples, 2, axis=1), 16_000),
        Audio((samples / 32_768).astype(np.float32), 16_000),
    ]
    first, *others = heard(recognizer.feed(*formats))
    assert others == [first, first]


@pytest.mark.parametrize("gain_db", [-6, -20])
def test_quiet_speech_is_understood(recognizer, commands, utterances, gain_db):
    gain = np.float32(10 ** (gain_db / 20))
    quiet = [Audio(audio.samples * gain, 16_000) for audio in utterances]
    assert [text for text, _ in heard(recognizer.feed(*quiet))] == list(commands)


def test_reset_abandons_the_utterance(drive, grammar, split, utterances):
    recognizer = drive(PocketSphinxSTT(grammar=grammar))
    start = Json({"is_speech_start": True, "is_speech_end": False, "offset_samples": 0})
    recognizer.feed(start, *list(split(utterances[0], [320]))[:50])
    recognizer.reset()
    assert recognizer.flush() == []
    expected = heard(drive(PocketSphinxSTT(grammar=grammar)).feed(utterances[1]))
    recognizer.operator._streamed = False
    assert heard(recognizer.feed(utterances[1])) == expected


def test_an_unwanted_utterance_is_not_decoded(recognizer, utterances):
    recognizer.ctx.cancelled = True
    (output,) = recognizer.feed(utterances[0])
    assert output.payload.text == ""


def test_another_rate_is_refused_with_the_remedy(recognizer):
    with pytest.raises(ValueError, match=r"48000 Hz.*FastResampleNode with targetRate 16000"):
        recognizer.feed(Audio(np.zeros(480, np.float32), 48_000))


def test_other_payloads_pass_through(recognizer, make_packet):
    packets = [make_packet(payload) for payload in (Text("x"), Json({"a": 1}))]
    assert recognizer.feed(*packets) == packets


HEAD = "#JSGF V1.0;\ngrammar a;\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "public <x> = turn ( on ;", "refuses the grammar: syntax error.*at line 3"),
        ("turn on", "syntax error.*expecting HEADER at line 1"),
        (HEAD + "<x> = turn on;", "No public rules found"),
        (HEAD + "public <x> = turn <y>;", "Undefined rule in RHS: <a.y>"),
        (HEAD + "public <x> = frobnicate;", "The word 'frobnicate' is missing in the dictionary"),
        (HEAD + "public <x> = Turn;", "The word 'Turn' is missing in the dictionary"),
    ],
)
def test_a_wrong_grammar_is_refused_with_the_line(drive, capfd, text, message):
    with pytest.raises(ValueError, match=message) as caught:
        drive(PocketSphinxSTT(grammar=text))
    assert "/tmp" not in str(caught.value)
    assert "ERROR" not in capfd.readouterr().err


def test_the_dictionary_can_be_added_to(drive):
    grammar = HEAD + "public <x> = good morning | remotemedia;"
    words = {"remotemedia": "R IH M OW T M IY D IY AH"}
    assert drive(PocketSphinxSTT(grammar=grammar, words=words))
    with pytest.raises(ValueError, match="refuses the words: Unknown phone QQ"):
        drive(PocketSphinxSTT(grammar=grammar, words={"remotemedia": "QQ"}))


@pytest.mark.parametrize("text", [None, "wrong"])
def test_loading_leaves_no_file_open(drive, grammar, text):
    with suppress(ValueError):
        drive(PocketSphinxSTT(grammar=text or grammar))
    names = [str(entry.resolve()) for entry in Path("/proc/self/fd").iterdir()]
    assert not [name for name in names if "/pocketsphinx-" in name]


def test_without_a_grammar_the_language_model_decides(drive, say, capfd):
    recognizer = drive(PocketSphinxSTT())
    ((text, _),) = heard(recognizer.feed(padded(say("Stop the music."))))
    assert text == "stop the music"
    assert capfd.readouterr().err == ""


def test_starting_reports_its_steps(recognizer):
    assert [message for _, message in recognizer.ctx.steps] == [
        "loading acoustic model and dictionary",
        "reading grammar",
        "ready",
    ]


def test_other_languages_are_refused():
    with pytest.raises(UsageError, match="language"):
        PocketSphinxSTT(language="de")
