"""The consumer's end of an edge between two processes.

Runs on the asyncio loop of the stage (or session) that receives. Source: FR-007, NFR-003, SC-007.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.edges import codec
from engine.edges.contract import EdgeStatistics
from engine.edges.credit import IN_FLIGHT_MAX, ReceiverCredits
from engine.edges.descriptor import (
    CLOSE_MESSAGE,
    DATA,
    END,
    FAIL,
    NO_SLOT,
    PACKETS,
    WANT,
    DescribedItem,
    Member,
    checksum_of,
    pack_credits,
    unpack_failure,
    unpack_items,
)
from engine.edges.doorbell import Doorbell
from engine.edges.hop_times import HopRecorder
from engine.errors import EdgeError, PeerDiedError
from engine.packet import Group, Origin, Packet, Source
from engine.payloads import payload_bytes

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, MutableSequence, Sequence

    import numpy.typing as npt

    from engine.edges.segment import Segment
    from engine.interruption import Unwanted
    from engine.packet import Item
    from engine.payloads import Payload

logger = logging.getLogger("remotemedia.edge")

#: Freed slots of this many bytes are worth a credit message of their own.
FREED_BYTES_WORTH_A_MESSAGE = 1 << 20
#: Once an arena's leased views hold this share of it, further packets are delivered as copies.
_LEASED_SHARE_MAX = 4
#: No payload that takes them beyond this share is leased, however few there are.
_LEASED_SHARE_EVER = 2
#: A message of credits names at most this many slots.
_SLOTS_PER_MESSAGE = 4096

_TABLE = codec.KIND_CODES["table"]


class SharedMemoryReceiver:
    """The consumer's end, see `engine.edges.contract.EdgeReceiver`."""

    rings_outside_turns = True

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
        self._hops = HopRecorder()
        self._loop = asyncio.get_running_loop()
        self._doorbell = Doorbell(sock, self._on_message, self._on_hang_up)

    def count_hops_in(self, words: MutableSequence[int]) -> None:
        """Count hops where others can read them, see `engine.edges.hop_times`; before the first."""
        self._hops = HopRecorder(words)

    @property
    def readable(self) -> bool:
        return bool(self._queue)

    @property
    def next_seq(self) -> int:
        return self._queue[0].edge_seq if self._queue else self._edge_seq

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
        self._hops.record(time.monotonic_ns() - described.sent_ns)
        if described.grouped:
            return Group({packet.port: packet for packet in packets})
        return packets[0]

    def release(self, count: int = 1) -> None:
        credits_ = self._credits
        if count > credits_.held - len(self._queue):  # the books hold what is queued, too
            raise ValueError(
                f"edge {self.edge_id!r}: cannot release {count}, of {credits_.held} credits"
                f" {len(self._queue)} belong to packets that have not been received"
            )
        credits_.release(count)

    def discard(self, unwanted: Unwanted) -> int:
        self._poll_quietly()
        kept: deque[DescribedItem] = deque()
        dropped = 0
        for described in self._queue:
            if not unwanted(described.members[0][0]):
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

    def poll(self) -> None:
        """Take all that has arrived by now."""
        self._doorbell.poll()

    def _poll_quietly(self) -> None:
        """The same within a turn, which on_readable must not be called from."""
        on_readable, self.on_readable = self.on_readable, None
        self.poll()
        self.on_readable = on_readable
        self._loop.call_soon(self._notify)

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
            self._counts,
            queued=len(self._queue),
            in_flight=self._credits.held,
            hops=self._hops.times(),
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
        if member.checksum and checksum_of((slot,)) != member.checksum:
            raise EdgeError(
                f"its {member.size_bytes} bytes are not those that were written: the checksum"
                " does not match"
            )
        kind, head_bytes = member.kind, member.head_bytes
        if kind in codec.NUMERIC_CODES and head_bytes < member.size_bytes:
            flat, rebuild = self._decoder.body(slot, head_bytes, kind)
            return rebuild(self._kept(member, flat), slot)
        if kind == _TABLE:  # its columns are views of the whole stream
            return codec.read_payload(self._kept(member, np.frombuffer(slot, np.uint8)), kind)
        payload = codec.read_payload(slot, kind)
        self._free(member)
        return payload

    def _kept(self, member: Member, flat: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What a payload is made of: a view of its slot, leased until it dies, or a copy."""
        if member.slot == NO_SLOT:
            return flat  # its memory is its own
        if flat.nbytes <= codec.COPY_BYTES_MAX or self._lease_is_dear(member):
            copy = flat.copy()
            copy.flags.writeable = False
            self._free(member)
            return copy
        self._leased_bytes += member.size_bytes
        lease = (member.slot, member.size_bytes)
        weakref.finalize(flat, self._returned.append, lease).atexit = False
        return flat

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
            self._take_part(message)
            return
        elif kind == WANT:
            self._peer_wants = True
            if self._queue:
                # A turn that takes from the queue is scheduled, and returns more than is here now;
                # if the stage waits for credits itself, what is here must go all the same.
                self._loop.call_soon(self.flush)
            else:
                self.flush()
            return
        elif kind == END:
            self._finished = True
        elif kind == FAIL:
            if not self._finished:
                self._error = unpack_failure(message)
                self._error.context.setdefault("edge", self.edge_id)
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

    def _take_part(self, message: bytes) -> None:
        if self._finished:  # nothing will ever be read of it
            return
        self._loose += memoryview(message)[1:]
        if len(self._loose) > self._segment.size_bytes * len(self._ports):
            self._loose.clear()
            self._damaged("more bytes came by the socket than a group of packets can have")
            self._notify()

    def _damaged(self, what: str) -> None:
        if self._error is None:
            self._error = EdgeError(f"edge {self.edge_id!r}: {what}", edge=self.edge_id)
        self._queue.clear()
        self._finished = True

    def _on_hang_up(self) -> None:
        if not self._finished and not self._closed:  # who has left does not mind
            self._error = PeerDiedError(
                f"edge {self.edge_id!r}: the producer died before the stream ended",
                edge=self.edge_id,
            )
            self._finished = True
        self._notify()

    def _notify(self) -> None:
        if self.on_readable is not None:
            self.on_readable()
