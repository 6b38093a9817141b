"""Where outputs leave a session: the sinks' edges merged, behind the output gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.interruption import SPAN_REMEMBERED_NS, SPANS_MAX, is_stale, older_than
from engine.packet import Packet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.edges.contract import EdgeReceiver
    from engine.errors import EdgeError
    from engine.interruption import CancelledSpan


class Exits:
    """All exits of a session.

    Attributes:
        received: packets handed out.
        dropped: packets the gate kept back.
        cut: whether they were closed before everything had come out.
    """

    def __init__(self, receivers: Sequence[EdgeReceiver]) -> None:
        self.received = 0
        self.dropped = 0
        self.cut = False
        self._receivers = tuple(receivers)
        #: Of each exit: outputs of an older generation do not leave, see `engine.interruption`.
        self._stale_below = [0] * len(self._receivers)
        #: Of each exit: what was taken back lately; more of it may be on its way.
        self._spans: list[list[CancelledSpan]] = [[] for _ in self._receivers]
        self._next = 0

    def try_receive(self) -> Packet | None:
        """The next output, round-robin over the exits, or None.

        Its credit returns at once: what is taken has been consumed.
        """
        receivers = self._receivers
        position = self._next
        for _ in receivers:
            receiver = receivers[position]
            stale_below = self._stale_below[position]
            spans = self._spans[position]
            position += 1
            if position == len(receivers):
                position = 0
            while (item := receiver.try_receive()) is not None:
                receiver.release()
                origin = item.origin
                if (origin.generation >= stale_below or not is_stale(origin, stale_below)) and not (
                    spans and any(span(origin) for span in spans)
                ):
                    self._next = position
                    self.received += 1
                    assert type(item) is Packet
                    return item
                self.dropped += 1
        return None

    def interrupt(self, generation: int, positions: Iterable[int]) -> Mapping[str, int]:
        """From now on nothing older leaves by these exits.

        Returns:
            Edge id → packets that had come there, and are dropped.
        """
        dropped = {}
        for position in positions:
            self._stale_below[position] = generation
            receiver = self._receivers[position]
            dropped[receiver.edge_id] = receiver.discard(older_than(generation))
        self.dropped += sum(dropped.values())
        return dropped

    def take_back(self, span: CancelledSpan, positions: Iterable[int]) -> Mapping[str, int]:
        """From now on nothing of a span leaves by these exits; returns what `interrupt` does."""
        dropped = {}
        for position in positions:
            since_ns = span.before_ns - SPAN_REMEMBERED_NS
            lately = [each for each in self._spans[position] if each.before_ns > since_ns]
            self._spans[position] = [*lately[1 - SPANS_MAX :], span]
            receiver = self._receivers[position]
            dropped[receiver.edge_id] = receiver.discard(span)
        self.dropped += sum(dropped.values())
        return dropped

    @property
    def ended(self) -> bool:
        """Whether every exit has ended and everything before was received."""
        return all(receiver.ended for receiver in self._receivers)

    @property
    def error(self) -> EdgeError | None:
        """Why an exit ended abnormally, or None."""
        return next(
            (receiver.error for receiver in self._receivers if receiver.error is not None), None
        )

    def close(self) -> None:
        """Leave: what is queued and what comes later is dropped. A second call does nothing."""
        self.cut = self.cut or not self.ended
        for receiver in self._receivers:
            receiver.close()

    def flush(self) -> None:
        """Send back the credits collected so far."""
        for receiver in self._receivers:
            receiver.flush()
