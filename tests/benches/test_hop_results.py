"""Which budgets a hop is held to, and how ratios are taken."""

import pytest

from benches.hop_results import limits_of, results
from benches.hop_subjects import Outcome
from benches.rounds import Samples
from benches.scripts.hop_work import PACED, PING_PONG, SATURATED, Load


def outcome(hop_us):
    return Outcome([int(hop_us * 1e3)] * 10, 1.0, 0.0, 0.0, 0.0)


def load(size_bytes, mode=PING_PONG, *, in_place=False):
    return Load(size_bytes, mode, in_place, messages=10, checked=1)


def named(limits):
    return {(limit.peer, limit.percent): limit.ratio_max for limit in limits}


@pytest.mark.parametrize("mode", [PING_PONG, PACED])
def test_a_typed_hop_is_held_against_dora(mode):
    limits = named(limits_of(load(4096, mode)))

    assert limits == {("dora-rs", 50): 0.5, ("dora-rs", 99): 0.5}


def test_64_kib_are_held_against_raw_bytes():
    limits = named(limits_of(load(64 * 1024)))

    assert limits == {("iceoryx2-raw", 50): 2.5, ("multiprocessing-pipe-raw", 50): 2.5}


def test_large_messages_in_place_are_held_against_everything_typed():
    limits = named(limits_of(load(1024**2, in_place=True)))

    assert limits.pop(("iceoryx2-raw", 50)) == 2.0
    assert set(limits.values()) == {1.0}
    assert {peer for peer, _ in limits} == {
        "dora-rs",
        "ray",
        "iceoryx2-arrow",
        "multiprocessing-queue",
    }


def test_ratios_are_taken_within_a_round_and_to_copies_where_there_is_nothing_else():
    in_place, copied = load(1024**2, in_place=True), load(1024**2)
    samples = Samples()
    samples.of = {
        "place/ours": [outcome(50), outcome(300)],
        "place/dora-rs": [outcome(100), outcome(100)],
        "copy/ours": [outcome(1), outcome(1)],
        "copy/dora-rs": [outcome(1), outcome(1)],
        "copy/ray": [outcome(500), outcome(600)],
    }
    # The names of both cases differ by the in-place mark only.
    renamed = {name.replace("place/", "hop/x-in-place/p/"): s for name, s in samples.of.items()}
    samples.of = {name.replace("copy/", "hop/x/p/"): s for name, s in renamed.items()}

    found = results(
        samples, {"hop/x/p": copied, "hop/x-in-place/p": in_place}, ("ours", "dora-rs", "ray")
    )

    ratios = {each.case: each for each in found if each.metric == "p50_ratio"}
    dora, ray = ratios["hop/x-in-place/p/ours:dora-rs"], ratios["hop/x-in-place/p/ours:ray"]
    assert dora.spread == (0.5, 3.0)
    assert dora.ok is False
    assert ray.spread == (0.1, 0.5)
    assert ray.ok is True


def test_a_peer_that_did_not_run_is_reported_with_its_reason():
    samples = Samples()
    samples.of = {"hop/4096/ping-pong/ours": [outcome(50)], "hop/4096/ping-pong/dora-rs": []}
    samples.why = {"hop/4096/ping-pong/dora-rs": "there is no environment"}

    found = results(samples, {"hop/4096/ping-pong": load(4096)}, ("ours", "dora-rs"))

    missing = [each for each in found if each.value is None]
    assert {each.why for each in missing} == {"there is no environment"}
    assert "hop/4096/ping-pong/ours:dora-rs" in {each.case for each in missing}


def test_a_saturated_run_has_a_rate_and_no_latency():
    samples = Samples()
    samples.of = {"hop/8/saturated/ours": [Outcome([1] * 10, 0.5, 2e3, 3e3, 0.0)]}

    found = results(samples, {"hop/8/saturated": load(8, SATURATED)}, ("ours",))

    assert {each.metric: each.value for each in found} == {
        "throughput": 20.0,
        "cpu_producer": 2.0,
        "cpu_consumer": 3.0,
    }
