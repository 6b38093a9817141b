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
from operators.flow.values import Seconds

if TYPE_CHECKING:
    from reactivex import Observable

    from engine.operator import Output
    from engine.packet import Packet


class Sample(RxOperator):
    """Emits, every `time_s` from the session's start, the latest packet if there was a new one.

    At the end of the stream a packet that waits comes out at once. Control messages pass on.
    """

    node_type = "SampleNode"

    class Params(BaseParams):
        time_s: Seconds = Field(description="time between two samples")

    params: Params

    def chain(self, *inlets: Observable[Packet]) -> Observable[Output]:
        (packets,) = inlets
        return around_control(packets, self._sampled)

    def _sampled(self, packets: Observable[Packet]) -> Observable[Any]:
        end: Observable[Any] = packets.pipe(ops.ignore_elements(), ops.default_if_empty(None))
        times: Observable[Any] = reactivex.interval(self.params.time_s).pipe(ops.take_until(end))
        return packets.pipe(ops.sample(times))
