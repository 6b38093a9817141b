"""What the interrupt bench makes of what it measured."""

from benches import bench_interrupt
from benches.bench_interrupt import Sample


def rows(case, taken, why=""):
    return {each.metric: each for each in bench_interrupt.results(case, taken, why)}


def sample(acknowledged_ms, *, settled_ms=(3.0,), stale=0, stale_after_call=0):
    return Sample([acknowledged_ms], [9.0], [*settled_ms], stale, stale_after_call)


def test_ours_is_held_to_its_budgets_wherever_it_runs():
    for case in ("interrupt/full/ours", "interrupt/full/ours-local"):
        found = rows(case, [sample(30.0, stale=1, stale_after_call=1)] * 3)
        assert found["acknowledged_p99"].ok is False
        assert found["stale"].ok is False
        assert found["stale_after_call"].ok is False
        assert found["settled_p99"].value == 3.0


def test_stale_packets_of_one_round_are_too_many():
    found = rows("interrupt/full/ours", [sample(1.0), sample(1.0, stale=2), sample(1.0)])
    assert (found["stale"].value, found["stale"].ok) == (2, False)


def test_a_peer_has_the_same_rows_without_budgets_and_never_says_that_it_has_settled():
    taken = [sample(15.0, settled_ms=(), stale_after_call=5)] * 3
    found = rows("interrupt/full/pipecat-ai", taken)
    ours = rows("interrupt/full/ours", [sample(1.0)] * 3)
    assert set(ours) - set(found) == {"settled_p50", "settled_p99"}
    assert {each.budget for each in found.values()} == {None}
    assert found["first_new_p50"].value == 9.0
    assert found["stale_after_call"].value == 5


def test_a_peer_that_could_not_run_says_why_in_every_row():
    found = rows("interrupt/idle/pipecat-ai", [], "there is no environment")
    assert {each.value for each in found.values()} == {None}
    assert {each.why for each in found.values()} == {"there is no environment"}
