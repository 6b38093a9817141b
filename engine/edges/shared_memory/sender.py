"""The producer's end of an edge between two processes.

Runs on the asyncio loop of the stage (or session) that sends. Source: FR-007, NFR-003, SC-007.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from engine.edges.contract import EdgeStatistics
from engine.edges.credit import SenderCredits
from engine.edges.descriptor import (
    CLOSE,
    CREDITS,
    END_MESSAGE,
    MESSAGE_BYTES_MAX,
    NO_SLOT,
    PACKETS,
    WANT_MESSAGE,
    pack_failure,
    pack_item,
    pack_metadata,
    pack_parts,
    unpack_credits,
    unpack_items,
)
from engine.edges.doorbell import Doorbell
from engine.errors import EdgeError
from engine.packet import Group, Packet
from engine.payloads import payload_bytes

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Sequence

    import numpy.typing as npt

    from engine.edges.shared_memory.arena_writer import ArenaWriter
    from engine.packet import Item

_PACKETS_HEAD = bytes([PACKETS])


class SharedMemorySender:
    """The producer's end, see `engine.edges.contract.EdgeSender`."""

    def __init__(
        self,
        edge_id: str,
        capacity: int,
        writer: ArenaWriter,
        sock: socket.socket,
        ports: Sequence[str],
        position: int = 0,
    ) -> None:
        """Open the end on the running loop.

        Args:
            edge_id: the edge's id.
            capacity: credits.
            writer: the producing stage's arena.
            sock: this side of the edge's doorbell; owned from now on.
            ports: the input ports a packet may be for, the same on both ends.
            position: of the edge among those of its arena, for its counters there.
        """
        self.edge_id = edge_id
        self.capacity = capacity
        self.on_credit: Callable[[], None] | None = None
        #: What is published of this edge; what stands before it may count more.
        self.counted: Callable[[], EdgeStatistics] = self.statistics
        self._writer = writer
        self._position = position
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

    @property
    def closed(self) -> bool:
        return self._closed

    def try_send(self, item: Item) -> bool:
        if self._closed or self._finished:
            self._counts.dropped += 1
            return True
        if not self._credits.available:
            self._refuse()
            self._ask()
            return False
        now_ns = time.monotonic_ns()
        described = self._describe(item, now_ns)
        if described is None:
            if self._writer.want_room():
                self._refuse()
                return False
            described = self._send_loose(item, now_ns)
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
        self._writer.publish(self._position, self.counted())

    def reserve(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any] | None:
        return self._writer.reserve(shape, dtype)

    def statistics(self) -> EdgeStatistics:
        counts, credits_ = self._counts, self._credits
        return EdgeStatistics(
            counts.sent,
            credits_.queued,
            credits_.in_flight,
            counts.payload_bytes,
            counts.copies,
            counts.dropped,
            counts.refused,
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

    def poll(self) -> None:
        """Take all credits that have come back by now."""
        self._doorbell.poll()

    def dispose(self) -> None:
        """Close the doorbell; without an end of stream before, the consumer sees us die."""
        self._closed = True
        self._doorbell.close()
        self._drained.set()
        self._writer.close()

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

    def _describe(self, item: Item, sent_ns: int) -> bytes | None:
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
            described = pack_item(
                self._edge_seq, members, grouped=type(item) is Group, sent_ns=sent_ns
            )
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

    def _send_loose(self, item: Item, sent_ns: int) -> bytes:
        """Send an item's payloads by the socket, and describe it.

        Only while nothing of this arena is under way, so that one such item at a time is in memory.
        """
        packets = tuple(item) if isinstance(item, Group) else (item,)
        messages = [self._writer.encode(packet.payload) for packet in packets]
        members = []
        for packet, message in zip(packets, messages, strict=True):
            metadata = pack_metadata(packet.origin.metadata)
            checksum = self._writer.checksum(message)
            place = (NO_SLOT, 0, message.size_bytes, len(message.head), message.kind, checksum)
            members.append(((*place, *self._header(packet, len(metadata))), metadata))
        described = pack_item(self._edge_seq, members, grouped=type(item) is Group, sent_ns=sent_ns)
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
