"""The one packet that a chain of reactivex operators holds, which may be taken back.

Pure: no I/O, no clock. Source: FR-012.

    packets ─▶ note ─▶ what holds the latest ─▶ wanted ─▶
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from operators.taking_back import taken_back

if TYPE_CHECKING:
    from engine.packet import Packet
    from engine.payloads import Control


class Latest:
    """Knows what is held, from when it goes in until another one does."""

    def __init__(self) -> None:
        self._packet: Packet | None = None
        self._wanted = True

    def note(self, packet: Packet) -> None:
        """It goes in."""
        self._packet, self._wanted = packet, True

    def wanted(self, packet: Packet) -> bool:
        """Whether it may leave."""
        return self._wanted or packet is not self._packet

    def control(self, control: Control) -> None:
        """A CancelSpeculation takes it back, if it is in its span."""
        span = taken_back(control)
        if span is not None and self._packet is not None and span(self._packet):
            self._wanted = False
