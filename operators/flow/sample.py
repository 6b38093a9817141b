"""Takes the latest packet at regular times.

Source: FR-002. No I/O; keeps one packet. reactivex's sample on the session's clock, except that the
end of the input ends it at once and not at its next time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import reactivex
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


class Sample(RxOperator):
    """Emits, every `time_s` from the session's start, the latest packet if there was a new one.

    At the end of the stream a packet that waits comes out at once. Control messages pass on.
    It is dropped where a CancelSpeculation takes it back.
    """

    node_type = "SampleNode"

    class Params(BaseParams):
        time_s: Seconds = Field(description="time between two samples")

    params: Params

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._latest = Latest()

    def control(self, control: Control, ctx: Context) -> None:
        self._latest.control(control)

    def chain(self, *inlets: Observable[Packet]) -> Observable[Output]:
        (packets,) = inlets
        return around_control(packets, self._sampled)

    def _sampled(self, packets: Observable[Packet]) -> Observable[Any]:
        end: Observable[Any] = packets.pipe(ops.ignore_elements(), ops.default_if_empty(None))
        times: Observable[Any] = reactivex.interval(self.params.time_s).pipe(ops.take_until(end))
        return packets.pipe(
            ops.do_action(self._latest.note),
            ops.sample(times),
            ops.filter(self._latest.wanted),
        )
