"""Emits one value for each window of packets.

Source: FR-002. No I/O; keeps no packet, only the running value of each open window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.operator import Operator
from engine.reach import functions
from operators.flow.accumulate import AccumulatingParams, Accumulator
from operators.flow.grouping import Grouping, GroupingParams
from operators.flow.values import is_control

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.operator import Context, Output
    from engine.packet import Packet
    from engine.reach import Reach


class Window(Operator):
    """Emits, at the end of each window, the value of its packets, as JSON.

    A BufferNode collects packets; a window only keeps their running value, so that it may be as
    long as you like. Windows are counted or timed like groups there, values made as in a ScanNode.
    A window ends after `count` packets, `time_s` after its first packet, or at the end of the
    stream; so none is empty. Control messages pass on.

    Other counts and times hold for the windows under way, as for the groups there. What a window
    has counted in cannot be taken back.
    """

    node_type = "WindowNode"
    stateful = True
    hot = frozenset({"count", "skip", "time_s"})

    class Params(GroupingParams, AccumulatingParams):
        pass

    params: Params

    @classmethod
    def reaches(cls, params: Mapping[str, Any]) -> Iterable[Reach]:
        return functions(params, "accumulator")

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._accumulator = Accumulator(self.params)
        self._grouping: Grouping[Any] = Grouping(
            self.params,
            None,
            self._accumulator.begin,
            self._accumulator.add,
            lambda so_far, _: self._accumulator.result(so_far),
        )

    async def initialize(self, ctx: Context) -> None:
        self._accumulator.load()

    def process(self, packet: Packet, ctx: Context) -> list[Output]:
        return [packet] if is_control(packet) else self._grouping.take(packet.keep(), ctx)

    def flush(self, ctx: Context) -> list[Output]:
        return self._grouping.flush(ctx)

    def params_changed(self, before: Params, ctx: Context) -> None:
        self._grouping.change(self.params, None, ctx)

    def reset(self, ctx: Context) -> None:
        self._grouping.reset()
