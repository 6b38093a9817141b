from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.payloads import Audio, Json, Text
from operators.audio import utterance
from operators.audio.utterance import LEAD_MS, REACH_MS, UtteranceCutter, marker_of

#: One frame per millisecond, so that frames and milliseconds are the same numbers.
RATE = 1_000


def marker(*, start: bool = False, end: bool = False, offset: int | None = None) -> dict:
    value = {"is_speech_start": start, "is_speech_end": end}
    return value if offset is None else value | {"offset_samples": offset}


def stream(frames: int) -> np.ndarray:
    return np.arange(frames, dtype=np.int32).reshape(-1, 1)


class Collector:
    """The utterances as lists of their samples, which are their positions in the stream."""

    def __init__(self, utterance_ms_max: int = 30_000) -> None:
        self.cutter = UtteranceCutter(utterance_ms_max)
        self.utterances: list[list[int]] = []
        self.speech_frames: list[int] = []
        self._current: list[int] | None = None

    def take(self, pieces) -> None:
        for piece in pieces:
            assert piece.begins == (self._current is None)
            self._current = self._current or []
            self._current += piece.samples[:, 0].tolist()
            if piece.ends:
                self.utterances.append(self._current)
                self.speech_frames.append(piece.speech_frames)
                self._current = None

    def feed(self, samples: np.ndarray) -> None:
        self.take(self.cutter.feed(Audio(samples, RATE)))

    def flush(self) -> None:
        self.take(self.cutter.flush())


@given(
    sizes=st.lists(st.integers(1, 700), min_size=1, max_size=20),
    turnings=st.lists(st.integers(1, 900), max_size=8),
    delay=st.integers(0, 400),
)
def test_located_markers_cut_the_same_whatever_the_packets(sizes, turnings, delay):
    """Starts are announced `delay` late, ends when they are certain, as detectors do."""
    frames = 6_000
    positions = [int(at) for at in np.cumsum(turnings) if at + delay < frames]
    expected, before = [], 0
    for start, end in zip(positions[::2], [*positions[1::2], frames], strict=False):
        expected.append(list(range(max(start - LEAD_MS, before), end)))
        before = end

    collector, at, packet = Collector(), 0, 0
    events = [
        (position + (delay if number % 2 == 0 else 0), position, number % 2 == 0)
        for number, position in enumerate(positions)
    ]
    # An announcement that comes after the end it precedes would never be made.
    assume(all(first[0] < second[0] for first, second in pairwise(events)))
    samples = stream(frames)
    while at < frames:
        size = sizes[packet % len(sizes)]
        for known, position, starts in events:
            # Known when its sample comes: by the packet that holds it, or ends with it.
            if at < known <= at + size:
                mark = marker(start=starts, end=not starts, offset=position - at)
                collector.cutter.mark(mark)
        collector.feed(samples[at : at + size].copy())
        at += size
        packet += 1
    collector.flush()
    assert collector.utterances == expected


def test_unlocated_markers_cut_between_packets():
    collector = Collector()
    samples = stream(1_000)
    for at in range(0, 1_000, 10):
        if at == 500:
            collector.cutter.mark(marker(start=True))
        if at == 700:
            collector.cutter.mark(marker(end=True))
        collector.feed(samples[at : at + 10].copy())
    assert collector.utterances == [list(range(300, 700))]  # 20 packets before the start
    assert collector.speech_frames == [200]


def test_the_lead_does_not_count_as_speech():
    collector = Collector()
    collector.feed(stream(1_000))
    collector.cutter.mark(marker(start=True, offset=-100))
    collector.cutter.mark(marker(end=True, offset=50))
    collector.feed(stream(100))
    assert collector.speech_frames == [150]
    assert len(collector.utterances[0]) == LEAD_MS + 150


def test_a_lead_never_repeats_the_utterance_before():
    collector = Collector()
    for mark in (
        marker(start=True, offset=100),
        marker(end=True, offset=200),
        marker(start=True, offset=210),
        marker(end=True, offset=300),
    ):
        collector.cutter.mark(mark)
    collector.feed(stream(400))
    assert collector.utterances == [list(range(200)), list(range(200, 300))]


def test_what_is_kept_for_a_lead_is_bounded():
    collector = Collector()
    for _ in range(50):
        collector.feed(stream(1_000))
    assert collector.cutter._recent_frames < REACH_MS + 1_000
    collector.feed(stream(100_000))
    assert collector.cutter._recent_frames == REACH_MS
    collector.cutter.mark(marker(start=True, offset=-50_000))
    collector.feed(stream(10))
    collector.flush()
    assert len(collector.utterances[0]) == REACH_MS + 10


def test_a_large_packet_is_not_kept_for_a_part_of_it():
    cutter = UtteranceCutter(30_000)
    large = Audio(stream(100_000), RATE)
    list(cutter.feed(large))
    assert not np.shares_memory(cutter._recent[0].samples, large.samples)
    small = Audio(stream(100), RATE)
    list(cutter.feed(small))
    assert np.shares_memory(cutter._recent[-1].samples, small.samples)


@pytest.mark.parametrize("size", [7, 100, 2_500])
def test_a_long_utterance_goes_on_in_another_without_a_gap(size):
    collector = Collector(utterance_ms_max=1_000)
    collector.cutter.mark(marker(start=True, offset=0))
    for at in range(0, 2_500, size):
        collector.feed(stream(2_500)[at : at + size].copy())
    collector.flush()
    assert [len(part) for part in collector.utterances] == [1_000, 1_000, 500]
    assert list(chain(*collector.utterances)) == list(range(2_500))


def test_an_utterance_that_ends_where_it_is_full_leaves_no_empty_one():
    collector = Collector(utterance_ms_max=1_000)
    collector.cutter.mark(marker(start=True, offset=0))
    collector.cutter.mark(marker(end=True, offset=1_000))
    collector.feed(stream(1_500))
    collector.flush()
    assert collector.utterances == [list(range(1_000))]


def test_another_format_ends_the_utterance():
    collector = Collector()
    collector.cutter.mark(marker(start=True, offset=0))
    collector.feed(stream(100))
    collector.take(collector.cutter.feed(Audio(stream(100), RATE * 2)))
    assert collector.utterances == [list(range(100))]


def test_a_marker_before_another_format_speaks_of_the_new_audio():
    collector = Collector()
    collector.feed(stream(100))
    collector.cutter.mark(marker(start=True, offset=10))
    collector.take(collector.cutter.feed(Audio(stream(100), RATE * 2)))
    collector.flush()
    assert collector.utterances == [list(range(100))]


def test_markers_that_say_what_is_known_change_nothing():
    collector = Collector()
    collector.cutter.mark(marker(end=True, offset=0))
    collector.cutter.mark(marker(start=True, offset=0))
    collector.cutter.mark(marker(start=True, offset=50))
    collector.feed(stream(100))
    collector.flush()
    assert collector.utterances == [list(range(100))]


def test_markers_without_audio_are_an_error_in_the_end(monkeypatch):
    monkeypatch.setattr(utterance, "MARKERS_WAITING_MAX", 10)
    cutter = UtteranceCutter(30_000)
    for _ in range(10):
        cutter.mark(marker(start=True))
    with pytest.raises(ValueError, match="11 speech markers came without the audio"):
        cutter.mark(marker(start=True))


def test_reset_forgets_everything():
    collector = Collector()
    collector.cutter.mark(marker(start=True, offset=0))
    collector.feed(stream(100))
    collector.cutter.reset()
    collector.flush()
    assert collector.utterances == []


@pytest.mark.parametrize("payload", [Json(1), Json({"is_speech_start": True}), Text("x")])
def test_other_payloads_are_no_markers(payload):
    assert marker_of(payload) is None
