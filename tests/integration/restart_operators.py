"""Operators of the restart tests; workers import them by this module's name."""

from __future__ import annotations

import asyncio
import glob
import os
import signal
from pathlib import Path

from pydantic import Field

from engine.operator import Operator, Params
from engine.payloads import Json
from engine.registry import Registry


def die(how):
    match how:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise ValueError("on purpose")
        case "exit":
            os._exit(3)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "spin":
            while True:
                pass


class Count(Operator):
    """Three outputs for each input, as a generator: Json([number, place])."""

    class Params(Params):
        times: int = 3

    def process(self, packet, ctx):
        for place in range(self.params.times):
            yield Json([packet.payload.value, place])

    def flush(self, ctx):
        for place in range(2):
            yield Json(["end", place])


class Fail(Count):
    """The same; fails with the numbers named, in the middle, as often as it is told to.

    A file for each failure in a folder tells the next process of it.
    """

    class Params(Params):
        folder: str
        at: dict[str, int] = Field(default_factory=dict)
        how: str = "kill"
        times: int = 3
        before: int = 1
        ends: int = 0
        starts: list[int] = Field(default_factory=list)

    async def initialize(self, ctx):
        started = self.count("start")
        if started in self.params.starts:
            raise ValueError("cannot start, on purpose")

    def count(self, name):
        """How often this was called with a name, in whichever process, before."""
        folder = Path(self.params.folder)
        before = len(list(folder.glob(f"{glob.escape(name)}.*")))
        (folder / f"{name}.{before}").write_text(str(os.getpid()))
        return before

    def perhaps_die(self, name, times):
        if times and self.count(name) < times:
            die(self.params.how)

    def process(self, packet, ctx):
        number = packet.payload.value
        for place, output in enumerate(super().process(packet, ctx)):
            if place == self.params.before:
                self.perhaps_die(f"at-{number}", self.params.at.get(str(number), 0))
            yield output

    def flush(self, ctx):
        for place, output in enumerate(super().flush(ctx)):
            if place == 1:
                self.perhaps_die("flush", self.params.ends)
            yield output


class FailAsync(Fail):
    """The same as an asynchronous generator."""

    async def process(self, packet, ctx):
        for output in super().process(packet, ctx):
            await asyncio.sleep(0)
            yield output


class Keep(Operator):
    """Keeps something."""

    stateful = True

    def process(self, packet, ctx):
        return packet

    def reset(self, ctx):
        pass


class Fanned(Operator):
    """Two inputs, two outputs: what came in by which goes out by which."""

    inputs = ("left", "right")
    outputs = ("near", "far")

    def process(self, packet, ctx):
        return ctx.to("near" if packet.port == "left" else "far", packet)


class Pass(Operator):
    """Hands on what it gets."""

    def process(self, packet, ctx):
        return packet


def make_registry():
    registry = Registry()
    for cls in (Count, Fail, FailAsync, Keep, Fanned, Pass):
        registry.register(cls)
    return registry
