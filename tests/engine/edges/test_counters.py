"""Counts that anyone may read in page 0 of an arena."""

from __future__ import annotations

import os

import pytest

from engine.edges.arena import PAGE_BYTES, Arena, read_counters
from engine.edges.contract import EdgeStatistics
from engine.edges.counters import EDGES_MAX, read_counts, write_counts
from engine.edges.segment import CountersPage, Segment, create_segment
from engine.errors import EdgeError

COUNTS = EdgeStatistics(1, 2, 3, 4, 5, 6, 7)


def test_counts_are_read_as_they_were_written_and_touch_nothing_else():
    memory = memoryview(bytearray(1 << 20))
    arena = Arena(memory)
    arena.allocate(100)
    before = read_counters(memory)
    for position in range(EDGES_MAX):
        write_counts(memory, position, EdgeStatistics(position, 2, 3, 4, 5, 6, 2**64 - 1))
    assert read_counters(memory) == before
    assert [read_counts(memory, position).sent for position in range(EDGES_MAX)] == [
        *range(EDGES_MAX)
    ]
    assert not any(memory[PAGE_BYTES : 2 * PAGE_BYTES])


def test_an_edge_without_room_counts_nothing():
    memory = memoryview(bytearray(PAGE_BYTES))
    write_counts(memory, EDGES_MAX, COUNTS)
    assert not any(memory)
    assert read_counts(memory, EDGES_MAX) == EdgeStatistics()


def test_a_page_is_read_while_it_changes_and_kept_when_it_is_closed():
    fd = create_segment("counts", 1 << 20)
    segment = Segment(fd, writable=True)
    page = CountersPage(fd)
    os.close(fd)
    write_counts(segment.view, 3, COUNTS)
    assert read_counts(page.view, 3) == COUNTS
    page.close()
    page.close()
    write_counts(segment.view, 3, EdgeStatistics())
    assert read_counts(page.view, 3) == COUNTS
    segment.close()


def test_what_is_no_segment_cannot_be_mapped():
    with pytest.raises(EdgeError, match="cannot map shared memory"):
        CountersPage(10_000)
