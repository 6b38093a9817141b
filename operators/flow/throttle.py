"""Lets at most one packet through in a span of time.

Source: FR-002. No I/O; keeps one packet.

    in          |-1-2-3-------4-----5-6|
    first       |-1-----------4-----5--|      time_s = 4 dashes
    latest      |-1---3-------4-----5-6|      what waits comes at the end of the span, or the stream
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from engine.operator import Operator
from engine.operator import Params as BaseParams
from operators.flow.values import Seconds, is_control
from operators.taking_back import taken_back

if TYPE_CHECKING:
    from engine.operator import Context
    from engine.packet import Packet
    from engine.payloads import Control


class Throttle(Operator):
    """Emits a packet, and then none for `time_s`.

    The packets that come meanwhile are dropped (`first`), or the latest of them is emitted at the
    end of that time, which then begins again, or at the end of the stream (`latest`). Control
    messages pass on.

    Another `time_s` counts from the next packet that is emitted. What waits is dropped where a
    CancelSpeculation takes it back.
    """

    node_type = "ThrottleNode"
    stateful = True
    held_max = 1
    hot = frozenset({"time_s", "keep"})

    class Params(BaseParams):
        time_s: Seconds = Field(description="time between two packets, at least")
        keep: Literal["first", "latest"] = Field(
            "first", description="whether the latest packet of that time comes at its end"
        )

    params: Params

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._closed = False
        self._waiting: Packet | None = None

    def process(self, packet: Packet, ctx: Context) -> Packet | None:
        if is_control(packet):
            return packet
        if not self._closed:
            self._close(ctx)
            return packet
        if self.params.keep == "latest":
            self._waiting = packet.keep()
        return None

    def flush(self, ctx: Context) -> Packet | None:
        return self._take_waiting()

    def reset(self, ctx: Context) -> None:
        self._closed = False
        self._waiting = None

    def control(self, control: Control, ctx: Context) -> None:
        span = taken_back(control)
        if span is not None and self._waiting is not None and span(self._waiting):
            self._waiting = None

    def _close(self, ctx: Context) -> None:
        self._closed = True
        ctx.call_later(self.params.time_s, lambda: self._open(ctx))

    def _open(self, ctx: Context) -> None:
        self._closed = False
        waiting = self._take_waiting()
        if waiting is not None:
            self._close(ctx)
            ctx.emit(waiting)

    def _take_waiting(self) -> Packet | None:
        waiting, self._waiting = self._waiting, None
        return waiting
