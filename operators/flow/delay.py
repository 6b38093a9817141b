"""Shifts a stream in time.

Source: FR-007. reactivex's delay on the session's clock; its list is kept to a bound.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from pydantic import Field
from reactivex import operators as ops

from engine.operator import Emission
from engine.operator import Params as BaseParams
from engine.packet import DEFAULT_OUTPUT
from engine.reactive.adapter import RxOperator
from operators.flow.values import Seconds
from operators.taking_back import taken_back

if TYPE_CHECKING:
    from reactivex import Observable

    from engine.operator import Context, Output
    from engine.packet import Packet
    from engine.payloads import Control


class Delay(RxOperator):
    """Emits each packet, and the end of the stream, `time_s` after it has come.

    Media times stay as they are. When `count_max` packets are on their way it takes no more until
    one has left, so that its producer waits. What is on its way does not arrive where a
    CancelSpeculation takes it back.
    """

    node_type = "DelayNode"
    rate = "one_to_one"
    stateful = True
    chooses = True

    class Params(BaseParams):
        time_s: Seconds = Field(description="how much later everything comes")
        count_max: int = Field(
            1_000, ge=1, le=100_000, description="packets that may be on their way"
        )

    params: Params

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        #: What is on its way, the oldest first; None where it was taken back.
        self._held: deque[Packet | None] = deque()

    def wants(self, port: str) -> bool:
        return len(self._held) < self.params.count_max

    def control(self, control: Control, ctx: Context) -> None:
        span = taken_back(control)
        if span is not None:
            wanted = (None if held is None or span(held) else held for held in self._held)
            self._held = deque(wanted)

    def reset(self, ctx: Context) -> None:
        """What is on its way goes when the chain is built anew, at the end of each interrupt."""

    def chain(self, *inlets: Observable[Packet]) -> Observable[Output]:
        (packets,) = inlets
        self._held = deque()
        return packets.pipe(
            ops.do_action(self._enter),
            ops.delay(self.params.time_s),
            ops.filter(self._arrives),
            ops.map(_emission),
        )

    def _enter(self, packet: Packet) -> None:
        self._held.append(packet)

    def _arrives(self, _: Packet) -> bool:
        """Whether the oldest packet on its way, which is there now, is still wanted."""
        return self._held.popleft() is not None


def _emission(packet: Packet) -> Output:
    return Emission(DEFAULT_OUTPUT, packet, packet.timestamp_ns)
