import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.packet import Origin, Packet, Source
from engine.payloads import Json
from operators.media.pairing import HELD_MAX, Pairing

MS = 1_000_000


def at(ms):
    return Packet(Json(ms), Source("n"), "in", 0, Origin("s", 0, round(ms * MS), 0))


def said(pairs):
    return [
        (pair.audio and pair.audio.payload.value, pair.video and pair.video.payload.value)
        for pair in pairs
    ]


def run(pairing, *events):
    """Feed ("a" or "v", ms) pairs; what was decided, without the flush."""
    out = []
    for side, ms in events:
        out += pairing.feed_audio(at(ms)) if side == "a" else pairing.feed_video(at(ms))
    return said(out)


@pytest.fixture
def pairing():
    return Pairing(500 * MS)


def test_a_frame_waits_for_the_audio_behind_it(pairing):
    assert run(pairing, ("a", 0), ("v", 33)) == []
    assert run(pairing, ("a", 20)) == []
    assert run(pairing, ("a", 40)) == [(40, 33)]


def test_the_nearest_audio_is_taken_whichever_side_comes_first(pairing):
    audio = [("a", ms) for ms in range(0, 200, 20)]
    video = [("v", ms) for ms in (0, 33, 66, 100)]
    wanted = [(0, 0), (40, 33), (60, 66), (100, 100)]
    assert run(pairing, *audio, *video) == wanted
    assert run(Pairing(500 * MS), *video, *audio) == wanted


def test_one_packet_serves_several_frames(pairing):
    events = [("a", 0), ("v", 0), ("v", 10), ("v", 20), ("a", 100)]
    assert run(pairing, *events) == [(0, 0), (0, 10), (0, 20)]


def test_the_end_decides_what_waits(pairing):
    run(pairing, ("a", 0), ("v", 33), ("v", 66))
    assert said(pairing.flush()) == [(0, 33), (0, 66)]
    assert pairing.held == 0
    assert pairing.flush() == []


def test_silent_audio_stops_no_frame_and_is_said_once(pairing):
    frames = [("v", ms) for ms in range(0, 3_000, 40)]
    assert run(pairing, *frames) == [(None, 0)]
    assert pairing.held <= 500 // 40 + 1
    assert run(pairing, ("a", 2_960)) == [(2_960, ms) for ms in range(2_480, 2_961, 40)]
    assert run(pairing, *[("v", ms) for ms in range(3_000, 5_000, 40)])[-1][0] is None


def test_silent_video_is_said_once(pairing):
    assert run(pairing, ("a", 0), ("v", 0)) == [(0, 0)]
    assert run(pairing, *[("a", ms) for ms in range(20, 3_000, 20)]) == [(520, None)]
    assert pairing.held <= 500 // 20 + 2
    assert run(pairing, ("v", 2_950)) == [(2_940, 2_950)]
    assert run(pairing, *[("a", ms) for ms in range(3_000, 4_000, 20)]) == [(3_460, None)]


def test_video_that_never_comes_is_missed_from_the_first_audio_on(pairing):
    assert run(pairing, *[("a", ms) for ms in range(10_000, 12_000, 20)]) == [(10_520, None)]


def test_partners_farther_apart_than_the_window_are_none(pairing):
    assert run(pairing, ("a", 0), ("v", 600), ("a", 1_101)) == [(None, 600), (1_101, None)]


def test_a_side_that_jumps_back_begins_anew(pairing):
    run(pairing, ("a", 5_000), ("v", 5_010))
    assert run(pairing, ("a", 0)) == [(5_000, 5_010)]
    assert run(pairing, ("v", 10), ("a", 20)) in ([(0, 10)], [(20, 10)])


def test_a_reset_forgets_both(pairing):
    run(pairing, ("a", 0), ("v", 33))
    pairing.reset()
    assert pairing.held == 0
    assert run(pairing, ("v", 40), ("a", 50)) == [(50, 40)]


def test_what_is_held_is_bounded_though_time_stands_still(pairing):
    run(pairing, *[("a", 0)] * 1_000)
    run(pairing, *itertools.repeat(("v", 1), 1_000))
    assert pairing.held <= 2 * HELD_MAX


@given(
    st.lists(st.integers(0, 100), max_size=60),
    st.lists(st.integers(0, 100), max_size=60),
    st.randoms(use_true_random=False),
)
def test_each_frame_is_decided_once_with_the_nearest_audio_there_is(steps_a, steps_v, random):
    audio = [("a", ms) for ms in itertools.accumulate(steps_a)]
    video = [("v", ms) for ms in itertools.accumulate(steps_v)]
    events, a, v = [], list(audio), list(video)
    while a or v:
        events.append((a if not v or (a and random.random() < 0.5) else v).pop(0))
    pairing = Pairing(10_000 * MS)  # wide enough for nothing to be missed
    out = run(pairing, *events) + said(pairing.flush())
    assert [pair[1] for pair in out] == [ms for _, ms in video] if audio else len(out) <= 1
    for heard, seen in out if audio else []:
        assert abs(heard - seen) == min(abs(ms - seen) for _, ms in audio)
