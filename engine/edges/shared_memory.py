"""An edge between two processes: payloads in the producer's arena, the rest by doorbell.

Runs on the asyncio loop of the stage (or session) at its end. Source: FR-007, NFR-003, SC-007.

    producer                                            consumer
    try_send ─ slot in the arena ─┐
               descriptor ────────┼── doorbell ──▶ queue ─ try_receive ─▶ turn
               credit, slot ◀─────┴── doorbell ◀── batched: turn ended / no view lives

A packet takes a credit and a slot when it is sent; without either it is refused and the producer's
turn waits. At most 64 descriptors are under way, the rest of the capacity waits here. Credits come
back in batches; a producer that is refused says so (WANT), and gets at once what the consumer has
collected.

Views that outlive their turns never stop the producer: they are rationed, and where what is kept
still leaves no room for a payload, with nothing under way that could make some, it goes by the
socket.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.edges import codec
from engine.edges.arena import Arena
from engine.edges.contract import EdgeStatistics
from engine.edges.credit import IN_FLIGHT_MAX, ReceiverCredits, SenderCredits
from engine.edges.descriptor import (
    CLOSE,
    CLOSE_MESSAGE,
    CREDITS,
    DATA,
    END,
    END_MESSAGE,
    FAIL,
    MESSAGE_BYTES_MAX,
    NO_SLOT,
    PACKETS,
    WANT,
    WANT_MESSAGE,
    DescribedItem,
    Member,
    pack_credits,
    pack_failure,
    pack_item,
    pack_metadata,
    pack_parts,
    unpack_credits,
    unpack_failure,
    unpack_items,
)
from engine.edges.doorbell import Doorbell
from engine.errors import EdgeError, PeerDiedError
from engine.packet import Group, Origin, Packet, Source
from engine.payloads import Audio, payload_bytes

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy.typing as npt

    from engine.edges.segment import Segment
    from engine.packet import Item
    from engine.payloads import Payload

logger = logging.getLogger("remotemedia.edge")

#: Freed slots of this many bytes are worth a credit message of their own.
FREED_BYTES_WORTH_A_MESSAGE = 1 << 20
#: Room behind a reserved array for an audio stream's tail.
_TAIL_BYTES_MAX = 64
#: Once an arena's leased views hold this share of it, further packets are delivered as copies.
_LEASED_SHARE_MAX = 4
#: No payload that takes them beyond this share is leased, however few there are.
_LEASED_SHARE_EVER = 2
#: A message of credits names at most this many slots.
_SLOTS_PER_MESSAGE = 4096

_PACKETS_HEAD = bytes([PACKETS])
_AUDIO = codec.KIND_CODES["audio"]

#: Where a payload lies: slot, start, size, head size, kind; the first fields of `Member`.
Place = tuple[int, int, int, int, int]


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
        self.head: bytes | memoryview | None = None


class ArenaWriter:
    """The producing side of one arena, shared by all out edges of a stage; one thread only.

    A payload that is sent on several edges in a row is written once.
    """

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._arena = Arena(segment.view)
        self._encoder = codec.Encoder()
        self._last: tuple[Payload, Place] | None = None
        #: Address of each reserved array that lives → what is known of it.
        self._reserved: dict[int, _Reservation] = {}
        #: Slots of reserved arrays that died, put here by finalizers of any thread.
        self._abandoned: deque[tuple[int, int]] = deque()
        self._senders: list[SharedMemorySender] = []

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
            place = (slot, slot, size_bytes, len(message.head), message.kind)
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
            for start, length_bytes in self._arena.reclaimable():
                if not self._segment.give_back(start, length_bytes):
                    break
                self._arena.given_back(start, length_bytes)

    def reserve(
        self, shape: int | tuple[int, ...], dtype: npt.DTypeLike
    ) -> npt.NDArray[Any] | None:
        """A writable array inside the arena, with room around it for the rest of its stream."""
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

    def _collect_abandoned(self) -> None:
        while self._abandoned:
            address, slot = self._abandoned.popleft()
            del self._reserved[address]
            self.release(slot)

    def _in_place(self, payload: Payload, message: codec.Message) -> Place | None:
        """Complete the stream around samples that were written into a reserved array.

        Only around the whole array: the tail behind a part would lie in what may still be sent. And
        only once: another head must not replace one that a consumer has yet to read.
        """
        if type(payload) is not Audio:
            return None
        reservation = self._reserved.get(payload.samples.ctypes.data)
        if reservation is None or reservation.size_bytes != len(message.body):
            return None
        if reservation.head is None:
            self._complete(reservation, message)
        elif reservation.head != message.head:
            return None
        slot = reservation.slot
        self._arena.add_holder(slot)
        start = slot + codec.HEAD_BYTES_MAX - len(message.head)
        return (slot, start, message.size_bytes, len(message.head), message.kind)

    def _complete(self, reservation: _Reservation, message: codec.Message) -> None:
        body = reservation.slot + codec.HEAD_BYTES_MAX
        end = body + len(message.body)
        view = self._segment.view
        view[body - len(message.head) : body] = message.head
        view[end : end + len(message.tail)] = message.tail
        reservation.head = message.head


class SharedMemorySender:
    """The producer's end, see `engine.edges.contract.EdgeSender`."""

    def __init__(
        self,
        edge_id: str,
        capacity: int,
        writer: ArenaWriter,
        sock: socket.socket,
        ports: Sequence[str],
    ) -> None:
        """Open the end on the running loop.

        Args:
            edge_id: the edge's id.
            capacity: credits.
            writer: the producing stage's arena.
            sock: this side of the edge's doorbell; owned from now on.
            ports: the input ports a packet may be for, the same on both ends.
        """
        self.edge_id = edge_id
        self.capacity = capacity
        self.on_credit: Callable[[], None] | None = None
        self._writer = writer
        self._credits = SenderCredits(capacity)
        self._ports = {port: position for position, port in enumerate(ports)}
        self._doorbell = Doorbell(sock, self._on_message, self._on_hang_up)
        #: Slots the consumer is told of, or will be → how many releases it owes.
        self._slots: dict[int, int] = {}
        #: Described items that wait for the window: as many as the credits' `queued`.
        self._queue: deque[bytes] = deque()
        #: Described items that are sent with the next message.
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._edge_seq = 0
        self._wanted = False
        #: WANT has been said and not been answered.
        self._asked = False
        #: It was answered with nothing, and nothing has been sent since.
        self._asked_in_vain = False
        self._finished = False
        self._end: bytes | None = None
        self._closed = False
        self._counts = EdgeStatistics()
        self._drained = asyncio.Event()
        self._doorbell.on_sent = self._drained.set
        writer.attach(self)

    @property
    def ready(self) -> bool:
        if self._credits.available or self._closed or self._finished:
            return True
        self._refuse()
        self._ask()
        return False

    def try_send(self, item: Item) -> bool:
        if self._closed or self._finished:
            self._counts.dropped += 1
            return True
        if not self._credits.available:
            self._refuse()
            self._ask()
            return False
        described = self._describe(item)
        if described is None:
            if self._writer.want_room():
                self._refuse()
                return False
            described = self._send_loose(item)
        self._credits.take()
        self._counts.sent += 1
        self._edge_seq += 1
        self._asked_in_vain = False
        self._queue.append(described)
        self._pump()
        return True

    def finish(self) -> None:
        if not self._finished:
            self._finished = True
            self._end = END_MESSAGE
            self._pump()

    def fail(self, error: EdgeError) -> None:
        if not self._finished:
            self._finished = True
            self._drop(self._queue)
            self._credits.withdraw(len(self._queue))
            self._queue.clear()
            self._end = pack_failure(error)
            self._pump()
            self._writer.room_was_made()

    def flush(self) -> None:
        self._writer.forget()
        if self._batch:
            self._ring()

    def reserve(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any] | None:
        return self._writer.reserve(shape, dtype)

    def statistics(self) -> EdgeStatistics:
        return dataclasses.replace(
            self._counts, queued=self._credits.queued, in_flight=self._credits.in_flight
        )

    async def wait_drained(self) -> None:
        """Wait until the end of the stream has been sent, or nobody reads any more.

        A cancelled call changes nothing.
        """
        while not self._closed and (
            self._end is not None or not self._finished or self._doorbell.unsent
        ):
            self._drained.clear()
            await self._drained.wait()

    def dispose(self) -> None:
        """Close the doorbell; without an end of stream before, the consumer sees us die."""
        self._closed = True
        self._doorbell.close()
        self._drained.set()

    def notify_credit(self) -> None:
        """Tell the stage, once after a refusal, that it may try again."""
        if self._wanted and self._credits.available:
            self._wanted = False
            if self.on_credit is not None:
                self.on_credit()

    def ask_for_slots(self) -> bool:
        """Let the consumer return the slots it has done with; whether it may have some."""
        under_way = self._credits.available < self.capacity
        if self._closed or not (under_way or (self._slots and not self._asked_in_vain)):
            return False
        self._ask()
        return True

    def _ask(self) -> None:
        """Let the consumer return what it has collected; once until it does."""
        if not self._asked:
            self._asked = True
            self._ring()
            self._doorbell.send(WANT_MESSAGE)

    def _refuse(self) -> None:
        self._counts.refused += 1
        self._wanted = True

    # --- describing ---------------------------------------------------------------------------

    def _describe(self, item: Item) -> bytes | None:
        """Put an item's payloads into slots, all or none, and describe it; None: no room."""
        packets = tuple(item) if isinstance(item, Group) else (item,)
        members: list[tuple[Sequence[int], bytes]] = []
        size_bytes = 0
        try:
            for packet in packets:
                metadata = pack_metadata(packet.origin.metadata)
                header = self._header(packet, len(metadata))
                place = self._writer.write(packet.payload)
                if place is None:
                    self._take_back(members)
                    return None
                members.append((place + header, metadata))
                size_bytes += payload_bytes(packet.payload)
            described = pack_item(self._edge_seq, members, grouped=type(item) is Group)
        except EdgeError as error:
            self._take_back(members)
            error.context.setdefault("edge", self.edge_id)
            raise
        slots = self._slots
        for fields, _ in members:
            slot = fields[0]
            slots[slot] = slots.get(slot, 0) + 1
        self._counts.payload_bytes += size_bytes
        return described

    def _send_loose(self, item: Item) -> bytes:
        """Send an item's payloads by the socket, and describe it.

        Only while nothing of this arena is under way, so that one such item at a time is in memory.
        """
        packets = tuple(item) if isinstance(item, Group) else (item,)
        messages = [self._writer.encode(packet.payload) for packet in packets]
        members = []
        for packet, message in zip(packets, messages, strict=True):
            metadata = pack_metadata(packet.origin.metadata)
            place = (NO_SLOT, 0, message.size_bytes, len(message.head), message.kind)
            members.append(((*place, *self._header(packet, len(metadata))), metadata))
        described = pack_item(self._edge_seq, members, grouped=type(item) is Group)
        for message in messages:
            for part in pack_parts((message.head, message.body, message.tail)):
                self._doorbell.send(part)
        self._counts.copies += len(members)
        self._counts.payload_bytes += sum(payload_bytes(packet.payload) for packet in packets)
        return described

    def _header(self, packet: Packet, metadata_bytes: int) -> tuple[int, ...]:
        origin = packet.origin
        port = self._ports.get(packet.port)
        if port is None:
            known = ", ".join(map(repr, self._ports))
            raise EdgeError(f"no port {packet.port!r} at the other side; it has: {known}")
        return (
            port,
            origin.flags,
            origin.sequence,
            packet.index,
            origin.timestamp_ns,
            origin.ingress_ns,
            origin.generation,
            metadata_bytes,
        )

    def _take_back(self, members: Sequence[tuple[Sequence[int], bytes]]) -> None:
        for fields, _ in members:
            self._writer.release(fields[0])

    def _drop(self, described: Iterable[bytes]) -> None:
        """Count items the consumer was not told of as dropped, and free their slots."""
        for item in described:
            self._counts.dropped += 1
            for member, _ in unpack_items(_PACKETS_HEAD + item)[0].members:
                if member.slot != NO_SLOT:
                    self._release(member.slot)

    def _release(self, slot: int) -> None:
        """Take the consumer's hold off a slot.

        Raises:
            ValueError: it has none.
        """
        owed = self._slots.pop(slot, 0)
        if not owed:
            raise ValueError(f"slot {slot}, which it does not hold")
        if owed > 1:
            self._slots[slot] = owed - 1
        self._writer.release(slot)

    # --- messages -----------------------------------------------------------------------------

    def _pump(self) -> None:
        """Move what waits into the batch, as far as the window allows; the end goes last."""
        while self._queue and self._credits.can_send:
            described = self._queue.popleft()
            self._credits.sent()
            if self._batch_bytes + len(described) >= MESSAGE_BYTES_MAX:
                self._ring()
            self._batch.append(described)
            self._batch_bytes += len(described)
        if self._end is not None and not self._queue:
            self._ring()
            self._doorbell.send(self._end)
            self._end = None
            self._drained.set()

    def _ring(self) -> None:
        """Send what was batched."""
        if self._batch:
            self._doorbell.send(b"".join((_PACKETS_HEAD, *self._batch)))
            self._batch.clear()
            self._batch_bytes = 0

    def _on_message(self, message: bytes) -> None:
        if message[0] == CREDITS:
            self._take_credits(message)
        elif message[0] == CLOSE:
            self._leave()
        else:
            self._damaged(f"an unexpected message of kind {message[0]}")

    def _take_credits(self, message: bytes) -> None:
        try:
            count, slots = unpack_credits(message)
            if not self._closed:  # else they came home when it closed
                self._credits.returned(count)
            for slot in slots:
                self._release(slot)
        except (EdgeError, ValueError) as error:
            self._damaged(str(error))
            return
        self._asked_in_vain = self._asked and not slots
        self._asked = False
        self._pump()
        self._ring()
        if slots or self._asked_in_vain:
            self._writer.room_was_made()
        else:
            self.notify_credit()

    def _damaged(self, what: str) -> None:
        """The consumer is broken: nothing it says can be trusted any more."""
        self.fail(EdgeError(f"edge {self.edge_id!r}: the consumer sent {what}", edge=self.edge_id))
        self._leave()

    def _on_hang_up(self) -> None:
        self._leave()
        # The dead look at nothing. One that only closed returns its slots when its views die.
        for slot in list(self._slots):
            self._writer.release(slot, self._slots.pop(slot))
        self._writer.room_was_made()

    def _leave(self) -> None:
        """Nobody reads any more: everything is accepted from now on and goes nowhere."""
        if self._closed:
            return
        self._closed = True
        self._drop(self._batch)
        self._drop(self._queue)
        self._credits.withdraw(self._credits.queued)
        self._credits.peer_lost()
        self._queue.clear()
        self._batch.clear()
        self._batch_bytes = 0
        self._asked = False
        self._end = None
        self._drained.set()
        self._writer.room_was_made()


class SharedMemoryReceiver:
    """The consumer's end, see `engine.edges.contract.EdgeReceiver`."""

    def __init__(
        self,
        edge_id: str,
        capacity: int,
        segment: Segment,
        sock: socket.socket,
        ports: Sequence[str],
        source: Source,
        session_id: str,
        arena_edges: int = 1,
    ) -> None:
        """Open the end on the running loop.

        Args:
            edge_id: the edge's id.
            capacity: credits.
            segment: the producer's arena, mapped read-only.
            sock: this side of the edge's doorbell; owned from now on.
            ports: the input ports a packet may be for, the same on both ends.
            source: the output whose packets these are.
            session_id: the session both ends belong to.
            arena_edges: how many edges share the arena; each may lease its part of what may be.
        """
        self.edge_id = edge_id
        self.on_readable: Callable[[], None] | None = None
        self._segment = segment
        self._view = segment.view.toreadonly()
        self._ports = tuple(ports)
        self._source = source
        self._session_id = session_id
        self._leased_bytes_max = segment.size_bytes // (_LEASED_SHARE_MAX * arena_edges)
        self._decoder = codec.Decoder()
        self._credits = ReceiverCredits(capacity, max(1, min(capacity, IN_FLIGHT_MAX) // 4))
        self._queue: deque[DescribedItem] = deque()
        #: Payloads that came by the socket, of at most one item of the queue.
        self._loose = bytearray()
        self._freed: list[int] = []
        self._freed_bytes = 0
        #: Slots whose last view died, put here by finalizers of any thread.
        self._returned: deque[tuple[int, int]] = deque()
        self._leased_bytes = 0
        self._warned = False
        self._edge_seq = 0
        self._peer_wants = False
        self._finished = False
        self._closed = False
        self._error: EdgeError | None = None
        self._counts = EdgeStatistics()
        self._doorbell = Doorbell(sock, self._on_message, self._on_hang_up)

    @property
    def readable(self) -> bool:
        return bool(self._queue)

    @property
    def ended(self) -> bool:
        return self._finished and not self._queue and self._error is None

    @property
    def error(self) -> EdgeError | None:
        return None if self._queue else self._error

    def try_receive(self) -> Item | None:
        if not self._queue:
            return None
        described = self._queue.popleft()
        self._counts.sent += 1
        try:
            packets = [self._packet(member, metadata) for member, metadata in described.members]
        except (EdgeError, IndexError, ValueError) as error:
            self._damaged(f"cannot read packet {described.edge_seq}: {error}")
            return None
        if described.grouped:
            return Group({packet.port: packet for packet in packets})
        return packets[0]

    def release(self, count: int = 1) -> None:
        self._credits.release(count)

    def discard_older(self, generation: int) -> int:
        kept: deque[DescribedItem] = deque()
        dropped = 0
        for described in self._queue:
            if described.members[0][0].generation >= generation:
                kept.append(described)
                continue
            dropped += 1
            self._drop(described)
        self._queue = kept
        self._counts.dropped += dropped
        return dropped

    def flush(self) -> None:
        if self._returned:
            self._collect_returned()
        credits_ = self._credits
        if self._closed:
            if self._freed:
                self._send_credits()
        elif (
            credits_.due
            or self._freed_bytes >= FREED_BYTES_WORTH_A_MESSAGE
            or (self._peer_wants and (credits_.collected or self._freed or not credits_.held))
        ):
            self._send_credits()

    def close(self) -> None:
        if self._closed:
            return
        for described in self._queue:
            self._counts.dropped += 1
            self._drop(described)
        self._queue.clear()
        self._collect_returned()
        self._send_credits()
        self._closed = True
        self._doorbell.send(CLOSE_MESSAGE)

    def dispose(self) -> None:
        """Close the doorbell; without `close` before, the producer sees the consumer die.

        Views that live stay valid only where the producer has ended: it takes their slots back.
        """
        self._closed = True
        self._queue.clear()
        self._doorbell.close()
        self._view.release()

    def statistics(self) -> EdgeStatistics:
        return dataclasses.replace(
            self._counts, queued=len(self._queue), in_flight=self._credits.held
        )

    # --- payloads -----------------------------------------------------------------------------

    def _packet(self, member: Member, metadata: Mapping[str, str]) -> Packet:
        origin = Origin(
            self._session_id,
            member.sequence,
            member.timestamp_ns,
            member.ingress_ns,
            member.generation,
            member.flags,
        )
        if metadata:
            origin.metadata = metadata
        payload = self._payload(member, self._stream(member))
        self._counts.payload_bytes += payload_bytes(payload)
        return Packet(payload, self._source, self._ports[member.port], member.packet_index, origin)

    def _stream(self, member: Member) -> memoryview:
        """The memory a payload lies in."""
        if member.slot == NO_SLOT:
            data = bytes(self._loose[: member.size_bytes])
            del self._loose[: member.size_bytes]
            return memoryview(data)
        end = member.start + member.size_bytes
        if not member.slot <= member.start <= end <= self._segment.size_bytes:
            raise EdgeError(
                f"a slot at {member.start} of {member.size_bytes} bytes lies outside the arena"
            )
        return self._view[member.start : end]

    def _payload(self, member: Member, slot: memoryview) -> Payload:
        if member.kind != _AUDIO:
            payload = codec.read_payload(slot, member.kind)
            self._free(member)
            return payload
        flat, channels, sample_rate = self._decoder.samples(slot, member.head_bytes)
        samples = flat
        if member.slot == NO_SLOT:
            pass  # its memory is its own
        elif flat.nbytes <= codec.COPY_BYTES_MAX or self._lease_is_dear(member):
            samples = flat.copy()
            samples.flags.writeable = False
            self._free(member)
        else:
            self._leased_bytes += member.size_bytes
            lease = (member.slot, member.size_bytes)
            weakref.finalize(flat, self._returned.append, lease).atexit = False
        return Audio(samples.reshape(-1, channels), sample_rate)

    def _lease_is_dear(self, member: Member) -> bool:
        """Whether views that live hold so much of the arena that the producer would run dry."""
        self._collect_returned()
        leased, arena_bytes = self._leased_bytes, self._segment.size_bytes
        many = leased >= self._leased_bytes_max
        if not many and (leased + member.size_bytes) * _LEASED_SHARE_EVER <= arena_bytes:
            return False
        self._counts.copies += 1
        if many and not self._warned:
            self._warned = True
            logger.warning(
                "views_outlive_turns: edge %s delivers copies while views of its packets hold %d of"
                " the arena's %d bytes; keep copies of them, or raise shm_segment_size",
                self.edge_id,
                leased,
                arena_bytes,
                extra={"edge": self.edge_id},
            )
        return True

    def _drop(self, described: DescribedItem) -> None:
        self._credits.release()
        for member, _ in described.members:
            if member.slot == NO_SLOT:
                del self._loose[: member.size_bytes]
            else:
                self._free(member)

    def _free(self, member: Member) -> None:
        if member.slot != NO_SLOT:
            self._freed.append(member.slot)
            self._freed_bytes += member.size_bytes

    def _collect_returned(self) -> None:
        while self._returned:
            slot, size_bytes = self._returned.popleft()
            self._leased_bytes -= size_bytes
            self._freed.append(slot)
            self._freed_bytes += size_bytes

    def _send_credits(self) -> None:
        self._peer_wants = False
        freed, self._freed = self._freed, []
        self._freed_bytes = 0
        self._doorbell.send(pack_credits(self._credits.collect(), freed[:_SLOTS_PER_MESSAGE]))
        for start in range(_SLOTS_PER_MESSAGE, len(freed), _SLOTS_PER_MESSAGE):
            self._doorbell.send(pack_credits(0, freed[start : start + _SLOTS_PER_MESSAGE]))

    # --- messages -----------------------------------------------------------------------------

    def _on_message(self, message: bytes) -> None:
        kind = message[0]
        if kind == PACKETS:
            self._take_items(message)
        elif kind == DATA:
            self._loose += memoryview(message)[1:]
            return
        elif kind == WANT:
            self._peer_wants = True
            self.flush()
            return
        elif kind == END:
            self._finished = True
        elif kind == FAIL:
            if not self._finished:
                self._error = unpack_failure(message)
            self._finished = True
        else:
            self._damaged(f"an unexpected message of kind {kind}")
        self._notify()

    def _take_items(self, message: bytes) -> None:
        if self._finished:
            return  # behind an end or damage nothing counts any more
        try:
            items = unpack_items(message)
            self._credits.received(len(items))
        except (EdgeError, ValueError) as error:
            self._damaged(str(error))
            return
        if self._closed:  # they were under way when it closed
            for item in items:
                self._counts.dropped += 1
                self._drop(item)
            self.flush()
            return
        for item in items:
            if item.edge_seq != self._edge_seq:
                self._damaged(f"packet {item.edge_seq} came where {self._edge_seq} was due")
                return
            self._edge_seq += 1
            self._queue.append(item)

    def _damaged(self, what: str) -> None:
        if self._error is None:
            self._error = EdgeError(f"edge {self.edge_id!r}: {what}", edge=self.edge_id)
        self._queue.clear()
        self._finished = True

    def _on_hang_up(self) -> None:
        if not self._finished:
            self._error = PeerDiedError(
                f"edge {self.edge_id!r}: the producer died before the stream ended",
                edge=self.edge_id,
            )
            self._finished = True
        self._notify()

    def _notify(self) -> None:
        if self.on_readable is not None:
            self.on_readable()
