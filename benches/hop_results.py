"""What `benches.bench_hop` reports: percentiles, processor time, and ratios to the peers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from benches.hop_subjects import OURS, PEERS, carries
from benches.report import Result, percentile, result
from benches.scripts.hop_work import PACED, PING_PONG, SATURATED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benches.hop_subjects import Outcome
    from benches.rounds import Samples
    from benches.scripts.hop_work import Load

#: 1024 float32: what the budget for a hop is about.
TYPED_BYTES = 4096
SMALL_RAW_BYTES = 64 * 1024
LARGE_BYTES = 10 * 1024**2

#: Mode → percentile → µs.
TYPED_US_MAX = {PING_PONG: {50: 80.0, 99: 250.0}, PACED: {50: 150.0, 99: 500.0}}
IN_PLACE_US_MAX = {50: 80.0, 95: 1000.0}
RATIO_TO_DORA_MAX = 0.5
RATIO_TO_RAW_MAX = 2.5
RATIO_TO_TYPED_IN_PLACE_MAX = 1.0
RATIO_TO_RAW_IN_PLACE_MAX = 2.0
PERCENTS = (50, 95, 99)
#: Of all rounds together: one round has too few messages for it.
PERCENT_POOLED = 99.9


class Limit(NamedTuple):
    """How much slower than a peer ours may be, by which percentile."""

    peer: str
    percent: float
    ratio_max: float


def results(
    samples: Samples[Outcome], loads: Mapping[str, Load], subjects: Sequence[str]
) -> list[Result]:
    """All that is reported, case by case.

    Args:
        samples: subject `CASE/NAME` → its rounds.
        loads: case → what it sends.
        subjects: who was measured.
    """
    found: list[Result] = []
    for case, load in loads.items():
        for name in subjects:
            if carries(name, load):
                found += _own(samples, case, load, name)
        if OURS in subjects and load.mode != SATURATED:
            for limit in limits_of(load):
                if limit.peer in subjects:
                    found.append(_ratio(samples, case, load, limit))
    return found


def limits_of(load: Load) -> Iterator[Limit]:
    """Which peers a load of ours is held against."""
    if load.size_bytes == TYPED_BYTES:
        yield Limit("dora-rs", 50, RATIO_TO_DORA_MAX)
        yield Limit("dora-rs", 99, RATIO_TO_DORA_MAX)
    if load.mode != PING_PONG:
        return
    if load.size_bytes == SMALL_RAW_BYTES:
        yield Limit("iceoryx2-raw", 50, RATIO_TO_RAW_MAX)
        yield Limit("multiprocessing-pipe-raw", 50, RATIO_TO_RAW_MAX)
    if load.in_place:
        for name, kind in PEERS.items():
            if kind.typed:
                yield Limit(name, 50, RATIO_TO_TYPED_IN_PLACE_MAX)
        yield Limit("iceoryx2-raw", 50, RATIO_TO_RAW_IN_PLACE_MAX)


def _own(samples: Samples[Outcome], case: str, load: Load, name: str) -> Iterator[Result]:
    """What a subject took."""
    subject = f"{case}/{name}"
    taken, why = samples.of[subject], samples.why.get(subject, "")
    if load.mode == SATURATED:
        rates = [load.messages / each.seconds for each in taken]
        yield result(subject, "throughput", "messages/s", rates, why=why)
    else:
        for percent in PERCENTS:
            values = [_percentile_us(each, percent) for each in taken]
            budget = _budget_us(load, percent) if name == OURS else None
            yield result(subject, f"p{percent}", "µs", values, at_most=budget, why=why)
        pooled = [hop_ns / 1e3 for each in taken for hop_ns in each.hops_ns]
        slowest = [percentile(pooled, PERCENT_POOLED)] if pooled else []
        yield result(subject, f"p{PERCENT_POOLED}", "µs", slowest, why=why)
    costs = {
        "cpu_producer": [each.producer_cpu_ns / 1e3 for each in taken],
        "cpu_consumer": [each.consumer_cpu_ns / 1e3 for each in taken],
        "cpu_other": [each.other_cpu_ns / 1e3 for each in taken],
    }
    for metric, values in costs.items():
        if metric != "cpu_other" or any(values):
            yield result(subject, metric, "µs", values, why=why)


def _ratio(samples: Samples[Outcome], case: str, load: Load, limit: Limit) -> Result:
    """Ours against a peer, in each round."""
    theirs = _case_of_peer(case, load, limit.peer)
    pairs = samples.pairs(f"{case}/{OURS}", theirs) if theirs in samples.of else []
    ratios = [
        _percentile_us(ours, limit.percent) / _percentile_us(peer, limit.percent)
        for ours, peer in pairs
    ]
    return result(
        f"{case}/{OURS}:{limit.peer}",
        f"p{limit.percent:g}_ratio",
        "×",
        ratios,
        at_most=limit.ratio_max,
        why=samples.why.get(theirs, ""),
    )


def _case_of_peer(case: str, load: Load, peer: str) -> str:
    """What of a peer's is compared: what cannot be filled in place is copied in."""
    if load.in_place and not PEERS[peer].in_place:
        case = case.replace("-in-place", "")
    return f"{case}/{peer}"


def _percentile_us(outcome: Outcome, percent: float) -> float:
    return percentile(outcome.hops_ns, percent) / 1e3


def _budget_us(load: Load, percent: int) -> float | None:
    if load.size_bytes == TYPED_BYTES:
        return TYPED_US_MAX[load.mode].get(percent)
    if load.size_bytes == LARGE_BYTES and load.in_place and load.mode == PING_PONG:
        return IN_PLACE_US_MAX.get(percent)
    return None
