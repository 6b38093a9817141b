"""Both ends of an edge on one loop, and what drives the wake-ups between them.

What `check_edge` is given: a local edge, one through shared memory, or one of your own. Source:
FR-007.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.edges.local import LocalEdge
from engine.packet import Source

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Sequence

    from engine.edges.contract import EdgeReceiver, EdgeSender
    from engine.edges.shared_memory import SharedMemoryReceiver, SharedMemorySender

SESSION_ID = "session"
SOURCE = Source("producer", "out")
#: Turns of the loop without anything under way, after which nothing more will come: a message, the
#: answer to it, and the room its reading made in a full socket.
QUIET_TURNS = 4
#: Turns of the loop in which whatever is under way must have come to rest.
TURNS_MAX = 20_000
ARENA_BYTES = 1 << 20


class EdgePair:
    """The two ends of one edge, as a producer and a consumer on this loop have them.

    Attributes:
        sender, receiver: the ends; one object may be both.
        ports: the receiving node's input ports.
        payload_bytes_max: no payload of more bytes can ever cross; None: there is no such bound.
        mortal: whether an end can die without a word, see `kill_producer`.
        counts_once: whether both ends have the same statistics, those of the one object they are.
    """

    payload_bytes_max: int | None = None
    mortal = False

    def __init__(
        self, sender: EdgeSender, receiver: EdgeReceiver, ports: Sequence[str] = ("in",)
    ) -> None:
        self.sender = sender
        self.receiver = receiver
        self.ports = tuple(ports)
        self.counts_once = id(sender) == id(receiver)

    def sockets(self) -> Iterable[socket.socket]:
        """What the ends talk through."""
        return ()

    async def settle(self) -> None:
        """Ring both doorbells, as hosts do before they sleep, and let all of it arrive.

        Raises:
            AssertionError: it does not come to rest.
        """
        self.sender.flush()
        self.receiver.flush()
        quiet = 0
        for _ in range(TURNS_MAX):
            await asyncio.sleep(0)
            quiet = 0 if any(map(_unread_bytes, self.sockets())) else quiet + 1
            if quiet == QUIET_TURNS:
                return
        raise AssertionError(f"the ends still talk after {TURNS_MAX} turns of the loop")

    def kill_producer(self) -> None:
        """Let the producer's end vanish as by SIGKILL. Only where `mortal`."""
        raise NotImplementedError

    def kill_consumer(self) -> None:
        """Let the consumer's end vanish as by SIGKILL. Only where `mortal`."""
        raise NotImplementedError

    def dispose(self) -> None:
        """Give back what the pair has of the system; twice is once."""


class LocalPair(EdgePair):
    """A local edge."""

    def __init__(self, capacity: int, ports: Sequence[str] = ("in",)) -> None:
        edge = LocalEdge("edge", capacity)
        super().__init__(edge, edge, ports)


class SharedMemoryPair(EdgePair):
    """An edge through a memfd of its own and a pair of sockets, as between two processes.

    Make it on a running loop. Linux only.

    Attributes:
        segment_fd: the arena's descriptor; how much memory is behind it can be asked there.
    """

    mortal = True
    sender: SharedMemorySender
    receiver: SharedMemoryReceiver

    def __init__(
        self,
        capacity: int,
        ports: Sequence[str] = ("in",),
        arena_bytes: int = ARENA_BYTES,
        send_buffer_bytes: int | None = None,
    ) -> None:
        """Open both ends.

        Args:
            capacity: credits.
            ports: input ports of the receiving node.
            arena_bytes: size of the segment.
            send_buffer_bytes: size of both sockets' send buffers; None: the system's default.
        """
        import os
        import socket as sockets

        from engine.edges.doorbell import make_pair
        from engine.edges.segment import Segment, create_segment
        from engine.edges.shared_memory import (
            ArenaWriter,
            SharedMemoryReceiver,
            SharedMemorySender,
        )

        self.segment_fd = create_segment("checked edge", arena_bytes)
        self._close_fd = os.close
        self._ours = Segment(self.segment_fd, writable=True)
        self._theirs = Segment(self.segment_fd, writable=False)
        self.payload_bytes_max = self._ours.size_bytes
        self.near, self.far = make_pair()
        if send_buffer_bytes is not None:
            for sock in (self.near, self.far):
                sock.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, send_buffer_bytes)
        self.writer = ArenaWriter(self._ours)
        super().__init__(
            SharedMemorySender("edge", capacity, self.writer, self.near, ports),
            SharedMemoryReceiver(
                "edge", capacity, self._theirs, self.far, ports, SOURCE, SESSION_ID
            ),
            ports,
        )
        # Somebody may stand before an end, who has nothing to close.
        self._producer, self._consumer = self.sender, self.receiver

    def sockets(self) -> Iterable[socket.socket]:
        return (self.near, self.far)

    def kill_producer(self) -> None:
        self._producer.dispose()

    def kill_consumer(self) -> None:
        self._consumer.dispose()

    def dispose(self) -> None:
        if self.segment_fd < 0:
            return
        self._producer.dispose()
        self._consumer.dispose()
        self._ours.close()
        self._theirs.close()
        self._close_fd(self.segment_fd)
        self.segment_fd = -1


def _unread_bytes(sock: socket.socket) -> int:
    """Bytes that lie in a socket; none where it is closed."""
    import array
    import fcntl
    import termios

    if sock.fileno() < 0:
        return 0
    count = array.array("i", [0])
    fcntl.ioctl(sock, termios.FIONREAD, count)
    return count[0]
