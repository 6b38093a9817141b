"""Says what it was told, with a count.

Source: FR-002. No I/O. A node type that clients use to try a connection out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.operator import Operator
from engine.payloads import Json, Text

if TYPE_CHECKING:
    from engine.operator import Context, Outputs
    from engine.packet import Packet


class Echo(Operator):
    """Emits `{"input", "counter", "node": "Echo"}` for each JSON value and each text.

    The counter starts at 1, in each session and behind an interrupt. Payloads of other kinds pass
    through and are not counted.
    """

    node_type = "Echo"
    accepts = frozenset({"json", "text"})
    emits = frozenset({"json"})
    rate = "one_to_one"
    stateful = True

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._counter = 0

    def process(self, packet: Packet, ctx: Context) -> Outputs:
        heard = packet.payload
        if not isinstance(heard, Json | Text):
            return packet
        self._counter += 1
        value = heard.text if isinstance(heard, Text) else heard.value
        return Json({"input": value, "counter": self._counter, "node": "Echo"})

    def reset(self, ctx: Context) -> None:
        self._counter = 0
