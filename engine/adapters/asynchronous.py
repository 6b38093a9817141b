"""A node whose process is a coroutine or an asynchronous generator; it begins a stage.

Pure: no asyncio, no clock, no thread. Source: FR-007, FR-012.

Each packet opens a call (`engine.adapters.calls`); as many run as the operator's `concurrency`
says, and what they have ready is taken in order of arrival.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.adapters.base import OperatorAdapter, handed_on
from engine.packet import Members, Packet
from engine.steering import BYPASS, ENABLED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.adapters.calls import Call


class AsyncAdapter(OperatorAdapter):
    """A node whose process is asynchronous."""

    __slots__ = ()

    def on_next(self, packet: Packet) -> None:
        """Take one packet; never raises."""
        self._take(Members({packet.port: packet}) if self._joins else packet)

    def _take(self, packet: Packet | Mapping[str, Packet]) -> None:
        """Open a call; it starts as soon as fewer than `concurrency` run."""
        if self._flushing:
            return
        self._received += 1 if isinstance(packet, Packet) else len(packet)
        call = self._open_call(packet)
        if len(self.calls) <= self.concurrency:
            self._start(call)

    def _start_next(self) -> None:
        if len(self.calls) >= self.concurrency:
            self._start(self.calls[self.concurrency - 1])

    def go_on(self) -> None:
        """See `OperatorAdapter`; what waited behind calls that were cancelled begins."""
        super().go_on()
        for call in list(self.calls)[: self.concurrency]:
            if call.started is None and not call.done and not self._stage.done:
                self._start(call)

    def _start(self, call: Call) -> None:
        """Begin a call of process. What timers emit beside it descends from its packet."""
        alone = self.concurrency == 1 and self._open is None
        if call.packet is not None and (alone or self.origin is None):
            self._follow(call.packet)
        if call.packet is not None and self.state != ENABLED:
            call.finish(handed_on(call.packet) if self.state == BYPASS else None, self._clock())
            return
        try:
            started = self.operator.process(call.packet, self.context)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            call.fail(error, self._clock())
            return
        call.spawn(started, self._stage.host, self.context.logger)
