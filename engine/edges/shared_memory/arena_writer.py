"""The producing side of an arena: one copy of each payload, whoever it is sent to.

Runs on the loop of the producing stage. Source: FR-007, NFR-003.
"""

from __future__ import annotations

import asyncio
import math
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.edges import codec
from engine.edges.arena import Arena
from engine.edges.counters import write_counts
from engine.edges.descriptor import checksum_of
from engine.errors import EdgeError

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.edges.contract import EdgeStatistics
    from engine.edges.segment import Segment
    from engine.edges.shared_memory.sender import SharedMemorySender
    from engine.payloads import Payload

#: After so long without a packet, an arena gives back what its last ones have touched.
_IDLE_S = 1.0
#: Room behind a reserved array for its stream's tail.
_TAIL_BYTES_MAX = 64

#: Where a payload lies: slot, start, size, head size, kind, checksum; the first fields of `Member`.
Place = tuple[int, int, int, int, int, int]


class _Reservation:
    """An array that `ctx.empty` handed out.

    Attributes:
        slot: its slot.
        size_bytes: its length.
        head: the stream's head in front of it, once it has been sent.
    """

    __slots__ = ("head", "size_bytes", "slot")

    def __init__(self, slot: int, size_bytes: int) -> None:
        self.slot = slot
        self.size_bytes = size_bytes
        self.head: bytes | bytearray | memoryview | None = None


class ArenaWriter:
    """The producing side of one arena, shared by all out edges of a stage; one thread only.

    A payload that is sent on several edges in a row is written once.
    """

    def __init__(self, segment: Segment, *, checksums: bool = False) -> None:
        """Format a segment, on the running loop.

        Args:
            segment: mapped for writing.
            checksums: whether each payload is given a checksum.
        """
        self._segment = segment
        self._checksums = checksums
        self._arena = Arena(segment.view)
        self._encoder = codec.Encoder()
        self._last: tuple[Payload, Place] | None = None
        #: Address of each reserved array that lives → what is known of it.
        self._reserved: dict[int, _Reservation] = {}
        #: Slots of reserved arrays that died, put here by finalizers of any thread.
        self._abandoned: deque[tuple[int, int]] = deque()
        self._senders: list[SharedMemorySender] = []
        self._thread = threading.get_ident()
        self._loop = asyncio.get_running_loop()
        self._idle_watch: asyncio.TimerHandle | None = None

    def attach(self, sender: SharedMemorySender) -> None:
        """Add an edge that sends from this arena."""
        self._senders.append(sender)

    def write(self, payload: Payload) -> Place | None:
        """Put a payload into a slot, or find it in the one it is in already.

        Returns:
            Where it is, with one holder more; None where there is no room now.

        Raises:
            EdgeError: it can never fit, or has no Arrow form.
        """
        last = self._last
        if last is not None and last[0] is payload:
            self._arena.add_holder(last[1][0])
            return last[1]
        self._collect_abandoned()
        message = self._encoder.encode(payload)
        place = self._in_place(payload, message) if self._reserved else None
        if place is None:
            size_bytes = message.size_bytes
            slot = self._arena.allocate(size_bytes)
            if slot is None:
                return None
            message.write(self._segment.view[slot : slot + size_bytes])
            place = (
                slot,
                slot,
                size_bytes,
                len(message.head),
                message.kind,
                self.checksum(message),
            )
        self._last = (payload, place)
        return place

    def forget(self) -> None:
        """The turn is over: its payloads are not sent again."""
        self._last = None

    def release(self, slot: int, count: int = 1) -> None:
        """Take holders off a slot.

        Raises:
            ValueError: it has no such holders.
        """
        if self._arena.release(slot, count):
            last = self._last
            if last is not None and last[1][0] == slot:
                self._last = None
            self._give_back(self._arena.reclaimable())
            if self._idle_watch is None:
                self._idle_watch = self._loop.call_later(
                    _IDLE_S, self._look_if_idle, self._arena.slots_written
                )

    def reserve(
        self, shape: int | tuple[int, ...], dtype: npt.DTypeLike
    ) -> npt.NDArray[Any] | None:
        """A writable array inside the arena, with room around it for the rest of its stream.

        None where there is no room, and on any other thread, which an operator may have started.
        """
        if threading.get_ident() != self._thread:
            return None
        self._collect_abandoned()
        dtype = np.dtype(dtype)
        count = math.prod(shape) if isinstance(shape, tuple) else shape
        if count <= 0 or dtype.hasobject:
            return None
        size_bytes = count * dtype.itemsize
        try:
            slot = self._arena.allocate(codec.HEAD_BYTES_MAX + size_bytes + _TAIL_BYTES_MAX)
        except EdgeError:
            return None
        if slot is None:
            return None
        root = np.frombuffer(self._segment.view, dtype, count, slot + codec.HEAD_BYTES_MAX)
        address = root.ctypes.data
        self._reserved[address] = _Reservation(slot, size_bytes)
        weakref.finalize(root, self._abandoned.append, (address, slot)).atexit = False
        return root.reshape(shape)

    def publish(self, position: int, counts: EdgeStatistics) -> None:
        """Show an edge's counts in page 0."""
        write_counts(self._segment.view, position, counts)

    def checksum(self, message: codec.Message) -> int:
        """That of a message, or 0 where there are none."""
        if not self._checksums:
            return 0
        return checksum_of((message.head, message.body, message.tail))

    def encode(self, payload: Payload) -> codec.Message:
        """The payload as a stream outside the arena.

        Raises:
            EdgeError: it has no Arrow form.
        """
        return self._encoder.encode(payload)

    def want_room(self) -> bool:
        """Ask all consumers for the slots they have done with.

        Returns:
            Whether they may have some. If not, waiting is no use: views that outlived their turns,
            or arrays of `reserve`, hold the room.
        """
        answers = [sender.ask_for_slots() for sender in self._senders]
        return any(answers)

    def room_was_made(self) -> None:
        """Tell the edges that were refused: slots are free, or some they hoped for will not be."""
        for sender in self._senders:
            sender.notify_credit()

    def close(self) -> None:
        """Look after the memory no more; twice is once."""
        if self._idle_watch is not None:
            self._idle_watch.cancel()

    def _look_if_idle(self, written: int) -> None:
        """Give back what nothing needed lately, a piece at a time, so that the loop goes on.

        Runs once a second while slots come back, and not at all while nothing does.
        """
        self._idle_watch = None
        ranges = self._arena.reclaimable(idle=True) if written == self._arena.slots_written else []
        if self._give_back(ranges) or written != self._arena.slots_written:
            delay_s = 0.0 if ranges else _IDLE_S
            self._idle_watch = self._loop.call_later(
                delay_s, self._look_if_idle, self._arena.slots_written
            )

    def _give_back(self, ranges: list[tuple[int, int]]) -> bool:
        """Return free pages to the system; whether some were."""
        for start, length_bytes in ranges:
            if not self._segment.give_back(start, length_bytes):
                return False
            self._arena.given_back(start, length_bytes)
        return bool(ranges)

    def _collect_abandoned(self) -> None:
        while self._abandoned:
            address, slot = self._abandoned.popleft()
            del self._reserved[address]
            self.release(slot)

    def _in_place(self, payload: Payload, message: codec.Message) -> Place | None:
        """Complete the stream around an array that was reserved, and is the payload's now.

        Only around the whole array: the tail behind a part would lie in what may still be sent. And
        only once: another head must not replace one that a consumer has yet to read.
        """
        array = codec.array_of(payload)
        if array is None or len(message.head) > codec.HEAD_BYTES_MAX:
            return None
        address, _ = array.__array_interface__["data"]  # ctypes.data takes thrice as long
        reservation = self._reserved.get(address)
        if reservation is None or reservation.size_bytes != len(message.body):
            return None
        if reservation.head is None:
            self._complete(reservation, message)
        elif reservation.head != message.head:
            return None
        slot = reservation.slot
        self._arena.add_holder(slot)
        start = slot + codec.HEAD_BYTES_MAX - len(message.head)
        checksum = self.checksum(message)
        return (slot, start, message.size_bytes, len(message.head), message.kind, checksum)

    def _complete(self, reservation: _Reservation, message: codec.Message) -> None:
        body = reservation.slot + codec.HEAD_BYTES_MAX
        end = body + len(message.body)
        view = self._segment.view
        view[body - len(message.head) : body] = message.head
        view[end : end + len(message.tail)] = message.tail
        reservation.head = message.head
