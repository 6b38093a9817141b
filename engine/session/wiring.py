"""Makes the edges of a plan and hands each end to where it belongs.

Local edges are one object; shared-memory edges are a socket pair and the producing stage's arena,
whose descriptors go to the workers. Source: FR-007, FR-011.
"""

from __future__ import annotations

import os
import socket
from collections import Counter
from typing import TYPE_CHECKING

from engine.edges.contract import EdgeStatistics
from engine.edges.counters import read_counts
from engine.edges.doorbell import make_pair
from engine.edges.local import LocalEdge
from engine.edges.metered import MeteredEdge
from engine.edges.overflow import with_policy
from engine.edges.segment import CountersPage, Segment, create_segment
from engine.edges.shared_memory import ArenaWriter, SharedMemoryReceiver, SharedMemorySender
from engine.errors import EdgeError
from engine.packet import Source
from engine.workers.stage_spec import EdgeSpec, StageSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.clock import Clock
    from engine.edges.contract import EdgeReceiver, EdgeSender
    from engine.edges.hop_times import HopTimes
    from engine.plan import EdgePlan, Plan, StagePlan

#: The session itself, where an edge's stage is None.
SESSION = None
#: Source of packets that a client sends.
INGRESS = Source("", "")


class Wiring:
    """The edges of one session; owns every descriptor until it has been handed over."""

    def __init__(self, plan: Plan, session_id: str, now_ns: Clock) -> None:
        """Make all edges.

        Args:
            plan: what they are.
            session_id: whose they are.
            now_ns: the session's clock.

        Raises:
            EdgeError: the system gives no shared memory, or no socket.
        """
        self._plan = plan
        self._now_ns = now_ns
        self._checksums = plan.settings.checksums
        self._session_id = session_id
        self._local: dict[str, LocalEdge] = {}
        #: Edge id → the producer's and the consumer's side of its doorbell.
        self._doorbells: dict[str, tuple[socket.socket, socket.socket]] = {}
        #: Producing stage (or the session) → descriptor of its arena.
        self._arenas: dict[str | None, int] = {}
        self._segments: list[Segment] = []
        #: The same → the arena, mapped here for reading.
        self._readable: dict[str | None, Segment] = {}
        #: The same → page 0 of its arena, mapped here for reading.
        self._pages: dict[str | None, CountersPage] = {}
        #: The same → how many of its edges have been made; edge id → which of them it is.
        self._edges_made: Counter[str | None] = Counter()
        self._positions: dict[str, int] = {}
        #: The same → how many edges leave it.
        self._arena_edges = Counter(
            edge.source_stage for edge in plan.edges if edge.kind == "shared_memory"
        )
        #: The ends on this loop.
        self._receivers: list[SharedMemoryReceiver] = []
        self._shared_senders: list[SharedMemorySender] = []
        #: Edge id → its sending end, behind its policy.
        self._senders: dict[str, EdgeSender] = {}
        #: Stages whose loop is a worker's.
        self._elsewhere = {
            stage.id for stage in plan.stages if stage.worker and stage.restart is None
        }
        self._nodes = {node.id: node for stage in plan.stages for node in stage.nodes}
        try:
            for edge in plan.edges:
                self._make(edge)
        except BaseException:
            self.close()
            raise

    def receivers_of(self, stage_id: str | None) -> list[tuple[EdgePlan, EdgeReceiver]]:
        """The receiving ends of a stage on this loop, or of the session."""
        return [
            (edge, self._local.get(edge.id) or self._receiver(edge))
            for edge in self._plan.edges
            if edge.target_stage == stage_id
        ]

    def senders_of(self, stage_id: str | None) -> list[tuple[EdgePlan, EdgeSender]]:
        """The sending ends of a stage on this loop, or of the session."""
        writer: ArenaWriter | None = None
        ends: list[tuple[EdgePlan, EdgeSender]] = []
        for edge in self._plan.edges:
            if edge.source_stage != stage_id:
                continue
            sender: EdgeSender | None = self._local.get(edge.id)
            if sender is None:
                if writer is None:
                    writer = ArenaWriter(
                        self._map(stage_id, writable=True), checksums=self._checksums
                    )
                sender = self._sender(edge, writer)
            self._senders[edge.id] = with_policy(sender, edge, self._now_ns)
            ends.append((edge, self._senders[edge.id]))
        return ends

    def inputs_of(self, node_id: str) -> tuple[str, ...]:
        """The input ports of a node."""
        return self._nodes[node_id].inputs

    def worker_ends(self, stages: Sequence[StagePlan]) -> tuple[StageSpec, list[int]]:
        """What a worker needs to open the ends of its stages.

        Returns:
            The spec, and the descriptors it refers to by position. They stay owned by the wiring;
            call `hand_over` once the worker has its copies.
        """
        fds: list[int] = []

        def position(fd: int) -> int:
            if fd not in fds:
                fds.append(fd)
            return fds.index(fd)

        def spec(edge: EdgePlan, side: int) -> EdgeSpec:
            return EdgeSpec(
                edge,
                self._ports(edge),
                _source(edge),
                position(self._doorbells[edge.id][side].fileno()),
                position(self._arenas[edge.source_stage]),
                self._arena_edges[edge.source_stage],
                self._positions[edge.id],
            )

        hosted = {stage.id for stage in stages}
        edges: list[EdgePlan] = []
        inner: list[EdgePlan] = []
        for edge in self._plan.edges:
            within = edge.source_stage in hosted and edge.target_stage in hosted
            (inner if within else edges).append(edge)
        receivers = tuple(spec(edge, 1) for edge in edges if edge.target_stage in hosted)
        senders = tuple(spec(edge, 0) for edge in edges if edge.source_stage in hosted)
        start = StageSpec(
            self._session_id, tuple(stages), self._checksums, receivers, senders, tuple(inner)
        )
        return start, fds

    def hand_over(self, stages: Sequence[StagePlan]) -> None:
        """Close our copies of a worker's sides, so that its death is seen by its peers."""
        hosted = {stage.id for stage in stages}
        for edge in self._plan.edges:
            if edge.id not in self._doorbells:
                continue
            if edge.target_stage in hosted:
                self._doorbells[edge.id][1].close()
            if edge.source_stage in hosted:
                self._doorbells[edge.id][0].close()

    def poll(self) -> None:
        """Take all that has come to the ends on this loop by now."""
        for receiver in self._receivers:
            receiver.poll()
        for sender in self._shared_senders:
            sender.poll()

    def close_arenas(self) -> None:
        """Close the arenas' descriptors, once everybody has mapped or received them."""
        for fd in self._arenas.values():
            os.close(fd)
        self._arenas.clear()

    def close(self) -> None:
        """Close everything that is still ours. A second call does nothing.

        Views of what was received stay valid: the last one of an arena unmaps it.
        """
        self.close_arenas()
        for sender in self._shared_senders:
            sender.dispose()
        for receiver in self._receivers:
            receiver.dispose()
        for segment in self._segments:
            segment.close()
        for page in self._pages.values():
            page.close()
        for pair in self._doorbells.values():
            for side in pair:
                side.close()
        self._doorbells.clear()

    def statistics(
        self, hops: Mapping[str, HopTimes], *, all_finished: bool
    ) -> dict[str, EdgeStatistics]:
        """Edge id → counts: now where its producer is on this loop, else as last published.

        Args:
            hops: edge id → how long hops took, of edges that are received elsewhere.
            all_finished: whether every stage has taken all there was for it.
        """
        edges = {edge.id: self._counts(edge) for edge in self._plan.edges}
        if all_finished:
            for edge in self._plan.edges:
                if edge.target_stage is not SESSION:
                    _nothing_waits(edges[edge.id])
        for receiver in self._receivers:
            counts, received = edges[receiver.edge_id], receiver.statistics()
            _note_taken(counts, received.hops)
            counts.copies += received.copies
            if receiver.ended:
                _nothing_waits(counts)
        for edge_id, times in hops.items():
            _note_taken(edges[edge_id], times)
        return edges

    def _counts(self, edge: EdgePlan) -> EdgeStatistics:
        sender = self._senders.get(edge.id)
        if sender is not None:
            return sender.statistics()
        page = self._pages.get(edge.source_stage)
        position = self._positions.get(edge.id)
        if page is None or position is None:  # within a worker, which tells when it has finished
            return EdgeStatistics()
        return read_counts(page.view, position)

    def _make(self, edge: EdgePlan) -> None:
        if edge.kind == "local":
            if edge.source_stage in self._elsewhere:
                return  # both ends are the worker's own
            self._local[edge.id] = self._make_local(edge)
            return
        try:
            self._doorbells[edge.id] = make_pair()
        except OSError as error:
            raise EdgeError(
                f"cannot make a socket for edge {edge.id!r}: {error.strerror}; raise the limit of"
                " open files (ulimit -n), or run fewer sessions at a time",
                edge=edge.id,
            ) from error
        if edge.source_stage not in self._arenas:
            self._make_arena(edge.source_stage)
        self._positions[edge.id] = self._edges_made[edge.source_stage]
        self._edges_made[edge.source_stage] += 1

    def _make_local(self, edge: EdgePlan) -> LocalEdge:
        bytes_max = self._plan.settings.edge_bytes_max
        if bytes_max is None:
            return LocalEdge(edge.id, edge.window, self._now_ns)
        return MeteredEdge(edge.id, edge.window, self._now_ns, bytes_max)

    def _make_arena(self, stage_id: str | None) -> None:
        name = f"remotemedia-{stage_id or 'ingress'}"
        fd = create_segment(name, self._plan.settings.shm_segment_bytes)
        self._arenas[stage_id] = fd
        self._pages[stage_id] = CountersPage(fd)

    def _map(self, stage_id: str | None, *, writable: bool) -> Segment:
        segment = Segment(self._arenas[stage_id], writable=writable)
        self._segments.append(segment)
        return segment

    def _receiver(self, edge: EdgePlan) -> SharedMemoryReceiver:
        stage_id = edge.source_stage
        if stage_id not in self._readable:
            self._readable[stage_id] = self._map(stage_id, writable=False)
        receiver = SharedMemoryReceiver(
            edge.id,
            edge.window,
            self._readable[stage_id],
            _take(self._doorbells[edge.id][1]),
            self._ports(edge),
            _source(edge),
            self._session_id,
            self._arena_edges[stage_id],
        )
        self._receivers.append(receiver)
        return receiver

    def _sender(self, edge: EdgePlan, writer: ArenaWriter) -> SharedMemorySender:
        sender = SharedMemorySender(
            edge.id,
            edge.window,
            writer,
            _take(self._doorbells[edge.id][0]),
            self._ports(edge),
            self._positions[edge.id],
        )
        self._shared_senders.append(sender)
        return sender

    def _ports(self, edge: EdgePlan) -> tuple[str, ...]:
        if edge.target_stage is None or edge.target_port:
            return (edge.target_port,)
        return self.inputs_of(edge.target_node)


def _source(edge: EdgePlan) -> Source:
    return INGRESS if edge.source_stage is None else Source(edge.source_node, edge.source_port)


def _note_taken(counts: EdgeStatistics, hops: HopTimes) -> None:
    """Between processes every hop is timed: what was taken by now is on its way no longer.

    The producer learns so only when credits come back, and publishes it later still.
    """
    counts.hops = hops
    counts.in_flight = max(0, min(counts.in_flight, counts.sent - hops.measured))


def _nothing_waits(counts: EdgeStatistics) -> None:
    """All was taken: a producer that has ended publishes no more, so its last counts are older."""
    counts.queued = counts.in_flight = 0


def _take(sock: socket.socket) -> socket.socket:
    """The same socket under an owner of its own; the pair's entry is closed without closing it."""
    return socket.socket(fileno=sock.detach())
