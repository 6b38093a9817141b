"""A stage's sides of its edges, and the ticket by which an admitted packet's credit returns.

Pure: no I/O, no clock. Source: FR-007.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from engine.edges.overflow import discard_waiting
from engine.errors import EdgeError, EdgeOverflowError, NodeError
from engine.interruption import STALE_BELOW, is_stale

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.adapters import OperatorAdapter
    from engine.edges.contract import EdgeReceiver, EdgeSender
    from engine.interruption import Unwanted
    from engine.packet import Packet
    from engine.stage import Stage


class Ticket:
    """An admitted packet's claim on its credit: settled when nothing it caused is under way.

    Attributes:
        receiver: where the credit returns to; None for stimuli that hold none.
        pending: what is under way: the push itself, and refused outputs, suspended iterators and
            open calls that the stimulus caused.
    """

    __slots__ = ("pending", "receiver")

    def __init__(self, receiver: EdgeReceiver | None = None) -> None:
        self.receiver = receiver
        self.pending = 0

    def settle_one(self) -> None:
        """One thing less is under way."""
        self.pending -= 1
        if self.pending == 0 and self.receiver is not None:
            self.receiver.release()


class Exit:
    """The stage's side of an out edge: sends at once while there is a credit, queues on refusal."""

    __slots__ = (
        "_port",
        "_stage",
        "adapter",
        "completed",
        "dropped",
        "left",
        "on_next",
        "queue",
        "sender",
    )

    def __init__(
        self,
        stage: Stage,
        adapter: OperatorAdapter,
        sender: EdgeSender,
        stamped_port: str | None = None,
    ) -> None:
        """Stand before an out edge.

        Args:
            stage: the stage it is an exit of.
            adapter: whose outputs leave here.
            sender: the edge's sending end.
            stamped_port: the receiving node's input port, where packets come stamped with another.
        """
        self._stage = stage
        self._port = stamped_port
        self.adapter = adapter
        self.sender = sender
        #: Whether it is known that nobody takes what leaves here any more.
        self.left = False
        self.queue: deque[tuple[Packet, Ticket]] = deque()
        self.completed = False
        self.dropped = 0
        self.on_next = self._send if stamped_port is None else self._restamp

    def _restamp(self, packet: Packet) -> None:
        assert self._port is not None
        self._send(packet.to_port(self._port))

    def _send(self, packet: Packet) -> None:
        stage = self._stage
        below = stage.words[STALE_BELOW]
        if stage.done or (packet.origin.generation < below and is_stale(packet.origin, below)):
            self.dropped += 1
            return
        try:
            if not self.queue and self.sender.try_send(packet):
                return
        except EdgeError as error:
            self._fail(packet, error)
            return
        ticket = stage.ticket
        ticket.pending += 1
        self.queue.append((packet, ticket))
        stage.outbox += 1

    def _try(self, packet: Packet) -> bool:
        try:
            return self.sender.try_send(packet)
        except EdgeError as error:
            self._fail(packet, error)
            return True

    def _fail(self, packet: Packet, error: EdgeError) -> None:
        """This packet can never cross: its node is to blame, unless the edge is just full."""
        if isinstance(error, EdgeOverflowError):
            self._stage.fail(error)
            return
        self._stage.fail(
            NodeError.of(packet.source.node, error, during="process", sequence=packet.sequence)
        )

    def on_completed(self) -> None:
        """End the edge behind what is queued."""
        self.completed = True
        if not self.queue:
            self.sender.finish()

    def drain(self) -> None:
        """Send what is queued, as far as there are credits."""
        queue = self.queue
        while queue and self._try(queue[0][0]):
            if self._stage.done:  # it could not cross: the stage has failed and emptied the queue
                return
            _, ticket = queue.popleft()
            self._stage.outbox -= 1
            ticket.settle_one()
        if self.completed and not queue:
            self.sender.finish()

    def purge(self, unwanted: Unwanted) -> int:
        """Drop what is queued and not wanted any more; how many that were."""
        dropped = 0
        waiting = discard_waiting(self.sender, unwanted)
        kept: deque[tuple[Packet, Ticket]] = deque()
        for packet, ticket in self.queue:
            if unwanted(packet.origin):
                dropped += 1
                self._stage.outbox -= 1
                ticket.settle_one()
            else:
                kept.append((packet, ticket))
        self.queue = kept
        self.dropped += dropped
        if self.completed and not kept:
            self.sender.finish()
        return dropped + waiting

    def abandon(self) -> None:
        """Drop what is queued; its tickets settle, so that the credits return."""
        queue, self.queue = self.queue, deque()
        self.dropped += len(queue)
        for _, ticket in queue:
            ticket.settle_one()


class Entry:
    """The stage's side of one in edge: which adapter its items go to."""

    __slots__ = ("adapter", "ended", "fed", "ports", "receiver", "take")

    def __init__(
        self,
        receiver: EdgeReceiver,
        adapter: OperatorAdapter,
        ports: Sequence[str],
        *,
        fed: bool = False,
    ) -> None:
        """Stand behind an in edge.

        Args:
            receiver: the edge's receiving end.
            adapter: where what comes goes to.
            ports: the adapter's input ports that the edge feeds (several for an ingress).
            fed: it brings what is published while the session runs; its end ends no port.
        """
        self.fed = fed
        self.receiver = receiver
        self.adapter = adapter
        self.ports = tuple(ports)
        self.ended = False
        self.take: Callable[[Any], None] = adapter.on_next
