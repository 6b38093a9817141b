"""What it costs to take a slot and give it back: alone, and among 64 freed out of order."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

import pytest

from engine.edges.arena import Arena

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

SEGMENT_BYTES = 16 << 20
SLOT_BYTES = 4096 + 640
#: As many slots as descriptors may be under way on one edge.
LIVE = 64


@pytest.fixture
def arena() -> Arena:
    return Arena(memoryview(mmap.mmap(-1, SEGMENT_BYTES)))


def test_allocate_and_release(benchmark: BenchmarkFixture, arena: Arena) -> None:
    def once() -> None:
        slot = arena.allocate(SLOT_BYTES)
        assert slot is not None
        arena.release(slot)

    benchmark(once)
    assert arena.is_empty


def test_allocate_and_release_64_out_of_order(benchmark: BenchmarkFixture, arena: Arena) -> None:
    def many() -> None:
        slots = [arena.allocate(SLOT_BYTES) for _ in range(LIVE)]
        for slot in slots[::2] + slots[1::2]:
            assert slot is not None
            arena.release(slot)

    benchmark(many)
    assert arena.is_empty
