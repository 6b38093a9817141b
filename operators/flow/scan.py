"""Emits a running value for each packet.

Source: FR-002. No I/O; keeps the running value. As
https://reactivex.io/documentation/operators/scan.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.operator import Operator
from engine.reach import functions
from operators.flow.accumulate import AccumulatingParams, Accumulator
from operators.flow.values import is_control

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.operator import Context
    from engine.packet import Packet
    from engine.payloads import Payload
    from engine.reach import Reach


class Scan(Operator):
    """Emits, for each packet, the value of all packets so far, as JSON.

    A text counts as its string, JSON as its value or the field that is named, any other payload as
    itself, for functions that take it. A function may return a payload, which is emitted as it is.
    Without a seed a function first sees the second packet. Control messages pass on.
    """

    node_type = "ScanNode"
    rate = "one_to_one"
    stateful = True

    class Params(AccumulatingParams):
        pass

    params: Params

    @classmethod
    def reaches(cls, params: Mapping[str, Any]) -> Iterable[Reach]:
        return functions(params, "accumulator")

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._accumulator = Accumulator(self.params)
        self._so_far = self._accumulator.begin()

    async def initialize(self, ctx: Context) -> None:
        self._accumulator.load()

    def process(self, packet: Packet, ctx: Context) -> Packet | Payload:
        if is_control(packet):
            return packet
        self._so_far = self._accumulator.add(self._so_far, packet.keep())
        return self._accumulator.result(self._so_far)

    def reset(self, ctx: Context) -> None:
        self._so_far = self._accumulator.begin()
