"""engine.edges.arena in a real segment: reservations, fan-outs and deaths, and the memory it takes.

What the system says is behind the segment is compared with what is in flight. Source: FR-007,
NFR-003.
"""

from __future__ import annotations

import os
import random
from typing import NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from engine.edges.arena import (
    KEEP_BYTES_MIN,
    PAGE_BYTES,
    RECLAIM_BYTES_MIN,
    SLOTS_START,
    WINDOW_SLOTS,
    Arena,
)
from engine.edges.segment import Segment, create_segment

MIB = 1 << 20
SEGMENT_BYTES = 16 * MIB
CONSUMERS = range(3)
#: Room behind and before what is reserved, as for an Arrow stream's head and tail.
AROUND_BYTES = 1600


def touched_bytes(fd):
    """Memory the system has behind a segment."""
    return os.fstat(fd).st_blocks * 512


class RealArena:
    """An arena over a real segment, its memory given back as its shell does it."""

    def __init__(self, size_bytes=SEGMENT_BYTES):
        self.fd = create_segment("arena test", size_bytes)
        self.segment = Segment(self.fd, writable=True)
        self.arena = Arena(self.segment.view)

    def write(self, size_bytes, holders=1):
        offset = self.arena.allocate(size_bytes, holders)
        if offset is not None:
            self.arena.slot(offset)[:] = bytes(size_bytes)
        return offset

    def release(self, offset, count=1):
        freed = self.arena.release(offset, count)
        if freed:
            self.reclaim()
        return freed

    def reclaim(self, *, idle=False):
        """One round; whether there was anything."""
        ranges = self.arena.reclaimable(idle=idle)
        for start, length_bytes in ranges:
            assert self.segment.give_back(start, length_bytes)
            self.arena.given_back(start, length_bytes)
        return bool(ranges)

    def close(self):
        self.segment.close()
        os.close(self.fd)


@pytest.fixture
def real():
    real = RealArena(64 * MIB)
    yield real
    real.close()


def test_a_burst_is_given_back(real):
    burst = [real.write(2 * MIB) for _ in range(20)]
    assert touched_bytes(real.fd) >= 40 * MIB
    for offset in burst:
        real.release(offset)
    for _ in range(2 * WINDOW_SLOTS + 20):
        real.release(real.write(1000))
    assert touched_bytes(real.fd) <= KEEP_BYTES_MIN + RECLAIM_BYTES_MIN + 2 * PAGE_BYTES


def test_steady_large_traffic_touches_what_is_in_flight_and_no_more(real):
    in_flight = []
    for number in range(200):
        in_flight.append(real.write(MIB + number))
        if len(in_flight) > 4:
            real.release(in_flight.pop(0))
    # First fit: 5 of slightly growing sizes take at most a few gaps more than their own room.
    assert touched_bytes(real.fd) <= 10 * MIB


def test_what_is_held_among_a_burst_stays_and_the_rest_is_given_back(real):
    burst = [real.write(MIB) for _ in range(30)]
    held = burst[::10]
    for offset in burst:
        if offset not in held:
            real.release(offset)
    for _ in range(3 * WINDOW_SLOTS):
        real.release(real.write(1000))
    slack = KEEP_BYTES_MIN + RECLAIM_BYTES_MIN + 2 * PAGE_BYTES
    assert len(held) * MIB <= touched_bytes(real.fd) <= len(held) * MIB + slack
    for offset in held:
        assert bytes(real.arena.slot(offset)) == bytes(MIB)


class Slot(NamedTuple):
    """One use of a place; the same offset is used again and again."""

    offset: int
    serial: int


class ArenaMachine(RuleBasedStateMachine):
    """A producer that reserves, writes and abandons; three consumers that release, keep and die."""

    slots: Bundle[Slot] = Bundle("slots")
    reserved: Bundle[Slot] = Bundle("reserved")

    def __init__(self):
        super().__init__()
        self.random = random.Random(1)
        self.real = None
        #: Offset → bytes that must lie there.
        self.contents: dict[int, bytes] = {}
        #: Offset → consumers that hold it; -1 is the producer, who reserved it.
        self.holders: dict[int, list[int]] = {}
        #: Offset → number of its present use.
        self.serials: dict[int, int] = {}
        self.serial = 0

    @initialize()
    def open(self):
        self.real = RealArena()
        self.arena = self.real.arena

    def fill(self, offset, size_bytes):
        self.contents[offset] = self.random.randbytes(size_bytes)
        self.arena.slot(offset)[:] = self.contents[offset]

    def taken(self, offset):
        self.serial += 1
        self.serials[offset] = self.serial
        return Slot(offset, self.serial)

    def holders_of(self, slot):
        """Who holds it; nobody where it is free, or somebody else's by now."""
        return self.holders.get(slot.offset, []) if self.serials[slot.offset] == slot.serial else []

    def drop(self, offset, consumer):
        self.holders[offset].remove(consumer)
        freed = self.real.release(offset)
        assert freed == (not self.holders[offset])
        if freed:
            del self.holders[offset], self.contents[offset]

    SIZES = st.one_of(st.integers(1, 500), st.integers(1, 100_000), st.integers(1, 3 * MIB))
    SOME = st.lists(st.sampled_from(CONSUMERS), min_size=1, unique=True)

    @rule(target=slots, size_bytes=SIZES, consumers=SOME)
    def write(self, size_bytes, consumers):
        """A payload for some of them, written once."""
        offset = self.arena.allocate(size_bytes, len(consumers))
        if offset is None:
            assert self.arena.free_bytes < SEGMENT_BYTES - SLOTS_START
            return multiple()
        assert offset not in self.holders
        self.holders[offset] = list(consumers)
        self.fill(offset, size_bytes)
        return self.taken(offset)

    @rule(target=reserved, size_bytes=SIZES)
    def reserve(self, size_bytes):
        """`ctx.empty`: the producer holds it itself."""
        offset = self.arena.allocate(size_bytes + AROUND_BYTES)
        if offset is None:
            return multiple()
        self.holders[offset] = [-1]
        self.fill(offset, size_bytes + AROUND_BYTES)
        return self.taken(offset)

    @rule(target=slots, slot=consumes(reserved), consumers=SOME, part=st.floats(0.1, 1))
    def send_reserved(self, slot, consumers, part):
        """What was reserved is sent, cut to what is needed; the producer's array may die later."""
        offset = slot.offset
        size_bytes = max(1, int(len(self.contents[offset]) * part))
        self.arena.shrink(offset, size_bytes)
        self.contents[offset] = self.contents[offset][:size_bytes]
        self.arena.add_holder(offset, len(consumers))
        self.holders[offset] += consumers
        return slot

    @rule(slot=consumes(reserved))
    def abandon(self, slot):
        """An array that was reserved and never sent."""
        self.drop(slot.offset, -1)

    @rule(slot=slots, data=st.data())
    def release(self, slot, data):
        """Any holder, in any order."""
        holders = self.holders_of(slot)
        if holders:
            self.drop(slot.offset, data.draw(st.sampled_from(holders)))

    @rule(slot=slots)
    def the_array_of_a_sent_reservation_dies(self, slot):
        if -1 in self.holders_of(slot):
            self.drop(slot.offset, -1)

    @rule(consumer=st.sampled_from(CONSUMERS))
    def consumer_dies(self, consumer):
        """All it holds comes home at once, in no order of addresses."""
        held = [offset for offset, holders in self.holders.items() if consumer in holders]
        self.random.shuffle(held)
        for offset in held:
            self.drop(offset, consumer)

    @rule(size_bytes=st.integers(1, 20_000))
    def steady_traffic(self, size_bytes):
        """Enough of it that bursts before it are forgotten."""
        for _ in range(2 * WINDOW_SLOTS + 8):
            offset = self.arena.allocate(size_bytes)
            if offset is None:
                return
            self.real.release(offset)
        while self.real.reclaim():
            pass
        self.check_memory(highest_bytes=2 * self.top())

    @rule()
    def rest(self):
        """Nothing is sent for a while: all but what is held and the low end is given back."""
        while self.real.reclaim(idle=True):
            pass
        self.check_memory(highest_bytes=0)

    def top(self):
        """Where the highest slot that recent traffic took ends; what is held counts, too."""
        return max(self.arena._recent_stop, self.arena._window_stop) - SLOTS_START

    def check_memory(self, highest_bytes):
        """Touched memory is what is in flight and a slack that does not grow."""
        in_flight = sum(len(each) + 2 * PAGE_BYTES for each in self.contents.values())
        slack = max(KEEP_BYTES_MIN, highest_bytes) + RECLAIM_BYTES_MIN + 4 * PAGE_BYTES
        assert touched_bytes(self.real.fd) <= in_flight + slack

    @invariant()
    def free_and_used_make_the_whole(self):
        if self.real is not None:
            rooms = sum(-(-len(content) // 64) * 64 for content in self.contents.values())
            assert self.arena.used_bytes == rooms
            assert rooms + self.arena.free_bytes == SEGMENT_BYTES - SLOTS_START
            assert self.arena.used_slots == len(self.holders)

    @invariant()
    def no_slot_overlaps_another(self):
        end = SLOTS_START
        for offset in sorted(self.contents):
            assert offset >= end
            end = offset + len(self.contents[offset])
        assert end <= SEGMENT_BYTES

    @invariant()
    def what_was_written_is_there(self):
        for offset, content in self.contents.items():
            assert self.arena.slot(offset)[:4096] == content[:4096]
            assert self.arena.slot(offset)[-4096:] == content[-4096:]

    def teardown(self):
        if self.real is None:
            return
        for offset in list(self.holders):
            assert self.arena.slot(offset) == self.contents[offset]
            for holder in list(self.holders[offset]):
                self.drop(offset, holder)
        assert self.arena.is_empty
        self.rest()
        assert self.arena.allocate(SEGMENT_BYTES - SLOTS_START) == SLOTS_START
        self.real.close()


TestArenaInARealSegment = ArenaMachine.TestCase
TestArenaInARealSegment.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
