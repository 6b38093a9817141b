from operators.audio.timeline import Timeline


def test_time_goes_on_by_frames():
    timeline = Timeline()
    timeline.enter(5_000_000_000, 44_100, 100)
    timeline.enter(5_000_000_000 + 100 * 1_000_000_000 // 44_100, 44_100, 44_000)
    assert timeline.time_ns() == 5_000_000_000 + 100 * 1_000_000_000 // 44_100
    assert timeline.time_ns(-100) == 5_000_000_000
    assert timeline.time_ns(44_000) == timeline.end_ns == 6_000_000_000


def test_small_differences_are_rounding():
    timeline = Timeline()
    timeline.enter(0, 48_000, 48)
    timeline.enter(2_500_000, 48_000, 48)
    assert timeline.time_ns() == 1_000_000


def test_a_gap_begins_another_stretch():
    timeline = Timeline()
    timeline.enter(0, 48_000, 48)
    timeline.enter(9_000_000, 48_000, 48)
    assert timeline.time_ns() == 9_000_000
    timeline.enter(1_000_000, 48_000, 48)
    assert timeline.time_ns() == 1_000_000


def test_another_rate_begins_another_stretch():
    timeline = Timeline()
    timeline.enter(0, 48_000, 48)
    timeline.enter(1_500_000, 16_000, 16)
    assert timeline.time_ns(16) == 2_500_000


def test_before_the_first_packet_it_is_zero():
    timeline = Timeline()
    assert timeline.end_ns == 0
    timeline.enter(7, 48_000, 48)
    timeline.reset()
    assert timeline.end_ns == 0
