"""Edges with both ends on one loop: the shared-memory ones over a real memfd and real sockets."""

from __future__ import annotations

import asyncio
import os
import select

import numpy as np
import pytest

from engine.edges.doorbell import make_pair
from engine.edges.local import LocalEdge
from engine.edges.segment import Segment, create_segment
from engine.edges.shared_memory import ArenaWriter, SharedMemoryReceiver, SharedMemorySender
from engine.packet import Group, Origin, Packet, Source
from engine.payloads import Audio

#: Where every packet of these tests comes from.
SOURCE = Source("producer", "out")
SESSION_ID = "session"


def audio(value, frames=4, dtype=np.float32):
    """A payload that says which one it is in every sample."""
    return Audio(np.full(frames, value, dtype), 16_000)


def packet(payload, sequence=0, *, port="in", index=0, generation=0, metadata=None, **origin):
    header = Origin(SESSION_ID, sequence, 0, 0, generation)
    for name, value in (origin | ({"metadata": metadata} if metadata else {})).items():
        setattr(header, name, value)
    return Packet(payload, SOURCE, port, index, header)


def group(*members):
    return Group({member.port: member for member in members})


class Arena:
    """A producing stage's arena, and any number of edges that share it.

    Attributes:
        writer: the producing side.
        links: the edges, in the order they were opened.
    """

    def __init__(self, size_bytes=1 << 20, *, checksums=False):
        fd = create_segment("test", size_bytes)
        self._ours, self._theirs = Segment(fd, writable=True), Segment(fd, writable=False)
        os.close(fd)
        self.writer = ArenaWriter(self._ours, checksums=checksums)
        self.links = []

    def link(self, capacity=10, ports=("in",), arena_edges=1):
        """Open an edge."""
        near, far = make_pair()
        edge_id = f"edge {len(self.links)}"
        sender = SharedMemorySender(edge_id, capacity, self.writer, near, ports)
        receiver = SharedMemoryReceiver(
            edge_id, capacity, self._theirs, far, ports, SOURCE, SESSION_ID, arena_edges
        )
        self.links.append(Link(sender, receiver, self))
        return self.links[-1]

    @property
    def memory(self):
        """The segment, writable."""
        return self._ours.view

    @property
    def used_slots(self):
        """Slots that are taken, once those of dead `reserve` arrays are given back."""
        self.writer._collect_abandoned()
        return self.writer._arena.used_slots

    async def settle(self):
        """Run the loop until nothing is under way on any edge."""
        bells = [end._doorbell for link in self.links for end in (link.sender, link.receiver)]
        while True:
            await asyncio.sleep(0)
            poller = select.poll()
            open_bells = [bell for bell in bells if not bell._closed and not bell.hung_up]
            for bell in open_bells:
                poller.register(bell._socket, select.POLLIN)
            if not poller.poll(0) and not any(bell.unsent for bell in open_bells):
                return

    def close(self):
        for link in self.links:
            link.sender.dispose()
            link.receiver.dispose()
        self._ours.close()
        self._theirs.close()


class Link:
    """One shared-memory edge."""

    def __init__(self, sender, receiver, arena):
        self.sender, self.receiver, self.arena = sender, receiver, arena

    async def settle(self):
        """Ring both ends' doorbells until neither has anything to say."""
        self.sender.flush()
        self.receiver.flush()
        await self.arena.settle()

    async def pass_on(self, count=1):
        """Receive so many packets, as a consumer whose turn is over at once."""
        received = [self.take() for _ in range(count)]
        await self.settle()
        return received

    def take(self):
        """Receive one packet, its turn over at once."""
        item = self.receiver.try_receive()
        assert item is not None
        self.receiver.release()
        return item

    def check_law(self):
        """The law of credits, once nothing is under way."""
        sent, got = self.sender._credits, self.receiver._credits
        sent.check()
        got.check()
        assert sent.in_flight == got.outstanding
        assert len(self.sender._queue) == sent.queued
        assert len(self.receiver._queue) <= got.held


class LocalLink:
    """A local edge in the same clothes."""

    def __init__(self, capacity=10, **options):
        self.sender = self.receiver = LocalEdge("edge 0", capacity)

    async def settle(self):
        await asyncio.sleep(0)

    take = Link.take
    pass_on = Link.pass_on


@pytest.fixture
async def make_arena():
    arenas = []

    def make(size_bytes=1 << 20):
        arenas.append(Arena(size_bytes))
        return arenas[-1]

    yield make
    for arena in arenas:
        arena.close()


@pytest.fixture
async def make_link(make_arena):
    def make(capacity=10, arena_bytes=1 << 20, **options):
        return make_arena(arena_bytes).link(capacity, **options)

    return make


@pytest.fixture(params=["local", "shared_memory"])
async def make_edge(request, make_link):
    """Makes an edge of each kind; what is asked of it must not depend on which it is."""
    return LocalLink if request.param == "local" else make_link
