"""What is on its way to one attached client: in order, and in bounded memory. Source: FR-012.

Taps give way: where the client reads too slowly, the oldest that wait are dropped. Everything else
is a question or an answer; whoever has one waits until there is room. A question that nobody has to
answer any more is taken back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from protos.remotemedia.v1 import control_pb2

#: Taps that may wait for a client, all its subscriptions together.
TAPS_MAX: Final = 256
#: The same in bytes; one larger tap may wait alone.
TAP_BYTES_MAX: Final = 4 << 20
#: Other events that may wait for it.
OTHERS_MAX: Final = 64
#: The same in bytes; one larger event may wait alone.
OTHER_BYTES_MAX: Final = 1 << 20


class _Tap(NamedTuple):
    number: int
    address: tuple[str, str]
    event: control_pb2.ControlEvent
    size_bytes: int


class _Other(NamedTuple):
    number: int
    event: control_pb2.ControlEvent
    size_bytes: int


class ControlOutbox:
    """The events of one attachment; `run` sends them.

    Attributes:
        dropped: taps that were given up, since the client did not read.
    """

    def __init__(
        self,
        taps_max: int = TAPS_MAX,
        tap_bytes_max: int = TAP_BYTES_MAX,
        others_max: int = OTHERS_MAX,
        other_bytes_max: int = OTHER_BYTES_MAX,
    ) -> None:
        """Begin empty; see the constants."""
        self.dropped = 0
        self._taps_max = taps_max
        self._tap_bytes_max = tap_bytes_max
        self._others_max = others_max
        self._other_bytes_max = other_bytes_max
        self._taps: deque[_Tap] = deque()
        self._tap_bytes = 0
        self._others: deque[_Other] = deque()
        self._other_bytes = 0
        self._number = 0
        self._finished = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()

    def put_tap(self, address: tuple[str, str], event: control_pb2.ControlEvent) -> None:
        """Add a tap, in the place of older ones if need be.

        Args:
            address: node and port it shows.
            event: what is sent.
        """
        size = event.ByteSize()
        taps = self._taps
        while taps and (
            len(taps) >= self._taps_max or self._tap_bytes + size > self._tap_bytes_max
        ):
            self._tap_bytes -= taps.popleft().size_bytes
            self.dropped += 1
        taps.append(_Tap(self._next(), address, event, size))
        self._tap_bytes += size

    def forget_taps(self, address: tuple[str, str]) -> None:
        """Send no more of what waits of an address."""
        kept = [tap for tap in self._taps if tap.address != address]
        self._taps = deque(kept)
        self._tap_bytes = sum(tap.size_bytes for tap in kept)

    async def put(self, event: control_pb2.ControlEvent) -> None:
        """Add any other event, waiting for room. A cancelled call has added nothing."""
        size = event.ByteSize()
        others = self._others
        while others and (
            len(others) >= self._others_max or self._other_bytes + size > self._other_bytes_max
        ):
            self._room.clear()
            await self._room.wait()
        others.append(_Other(self._next(), event, size))
        self._other_bytes += size

    def take_back(self, event: control_pb2.ControlEvent) -> None:
        """Send an event that was `put` no more; does nothing once it has left."""
        for at, other in enumerate(self._others):
            if other.event is event:
                del self._others[at]
                self._leaves(other)
                return

    def clear(self) -> None:
        """Drop all that waits."""
        self._taps.clear()
        self._tap_bytes = 0
        self._others.clear()
        self._other_bytes = 0

    def finish(self) -> None:
        """Nothing more is added: `run` ends once all is sent."""
        self._finished = True
        self._changed.set()

    async def run(self, write: Callable[[control_pb2.ControlEvent], Awaitable[None]]) -> None:
        """Send events as they come, until `finish`.

        Args:
            write: sends one; what it raises ends this.
        """
        while (event := await self._next_event()) is not None:
            await write(event)

    async def _next_event(self) -> control_pb2.ControlEvent | None:
        while not (self._taps or self._others):
            if self._finished:
                return None
            self._changed.clear()
            await self._changed.wait()
        taps, others = self._taps, self._others
        if others and (not taps or others[0].number < taps[0].number):
            other = others.popleft()
            self._leaves(other)
            return other.event
        tap = taps.popleft()
        self._tap_bytes -= tap.size_bytes
        return tap.event

    def _leaves(self, other: _Other) -> None:
        self._other_bytes -= other.size_bytes
        self._room.set()

    def _next(self) -> int:
        self._changed.set()
        self._number += 1
        return self._number
