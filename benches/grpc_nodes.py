"""A node that always runs in a process: a manifest over gRPC cannot say where one runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remotemedia import Operator

if TYPE_CHECKING:
    from remotemedia import Context, Packet


class ProcessPass(Operator):
    """Hands everything on, from a process of its own."""

    node_type = "BenchProcessPass"
    default_executor = "process"

    def process(self, packet: Packet, ctx: Context) -> Packet:
        """Hand it on."""
        return packet
