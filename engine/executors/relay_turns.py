"""What the relay before a replaceable worker keeps: its ends, the turn under way, the lineage.

Pure: no I/O, no clock. See `engine.executors.restarting`. Source: FR-008.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.flags import FLAG_GAP
from engine.packet import Packet

if TYPE_CHECKING:
    from engine.edges.contract import EdgeReceiver, EdgeSender
    from engine.packet import Item, Origin
    from engine.plan import EdgePlan


@dataclass(slots=True, eq=False)
class RelayInput:
    """An in edge of the plan, or one over which something is published.

    Attributes:
        edge: of the plan; None: what is published goes by the plan's edge for its port.
        receiver: its receiving end.
        before: packets taken off it before the present worker began, but for one it is given again.
        given: packets that the present worker was given by it.
        fed: how many of those were published.
        last_fed: ordinal of the last of these among `given`; -1: there was none.
        finished: the worker has been told its end.
    """

    edge: EdgePlan | None
    receiver: EdgeReceiver
    before: int = 0
    given: int = 0
    fed: int = 0
    last_fed: int = -1
    finished: bool = False

    def begin_worker(self, before: int) -> None:
        """Another worker begins."""
        self.before, self.given, self.fed, self.last_fed = before, 0, 0, -1
        self.finished = False

    def note_given(self, *, fed: bool) -> None:
        """The present worker was given a packet by it; one that was published, or not."""
        if fed:
            self.fed += 1
            self.last_fed = self.given
        self.given += 1

    def ordinal(self, seq: int) -> int:
        """The ordinal on it of what has this one on the present worker's own edge."""
        # One packet at a time is given: at most the last one has not been taken.
        return self.before + seq - (self.fed - (self.last_fed >= seq))


@dataclass(slots=True, eq=False)
class RelayOutput:
    """An out edge of the plan.

    Attributes:
        edge: the edge.
        sender: its sending end.
        waiting: an output that has no credit yet.
        emitted: outputs that have gone on.
        emitted_in_turn: of the turn under way, or behind the end.
        skipped: of those, the ones that the present worker has still to repeat.
        gap: a packet was dropped, and nothing has gone on since.
    """

    edge: EdgePlan
    sender: EdgeSender
    waiting: Packet | None = None
    emitted: int = 0
    emitted_in_turn: int = 0
    skipped: int = 0
    gap: bool = False

    def marked(self, packet: Packet) -> Packet:
        """The packet as it is to go on: with FLAG_GAP if it comes behind a dropped one."""
        if not self.gap:
            return packet
        origin = packet.origin.with_flags(packet.origin.flags | FLAG_GAP)
        return Packet(packet.payload, packet.source, packet.port, packet.index, origin)


@dataclass(slots=True, eq=False)
class RelayTurn:
    """A packet on its way through the worker; its credit of the plan's edge is held.

    Attributes:
        input: where it came from.
        item: the packet, or the group.
        edge_id: the plan's edge by which the worker is given it.
        sent: the present worker has been given it.
        settled: the worker's turn with it has ended.
        failures: workers in a row that failed with it.
    """

    input: RelayInput
    item: Item
    edge_id: str
    sent: bool = False
    settled: bool = False
    failures: int = 0


@dataclass(slots=True, eq=False)
class Lineage:
    """Makes outputs of one worker after the other look like those of one.

    A worker counts the outputs of a sequence from 0 (`Packet.index`); so the next one's are counted
    on from where it was left. And what it gives at the end descends from the last packet, also
    where that was another worker's.
    """

    #: In edge → (sequence, index of its next output), of ended turns; for a new worker, its start.
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    starts: dict[str, tuple[int, int]] = field(default_factory=dict)
    #: In edge and origin of the last packet, and whether the present worker has seen it.
    edge_id: str = ""
    origin: Origin | None = None
    seen: bool = False
    #: The index of the next output of the turn under way.
    next_index: int = 0

    def begin_worker(self) -> None:
        """A worker begins that has seen nothing."""
        self.starts = dict(self.counts)
        self.seen = False

    def carry_on(self, generation: int) -> None:
        """An interrupt: what is given from now on belongs to its generation."""
        if self.origin is not None:
            self.origin = self.origin.with_generation(generation)

    def given(self, turn: RelayTurn) -> None:
        """The present worker has been given a packet."""
        self.edge_id, self.origin = turn.edge_id, turn.item.origin
        self.seen = True

    def of(self, packet: Packet, turn: RelayTurn | None) -> Packet:
        """An output as the session is to see it."""
        origin = packet.origin
        if turn is None and not self.seen and self.origin is not None:
            origin = self.origin
        sequence, index = self.starts.get(self.edge_id, (-1, 0))
        index = packet.index + (index if sequence == origin.sequence else 0)
        if origin is packet.origin and index == packet.index:
            return packet
        return Packet(packet.payload, packet.source, packet.port, index, origin)

    def went_on(self, packet: Packet, turn: RelayTurn | None) -> None:
        """An output has gone on."""
        if turn is not None:
            self.next_index = max(self.next_index, packet.index + 1)

    def end_turn(self, turn: RelayTurn) -> None:
        """A turn has ended."""
        sequence = turn.item.origin.sequence
        edge_id = turn.edge_id
        counted, index = self.counts.get(edge_id, (-1, 0))
        before = index if counted == sequence else 0
        self.counts[edge_id] = (sequence, max(before, self.next_index))
        self.next_index = 0
