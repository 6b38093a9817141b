"""The nodes of `benches.bench_concurrency`: each does the same work with every packet."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from benches.scripts.row_work import WAIT_S, WARM_UP, work
from remotemedia import Operator, Params, Tensor

if TYPE_CHECKING:
    from remotemedia import Context, Packet


class WorkParams(Params):
    """What to do with a packet, see `benches.scripts.row_work`."""

    kind: str = Field(description="sleep or compute")
    steps: int = Field(description="how long to compute")


class RowNode(Operator):
    """Sleeps or computes on its thread."""

    Params = WorkParams

    def process(self, packet: Packet, ctx: Context) -> Tensor:
        """See `Operator`."""
        index, value = from_tensor(packet)
        if index != WARM_UP:
            value = work(self.params.kind, value, self.params.steps)
        return to_tensor(index, value)


class RowWaiter(Operator):
    """Waits on its loop, for one packet after the other."""

    Params = WorkParams

    async def process(self, packet: Packet, ctx: Context) -> Tensor:
        """See `Operator`."""
        index, value = from_tensor(packet)
        if index != WARM_UP:
            await asyncio.sleep(WAIT_S)
            value += 1
        return to_tensor(index, value)


def to_tensor(index: int, value: int) -> Tensor:
    """A packet's payload."""
    return Tensor(np.array([index, value], np.int64))


def from_tensor(packet: Packet) -> tuple[int, int]:
    """Undo `to_tensor`."""
    index, value = packet.expect(Tensor).array.tolist()
    return index, value
