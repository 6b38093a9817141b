"""engine.clock: one clock for everything on a loop."""

import asyncio
import sys
import time

import pytest

from engine.clock import REAL_CLOCK, clock_of
from engine.testing import VirtualLoop

LOOPS = [asyncio.new_event_loop]
if sys.platform == "linux":
    import uvloop

    LOOPS.append(uvloop.new_event_loop)


@pytest.mark.parametrize("make_loop", LOOPS)
def test_an_ordinary_loop_has_the_monotonic_clock(make_loop):
    loop = make_loop()
    try:
        assert clock_of(loop) is REAL_CLOCK
        before_ns = time.monotonic_ns()
        assert before_ns <= clock_of(loop)() <= time.monotonic_ns()
    finally:
        loop.close()


def test_a_virtual_loop_brings_its_own():
    loop = VirtualLoop(7)
    try:
        clock = clock_of(loop)
        assert clock() == 7
        loop.jump(2)
        assert clock() == 2_000_000_007
    finally:
        loop.close()
