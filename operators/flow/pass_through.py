"""Hands every packet on as it is.

Source: FR-002. Stands for the node types PassThrough and AudioOutputNode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.operator import Operator

if TYPE_CHECKING:
    from engine.operator import Context
    from engine.packet import Packet


class PassThrough(Operator):
    """Identity: the packet itself leaves, nothing is copied."""

    node_type = "PassThrough"
    rate = "one_to_one"

    def process(self, packet: Packet, ctx: Context) -> Packet:
        return packet
