"""Operators for the tests of the command line: each misbehaves in one way, or is slow."""

import asyncio
import os
import signal
import time
from itertools import count

import numpy as np
from pydantic import Field

from engine.operator import Operator, Params
from engine.payloads import Audio, Binary, Json, Text


class Echo(Operator):
    """Hands everything on."""

    def process(self, packet, ctx):
        return packet


class Level(Operator):
    """Has a param with a range."""

    class Params(Params):
        gain_db: float = Field(0.0, ge=-60, le=60)

    def process(self, packet, ctx):
        return packet


class Noisy(Operator):
    """Prints what it sees."""

    def process(self, packet, ctx):
        print(f"noisy sees {packet.payload}")  # noqa: T201 - what the test is about
        os.write(1, b"noisy writes to descriptor 1\n")
        return packet


class RaisesInInitialize(Operator):
    async def initialize(self, ctx):
        raise RuntimeError("the model is missing")

    def process(self, packet, ctx):
        return packet


class RaisesInProcess(Operator):
    def process(self, packet, ctx):
        if packet.sequence == 1:
            raise RuntimeError("cannot digest this")
        return packet


class RaisesInFlush(Operator):
    def process(self, packet, ctx):
        return packet

    def flush(self, ctx):
        raise RuntimeError("nothing to round off")


class Dies(Operator):
    def process(self, packet, ctx):
        os.kill(os.getpid(), signal.SIGKILL)


class StartsSlowly(Operator):
    async def initialize(self, ctx):
        ctx.progress(0.25, "fetching nothing")
        await asyncio.Event().wait()

    def process(self, packet, ctx):
        return packet


class Slow(Operator):
    """Takes 20 ms for a packet."""

    async def process(self, packet, ctx):
        await asyncio.sleep(0.02)
        return packet


class Stuck(Operator):
    """Hands the first packet on, and never returns from the second."""

    async def process(self, packet, ctx):
        if packet.sequence:
            await asyncio.Event().wait()
        return packet


class Busy(Operator):
    """Hands the first packet on, and computes forever over the second."""

    def process(self, packet, ctx):
        if packet.sequence:
            for _ in count():
                time.sleep(0.001)
        return packet


class Endless(Operator):
    """Emits without end."""

    def process(self, packet, ctx):
        return (Json(number) for number in count())


class Kinds(Operator):
    """Emits a packet of each kind."""

    def process(self, packet, ctx):
        yield Text("two\nlines", language="en")
        yield Json({"a": [1, float("nan")]})
        yield Audio(np.array([0.5, -0.5], np.float32), 8000)
        yield Binary(b"abc", "text/x-abc")


def _hidden():
    class Hidden(Operator):
        def process(self, packet, ctx):
            return packet

    return Hidden


#: A class that no other process can find.
Hidden = _hidden()
