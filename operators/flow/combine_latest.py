"""Combines the latest packets of several inputs whenever one of them brings another.

Source: FR-002. No I/O; keeps one packet per port. As https://reactivex.io/documentation/operators/
combinelatest.html, except that packets that came together, in one group, give one output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.operator import Operator
from engine.reach import functions
from operators.flow.fan_in import Combination, CombiningParams, fan_in_ports
from operators.flow.values import is_control
from operators.taking_back import taken_back

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.operator import Context, GroupInput, Output, Ports
    from engine.packet import Packet
    from engine.payloads import Control
    from engine.reach import Reach


class CombineLatest(Operator):
    """Emits for each packet, once every port has brought one, the latest packets of all ports.

    The output is `{port: value}` as JSON, or what `combine` returns. It descends from the packet
    that caused it. A port that has ended keeps its latest packet; where one has ended and there is
    none, the node ends. Control messages pass on.

    A latest packet that a CancelSpeculation takes back is forgotten: its port must bring another.
    """

    node_type = "CombineLatestNode"
    inputs = ("a", "b")
    stateful = True
    joins = True

    class Params(CombiningParams):
        pass

    params: Params

    @classmethod
    def reaches(cls, params: Mapping[str, Any]) -> Iterable[Reach]:
        return functions(params, "combine")

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._combination = Combination(self.params)
        self._latest: dict[str, Packet] = {}
        self._ended: set[str] = set()

    @classmethod
    def ports(cls, params: Params) -> Ports:
        return fan_in_ports(params)

    async def initialize(self, ctx: Context) -> None:
        self._combination.load()

    def process(self, group: GroupInput, ctx: Context) -> list[Output]:
        outputs: list[Output] = []
        brought = False
        for port, packet in group.items():
            if is_control(packet):
                outputs.append(packet)
            else:
                self._latest[port] = packet.keep()
                brought = True
        if brought and len(self._latest) == len(self.inputs):
            output = self._combination.of({port: self._latest[port] for port in self.inputs})
            if output is not None:
                outputs.append(output)
        return outputs

    def input_ended(self, port: str, ctx: Context) -> None:
        self._ended.add(port)
        self._leave_if_in_vain(ctx)

    def control(self, control: Control, ctx: Context) -> None:
        span = taken_back(control)
        if span is not None:
            self._latest = {port: held for port, held in self._latest.items() if not span(held)}
            self._leave_if_in_vain(ctx)

    def reset(self, ctx: Context) -> None:
        self._latest = {}
        self._leave_if_in_vain(ctx)

    def _leave_if_in_vain(self, ctx: Context) -> None:
        """End where a port will never bring the packet that is missing."""
        if self._ended - self._latest.keys():
            ctx.complete()
