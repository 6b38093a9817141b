"""The nodes of the chain that is harmed; workers import them by this module's name."""

from __future__ import annotations

import asyncio

import numpy as np

from engine.operator import Operator, Params
from engine.payloads import Audio
from tests.fault.moments import gate, strike, tell, wait_released

#: Above what is copied at receive, so that the consumer gets a view.
FRAMES = 40_000
RATE = 16_000


def is_view(array: np.ndarray) -> bool:
    """Whether an array's memory is another's: the arena's."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return not array.flags.owndata


class Station(Operator):
    """Hands on what it gets; is the one that reaches the moment, where it is told one.

    Packet 0 passes; packet 1 is there for what happens in a turn.
    """

    stateful = True

    class Params(Params):
        cell: str
        position: str
        moment: str = ""
        means: str = ""

    async def initialize(self, ctx):
        self.view = None
        self.moment = self.params.moment
        if self.is_at("initializing"):
            self.reach()
            wait_released(self.params.cell)
        tell(self.params.cell, initialized=self.params.position)

    def reset(self, ctx):
        self.view = None

    def reach(self):
        moment, self.moment = self.moment, ""  # once
        print(f"reached {moment}", flush=True)  # noqa: T201 - a last line to be found
        tell(self.params.cell, moment=moment, position=self.params.position)
        strike(self.params.means)

    def is_at(self, moment):
        return self.moment == moment

    def process(self, packet, ctx):
        if packet.sequence == 0:
            self.after_first(packet)
            yield packet
            return
        if self.is_at("in process") or (self.is_at("holding a view") and self.view is not None):
            self.reach()
            wait_released(self.params.cell)
        elif self.is_at("writing a slot"):
            samples = ctx.empty((FRAMES,), np.float32)
            assert is_view(samples)
            samples[: FRAMES // 2] = 1
            self.reach()
            wait_released(self.params.cell)
            samples[FRAMES // 2 :] = 1
            yield Audio(samples, RATE)
            return
        elif self.is_at("waiting for a credit"):
            for _ in range(8):
                asyncio.get_running_loop().call_soon(self.look_at_credits, ctx)
                yield packet
        yield packet

    def after_first(self, packet):
        """What is to be seen once the turn is over, when the loop has come back."""
        if self.is_at("idle"):
            asyncio.get_running_loop().call_soon(self.reach)
        elif self.is_at("holding a view"):
            assert is_view(packet.payload.samples)
            self.view = packet.payload.samples[10:]
            if self.params.means != "exception":  # which needs a turn
                asyncio.get_running_loop().call_soon(self.reach)

    def look_at_credits(self, ctx):
        waits = ctx._stage.waiting_for()
        if self.moment and any(each.kind == "credit" for each in waits):
            self.reach()

    def flush(self, ctx):
        if self.is_at("draining"):
            self.reach()
            wait_released(self.params.cell)

    async def cleanup(self):
        if self.is_at("stopping"):
            self.reach()
            wait_released(self.params.cell)


class Gate(Station):
    """Keeps packet 1 and all behind it until everybody may go on."""

    async def process(self, packet, ctx):
        if packet.sequence:
            await gate(self.params.cell)
        return packet
