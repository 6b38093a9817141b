"""Operators of the steering tests; workers import them by this module's name."""

from __future__ import annotations

import asyncio

from engine.operator import Operator, Params
from engine.payloads import BatchHint, Control, Json


class Say(Operator):
    """Gives each number with a word: Json([number, word])."""

    hot = frozenset({"word", "last_word"})

    class Params(Params):
        word: str = "a"
        last_word: str = ""
        ballast: str = ""

    def params_changed(self, before, ctx):
        if self.params.word == "refused":
            raise ValueError("not that word")

    def process(self, packet, ctx):
        return Json([packet.payload.value, self.params.word + self.params.last_word])


class SaySoon(Say):
    """The same as a coroutine, several at once, with the word before and after it waited."""

    concurrency = 4

    async def process(self, packet, ctx):
        before = self.params.word
        for _ in range(packet.sequence % 4):
            await asyncio.sleep(0)
        return Json([packet.payload.value, before, self.params.word])


class SayOn(Say):
    """The same as an asynchronous generator, twice."""

    async def process(self, packet, ctx):
        for _ in range(2):
            yield Json([packet.payload.value, self.params.word])
            await asyncio.sleep(0)


class Hear(Operator):
    """Says what it is told beside the data: Json([node, size])."""

    def process(self, packet, ctx):
        return packet

    def control(self, control, ctx):
        if isinstance(control.message, BatchHint):
            ctx.emit(Json([ctx.node_id, control.message.suggested_batch_size]))


class Speak(Hear):
    """Tells all behind it how many they should take together, where a packet says so."""

    def process(self, packet, ctx):
        value = packet.payload.value
        if isinstance(value, dict):
            ctx.control(Control(BatchHint(value["hint"])))
        return packet


class SpeakEarly(Hear):
    """Tells them before there is anybody."""

    async def initialize(self, ctx):
        ctx.control(Control(BatchHint(1)))


class Twice(Operator):
    """Two outputs for each input, as a generator."""

    def process(self, packet, ctx):
        yield packet
        yield packet
