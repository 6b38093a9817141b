"""What the benches of workers hold to which budget, and what they make of what they measured."""

import pytest

from benches import bench_cleanup, bench_concurrency, bench_idle, bench_memory, bench_sessions
from benches.rounds import Samples
from benches.soak_memory import Sample as Look
from benches.soak_memory import parse_rollup
from engine.edges.hop_times import HopTimes


def by_metric(results):
    return {(each.case, each.metric): each for each in results}


# --- concurrency -------------------------------------------------------------------------------


def row(seconds):
    return [bench_concurrency.Sample(each, 0.0) for each in seconds]


def test_waiting_is_held_against_one_after_the_other_by_round():
    samples = Samples()
    samples.of = {
        "concurrency/time-sleep/ours": row([1.0, 2.0, 1.0]),
        "concurrency/time-sleep/local": row([4.0, 4.0, 4.0]),
    }

    (ratio,) = bench_concurrency.ratios(samples)

    assert ratio.case == "concurrency/time-sleep/ours:local"
    assert (ratio.value, ratio.spread, ratio.budget) == (0.25, (0.25, 0.5), 0.4)
    assert ratio.ok is True


def test_computing_is_held_against_bare_processes():
    samples = Samples()
    samples.of = {
        "concurrency/compute/ours": row([1.2] * 3),
        "concurrency/compute/local": row([2.4] * 3),
        "concurrency/compute/multiprocessing": row([1.0] * 3),
    }

    found = by_metric(bench_concurrency.ratios(samples))

    assert found["concurrency/compute/ours:multiprocessing", "time_ratio"].ok is False
    assert found["concurrency/compute/ours:local", "time_ratio"].budget is None


# --- sessions ----------------------------------------------------------------------------------


def hops(p50_us, p99_us):
    return HopTimes(measured=250, p50_us=p50_us, p99_us=p99_us, max_us=p99_us)


def test_an_edge_that_is_slow_in_every_session_counts_and_one_slow_session_shows_as_the_worst():
    sessions = [{"in": hops(50, 400), "out": hops(90, 900)} for _ in range(3)]
    sessions[1]["in"] = hops(60, 7_000)

    assert bench_sessions.merged(sessions) == (90, 900, 7_000)


def test_an_edge_without_a_hop_is_noticed():
    with pytest.raises(AssertionError, match="edge out measured no hop"):
        bench_sessions.merged([{"in": hops(50, 400), "out": HopTimes()}])


def sessions_sample(p99_us, errors=()):
    return bench_sessions.Sample(
        hops=bench_sessions.Hops(50.0, p99_us, p99_us),
        latencies_s=[0.001] * 99 + [0.1],
        late=1,
        errors=list(errors),
        server_share=0.2,
        workers_share=0.5,
    )


def test_hops_of_ten_sessions_have_a_budget():
    samples = Samples()
    samples.of = {f"sessions/{count}/ours": [sessions_sample(3_000.0)] * 3 for count in (1, 10, 40)}

    found = by_metric(bench_sessions.results(samples))

    held = {case: each.ok for (case, metric), each in found.items() if metric == "hop_p99"}
    assert held == {"sessions/1/ours": None, "sessions/10/ours": False, "sessions/40/ours": None}
    assert found["sessions/40/ours", "latency_p50"].value == 1.0


def test_one_error_in_all_rounds_is_too_many_and_is_said():
    samples = Samples()
    samples.of = {
        "sessions/40/ours": [sessions_sample(1.0), sessions_sample(1.0, ["a worker died"])]
    }

    errors = by_metric(bench_sessions.results(samples))["sessions/40/ours", "errors"]

    assert (errors.value, errors.ok, errors.why) == (1, False, "a worker died")


def test_sessions_that_all_failed_have_no_hops_and_say_why():
    failed = bench_sessions.Sample(None, [], 250, ["no memory"], 0.0, 0.0)
    samples = Samples()
    samples.of = {"sessions/10/ours": [failed] * 3}

    found = by_metric(bench_sessions.results(samples))

    assert found["sessions/10/ours", "hop_p99"].value is None
    assert found["sessions/10/ours", "latency_p99"].why == "no memory"


# --- memory ------------------------------------------------------------------------------------


def test_private_and_proportional_memory_are_read_from_a_rollup():
    text = (
        "562e-7ffc ---p 00000000 00:00 0 [rollup]\nRss: 76632 kB\nPss: 17545 kB\n"
        "Pss_Dirty: 16617 kB\nPrivate_Clean: 20 kB\nPrivate_Dirty: 6700 kB\n"
    )

    assert parse_rollup(text) == (17545 * 1024, 6720 * 1024)


def look(private_bytes):
    return Look({}, 0, private_bytes)


def test_a_session_has_its_workers_memory_and_what_the_server_grew_by():
    mb = bench_memory.MEGABYTE
    workers = bench_memory.SESSIONS * 20 * mb
    moment = bench_memory.Moment(look(108 * mb), look(workers))
    sample = bench_memory.Sample((look(100 * mb), look(70 * mb)), moment, moment)

    found = bench_memory.session_private_bytes(sample, moment)

    assert found == 20 * mb + 8 * mb / bench_memory.SESSIONS


# --- cleanup and idle --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "budget"),
    [("closed", 0.2), ("cancelled", 0.2), ("worker-killed", None), ("server-killed", 1.0)],
)
def test_an_end_has_a_budget_and_whatever_is_left_in_any_round_is_too_much(case, budget):
    taken = [bench_cleanup.Sample(0.01, 0), bench_cleanup.Sample(0.01, 1)] * 3

    gone, left = bench_cleanup.results(f"cleanup/{case}/ours", taken)

    assert gone.budget == budget
    assert (left.value, left.ok) == (3, False)


def test_idle_workers_and_the_server_are_held_to_half_a_percent():
    workers, server, zygote = bench_idle.results([bench_idle.Sample(0.006, 0.001, 0.2)] * 3)

    assert (workers.value, workers.ok) == (0.6, False)
    assert server.ok is True
    assert zygote.ok is None
