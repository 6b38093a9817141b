"""Lets a packet through once no other has followed it for a while.

Source: FR-002. No I/O; keeps one packet. reactivex's debounce on the session's clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field
from reactivex import operators as ops

from engine.operator import Params as BaseParams
from engine.reactive.adapter import RxOperator
from operators.flow.around_control import around_control
from operators.flow.latest import Latest
from operators.flow.values import Seconds

if TYPE_CHECKING:
    from reactivex import Observable

    from engine.operator import Context, Output
    from engine.packet import Packet
    from engine.payloads import Control


class Debounce(RxOperator):
    """Emits the last packet of a burst when `time_s` have gone by without another.

    At the end of the stream a packet that waits comes out at once. Control messages pass on.
    It is dropped where a CancelSpeculation takes it back.
    """

    node_type = "DebounceNode"

    class Params(BaseParams):
        time_s: Seconds = Field(description="the pause that ends a burst")

    params: Params

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._latest = Latest()

    def control(self, control: Control, ctx: Context) -> None:
        self._latest.control(control)

    def chain(self, *inlets: Observable[Packet]) -> Observable[Output]:
        (packets,) = inlets
        return around_control(packets, self._debounced)

    def _debounced(self, packets: Observable[Packet]) -> Observable[Packet]:
        return packets.pipe(
            ops.do_action(self._latest.note),
            ops.debounce(self.params.time_s),
            ops.filter(self._latest.wanted),
        )
