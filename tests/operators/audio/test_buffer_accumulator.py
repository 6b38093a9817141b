import numpy as np
import pytest

from engine.errors import UsageError
from engine.payloads import Audio, Json, Text
from operators.audio.buffer_accumulator import AudioBufferAccumulator

RATE = 16_000


def marker(*, start: bool = False, end: bool = False) -> Json:
    return Json({"is_speech_start": start, "is_speech_end": end})


def chunks(count: int, first: int = 0, channels: int = 1) -> list[Audio]:
    """Chunks of 32 ms; every sample is the number of its chunk."""
    return [
        Audio(np.full((512, channels), number, np.float32), RATE)
        for number in range(first, first + count)
    ]


def numbers(audio: Audio) -> list[int]:
    assert not np.ptp(audio.samples.reshape(-1, 512, audio.channels), axis=(1, 2)).any()
    return audio.samples[::512, 0].astype(int).tolist()


def test_an_utterance_has_its_pre_roll_and_all_until_its_end(drive):
    stream = [*chunks(30), marker(start=True), *chunks(40, 30), marker(end=True), *chunks(5, 70)]
    (spoken,) = drive(AudioBufferAccumulator()).run(stream)
    assert numbers(spoken) == list(range(10, 70))
    assert (spoken.sample_rate, spoken.channels, spoken.samples.dtype) == (RATE, 1, np.float32)


def test_it_is_emitted_when_it_ends_not_when_the_stream_does(drive):
    accumulator = drive(AudioBufferAccumulator())
    assert accumulator.feed(marker(start=True), *chunks(20), marker(end=True)) == []
    assert len(accumulator.feed(*chunks(1))) == 1
    assert accumulator.flush() == []


@pytest.mark.parametrize(("speech", "utterances"), [(7, 0), (8, 1)])
def test_short_speech_is_dropped(drive, speech, utterances):
    stream = [*chunks(30), marker(start=True), *chunks(speech), marker(end=True), *chunks(1)]
    assert len(drive(AudioBufferAccumulator()).run(stream)) == utterances  # 250 ms: 7.8 chunks


def test_a_long_utterance_is_emitted_in_parts(drive):
    accumulator = drive(AudioBufferAccumulator(max_utterance_duration_ms=320))
    parts = accumulator.feed(marker(start=True), *chunks(25))
    assert [part.frames for part in parts] == [5_120, 5_120]
    assert accumulator.feed(marker(end=True), *chunks(1)) == []  # 160 ms are too short
    assert accumulator.flush() == []


@pytest.mark.parametrize(("speech", "utterances"), [(5, 0), (10, 1)])
def test_the_end_of_the_stream_ends_the_utterance(drive, speech, utterances):
    accumulator = drive(AudioBufferAccumulator())
    assert accumulator.feed(marker(start=True), *chunks(speech)) == []
    assert [numbers(part) for part in accumulator.flush()] == [list(range(speech))] * utterances


def test_channels_and_dtype_are_kept(drive):
    stereo = Audio(np.ones((8_000, 2), np.int16), 48_000)
    assert drive(AudioBufferAccumulator(min_utterance_duration_ms=100)).run(
        [marker(start=True), stereo]
    ) == [stereo]


def test_markers_are_consumed_and_others_pass(drive, make_packet):
    others = [make_packet(payload) for payload in (Text("x"), Json({"a": 1}))]
    assert drive(AudioBufferAccumulator()).feed(marker(start=True), *others) == others


def test_reset_forgets_the_utterance(drive):
    accumulator = drive(AudioBufferAccumulator())
    accumulator.feed(marker(start=True), *chunks(50))
    accumulator.reset()
    assert accumulator.run([marker(end=True), *chunks(1)]) == []


def test_two_instances_keep_apart(drive):
    one, other = drive(AudioBufferAccumulator()), drive(AudioBufferAccumulator())
    one.feed(marker(start=True), *chunks(10))
    other.feed(*chunks(10))
    assert (len(one.flush()), len(other.flush())) == (1, 0)


def test_wrong_params_are_refused():
    with pytest.raises(UsageError, match="max_utterance_duration_ms"):
        AudioBufferAccumulator(max_utterance_duration_ms=0)


def parts_of(outputs):
    return [output.metadata.get("utterance_part") for output in outputs]


def test_streamed_parts_come_while_the_utterance_is_spoken(drive):
    accumulator = drive(AudioBufferAccumulator(stream=True))
    before = accumulator.feed(*chunks(30), marker(start=True), *chunks(7, 30))
    assert before == []  # 224 ms may still be too short to be an utterance
    spoken = accumulator.feed(*chunks(3, 37))
    assert parts_of(spoken) == ["begin", "middle", "middle"]
    rest = accumulator.feed(marker(end=True), *chunks(1, 40))
    assert parts_of(rest) == ["end"]
    together = np.concatenate([part.payload.samples for part in (*spoken, *rest)])
    assert numbers(Audio(together, RATE)) == list(range(10, 40))
    assert accumulator.flush() == []


@pytest.mark.parametrize("speech", [7, 8, 25])
def test_streamed_parts_have_the_samples_of_the_whole(drive, speech):
    stream = [*chunks(30), marker(start=True), *chunks(speech, 30), marker(end=True), *chunks(1)]
    whole = drive(AudioBufferAccumulator()).run(stream)
    parts = drive(AudioBufferAccumulator(stream=True)).run(stream)
    assert np.array_equal(
        np.concatenate([np.zeros((0, 1), np.float32), *(audio.samples for audio in whole)]),
        np.concatenate([np.zeros((0, 1), np.float32), *(audio.samples for audio in parts)]),
    )


def test_reset_forgets_the_parts_that_were_sent(drive):
    accumulator = drive(AudioBufferAccumulator(stream=True))
    assert parts_of(accumulator.feed(marker(start=True), *chunks(9)))[0] == "begin"
    accumulator.reset()
    assert accumulator.feed(marker(end=True), *chunks(2)) == []
    assert accumulator.flush() == []
