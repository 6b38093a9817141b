"""Four operators that have much to do before they are ready, and say how far they are.

Each builds a table in `initialize`, in steps, and reports each step; a number that comes later is
looked up at once. `start_progress.py` puts them in a row.

    $ remotemedia nodes show Squares --operators examples/loading_nodes.py
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from itertools import pairwise
from math import isqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from remotemedia import Context, Json, Operator, Packet

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: A table is built in so many steps.
STEPS = 40


class Limit(Operator.Params):
    """What all of them can be told."""

    limit: int = Field(1_000_000, ge=100, le=100_000_000, description="how many numbers are known")


def spans(begin: int, end: int) -> Iterable[tuple[int, int]]:
    """The numbers from `begin` to before `end`, in STEPS spans of equal length."""
    return pairwise(begin + (end - begin) * step // STEPS for step in range(STEPS + 1))


def with_fact(packet: Packet, name: str, table: NDArray[Any]) -> Json:
    """The number a packet brings, with what is known of it, and what this table says."""
    value = packet.expect(Json).value
    known = value if isinstance(value, dict) else {"number": value}
    number = known.get("number")
    if type(number) is not int or not 0 < number < len(table):
        raise ValueError(f"expected a whole number from 1 to {len(table) - 1}, got {number!r}")
    return Json({**known, name: table[number].item()})


class Primes(Operator):
    """Says whether a number is prime; sieves them first."""

    default_executor = "process"
    Params = Limit

    async def initialize(self, ctx: Context) -> None:
        self._is_prime = np.ones(self.params.limit, dtype=bool)
        self._is_prime[:2] = False
        root = isqrt(self.params.limit - 1)
        for begin, end in spans(2, root + 1):
            for number in range(begin, end):
                if self._is_prime[number]:
                    self._is_prime[number * number :: number] = False
            ctx.progress(end / (root + 1), f"multiples of {end - 1} are out", status="sieving")

    def process(self, packet: Packet, ctx: Context) -> Json:
        return with_fact(packet, "prime", self._is_prime)


class Divisors(Operator):
    """Says how many divisors a number has; counts those of all numbers first."""

    default_executor = "process"
    Params = Limit

    async def initialize(self, ctx: Context) -> None:
        self._count = np.zeros(self.params.limit, dtype=np.int16)
        root = isqrt(self.params.limit - 1)
        for begin, end in spans(1, root + 1):
            for divisor in range(begin, end):
                # A pair of divisors each, of which this is the smaller; a square's is one.
                self._count[divisor * divisor] += 1
                self._count[divisor * (divisor + 1) :: divisor] += 2
            ctx.progress(end / (root + 1), f"{end - 1} of {root} divisors", status="counting")

    def process(self, packet: Packet, ctx: Context) -> Json:
        return with_fact(packet, "divisors", self._count)


class Collatz(Operator):
    """Says how many steps (halve it, or triple it and add one) lead from a number to 1."""

    default_executor = "process"
    Params = Limit

    async def initialize(self, ctx: Context) -> None:
        limit = self.params.limit
        self._steps = np.zeros(limit, dtype=np.int16)
        for begin, end in spans(2, limit):
            self._steps[begin:end] = self._steps_of(begin, end)
            ctx.progress(end / limit, f"{end:,} of {limit:,} numbers", status="following")

    def _steps_of(self, begin: int, end: int) -> NDArray[np.int16]:
        """The steps of some numbers, where those of all smaller ones are known."""
        numbers = np.arange(begin, end)
        steps = np.zeros(end - begin, dtype=np.int16)
        on_the_way = np.arange(end - begin)
        while on_the_way.size:
            value = numbers[on_the_way]
            value = np.where(value & 1, 3 * value + 1, value >> 1)
            numbers[on_the_way] = value
            steps[on_the_way] += 1
            on_the_way = on_the_way[value >= begin]
        return steps + self._steps[numbers]

    def process(self, packet: Packet, ctx: Context) -> Json:
        return with_fact(packet, "steps_to_1", self._steps)


class Squares(Operator):
    """Says in how many ways a number is the sum of two squares; a thread counts them first."""

    default_executor = "process"

    class Params(Limit):
        pause_s: float = Field(0, ge=0, description="a wait before each step, as for a slow disk")

    async def initialize(self, ctx: Context) -> None:
        self._ways = np.zeros(self.params.limit, dtype=np.int16)
        self._ending = threading.Event()
        self._done = 0
        counting = asyncio.create_task(asyncio.to_thread(self._count))
        while not counting.done():
            # Only the loop's own thread may report, so it looks how far the other one is.
            await asyncio.wait([counting], timeout=0.05)
            message = f"step {self._done} of {STEPS} in a thread"
            ctx.progress(self._done / STEPS, message, status="adding")
        await counting  # raises what the thread raised

    def _count(self) -> None:
        limit = self.params.limit
        squares = np.arange(isqrt(limit - 1) + 1) ** 2
        for begin, end in spans(0, len(squares)):
            if self.params.pause_s:
                print(f"step {self._done + 1}: waiting {self.params.pause_s:g} s for the disk")
                if self._ending.wait(self.params.pause_s):
                    return
            for larger in range(begin, end):
                sums = squares[larger] + squares[: larger + 1]
                self._ways[sums[sums < limit]] += 1
            self._done += 1

    def process(self, packet: Packet, ctx: Context) -> Json:
        return with_fact(packet, "sums_of_two_squares", self._ways)

    async def cleanup(self) -> None:
        self._ending.set()  # or the thread would go on where the start was given up
