"""engine.edges.arena against a model that remembers every byte."""

from __future__ import annotations

import mmap
import random
import struct
from collections import deque

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from engine.edges.arena import (
    KEEP_BYTES_MIN,
    PAGE_BYTES,
    RECLAIM_BYTES_MAX,
    RECLAIM_BYTES_MIN,
    SLOT_ALIGNMENT_BYTES,
    SLOTS_START,
    WINDOW_SLOTS,
    Arena,
    ArenaCounters,
    _Extents,
    read_counters,
)
from engine.errors import EdgeError

MIB = 1 << 20


def make_arena(segment_bytes: int = 64 * 1024) -> tuple[Arena, memoryview]:
    view = memoryview(bytearray(segment_bytes))
    return Arena(view), view


def take(arena: Arena, size_bytes: int, holders: int = 1) -> int:
    offset = arena.allocate(size_bytes, holders)
    assert offset is not None
    return offset


def cycle(arena: Arena, size_bytes: int, count: int, depth: int = 4) -> list[tuple[int, int]]:
    """Steady traffic; all ranges that were offered after a release (none is given back)."""
    offered: list[tuple[int, int]] = []
    queue = deque(take(arena, size_bytes) for _ in range(depth))
    for _ in range(count):
        arena.release(queue.popleft())
        offered += arena.reclaimable()
        queue.append(take(arena, size_bytes))
    while queue:
        arena.release(queue.popleft())
    return offered


def give_back(arena: Arena, *, idle: bool = False) -> int:
    """What a shell does after a release; the bytes it gave back."""
    total = 0
    for start, length_bytes in arena.reclaimable(idle=idle):
        arena.given_back(start, length_bytes)
        total += length_bytes
    return total


# ------------------------------------------------------------------ making and reading one


def test_a_new_arena_is_empty_and_says_so_on_page_0():
    arena, view = make_arena(64 * 1024)
    assert arena.is_empty
    assert (arena.used_bytes, arena.used_slots, arena.free_bytes) == (0, 0, 60 * 1024)
    assert read_counters(view.toreadonly()) == ArenaCounters(64 * 1024, 0, 0, 0, 0, 0, 0, 0, 0)


def test_page_0_is_laid_out_as_drawn():
    arena, view = make_arena(64 * 1024)
    take(arena, 100)
    arena.release(take(arena, 1))
    assert arena.allocate(60 * 1024) is None
    arena.count_copied()
    arena.count_copied(4)
    arena.given_back(8192, 8192)
    assert bytes(view[:8]) == b"RMARENA\x01"
    words = struct.unpack_from("<9Q", view, 8)
    assert words == (64 * 1024, 128, 1, 192, 2, 101, 1, 5, 2)
    assert not any(view[80:PAGE_BYTES])


def test_making_an_arena_forgets_what_was_there():
    arena, view = make_arena()
    take(arena, 1000)
    again = Arena(view)
    assert again.is_empty
    assert read_counters(view).slots_written_total == 0
    assert take(again, 1000) == SLOTS_START


@pytest.mark.parametrize(
    "view",
    [
        memoryview(bytes(8192)),
        memoryview(bytearray(8192)).cast("Q"),
        memoryview(bytearray(16384))[::2],
        memoryview(bytearray(8192)).cast("B", (2, 4096)),
    ],
    ids=["read-only", "words", "strided", "two-dimensional"],
)
def test_a_segment_is_writable_contiguous_bytes(view):
    with pytest.raises(ValueError, match="writable, contiguous view of bytes"):
        Arena(view)


@pytest.mark.parametrize("segment_bytes", [0, 4096, 8191, 10_000])
def test_a_segment_is_at_least_two_whole_pages(segment_bytes):
    with pytest.raises(ValueError, match=f"a segment of {segment_bytes} bytes"):
        make_arena(segment_bytes)


def test_counters_are_read_only_from_an_arena():
    with pytest.raises(ValueError, match="page 0 is missing"):
        read_counters(memoryview(bytes(79)))
    with pytest.raises(ValueError, match="no arena of this version: it begins with 0x0"):
        read_counters(memoryview(bytes(4096)))
    _, view = make_arena()
    view[7] = 2
    with pytest.raises(ValueError, match="no arena of this version"):
        read_counters(view)


def test_it_leaves_no_view_that_keeps_a_mapping_open():
    mapping = mmap.mmap(-1, 64 * 1024)
    view = memoryview(mapping)
    arena = Arena(view)
    arena.slot(take(arena, 10)).release()
    view.release()
    mapping.close()
    assert mapping.closed


# ---------------------------------------------------------------------- taking and releasing


def test_slots_are_taken_from_low_addresses_first():
    arena, _ = make_arena()
    first, second, third = (take(arena, 64) for _ in range(3))
    assert [first, second, third] == [SLOTS_START, SLOTS_START + 64, SLOTS_START + 128]
    arena.release(second)
    assert take(arena, 65) == SLOTS_START + 192  # does not fit the hole
    assert take(arena, 64) == second


def test_slots_of_any_size_begin_on_multiples_of_64():
    arena, _ = make_arena()
    offsets = [take(arena, size) for size in (1, 63, 64, 65, 1)]
    assert offsets == [SLOTS_START + offset for offset in (0, 64, 128, 192, 320)]
    assert arena.used_bytes == 6 * SLOT_ALIGNMENT_BYTES


def test_a_slot_is_exactly_what_was_asked_for_and_lies_in_the_segment():
    arena, view = make_arena()
    offset = take(arena, 5)
    arena.slot(offset)[:] = b"hello"
    assert arena.slot(offset).nbytes == 5
    assert bytes(view[offset : offset + 6]) == b"hello\0"


def test_the_whole_segment_can_be_one_slot():
    arena, view = make_arena(64 * 1024)
    offset = take(arena, 60 * 1024)
    assert arena.free_bytes == 0
    assert arena.allocate(1) is None
    assert arena.release(offset)
    assert arena.free_bytes == 60 * 1024
    assert read_counters(view).refused_total == 1


def test_no_room_now_is_none_and_counted():
    arena, view = make_arena(8192)
    low, _, high = take(arena, 1024), take(arena, 2048), take(arena, 1024)
    arena.release(low)
    arena.release(high)
    assert arena.free_bytes == 2048
    assert arena.allocate(1025) is None  # there is room, but not in one piece
    assert read_counters(view).refused_total == 1
    assert take(arena, 1024) == low


def test_a_slot_that_can_never_fit_is_an_error_that_says_what_to_do():
    arena, view = make_arena(8192)
    with pytest.raises(EdgeError) as caught:
        arena.allocate(4097)
    assert str(caught.value) == (
        "a packet of 4097 bytes can never fit the shared-memory segment of 8192 bytes: "
        "raise shm_segment_size to at least 12288 bytes, or send smaller packets"
    )
    assert caught.value.context == {"size_bytes": 4097, "segment_bytes": 8192}
    assert arena.is_empty
    assert read_counters(view).refused_total == 0
    assert Arena(memoryview(bytearray(12288))).allocate(4097) == SLOTS_START


def test_a_slot_is_free_when_its_last_holder_has_released_it():
    arena, _ = make_arena()
    offset = take(arena, 10, holders=2)
    arena.add_holder(offset)
    arena.add_holder(offset, 2)
    assert [arena.release(offset) for _ in range(3)] == [False, False, False]
    assert arena.release(offset, 2)
    assert arena.is_empty


@pytest.mark.parametrize("first", [0, 1, 2])
@pytest.mark.parametrize("second", [0, 1, 2])
def test_neighbours_merge_in_whatever_order_they_are_released(first, second):
    arena, _ = make_arena(8192)
    offsets = [take(arena, 1024) for _ in range(4)]
    order = [0, 1, 2]
    released = [order.pop(first), order.pop(second % 2), order.pop()]
    for index in released:
        assert arena.release(offsets[index])
    assert take(arena, 3072) == SLOTS_START


def test_shrinking_gives_the_tail_back():
    arena, view = make_arena(8192)
    offset = take(arena, 4096)
    arena.slot(offset)[:100] = bytes(range(100))
    arena.shrink(offset, 100)
    assert arena.slot(offset).tobytes() == bytes(range(100))
    assert arena.used_bytes == 128
    assert take(arena, 4096 - 128) == offset + 128
    assert arena.free_bytes == 0
    counters = read_counters(view)
    assert counters.bytes_written_total == 100 + 4096 - 128
    assert counters.peak_used_bytes == 4096


def test_shrinking_within_the_padding_gives_nothing_back():
    arena, _ = make_arena()
    offset = take(arena, 128)
    arena.shrink(offset, 65)
    assert arena.used_bytes == 128
    assert arena.slot(offset).nbytes == 65
    arena.shrink(offset, 65)
    assert arena.slot(offset).nbytes == 65


# ----------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(("size_bytes", "holders"), [(0, 1), (-1, 1), (1, 0), (1, -1)])
def test_a_slot_has_at_least_a_byte_and_a_holder(size_bytes, holders):
    arena, _ = make_arena()
    with pytest.raises(ValueError, match="must be at least 1"):
        arena.allocate(size_bytes, holders)
    assert arena.is_empty


@pytest.mark.parametrize(
    "mistake",
    [
        lambda arena, offset: arena.release(offset),
        lambda arena, offset: arena.add_holder(offset),
        lambda arena, offset: arena.slot(offset),
        lambda arena, offset: arena.shrink(offset, 1),
    ],
    ids=["release", "add_holder", "slot", "shrink"],
)
@pytest.mark.parametrize("offset", [0, SLOTS_START, SLOTS_START + 64, SLOTS_START + 65, -64])
def test_an_offset_where_no_live_slot_begins_is_named(mistake, offset):
    arena, view = make_arena()
    arena.release(take(arena, 64))
    live = take(arena, 500)
    arena.release(live)
    before = bytes(view)
    with pytest.raises(ValueError, match=f"no live slot begins at {offset}$"):
        mistake(arena, offset)
    assert bytes(view) == before


@pytest.mark.parametrize("count", [4, 0, -1])
def test_releasing_more_holders_than_there_are_changes_nothing(count):
    arena, _ = make_arena()
    offset = take(arena, 10, holders=3)
    with pytest.raises(ValueError, match=f"the slot at {offset} has 10 bytes and 3 holders"):
        arena.release(offset, count)
    assert arena.release(offset, 3)


@pytest.mark.parametrize("count", [0, -1])
def test_adding_no_holder_is_a_mistake(count):
    arena, _ = make_arena()
    offset = take(arena, 10)
    with pytest.raises(ValueError, match=f"cannot add {count} holders: the slot at {offset} "):
        arena.add_holder(offset, count)


@pytest.mark.parametrize("size_bytes", [0, -1, 11])
def test_a_slot_does_not_shrink_to_nothing_or_grow(size_bytes):
    arena, _ = make_arena()
    offset = take(arena, 10)
    with pytest.raises(ValueError, match=f"cannot shrink to {size_bytes} bytes: the slot at"):
        arena.shrink(offset, size_bytes)
    assert arena.slot(offset).nbytes == 10


@pytest.mark.parametrize(
    ("start", "length_bytes"),
    [
        (SLOTS_START, 4096),  # a live slot's page
        (SLOTS_START, 8192),
        (0, 4096),  # the counters
        (-4096, 4096),
        (8192, 0),
        (8192, -4096),
        (8192, 100),
        (8200, 4096),
        (8192, 64 * 1024),  # beyond the end
    ],
)
def test_only_whole_free_pages_are_given_back(start, length_bytes):
    arena, view = make_arena(64 * 1024)
    take(arena, 1)
    with pytest.raises(ValueError, match=f"{length_bytes} bytes at {start} are not free, whole"):
        arena.given_back(start, length_bytes)
    assert read_counters(view).pages_given_back_total == 0


# ------------------------------------------------------------------------- giving memory back


def test_steady_traffic_gives_nothing_back():
    arena, _ = make_arena(32 * MIB)
    assert cycle(arena, 2 * MIB, count=4 * WINDOW_SLOTS) == []
    assert cycle(arena, 1000, count=WINDOW_SLOTS // 2) == []


def test_traffic_with_a_large_packet_now_and_then_gives_nothing_back():
    arena, _ = make_arena(32 * MIB)
    for _ in range(5):
        assert cycle(arena, 4 * MIB, count=1, depth=1) == []
        assert cycle(arena, 1000, count=WINDOW_SLOTS - 10) == []


def test_a_burst_is_given_back_within_two_windows_and_only_once():
    arena, view = make_arena(64 * MIB)
    burst = [take(arena, MIB) for _ in range(40)]
    for offset in burst:
        arena.release(offset)
    given_back, largest = 0, 0
    for _ in range(2 * WINDOW_SLOTS):
        arena.release(take(arena, 1000))
        now = give_back(arena)
        given_back, largest = given_back + now, max(largest, now)
    assert given_back == 39 * MIB  # all but the MiB that is always kept
    assert largest == RECLAIM_BYTES_MAX  # a turn must not be kept for long
    assert read_counters(view).pages_given_back_total == 39 * MIB // PAGE_BYTES
    assert cycle(arena, 1000, count=4 * WINDOW_SLOTS) == []


def test_twice_what_recent_traffic_needs_is_kept():
    arena, _ = make_arena(64 * MIB)
    cycle(arena, 2 * MIB, count=1, depth=20)
    offered = cycle(arena, MIB, count=2 * WINDOW_SLOTS, depth=4)
    assert offered
    assert min(start for start, _ in offered) == SLOTS_START + 2 * 4 * MIB


def test_less_than_a_mib_is_not_worth_it():
    arena, _ = make_arena(8 * MIB)
    cycle(arena, 2 * MIB - PAGE_BYTES, count=1, depth=1)
    assert cycle(arena, 1000, count=4 * WINDOW_SLOTS) == []
    assert arena.reclaimable(idle=True) == []


def test_an_idle_arena_gives_back_all_but_the_first_mib_at_once():
    arena, view = make_arena(64 * MIB)
    cycle(arena, 4 * MIB, count=1, depth=3)
    assert arena.reclaimable() == []
    while give_back(arena, idle=True):
        pass
    assert read_counters(view).pages_given_back_total == 11 * MIB // PAGE_BYTES


def test_what_is_not_given_back_is_offered_again():
    arena, _ = make_arena(64 * MIB)
    cycle(arena, 4 * MIB, count=1, depth=3)
    offered = arena.reclaimable(idle=True)
    assert offered == [(SLOTS_START + KEEP_BYTES_MIN, RECLAIM_BYTES_MAX)]
    assert arena.reclaimable(idle=True) == offered


def test_memory_that_is_touched_again_can_be_given_back_again():
    arena, view = make_arena(64 * MIB)
    for expected in (3, 6):
        cycle(arena, 4 * MIB, count=1, depth=1)
        assert give_back(arena, idle=True) == 3 * MIB
        assert not give_back(arena, idle=True)
        assert read_counters(view).pages_given_back_total == expected * MIB // PAGE_BYTES


def test_giving_back_spares_the_pages_of_live_slots():
    arena, _ = make_arena(64 * MIB)
    low = take(arena, 3 * MIB + 64)
    kept = take(arena, 1)
    high = take(arena, 2 * MIB)
    arena.release(low)
    arena.release(high)
    page = kept & -PAGE_BYTES
    assert page < kept
    assert arena.reclaimable(idle=True) == [
        (SLOTS_START + MIB, page - SLOTS_START - MIB),
        (page + PAGE_BYTES, 2 * MIB),  # into the page the last slot ended in
    ]


def test_use_while_a_round_is_under_way_counts():
    arena, _ = make_arena(64 * MIB)
    arena.release(take(arena, 40 * MIB))
    assert cycle(arena, 1000, count=WINDOW_SLOTS) == []
    assert cycle(arena, 1000, count=WINDOW_SLOTS)[0][0] == SLOTS_START + MIB
    arena.release(take(arena, 10 * MIB))
    assert arena.reclaimable() == [(SLOTS_START + 20 * MIB, RECLAIM_BYTES_MAX)]


def test_a_turn_gives_back_4_mib_whatever_the_pieces():
    arena, _ = make_arena(64 * MIB)
    low, _, high = take(arena, 4 * MIB), take(arena, PAGE_BYTES), take(arena, 4 * MIB)
    arena.release(low)
    arena.release(high)
    lengths = []
    while ranges := arena.reclaimable(idle=True):
        lengths.append([length_bytes // MIB for _, length_bytes in ranges])
        give_back(arena, idle=True)
    assert lengths == [[3, 1], [3]]


def test_pages_filled_by_slots_of_just_their_size_are_known_to_be_touched():
    arena, _ = make_arena(8 * MIB)
    cycle(arena, PAGE_BYTES, count=1, depth=3 * MIB // PAGE_BYTES)
    assert give_back(arena, idle=True) == 2 * MIB


def test_a_given_back_range_may_be_given_back_before_it_is_touched():
    arena, view = make_arena(8 * MIB)
    arena.given_back(MIB, MIB)
    arena.given_back(MIB, 2 * MIB)
    assert read_counters(view).pages_given_back_total == 3 * MIB // PAGE_BYTES
    arena.release(take(arena, 3 * MIB))
    assert give_back(arena, idle=True) == 2 * MIB
    assert not give_back(arena, idle=True)


# ----------------------------------------------------------------------------- against a model


RANGES = st.tuples(st.integers(0, 40), st.integers(1, 10)).map(lambda pair: (pair[0], sum(pair)))


@given(start=RANGES, changes=st.lists(st.tuples(st.booleans(), RANGES)), asked=RANGES)
def test_extents_are_a_set_of_numbers(start, changes, asked):
    extents, numbers = _Extents(*start), set(range(*start))
    for is_in, (low, high) in changes:
        extents.discard(low, high)
        numbers.difference_update(range(low, high))
        if is_in:
            extents.add(low, high)
            numbers.update(range(low, high))
    pairs = list(zip(extents.starts, extents.stops, strict=True))
    assert {number for pair in pairs for number in range(*pair)} == numbers
    edges = [edge for pair in pairs for edge in pair]
    assert edges == sorted(set(edges))  # not empty, not adjacent, ascending
    gaps = [number for gap in extents.gaps(*asked) for number in range(*gap)]
    assert gaps == [number for number in range(*asked) if number not in numbers]


class ArenaMachine(RuleBasedStateMachine):
    """The model: each live slot's bytes and holders, and which pages have memory behind them."""

    slots: Bundle[int] = Bundle("slots")

    def __init__(self) -> None:
        super().__init__()
        self.random = random.Random(0)
        self.contents: dict[int, bytes] = {}
        self.holders: dict[int, int] = {}
        self.touched: set[int] = set()
        self.peak = self.slots_written = self.bytes_written = 0
        self.refused = self.copied = self.pages_given_back = 0

    @initialize(pages=st.sampled_from([2, 3, 16, 1024, 4096]))
    def start(self, pages):
        self.arena, self.view = make_arena(pages * PAGE_BYTES)

    def fill(self, offset: int, size_bytes: int) -> None:
        self.contents[offset] = self.random.randbytes(size_bytes)
        self.arena.slot(offset)[:] = self.contents[offset]

    @staticmethod
    def room(size_bytes: int) -> int:
        return -(-size_bytes // 64) * 64

    def used(self) -> int:
        return sum(self.room(len(content)) for content in self.contents.values())

    def free_runs(self) -> list[tuple[int, int]]:
        """Free ranges (start, stop), found from the slots alone."""
        runs, start = [], SLOTS_START
        for offset in sorted(self.contents):
            runs.append((start, offset))
            start = offset + self.room(len(self.contents[offset]))
        return [run for run in [*runs, (start, len(self.view))] if run[0] < run[1]]

    def first_fit(self, size_bytes: int) -> int | None:
        room = self.room(size_bytes)
        return next((start for start, stop in self.free_runs() if stop - start >= room), None)

    @rule(
        target=slots,
        size_bytes=st.one_of(st.integers(1, 300), st.integers(1, 9000), st.integers(1, 6 * MIB)),
        holders=st.integers(1, 3),
    )
    def allocate(self, size_bytes, holders):
        if self.room(size_bytes) > len(self.view) - SLOTS_START:
            with pytest.raises(EdgeError, match="shm_segment_size"):
                self.arena.allocate(size_bytes, holders)
            return multiple()
        expected = self.first_fit(size_bytes)
        offset = self.arena.allocate(size_bytes, holders)
        assert offset == expected
        if offset is None:
            self.refused += 1
            return multiple()
        self.fill(offset, size_bytes)
        self.holders[offset] = holders
        last = offset + size_bytes - 1
        self.touched.update(range(offset // PAGE_BYTES, last // PAGE_BYTES + 1))
        self.peak = max(self.peak, self.used())
        self.slots_written += 1
        self.bytes_written += size_bytes
        return offset

    @rule(offset=slots, count=st.integers(1, 2))
    def add_holder(self, offset, count):
        if offset not in self.holders:
            with pytest.raises(ValueError, match=f"no live slot begins at {offset}"):
                self.arena.add_holder(offset, count)
            return
        self.arena.add_holder(offset, count)
        self.holders[offset] += count

    @rule(offset=slots, count=st.integers(1, 3))
    def release(self, offset, count):
        if count > self.holders.get(offset, 0):
            with pytest.raises(ValueError, match=f"{offset}"):
                self.arena.release(offset, count)
            return
        self.holders[offset] -= count
        assert self.arena.release(offset, count) == (not self.holders[offset])
        self.forget_if_free(offset)

    @rule(offset=consumes(slots))
    def release_all(self, offset):
        if offset in self.holders:
            assert self.arena.release(offset, self.holders[offset])
            self.holders[offset] = 0
            self.forget_if_free(offset)

    def forget_if_free(self, offset: int) -> None:
        if not self.holders[offset]:
            del self.holders[offset], self.contents[offset]

    @rule(offset=slots, part=st.floats(0, 1))
    def shrink(self, offset, part):
        if offset not in self.contents:
            with pytest.raises(ValueError, match=f"no live slot begins at {offset}"):
                self.arena.shrink(offset, 1)
            return
        content = self.contents[offset]
        size_bytes = max(1, int(len(content) * part))
        self.arena.shrink(offset, size_bytes)
        self.bytes_written -= len(content) - size_bytes
        self.contents[offset] = content[:size_bytes]

    @rule(offset=slots)
    def write_again(self, offset):
        if offset in self.contents:
            self.fill(offset, len(self.contents[offset]))

    @rule()
    def count_copied(self):
        self.arena.count_copied()
        self.copied += 1

    @precondition(lambda self: not self.contents)
    @rule()
    def pass_a_window(self):
        """Bring the hysteresis into play, which takes many releases."""
        for _ in range(WINDOW_SLOTS):
            self.arena.release(take(self.arena, 64))
        self.touched.add(SLOTS_START // PAGE_BYTES)
        self.peak = max(self.peak, 64)
        self.slots_written += WINDOW_SLOTS
        self.bytes_written += WINDOW_SLOTS * 64

    def touched_free(self) -> set[int]:
        """Touched pages without any byte of a live slot, above what is always kept."""
        used = {
            page
            for offset, content in self.contents.items()
            for page in range(offset // PAGE_BYTES, (offset + len(content) - 1) // PAGE_BYTES + 1)
        }
        lowest = (SLOTS_START + KEEP_BYTES_MIN) // PAGE_BYTES
        return {page for page in self.touched - used if page >= lowest}

    @rule(idle=st.booleans(), give=st.booleans())
    def reclaim(self, idle, give):
        worth_it = self.touched_free() if idle else set()
        ranges = self.arena.reclaimable(idle=idle)
        free_runs = self.free_runs()
        offered: set[int] = set()
        for start, length_bytes in ranges:
            stop = start + length_bytes
            assert start % PAGE_BYTES == 0 == length_bytes % PAGE_BYTES
            assert length_bytes > 0
            assert start >= SLOTS_START + KEEP_BYTES_MIN
            assert any(low <= start and stop <= high for low, high in free_runs)
            pages = range(start // PAGE_BYTES, stop // PAGE_BYTES)
            assert self.touched.issuperset(pages)
            offered.update(pages)
            if give:
                self.view[start:stop] = bytes(length_bytes)  # as MADV_REMOVE would
                self.arena.given_back(start, length_bytes)
                self.touched.difference_update(pages)
                self.pages_given_back += len(pages)
        pages_max = RECLAIM_BYTES_MAX // PAGE_BYTES
        assert len(offered) <= pages_max
        if idle and len(worth_it) >= RECLAIM_BYTES_MIN // PAGE_BYTES:
            assert offered == set(sorted(worth_it)[:pages_max])
        elif idle:
            assert not offered

    @invariant()
    def live_slots_are_in_bounds_and_do_not_overlap(self):
        end = SLOTS_START
        for offset in sorted(self.contents):
            assert offset >= end
            assert offset % SLOT_ALIGNMENT_BYTES == 0
            end = offset + len(self.contents[offset])
        assert end <= len(self.view)

    @invariant()
    def live_slots_hold_what_was_written(self):
        for offset, content in self.contents.items():
            assert self.arena.slot(offset) == content

    @invariant()
    def counters_equal_the_model(self):
        assert read_counters(self.view) == ArenaCounters(
            segment_bytes=len(self.view),
            used_bytes=self.used(),
            used_slots=len(self.contents),
            peak_used_bytes=self.peak,
            slots_written_total=self.slots_written,
            bytes_written_total=self.bytes_written,
            refused_total=self.refused,
            copied_total=self.copied,
            pages_given_back_total=self.pages_given_back,
        )
        assert self.arena.used_bytes == self.used()
        assert self.arena.used_slots == len(self.contents)
        assert self.arena.free_bytes == len(self.view) - SLOTS_START - self.used()
        assert self.arena.is_empty == (not self.contents)

    def teardown(self) -> None:
        for offset, holders in self.holders.items():
            assert self.arena.release(offset, holders)
        assert self.arena.is_empty
        # One free extent again: the largest slot there can be fits.
        assert self.arena.allocate(len(self.view) - SLOTS_START) == SLOTS_START


TestArenaAgainstModel = ArenaMachine.TestCase
TestArenaAgainstModel.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
