"""What the concurrency bench must notice, and the work of its rows."""

import pytest

from benches.scripts.row_work import COMPUTE, STAGES, TIME_SLEEP, check, compute, expected, steps_of


def test_stages_that_compute_one_after_the_other_give_what_is_expected():
    value = 7
    for _ in range(STAGES):
        value = compute(value, 100)

    assert value == expected(COMPUTE, 7, 100)
    assert value != compute(7, 100)


def test_each_stage_that_waits_counts_one():
    assert expected(TIME_SLEEP, 4, steps=0) == 4 + STAGES


def test_longer_takes_more_steps():
    assert steps_of(0.02) > steps_of(0.001) > 0


def test_what_came_out_in_order_is_sound():
    check([0, 1, 2], [9, 9, 9], wanted=9, packets=3)


@pytest.mark.parametrize("indexes", [[0, 2, 1], [0, 1], [0, 1, 1], [0, 1, 2, 3]])
def test_lost_repeated_and_overtaken_packets_are_noticed(indexes):
    with pytest.raises(AssertionError, match="packets came out as"):
        check(indexes, [9] * len(indexes), wanted=9, packets=3)


def test_a_packet_that_a_stage_did_not_work_on_is_noticed():
    with pytest.raises(AssertionError, match=r"packets \[1\] were not worked on"):
        check([0, 1, 2], [9, 8, 9], wanted=9, packets=3)
