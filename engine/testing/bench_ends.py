"""What stands before and behind a stage on a bench: producers and consumers a test holds."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from engine.packet import NO_METADATA, Group, Origin, Packet, Source
from engine.testing.script import value_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.clock import Clock
    from engine.edges.local import LocalEdge
    from engine.packet import Item
    from engine.payloads import Payload

SESSION_ID = "session"


class Sink:
    """The consumer behind one out edge.

    Attributes:
        edge: the edge.
        packets: what has come out so far.
        arrivals_ns: when each of them did, on the bench's clock.
        withholding: whether it keeps the credits of what it takes (`release` returns them), so that
            it is a slow consumer; otherwise they return at once.
        held: credits it keeps.
    """

    def __init__(self, edge: LocalEdge, clock: Clock) -> None:
        self.edge = edge
        self.packets: list[Packet] = []
        self.arrivals_ns: list[int] = []
        self._clock = clock
        self.withholding = False
        self.held = 0

    def take(self) -> int:
        """Take what has come; how many packets that were."""
        taken = 0
        while (item := self.edge.try_receive()) is not None:
            assert isinstance(item, Packet)
            self.packets.append(item)
            self.arrivals_ns.append(self._clock())
            taken += 1
            if self.withholding:
                self.held += 1
            else:
                self.edge.release()
        return taken

    def release(self, count: int | None = None) -> None:
        """Return `count` of the credits it keeps, or all."""
        count = self.held if count is None else min(count, self.held)
        self.held -= count
        if count:
            self.edge.release(count)

    @property
    def ended(self) -> bool:
        """Whether the stream has ended and everything before its end was taken."""
        return self.edge.ended

    @property
    def payloads(self) -> list[Payload]:
        """The payloads that have come out."""
        return [packet.payload for packet in self.packets]

    @property
    def values(self) -> list[Any]:
        """The payloads' contents: texts, JSON values, else the payload itself."""
        return [value_of(payload) for payload in self.payloads]

    @property
    def timed(self) -> list[tuple[float, Payload]]:
        """(seconds, payload) of what has come out, on the bench's clock."""
        times_s = [at_ns / 1e9 for at_ns in self.arrivals_ns]
        return list(zip(times_s, self.payloads, strict=True))

    @property
    def lineage(self) -> list[tuple[int, int]]:
        """(sequence, index) of each packet that has come out."""
        return [(packet.sequence, packet.index) for packet in self.packets]


class Feeder:
    """The producer before one in edge; what is refused waits with it.

    Attributes:
        edge: the edge.
        waiting: what has found no credit yet.
        sent: (when, item) of what has found one, on the bench's clock.
        sequence: that of the next packet.
        generation: stamped on the next packets; an interrupt raises it.
    """

    def __init__(self, edge: LocalEdge, node_id: str, port: str, clock: Clock) -> None:
        self.edge = edge
        self.waiting: deque[Item] = deque()
        self.sent: list[tuple[int, Item]] = []
        self._clock = clock
        self.sequence = 0
        self.generation = 0
        self._source = Source(node_id, "")
        self._port = port
        self._ending = False

    def packet(self, payload: Payload, port: str | None, **header: Any) -> Packet:
        """Make the next packet."""
        origin = Origin(
            SESSION_ID,
            header.get("sequence", self.sequence),
            header.get("timestamp_ns", self.sequence * 1_000_000),
            header.get("ingress_ns", self.sequence),
            header.get("generation", self.generation),
            header.get("flags", 0),
            header.get("metadata", NO_METADATA),
        )
        self.sequence = origin.sequence + 1
        return Packet(payload, self._source, port or self._port, 0, origin)

    def finish(self) -> None:
        """End the stream behind what waits."""
        self._ending = True

    def group(self, payloads: Mapping[str, Payload], **header: Any) -> Group:
        """Make the next packets: one group of input port → payload."""
        header = {"sequence": self.sequence} | header
        return Group(
            {port: self.packet(payload, port, **header) for port, payload in payloads.items()}
        )

    def pump(self) -> int:
        """Send what there are credits for, then perhaps the end; how many were sent."""
        sent = 0
        while self.waiting and self.edge.try_send(self.waiting[0]):
            self.sent.append((self._clock(), self.waiting.popleft()))
            sent += 1
        if self._ending and not self.waiting:
            self._ending = False
            self.edge.finish()
        return sent
