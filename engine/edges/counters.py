"""The counts of a stage's out edges in page 0 of its arena, where anyone may read them.

Pure over a memoryview. Source: FR-007. They stay readable while the producer computes or is frozen,
and after it has died.

    0       the arena's own counters, see `engine.edges.arena`
    128     edge 0: sent · queued · in_flight · payload_bytes · copies · dropped · refused
    184     edge 1, and so on: unsigned 64-bit little-endian words, each written by one store

A producer writes them when it rings its doorbells, so that they cost nothing per packet. Of more
than 70 edges the others are not counted here.
"""

from __future__ import annotations

from struct import Struct

from engine.edges.arena import PAGE_BYTES
from engine.edges.contract import EdgeStatistics

_WORDS = Struct("<7Q")
_START = 128

#: So many edges find room.
EDGES_MAX = (PAGE_BYTES - _START) // _WORDS.size


def write_counts(view: memoryview, position: int, counts: EdgeStatistics) -> None:
    """Publish an edge's counts.

    Args:
        view: the segment from its start, writable.
        position: of the edge among those of its arena.
        counts: what to publish.
    """
    if position < EDGES_MAX:
        _WORDS.pack_into(
            view,
            _START + position * _WORDS.size,
            counts.sent,
            counts.queued,
            counts.in_flight,
            counts.payload_bytes,
            counts.copies,
            counts.dropped,
            counts.refused,
        )


def read_counts(view: memoryview, position: int) -> EdgeStatistics:
    """An edge's counts as last published; zeros where it has no room here.

    Args:
        view: the segment's page 0.
        position: of the edge among those of its arena.
    """
    if position >= EDGES_MAX:
        return EdgeStatistics()
    return EdgeStatistics(*_WORDS.unpack_from(view, _START + position * _WORDS.size))
