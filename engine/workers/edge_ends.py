"""A worker's ends of its edges: those it is given at its start, and those of hands, later.

Source: FR-007, FR-012.
"""

from __future__ import annotations

import functools
import os
import socket
from typing import TYPE_CHECKING, Any

from engine.edges.segment import Segment
from engine.edges.shared_memory import ArenaWriter, SharedMemoryReceiver, SharedMemorySender
from engine.stage_steering import HandEnds
from engine.workers.stage_spec import EdgeSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.plan import EdgePlan
    from engine.workers.control_page import ControlPage
    from engine.workers.stage_spec import StageSpec


def open_receivers(
    spec: StageSpec, fds: Sequence[int], page: ControlPage
) -> list[tuple[EdgePlan, SharedMemoryReceiver]]:
    """Open the receiving ends of a worker's edges; their hops are counted in its control page."""

    @functools.cache
    def segment(arena: int) -> Segment:
        return Segment(fds[arena], writable=False)

    opened = []
    for position, edge in enumerate(spec.receivers):
        receiver = _receiver(edge, fds, segment(edge.arena), spec.session_id)
        receiver.count_hops_in(page.hop_words(position))
        opened.append((edge.plan, receiver))
    return opened


def open_senders(spec: StageSpec, fds: Sequence[int]) -> list[tuple[EdgePlan, SharedMemorySender]]:
    """Open the sending ends of a worker's edges; those of one stage share an arena."""

    @functools.cache
    def writer(arena: int) -> ArenaWriter:
        return ArenaWriter(Segment(fds[arena], writable=True), checksums=spec.checksums)

    return [(edge.plan, _sender(edge, fds, writer(edge.arena))) for edge in spec.senders]


def open_hand(edges: Mapping[str, Any], fds: Sequence[int], session_id: str) -> HandEnds:
    """Open a worker's ends of a hand's edges.

    Args:
        edges: "shows" and "gives" → the fields of an `EdgeSpec`, see `HandEnds`.
        fds: what they refer to; all are closed or owned by the ends afterwards.
        session_id: the session's.
    """
    specs = {side: EdgeSpec.from_dict(edge) for side, edge in edges.items()}
    shows, gives = specs.get("shows"), specs.get("gives")
    sender: SharedMemorySender | None = None
    receiver: SharedMemoryReceiver | None = None
    segments: list[Segment] = []
    if shows is not None:
        segments.append(Segment(fds[shows.arena], writable=True))
        sender = _sender(shows, fds, ArenaWriter(segments[-1], checksums=False))
    if gives is not None:
        segments.append(Segment(fds[gives.arena], writable=False))
        receiver = _receiver(gives, fds, segments[-1], session_id)
    for edge in specs.values():
        os.close(fds[edge.arena])

    def dispose() -> None:
        for end in (sender, receiver):
            if end is not None:
                end.dispose()
        for segment in segments:
            segment.close()

    return HandEnds(sender, receiver, dispose)


def _receiver(
    edge: EdgeSpec, fds: Sequence[int], segment: Segment, session_id: str
) -> SharedMemoryReceiver:
    return SharedMemoryReceiver(
        edge.plan.id,
        edge.plan.window,
        segment,
        socket.socket(fileno=fds[edge.doorbell]),
        edge.ports,
        edge.source,
        session_id,
        edge.arena_edges,
    )


def _sender(edge: EdgeSpec, fds: Sequence[int], writer: ArenaWriter) -> SharedMemorySender:
    return SharedMemorySender(
        edge.plan.id,
        edge.plan.window,
        writer,
        socket.socket(fileno=fds[edge.doorbell]),
        edge.ports,
        edge.position,
    )
