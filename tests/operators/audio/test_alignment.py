import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.audio.alignment import Aligner


def block(frames, value=1.0):
    return np.full((frames, 1), value, np.float32)


def aligner(lanes=2, lead_max=100, tolerance=2, keep_late=True):
    return Aligner(lanes, lead_max=lead_max, tolerance=tolerance, keep_late=keep_late)


def spans(found):
    """(start, frames, which lanes have sound)."""
    return [(span.start, span.frames, [part is not None for part in span.parts]) for span in found]


def test_a_span_is_released_when_all_lanes_have_come_so_far():
    lanes = aligner()
    lanes.push(0, 1_000, block(50))
    assert lanes.release() == []
    lanes.push(1, 1_000, block(30))
    assert spans(lanes.release()) == [(1_000, 30, [True, True])]
    lanes.push(1, 1_030, block(40))
    assert spans(lanes.release()) == [(1_030, 20, [True, True])]
    assert spans(lanes.release(everything=True)) == [(1_050, 20, [False, True])]
    assert not lanes.holds


def test_gaps_in_one_lane_are_silence_and_in_all_are_left_out():
    lanes = aligner(lead_max=1_000)
    lanes.push(0, 0, block(10))
    lanes.push(0, 20, block(10))
    lanes.push(1, 0, block(25))
    lanes.push(1, 500, block(10))
    first, second = lanes.release(everything=True)
    assert spans([first, second]) == [(0, 30, [True, True]), (500, 10, [False, True])]
    assert first.parts[0][:, 0].tolist() == [1.0] * 10 + [0.0] * 10 + [1.0] * 10
    assert first.parts[1][:, 0].tolist() == [1.0] * 25 + [0.0] * 5


def test_ends_and_silence_hold_nobody_up():
    lanes = aligner(3)
    lanes.push(0, 0, block(10))
    lanes.end(1)
    assert lanes.release() == []
    lanes.give_up()
    assert spans(lanes.release()) == [(0, 10, [True, False, False])]
    lanes.push(0, 10, block(10))
    assert spans(lanes.release()) == [(10, 10, [True, False, False])]
    lanes.push(2, 20, block(5))  # it is back
    lanes.push(0, 20, block(10))
    assert spans(lanes.release()) == [(20, 5, [True, False, True])]


def test_a_lane_ahead_is_not_welcome_and_what_it_gets_drives_the_others_out():
    lanes = aligner(lead_max=100)
    lanes.push(0, 0, block(99))
    assert lanes.wants(0)
    lanes.push(0, 99, block(51))
    assert not lanes.wants(0)
    assert lanes.wants(1)
    assert lanes.release() == []
    lanes.push(0, 150, block(50))
    assert spans(lanes.release()) == [(0, 100, [True, False])]
    assert lanes.push(1, 50, block(10)) == 10


def test_what_is_late_is_laid_behind():
    lanes = aligner(keep_late=True)
    lanes.end(1)
    lanes.push(0, 0, block(100))
    lanes.release()
    assert lanes.push(1, 40, block(20)) == 20
    assert lanes.push(1, 60, block(20)) == 0
    lanes.push(0, 100, block(50))
    (span,) = lanes.release()
    assert (span.start, span.frames) == (100, 50)
    assert span.parts[1][:, 0].tolist() == [1.0] * 40 + [0.0] * 10


def test_what_is_late_is_dropped():
    lanes = aligner(keep_late=False)
    lanes.push(0, 0, block(100))
    lanes.give_up()
    lanes.release()
    assert lanes.push(1, 40, block(20)) == 20
    lanes.push(0, 100, block(20))
    assert spans(lanes.release()) == [(100, 20, [True, False])]  # who lags behind is not waited for
    assert lanes.push(1, 60, block(80)) == 60
    lanes.push(0, 120, block(20))
    assert spans(lanes.release()) == [(120, 20, [True, True])]


def test_small_differences_in_time_are_none_and_overlaps_follow():
    lanes = aligner(1, tolerance=2)
    lanes.push(0, 0, block(10))
    lanes.push(0, 12, block(10))
    lanes.push(0, 5, block(10))
    assert spans(lanes.release()) == [(0, 30, [True])]
    lanes.push(0, 33, block(10))
    assert spans(lanes.release()) == [(33, 10, [True])]


def test_empty_blocks_say_how_far_a_lane_has_come():
    lanes = aligner()
    lanes.push(0, 0, block(10))
    lanes.push(1, 4, block(0))
    assert spans(lanes.release()) == [(0, 4, [True, False])]


@settings(deadline=None)
@given(
    cuts=st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=6), min_size=2, max_size=3),
    order=st.lists(st.integers(0, 2), max_size=40),
    frames=st.integers(1, 200),
)
def test_sums_do_not_depend_on_cuts_nor_on_the_order_of_arrival(cuts, order, frames):
    streams = [
        np.random.default_rng(index).random((frames, 1), np.float32) for index in range(len(cuts))
    ]
    lanes = aligner(len(cuts), lead_max=60)
    taken, turns = [0] * len(cuts), [0] * len(cuts)
    total = np.zeros((frames, 1), np.float32)
    found = []

    def feed(lane):
        if taken[lane] >= frames or not lanes.wants(lane):
            return False
        size = cuts[lane][turns[lane] % len(cuts[lane])]
        lanes.push(lane, taken[lane], streams[lane][taken[lane] : taken[lane] + size])
        taken[lane] += size
        turns[lane] += 1
        if taken[lane] >= frames:
            lanes.end(lane)
        found.extend(lanes.release())
        return True

    for lane in order:
        feed(lane % len(cuts))
    while any(feed(lane) for lane in range(len(cuts))):
        pass
    assert all(count >= frames for count in taken)
    assert not lanes.holds
    for span in found:
        for part in span.parts:
            if part is not None:
                total[span.start : span.start + span.frames] += part
    assert np.array_equal(total, sum(streams[1:], streams[0]))
    assert [span.start for span in found][1:] == [span.start + span.frames for span in found][:-1]
