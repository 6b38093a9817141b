"""Operators for pipelines inside somebody's chain; sessions find them by name."""

import asyncio
import threading

from engine.operator import Operator
from engine.payloads import Json, Text

#: Ids of sessions whose operator was cleaned up.
CLEANED = []
#: Opened by a test to let `Held` go on; set anew by each test.
gate = asyncio.Event()
#: The same for `HeldThread`, whose loop runs in another thread.
thread_gate = threading.Event()


class Shout(Operator):
    """Texts in capitals; "bad" is none."""

    def process(self, packet, ctx):
        text = packet.payload.text
        if text == "bad":
            raise ValueError("no shouting of bad")
        return Text(text.upper())


class Numbered(Operator):
    """Numbers what comes, from 0 in each session, and says when it is cleaned up."""

    async def initialize(self, ctx):
        self.count = 0
        self.session_id = ctx.session_id

    def process(self, packet, ctx):
        self.count += 1
        return Json([self.count - 1, packet.payload.text])

    async def cleanup(self):
        CLEANED.append(self.session_id)


class Held(Operator):
    """Hands out nothing until the gate is open."""

    async def process(self, packet, ctx):
        await gate.wait()
        return packet


class HeldThread(Operator):
    """The same, in a loop of another thread."""

    def process(self, packet, ctx):
        assert thread_gate.wait(timeout=10)
        return packet


class Broken(Operator):
    """Cannot be initialized."""

    async def initialize(self, ctx):
        raise ValueError("no model")

    def process(self, packet, ctx):
        return packet


class Pair(Operator):
    """Takes groups of two ports."""

    inputs = ("left", "right")
    joins = True

    def process(self, packets, ctx):
        return Text("+".join(packets[port].payload.text for port in self.inputs))
