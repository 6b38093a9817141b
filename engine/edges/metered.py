"""A local edge whose room is counted in bytes, too: for services, whose clients say what is sent.

Pure. Source: FR-010. What waits is bounded in packets and in bytes; one packet more than the bytes
allow may wait, so that every packet can cross.
"""

from __future__ import annotations

import marshal
from collections import deque
from typing import TYPE_CHECKING

from engine.edges.local import LocalEdge
from engine.packet import Packet
from engine.payloads import Json, payload_bytes

if TYPE_CHECKING:
    from engine.clock import Clock
    from engine.edges.contract import EdgeStatistics
    from engine.interruption import Unwanted
    from engine.packet import Item
    from engine.payloads import Payload


class MeteredEdge(LocalEdge):
    """Both ends of a local edge that counts bytes, see `LocalEdge`."""

    def __init__(self, edge_id: str, capacity: int, now_ns: Clock | None, bytes_max: int) -> None:
        """Make an edge.

        Args:
            edge_id: its id in the plan.
            capacity: credits, at least 1.
            now_ns: the clock by which hops are timed; None: they are not.
            bytes_max: nothing is taken while so many bytes of payload wait.
        """
        super().__init__(edge_id, capacity, now_ns)
        self._bytes_max = bytes_max
        #: Of each item that waits.
        self._sizes: deque[int] = deque()
        self._waiting_bytes = 0
        self._payload_bytes = 0

    @property
    def ready(self) -> bool:
        return super().ready and not self._is_heavy()

    def try_send(self, item: Item) -> bool:
        if self._is_heavy():
            return False
        if not self._credits or self._closed or self._finished:
            return super().try_send(item)
        size = bytes_of(item)
        self._sizes.append(size)  # before anybody is told, who may take it at once
        self._waiting_bytes += size
        self._payload_bytes += size
        return super().try_send(item)

    def try_receive(self) -> Item | None:
        item = super().try_receive()
        if item is not None:
            self._waiting_bytes -= self._sizes.popleft()
            if self._wanted and self._credits:
                self._wanted = False
                if self.on_credit is not None:
                    self.on_credit()
        return item

    def discard(self, unwanted: Unwanted) -> int:
        kept = [
            size
            for item, size in zip(self._queue, self._sizes, strict=True)
            if not unwanted(item.origin)
        ]
        self._sizes = deque(kept)
        self._waiting_bytes = sum(kept)
        return super().discard(unwanted)

    def close(self) -> None:
        self._sizes.clear()
        self._waiting_bytes = 0
        super().close()

    def statistics(self) -> EdgeStatistics:
        counts = super().statistics()
        counts.payload_bytes = self._payload_bytes
        return counts

    def _is_heavy(self) -> bool:
        """Whether so much waits that nothing is taken; who asks is told when that has changed."""
        if self._waiting_bytes < self._bytes_max or self._closed or self._finished:
            return False
        self._wanted = True
        self._refused += 1
        return True


def bytes_of(item: Item) -> int:
    """Bytes of payload in a packet, or in all of a group."""
    if isinstance(item, Packet):
        return _bytes_of(item.payload)
    return sum(_bytes_of(packet.payload) for packet in item)


def _bytes_of(payload: Payload) -> int:
    if isinstance(payload, Json):
        try:
            return len(marshal.dumps(payload.value))  # about as long as its text, and quick
        except ValueError:  # it holds something else than JSON can
            return 0
    return payload_bytes(payload)
