"""Operators that take memory; workers import them by this module's name."""

from __future__ import annotations

import asyncio

import numpy as np

from engine.operator import Operator, Params
from engine.payloads import Json
from engine.registry import Registry

MIB = 1 << 20


class Hog(Operator):
    """Takes memory and keeps it: `mib` at once when it is initialized, in steps of `step_mib`."""

    class Params(Params):
        mib: int = 0
        step_mib: int = 4

    async def initialize(self, ctx):
        self.kept = []
        for _ in range(self.params.mib // self.params.step_mib):
            self.kept.append(np.ones(self.params.step_mib * MIB, np.uint8))

    def process(self, packet, ctx):
        return Json({"kept": sum(array.nbytes for array in self.kept)})


class HogLater(Hog):
    """The same, with the first packet; then it waits for ever."""

    async def initialize(self, ctx):
        """Nothing yet."""

    async def process(self, packet, ctx):
        await Hog.initialize(self, ctx)
        await asyncio.Event().wait()


class Refuse(Operator):
    """Cannot be initialized."""

    async def initialize(self, ctx):
        raise ValueError("not today")

    def process(self, packet, ctx):
        return packet


class Linger(Operator):
    """Takes its time to be initialized."""

    async def initialize(self, ctx):
        ctx.progress(0.5, "lingering", status="lingering")
        await asyncio.Event().wait()

    def process(self, packet, ctx):
        return packet


class Pass(Operator):
    """Hands on what it gets."""

    def process(self, packet, ctx):
        return packet


def make_registry():
    registry = Registry()
    for operator in (Hog, HogLater, Refuse, Linger, Pass):
        registry.register(operator)
    return registry
