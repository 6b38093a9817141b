"""The work of `benches.bench_concurrency`, the same for everybody: what a stage does to a packet.

A packet is its index and a value, which each stage changes; so what comes out tells that each did
its work, once and in order. Standard library only.
"""

import time

STAGES = 3
#: What a stage does with each packet: sleep on its loop, sleep, compute.
ASYNCIO_SLEEP = "asyncio-sleep"
TIME_SLEEP = "time-sleep"
COMPUTE = "compute"
KINDS = (ASYNCIO_SLEEP, TIME_SLEEP, COMPUTE)

WAIT_S = 0.05
COMPUTE_S = 0.02
#: Index of the packet that warms up: it passes through without work.
WARM_UP = -1

#: A generator of pseudo-random numbers below 2 ** 31: pure Python that no compiler shortens.
_FACTOR = 1_103_515_245
_SUMMAND = 12_345
_MASK = 2**31 - 1


def compute(value: int, steps: int) -> int:
    """Compute for a while, in pure Python."""
    for _ in range(steps):
        value = (value * _FACTOR + _SUMMAND) & _MASK
    return value


def work(kind: str, value: int, steps: int) -> int:
    """What a stage does with one packet, on its thread."""
    if kind == COMPUTE:
        return compute(value, steps)
    time.sleep(WAIT_S)
    return value + 1


def expected(kind: str, value: int, steps: int) -> int:
    """What comes out behind all stages."""
    if kind == COMPUTE:
        return compute(value, STAGES * steps)
    return value + STAGES


def steps_of(seconds: float) -> int:
    """How many steps take so long here, by the quickest of some tries."""
    tried = 20_000
    best_s = min(_time_s(tried) for _ in range(20))
    return round(tried * seconds / best_s)


def check(indexes: list[int], values: list[int], wanted: int, packets: int) -> None:
    """Hold what came out against what should have.

    Raises:
        AssertionError: a packet is missing, out of order, or was not worked on by each stage.
    """
    assert indexes == list(range(packets)), f"packets came out as {indexes}"
    wrong = [index for index, value in zip(indexes, values, strict=True) if value != wanted]
    assert not wrong, f"packets {wrong} were not worked on by each of {STAGES} stages"


def _time_s(steps: int) -> float:
    started = time.perf_counter()
    compute(1, steps)
    return time.perf_counter() - started
