"""Where packets lie in a shared-memory segment: the slot allocator of one producing stage.

Pure over a memoryview: no I/O, no clock. Mapping the segment and calling madvise is the shell's
business. Source: FR-007, NFR-003.

The segment, all offsets in bytes from its start:

    0       page 0: counters, then zeros
            0   magic "RMARENA" and one byte of version
            8   segment_bytes
            16  used_bytes              ┐
            24  used_slots              │
            32  peak_used_bytes         │ written by one call each time a slot is taken
            40  slots_written_total     │
            48  bytes_written_total     ┘
            56  refused_total
            64  copied_total
            72  pages_given_back_total
    4096    slots, each beginning on a multiple of 64 and taking a multiple of 64:
            ┌────────────┬─────────┬──────┬────────────────────────────────┐
            │ slot       │ slot    │ free │ free, not touched yet (no RAM) │
            └────────────┴─────────┴──────┴────────────────────────────────┘
    segment_bytes, a multiple of 4096

The counters are unsigned 64-bit little-endian words on multiples of 8, so each is written by
one store: a reader in another process never sees half a word, also when the producer is frozen.
Two words may stem from different moments. All else about the slots lies in the producer's
ordinary memory, where no other process can damage it.

Memory is given back in rounds. A window is 256 freed slots. When one closes, what lies above
twice the highest address handed out in it (and above the first MiB) was not needed lately; if at
least 1 MiB of that is free and touched, it is offered, at most 4 MiB at a time. So a burst is
given back 256 to 512 freed slots after its last large packet, and steady traffic never pays.
Measured: MADV_REMOVE takes 0.17 ms per MiB, touching the same memory again 1 ms per MiB; hence
late, and in pieces that stay below the 1 ms a loop may be kept.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from struct import Struct

from engine.errors import EdgeError

#: Granularity of giving memory back; also the room kept for the counters.
PAGE_BYTES = 4096
#: Alignment and granularity of slots: a cache line, and what Arrow asks of its buffers.
SLOT_ALIGNMENT_BYTES = 64
#: Offset of the first slot.
SLOTS_START = PAGE_BYTES

#: A window of recent use ends after this many freed slots.
WINDOW_SLOTS = 256
#: This much memory at the low end of the slots is never given back.
KEEP_BYTES_MIN = 1 << 20
#: Less than this is not worth a round of system calls.
RECLAIM_BYTES_MIN = 1 << 20
#: At most this much is offered at a time (0.7 ms of madvise).
RECLAIM_BYTES_MAX = 4 << 20

_MAGIC = int.from_bytes(b"RMARENA\x01", "little")
_PAGE_ZERO = Struct("<10Q")
_FIVE_WORDS = Struct("<5Q")
_TWO_WORDS = Struct("<2Q")
_ONE_WORD = Struct("<Q")
_USED_BYTES_AT = 16
_REFUSED_AT = 56
_COPIED_AT = 64
_GIVEN_BACK_AT = 72


@dataclass(frozen=True, slots=True)
class ArenaCounters:
    """What page 0 tells; gauges as of now, totals since the arena was made.

    Attributes:
        segment_bytes: size of the whole segment.
        used_bytes: room taken by live slots, padding included.
        used_slots: live slots.
        peak_used_bytes: the highest `used_bytes` ever.
        slots_written_total: slots handed out.
        bytes_written_total: bytes asked for in them; what `shrink` gives back is taken off again.
        refused_total: times there was no room.
        copied_total: packets delivered as copies to save the arena, as counted by its owner.
        pages_given_back_total: pages of 4096 bytes returned to the operating system.
    """

    segment_bytes: int
    used_bytes: int
    used_slots: int
    peak_used_bytes: int
    slots_written_total: int
    bytes_written_total: int
    refused_total: int
    copied_total: int
    pages_given_back_total: int


def read_counters(view: memoryview) -> ArenaCounters:
    """Read page 0 of a segment, from any process that maps it.

    Args:
        view: the segment from its start, at least its first 80 bytes; may be read-only.

    Raises:
        ValueError: this is no arena, or one of another version.
    """
    if view.nbytes < _PAGE_ZERO.size:
        raise ValueError(f"{view.nbytes} bytes are no arena: page 0 is missing")
    magic, *words = _PAGE_ZERO.unpack_from(view)
    if magic != _MAGIC:
        raise ValueError(f"no arena of this version: it begins with {magic:#x}, not {_MAGIC:#x}")
    return ArenaCounters(*words)


class Arena:
    """The slots of one segment, handed out from low addresses and freed in any order.

    A slot has holders, one for each consumer that was told of it (and one for the producer while it
    still writes). It is free when the last has released it. One thread only: the stage's own.
    Finalizers of views never call this; they queue the offset for that thread.

    Making an arena formats the segment: what lay in it before is forgotten.

    Args:
        view: the whole segment as writable bytes. The caller owns it, keeps it mapped while this
            process holds a slot, and releases it.

    Raises:
        ValueError: the view is read-only, not contiguous bytes, or its length is not a multiple of
            4096 of at least 8192.
    """

    __slots__ = (
        "_bytes_written",
        "_copied",
        "_free",
        "_fresh",
        "_fresh_start",
        "_holders",
        "_pages_given_back",
        "_peak_used_bytes",
        "_recent_stop",
        "_reclaim_due",
        "_refused",
        "_segment_bytes",
        "_sizes",
        "_slots_written",
        "_used_bytes",
        "_view",
        "_window_left",
        "_window_stop",
    )

    def __init__(self, view: memoryview) -> None:
        _check_segment(view)
        self._view = view
        self._segment_bytes = len(view)
        #: Room of live slots + extents of _free = segment_bytes - SLOTS_START, always.
        self._free = _Extents(SLOTS_START, self._segment_bytes)
        #: Whole pages without memory behind them: not touched since the start or since given back.
        self._fresh = _Extents(SLOTS_START, self._segment_bytes)
        #: No fresh page lies below this; slots that end there need no look at _fresh.
        self._fresh_start = SLOTS_START
        #: Offset of each live slot → bytes asked for. Same keys as _holders.
        self._sizes: dict[int, int] = {}
        #: Offset of each live slot → holders, at least 1.
        self._holders: dict[int, int] = {}
        self._used_bytes = 0
        self._peak_used_bytes = 0
        self._slots_written = 0
        self._bytes_written = 0
        self._refused = 0
        self._copied = 0
        self._pages_given_back = 0
        self._window_left = WINDOW_SLOTS
        #: Highest end of a slot handed out in the open window, and in the one before it.
        self._window_stop = self._recent_stop = SLOTS_START
        #: A window has closed and not everything it allows has been given back.
        self._reclaim_due = False
        _PAGE_ZERO.pack_into(view, 0, _MAGIC, self._segment_bytes, *[0] * 8)

    @property
    def used_bytes(self) -> int:
        """Room taken by live slots, padding included."""
        return self._used_bytes

    @property
    def used_slots(self) -> int:
        """Live slots."""
        return len(self._sizes)

    @property
    def slots_written(self) -> int:
        """Slots handed out so far."""
        return self._slots_written

    @property
    def free_bytes(self) -> int:
        """Room not taken; it need not be in one piece."""
        return self._segment_bytes - SLOTS_START - self._used_bytes

    @property
    def is_empty(self) -> bool:
        """Whether no slot is live."""
        return not self._sizes

    def allocate(self, size_bytes: int, holders: int = 1) -> int | None:
        """Take the lowest room that is large enough.

        Args:
            size_bytes: bytes wanted, at least 1.
            holders: how many releases free the slot, at least 1.

        Returns:
            The slot's offset in the segment, or None where there is no room now (counted as
            refused). Its contents are whatever lay there before.

        Raises:
            EdgeError: so large a slot can never fit.
            ValueError: an argument is below 1.
        """
        if size_bytes < 1 or holders < 1:
            raise ValueError(f"{size_bytes} bytes for {holders} holders: both must be at least 1")
        room = (size_bytes + 63) & -64  # _room, without the call
        offset = self._free.take(room)
        if offset is None:
            self._refuse(size_bytes, room)
            return None
        stop = offset + room
        if stop > self._fresh_start:
            self._touch(offset, stop)
        if stop > self._window_stop:  # noqa: PLR1730 - max() would be a tenth of the whole call
            self._window_stop = stop
        self._sizes[offset] = size_bytes
        self._holders[offset] = holders
        self._used_bytes = used = self._used_bytes + room
        if used > self._peak_used_bytes:  # noqa: PLR1730 - same
            self._peak_used_bytes = used
        self._slots_written += 1
        self._bytes_written += size_bytes
        self._store_use()
        return offset

    def add_holder(self, offset: int, count: int = 1) -> None:
        """Let a live slot need more releases.

        Raises:
            ValueError: no live slot begins there, or count is below 1.
        """
        if offset not in self._holders or count < 1:
            raise ValueError(f"cannot add {count} holders: {self._describe(offset)}")
        self._holders[offset] += count

    def release(self, offset: int, count: int = 1) -> bool:
        """Take holders off a slot.

        Returns:
            Whether that freed it.

        Raises:
            ValueError: no live slot begins there, it has fewer holders, or count is below 1;
                nothing changed.
        """
        left = self._holders.get(offset, 0) - count
        if left < 0 or count < 1:
            raise ValueError(f"cannot release {count} holders: {self._describe(offset)}")
        if left:
            self._holders[offset] = left
            return False
        del self._holders[offset]
        room = (self._sizes.pop(offset) + 63) & -64
        self._free.add(offset, offset + room)
        self._used_bytes = used = self._used_bytes - room
        _TWO_WORDS.pack_into(self._view, _USED_BYTES_AT, used, len(self._sizes))
        self._window_left -= 1
        if not self._window_left:
            self._close_window()
        return True

    def slot(self, offset: int) -> memoryview:
        """The memory of a live slot: exactly the bytes asked for, writable.

        The view does not hold the slot: after the last release its bytes belong to somebody else.

        Raises:
            ValueError: no live slot begins there.
        """
        if offset not in self._sizes:
            raise ValueError(f"nothing to view: {self._describe(offset)}")
        return self._view[offset : offset + self._sizes[offset]]

    def shrink(self, offset: int, size_bytes: int) -> None:
        """Give back the tail of a slot that was reserved larger than it is needed.

        Args:
            offset: where the slot begins; it stays there.
            size_bytes: its new size, from 1 to the present one.

        Raises:
            ValueError: no live slot begins there, or it cannot get that size.
        """
        size_before = self._sizes.get(offset, 0)
        if not 1 <= size_bytes <= size_before:
            raise ValueError(f"cannot shrink to {size_bytes} bytes: {self._describe(offset)}")
        stop, stop_before = offset + _room(size_bytes), offset + _room(size_before)
        if stop < stop_before:
            self._free.add(stop, stop_before)
        self._sizes[offset] = size_bytes
        self._used_bytes -= stop_before - stop
        self._bytes_written -= size_before - size_bytes
        self._store_use()

    def reclaimable(self, *, idle: bool = False) -> list[tuple[int, int]]:
        """Free memory worth giving back to the operating system now; usually none.

        Cheap enough to be asked after every release. For each range the shell calls
        madvise(MADV_REMOVE) and then `given_back`, before it allocates again. If more is left, the
        next call offers it. A shell whose madvise failed stops asking.

        Args:
            idle: nothing was sent for a while (the shell has the clock): recent use does not
                count, all but the first MiB is offered.

        Returns:
            Ranges (start, length_bytes) of whole pages, ascending; none overlaps a live slot.
        """
        if not (idle or self._reclaim_due):
            return []
        ranges = self._touched_free(self._keep_stop(idle=idle))
        if sum(stop - start for start, stop in ranges) < RECLAIM_BYTES_MIN:
            self._reclaim_due = False
            return []
        return _first_bytes(ranges, RECLAIM_BYTES_MAX)

    def given_back(self, start: int, length_bytes: int) -> None:
        """Record that the pages of a range were returned: they read as zeros and hold no memory.

        Raises:
            ValueError: the range is not one of whole, free pages.
        """
        stop = start + length_bytes
        whole_pages = length_bytes > 0 and not (start | length_bytes) % PAGE_BYTES
        if not whole_pages or self._free.gaps(start, stop):
            raise ValueError(f"{length_bytes} bytes at {start} are not free, whole pages")
        self._fresh.discard(start, stop)
        self._fresh.add(start, stop)
        self._fresh_start = self._fresh.starts[0]
        self._pages_given_back += length_bytes // PAGE_BYTES
        _ONE_WORD.pack_into(self._view, _GIVEN_BACK_AT, self._pages_given_back)

    def count_copied(self, count: int = 1) -> None:
        """Count packets that are delivered as copies to save the arena."""
        self._copied += count
        _ONE_WORD.pack_into(self._view, _COPIED_AT, self._copied)

    def _store_use(self) -> None:
        _FIVE_WORDS.pack_into(
            self._view,
            _USED_BYTES_AT,
            self._used_bytes,
            len(self._sizes),
            self._peak_used_bytes,
            self._slots_written,
            self._bytes_written,
        )

    def _refuse(self, size_bytes: int, room: int) -> None:
        if room > self._segment_bytes - SLOTS_START:
            raise EdgeError(
                f"a packet of {size_bytes} bytes can never fit the shared-memory segment of "
                f"{self._segment_bytes} bytes: raise shm_segment_size to at least "
                f"{_page_up(SLOTS_START + room)} bytes, or send smaller packets",
                size_bytes=size_bytes,
                segment_bytes=self._segment_bytes,
            )
        self._refused += 1
        _ONE_WORD.pack_into(self._view, _REFUSED_AT, self._refused)

    def _describe(self, offset: int) -> str:
        if offset not in self._sizes:
            return f"no live slot begins at {offset}"
        size_bytes, holders = self._sizes[offset], self._holders[offset]
        return f"the slot at {offset} has {size_bytes} bytes and {holders} holders"

    def _touch(self, start: int, stop: int) -> None:
        self._fresh.discard(start & -PAGE_BYTES, _page_up(stop))
        self._fresh_start = self._fresh.starts[0] if self._fresh.starts else self._segment_bytes

    def _close_window(self) -> None:
        self._window_left = WINDOW_SLOTS
        self._recent_stop, self._window_stop = self._window_stop, SLOTS_START
        self._reclaim_due = True

    def _keep_stop(self, *, idle: bool) -> int:
        """The address up to which free memory is kept: a whole page's."""
        recent_bytes = 0 if idle else max(self._recent_stop, self._window_stop) - SLOTS_START
        return _page_up(SLOTS_START + max(KEEP_BYTES_MIN, 2 * recent_bytes))

    def _touched_free(self, lowest: int) -> list[tuple[int, int]]:
        """Free pages (start, stop) from an address on that have memory behind them."""
        found: list[tuple[int, int]] = []
        starts, stops = self._free.starts, self._free.stops
        for index in range(bisect_right(stops, lowest), len(starts)):
            start = max(lowest, _page_up(starts[index]))
            found += self._fresh.gaps(start, stops[index] & -PAGE_BYTES)
        return found


class _Extents:
    """Disjoint ranges [start, stop) in ascending order, never adjacent, never empty.

    Two lists of plain integers: with the few ranges first-fit leaves, that beats every tree.
    """

    __slots__ = ("starts", "stops")

    def __init__(self, start: int, stop: int) -> None:
        #: starts[i] < stops[i] < starts[i + 1]
        self.starts = [start]
        self.stops = [stop]

    def take(self, length: int) -> int | None:
        """Cut a length off the lowest range that has it; its start, or None.

        Linear in the ranges below it.
        """
        starts, stops = self.starts, self.stops
        for index, start in enumerate(starts):
            end = start + length
            if end < stops[index]:
                starts[index] = end
                return start
            if end == stops[index]:
                del starts[index], stops[index]
                return start
        return None

    def add(self, start: int, stop: int) -> None:
        """Add a range that overlaps none of them."""
        starts, stops = self.starts, self.stops
        index = bisect_left(starts, start)
        joins_next = index < len(starts) and starts[index] == stop
        if index and stops[index - 1] == start:
            if joins_next:
                del starts[index], stops[index - 1]
            else:
                stops[index - 1] = stop
        elif joins_next:
            starts[index] = start
        else:
            starts.insert(index, start)
            stops.insert(index, stop)

    def discard(self, start: int, stop: int) -> None:
        """Take a range out, as far as it is in."""
        starts, stops = self.starts, self.stops
        low, high = bisect_right(stops, start), bisect_left(starts, stop)
        if low >= high:
            return
        head = [(starts[low], start)] if starts[low] < start else []
        tail = [(stop, stops[high - 1])] if stop < stops[high - 1] else []
        rest = head + tail
        starts[low:high] = [piece[0] for piece in rest]
        stops[low:high] = [piece[1] for piece in rest]

    def gaps(self, start: int, stop: int) -> list[tuple[int, int]]:
        """The parts (start, stop) of a range that lie in none of them."""
        found: list[tuple[int, int]] = []
        for index in range(bisect_right(self.stops, start), bisect_left(self.starts, stop)):
            if start < self.starts[index]:
                found.append((start, self.starts[index]))
            start = self.stops[index]
        if start < stop:
            found.append((start, stop))
        return found


def _check_segment(view: memoryview) -> None:
    if view.readonly or view.format != "B" or view.ndim != 1 or not view.c_contiguous:
        raise ValueError("an arena needs its segment as a writable, contiguous view of bytes")
    if len(view) % PAGE_BYTES or len(view) < 2 * PAGE_BYTES:
        raise ValueError(f"a segment of {len(view)} bytes is not two or more pages of {PAGE_BYTES}")


def _first_bytes(ranges: list[tuple[int, int]], bytes_max: int) -> list[tuple[int, int]]:
    """The first bytes_max of ascending ranges (start, stop), as (start, length)."""
    found: list[tuple[int, int]] = []
    for start, stop in ranges:
        length = min(stop - start, bytes_max)
        if not length:
            break
        found.append((start, length))
        bytes_max -= length
    return found


def _room(size_bytes: int) -> int:
    return (size_bytes + SLOT_ALIGNMENT_BYTES - 1) & -SLOT_ALIGNMENT_BYTES


def _page_up(address: int) -> int:
    return (address + PAGE_BYTES - 1) & -PAGE_BYTES
