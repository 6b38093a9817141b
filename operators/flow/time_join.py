"""Puts packets of several inputs together that belong to the same moment of media time.

Source: FR-002, FR-007. No I/O; its patience is counted on the session's clock.

    a   |-0-----40-----80--|        tolerance_ms 10
    b   |---5-------42---------|    100 never comes: what waits for it is given up
    out |---(0,5)---(40,42)----|
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field

from engine.operator import Operator
from engine.packet import DEFAULT_OUTPUT
from engine.reach import functions
from operators.flow.fan_in import Combination, CombiningParams, fan_in_ports
from operators.flow.values import is_control
from operators.taking_back import taken_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from engine.operator import Context, Output, Ports
    from engine.packet import Packet
    from engine.payloads import Control
    from engine.reach import Reach

_NS_PER_MS = 1_000_000


class _Held(NamedTuple):
    """A packet that waits for its partners."""

    packet: Packet
    #: Takes back the word that it is given up after a while.
    cancel: Callable[[], None]


class TimeJoin(Operator):
    """Emits one output for packets of all ports whose media times lie within `tolerance_ms`.

    The output is `{port: value}` as JSON, or what `combine` returns. It descends from the packet
    that completed it, with the earliest media time of all. Media times of one port do not go
    backwards.

    A packet whose partners have not come is given up: when they cannot come any more, since later
    ones have; after `wait_max_ms` of the session's clock; where a port holds `held_max` packets;
    and at the end of the stream. `unmatched` says what becomes of it: `drop`, or `emit`, an output
    of those ports alone that have one. So a silent input stalls nobody. The node ends when a port
    has ended without which nothing can be emitted any more. Control messages pass on.

    Another `wait_max_ms` counts for the packets that come then. What waits is dropped where a
    CancelSpeculation takes it back.
    """

    node_type = "TimeJoinNode"
    inputs = ("a", "b")
    stateful = True
    hot = frozenset({"tolerance_ms", "wait_max_ms", "held_max", "unmatched"})

    class Params(CombiningParams):
        tolerance_ms: float = Field(
            20.0, ge=0, le=60_000, description="how far apart media times may be"
        )
        wait_max_ms: int = Field(
            1_000, ge=1, le=3_600_000, description="how long a packet waits for its partners"
        )
        held_max: int = Field(
            256, ge=1, le=100_000, description="packets that wait at one port at most"
        )
        unmatched: Literal["drop", "emit"] = Field(
            "drop", description="what becomes of packets whose partners do not come"
        )

    params: Params

    @classmethod
    def reaches(cls, params: Mapping[str, Any]) -> Iterable[Reach]:
        return functions(params, "combine")

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._combination = Combination(self.params)
        self._held: dict[str, deque[_Held]] = {port: deque() for port in self.inputs}
        self._ended: set[str] = set()

    @classmethod
    def ports(cls, params: Params) -> Ports:
        return fan_in_ports(params)

    async def initialize(self, ctx: Context) -> None:
        self._combination.load()

    def process(self, packet: Packet, ctx: Context) -> Iterator[Output]:
        if is_control(packet):
            yield packet
            return
        held = self._held[packet.port]
        while len(held) >= self.params.held_max:
            yield from self._give_up(packet.port, ctx)
        kept = packet.keep()
        cancel = ctx.call_later(self.params.wait_max_ms / 1e3, lambda: self._is_late(kept, ctx))
        held.append(_Held(kept, cancel))
        yield from self._matches(ctx)
        self._leave_if_in_vain(ctx)

    def input_ended(self, port: str, ctx: Context) -> None:
        self._ended.add(port)
        for output in self._matches(ctx):
            ctx.emit(output)
        self._leave_if_in_vain(ctx)

    def flush(self, ctx: Context) -> Iterator[Output]:
        while any(self._held.values()):
            yield from self._give_up(self._earliest(), ctx)

    def control(self, control: Control, ctx: Context) -> None:
        span = taken_back(control)
        if span is None:
            return
        for held in self._held.values():  # in place: process may stand at a yield
            for _ in range(len(held)):
                waiting = held.popleft()
                if span(waiting.packet):
                    waiting.cancel()
                else:
                    held.append(waiting)
        for output in self._matches(ctx):  # nothing waits for what was taken back
            ctx.emit(output)
        self._leave_if_in_vain(ctx)

    def reset(self, ctx: Context) -> None:
        for held in self._held.values():
            for waiting in held:
                waiting.cancel()
            held.clear()

    @property
    def _tolerance_ns(self) -> int:
        return round(self.params.tolerance_ms * _NS_PER_MS)

    def _matches(self, ctx: Context) -> Iterator[Output]:
        """What can be emitted now, and what cannot be matched any more."""
        while any(self._held.values()):
            earliest = self._earliest()
            others = [port for port in self.inputs if port != earliest]
            until_ns = self._time_of(earliest) + self._tolerance_ns
            if all(self._held[port] and self._time_of(port) <= until_ns for port in others):
                yield from self._output(self.inputs, ctx)
            elif any(self._has_passed(port, until_ns) for port in others):
                yield from self._give_up(earliest, ctx)
            else:
                return

    def _has_passed(self, port: str, until_ns: int) -> bool:
        """Whether nothing comes at a port any more from before a time."""
        held = self._held[port]
        return self._time_of(port) > until_ns if held else port in self._ended

    def _earliest(self) -> str:
        """The port whose first packet has the earliest media time."""
        return min((port for port in self.inputs if self._held[port]), key=self._time_of)

    def _time_of(self, port: str) -> int:
        return self._held[port][0].packet.timestamp_ns

    def _give_up(self, port: str, ctx: Context) -> Iterator[Output]:
        """Let the first packet of a port go without all of its partners."""
        until_ns = self._time_of(port) + self._tolerance_ns
        if self.params.unmatched == "drop":
            self._held[port].popleft().cancel()
            return
        near = (
            other for other in self.inputs if self._held[other] and self._time_of(other) <= until_ns
        )
        yield from self._output(tuple(near), ctx)

    def _output(self, ports: tuple[str, ...], ctx: Context) -> Iterator[Output]:
        members: dict[str, Packet] = {}
        for port in ports:
            waiting = self._held[port].popleft()
            waiting.cancel()
            members[port] = waiting.packet
        output = self._combination.of(members)
        if output is not None:
            earliest_ns = min(packet.timestamp_ns for packet in members.values())
            yield ctx.to(DEFAULT_OUTPUT, output, timestamp_ns=earliest_ns)

    def _is_late(self, packet: Packet, ctx: Context) -> None:
        """A packet has waited long enough, and with it all that came before it."""
        held = self._held[packet.port]
        while any(waiting.packet is packet for waiting in held):
            for output in self._give_up(packet.port, ctx):
                ctx.emit(output)
        for output in self._matches(ctx):
            ctx.emit(output)

    def _leave_if_in_vain(self, ctx: Context) -> None:
        """End where nothing can be emitted any more."""
        if self.params.unmatched == "drop" and any(not self._held[port] for port in self._ended):
            ctx.complete()
