"""Hands on a running stage: who listens at an output port, or holds what leaves there.

Pure: no I/O, no clock of its own. Source: FR-012.

    operator ──▶ outlet ──▶ taps ──▶ interception ──▶ whoever is connected
                             │          │    ▲
                             ▼     asks ▼    │ answers
                            the session, over edges made for them

A tap never holds anything up: what finds no credit on its edge is dropped for it alone. An
interception holds what leaves, in order, until somebody has decided about it, and lets it pass
where nobody does in time.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from engine.errors import EdgeError
from engine.flags import FLAG_GAP
from engine.interruption import STALE_BELOW, is_stale
from engine.packet import Packet
from engine.steering import DECISION_KEY, DROP, GO_ON, REPLACE

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.adapters import OperatorAdapter
    from engine.edges.contract import EdgeReceiver, EdgeSender
    from engine.interruption import Unwanted
    from engine.outlet import Outlet
    from engine.stage import Stage
    from engine.stage_ends import Ticket

#: An interception that holds so many makes its stage wait.
HELD_MAX: Final = 32


class Tap:
    """Shows what leaves by an output port to somebody who must not hold it up."""

    def __init__(self, sender: EdgeSender) -> None:
        """Show to whom an edge leads."""
        self._sender = sender
        #: The next packet comes behind one that was dropped.
        self._gap = False

    def on_next(self, packet: Packet) -> None:
        """Show a packet, if there is room."""
        origin = packet.origin
        if self._gap:
            origin = origin.with_flags(origin.flags | FLAG_GAP)
        shown = Packet(packet.payload, packet.source, "", packet.index, origin)
        try:
            self._gap = not self._sender.try_send(shown)
        except EdgeError:  # it is too large for this edge: the listener's loss, nobody's fault
            self._gap = True

    def on_completed(self) -> None:
        """Nothing more leaves by the port."""
        self._sender.finish()

    def flush(self) -> None:
        """Ring the doorbell."""
        self._sender.flush()


class Held:
    """A packet that waits for its decision.

    Attributes:
        packet: it.
        ticket: that of the turn that gave it; settled when it has gone on.
        number: that of the request; None: nobody has been asked.
        due_ns: when it passes at the latest.
        decided: what goes on: the packet, another one in its place, or None.
        open: whether nothing has been decided.
    """

    __slots__ = ("decided", "due_ns", "number", "open", "packet", "ticket")

    def __init__(self, packet: Packet, ticket: Ticket, due_ns: int) -> None:
        self.packet = packet
        self.ticket = ticket
        self.number: int | None = None
        self.due_ns = due_ns
        self.decided: Packet | None = packet
        self.open = True


class Interception:
    """Holds what leaves by an output port until somebody has decided about it, or a deadline.

    Attributes:
        adapter: the node whose port it is.
        expired: packets that passed since nobody decided in time.
    """

    def __init__(
        self,
        stage: Stage,
        adapter: OperatorAdapter,
        outlet: Outlet,
        ends: tuple[EdgeSender, EdgeReceiver],
        deadline_ns: int,
    ) -> None:
        """Stand behind a port.

        Args:
            stage: the stage.
            adapter: the node.
            outlet: its port.
            ends: where it asks, and where the answers come; both are its own from now on.
            deadline_ns: how long it waits for each.
        """
        self.adapter = adapter
        self.expired = 0
        #: It was taken away, and lets what it holds pass.
        self._leaving = False
        self._on_over: Callable[[], None] | None = None
        self._stage = stage
        self._outlet = outlet
        self._asks, self._answers = ends
        self._deadline_ns = deadline_ns
        self._held: deque[Held] = deque()
        #: Of those the ones that found no room on the edge that asks.
        self._unasked: deque[Held] = deque()
        self._asked = 0
        self._no_room = False
        self._asks.on_credit = self._room_came
        self._answers.on_readable = stage.host.wake
        outlet.guard(self.on_next)

    @property
    def full(self) -> bool:
        """Whether it holds so much that its stage must wait."""
        return len(self._held) >= HELD_MAX

    @property
    def over(self) -> bool:
        """Whether it was taken away and holds nothing any more."""
        return self._leaving and not self._held

    @property
    def holds(self) -> bool:
        """Whether it holds anything."""
        return bool(self._held)

    @property
    def due_ns(self) -> int | None:
        """When the next packet passes at the latest, on the host's clock."""
        return self._held[0].due_ns if self._held else None

    def on_next(self, packet: Packet) -> None:
        """Hold a packet and ask about it."""
        stage = self._stage
        below = stage.words[STALE_BELOW]
        if stage.done or (packet.origin.generation < below and is_stale(packet.origin, below)):
            return
        nobody = self._leaving or self._asks.closed
        if nobody and not self._held:
            self._outlet.forward(packet)
            return
        ticket = stage.ticket
        ticket.pending += 1
        due_ns = stage.host.now_ns() + self._deadline_ns
        held = Held(packet, ticket, due_ns)
        held.open = not nobody
        self._held.append(held)
        self._unasked.append(held)
        self._ask()

    def _ask(self) -> None:
        """Ask about those that nobody was asked about yet, as far as there is room."""
        while self._unasked and not self._no_room:
            held = self._unasked[0]
            if held.open:
                try:
                    if not self._asks.try_send(held.packet.to_port("")):
                        self._no_room = True
                        return
                except EdgeError:  # too large to be shown: it passes
                    held.open = False
                else:
                    held.number = self._asked
                    self._asked += 1
            self._unasked.popleft()

    def _room_came(self) -> None:
        self._no_room = False
        self._stage.host.wake()

    def take_answers(self) -> None:
        """Learn what has been decided, and what is overdue."""
        now_ns = self._stage.host.now_ns()
        gone = self._asks.closed
        overdue = [each for each in self._held if each.open and (gone or each.due_ns <= now_ns)]
        self._read_answers(all_that_came=bool(overdue))
        for held in overdue:
            if held.open:
                held.open = False
                self.expired += 1
        self._ask()

    def _read_answers(self, *, all_that_came: bool) -> None:
        """Read decisions; on demand also those that came while a turn kept the loop from it."""
        if all_that_came:
            self._answers.discard(lambda _: False)  # it reads the edge's socket first
        while (answer := self._answers.try_receive()) is not None:
            self._answers.release()
            if isinstance(answer, Packet):
                self._decide(answer)

    def _decide(self, answer: Packet) -> None:
        for held in self._held:
            if held.number == answer.origin.sequence and held.open:
                held.open = False
                decision = answer.origin.metadata.get(DECISION_KEY, GO_ON)
                if decision == REPLACE:
                    held.decided = held.packet.with_payload(answer.payload)
                elif decision == DROP:
                    held.decided = None
                return

    def let_pass(self) -> bool:
        """Let the first go on, if it has been decided about; whether it has gone."""
        if not self._held or self._held[0].open:
            return False
        held = self._held.popleft()
        self._go_on(held)
        if not self._held:
            self._leave_if_over()
            self.adapter.nothing_held()
        return True

    def _leave_if_over(self) -> None:
        if self.over:
            self._outlet.guard(None)
            if self._on_over is not None:
                self._on_over()

    def _go_on(self, held: Held) -> None:
        self._stage.ticket = held.ticket
        if held.decided is not None:
            self._outlet.forward(held.decided)
        held.ticket.settle_one()

    def discard(self, unwanted: Unwanted) -> int:
        """Drop what is not wanted any more; how many that were."""
        kept: deque[Held] = deque()
        for held in self._held:
            if unwanted(held.packet.origin):
                held.open = False
                held.ticket.settle_one()
            else:
                kept.append(held)
        dropped = len(self._held) - len(kept)
        self._held = kept
        if dropped:
            self._leave_if_over()
        return dropped

    def carry_on(self, generation: int) -> None:
        """What it holds goes on as something of a generation."""
        for held in self._held:
            held.packet = held.packet.with_generation(generation)
            if held.decided is not None:
                held.decided = held.decided.with_generation(generation)

    def flush(self) -> None:
        """Ring the doorbells, as long as they are its own."""
        if not self._leaving:
            self._asks.flush()
            self._answers.flush()

    def detach(self, on_over: Callable[[], None]) -> None:
        """Ask no more: all that it holds passes in its turn.

        Args:
            on_over: called when it holds nothing any more.
        """
        if not self._leaving:
            self._read_answers(all_that_came=True)  # the order may have overtaken them
        self._asks.finish()
        self._answers.close()
        self.flush()
        self._leaving = True
        self._on_over = on_over
        for held in self._held:
            held.open = False
        self._leave_if_over()
        self._stage.host.wake()

    def abandon(self) -> None:
        """Drop what it holds; the tickets settle, so that the credits return."""
        held, self._held = self._held, deque()
        for each in held:
            each.ticket.settle_one()
        if not self._leaving:
            self._asks.finish()
            self._answers.close()
            self.flush()
        elif held:
            self._leave_if_over()
