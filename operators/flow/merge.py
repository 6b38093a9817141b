"""Brings several inputs together into one stream.

Source: FR-002. No I/O, no state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from engine.operator import Operator
from operators.flow.fan_in import FanInParams, fan_in_ports

if TYPE_CHECKING:
    from engine.operator import Context, Ports
    from engine.packet import Packet


class Merge(Operator):
    """Hands on the packets of all ports in the order in which they arrive.

    Connections to one and the same port merge by themselves; this node gives the branches names,
    and can note in each packet which it came by.
    """

    node_type = "MergeNode"
    inputs = ("a", "b")
    hot = frozenset({"port_key"})

    class Params(FanInParams):
        port_key: str = Field(
            "",
            max_length=256,
            description="key of the metadata that gets the name of the port; empty: none does",
        )

    params: Params

    @classmethod
    def ports(cls, params: Params) -> Ports:
        return fan_in_ports(params)

    def process(self, packet: Packet, ctx: Context) -> Packet:
        key = self.params.port_key
        if not key:
            return packet
        return packet.with_payload(packet.payload, {**packet.metadata, key: packet.port})
