"""Operators of the interrupt tests; workers import them by this module's name."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import reactivex
import reactivex.operators as rx

from engine.operator import Operator, Params
from engine.payloads import Json, Text
from engine.reactive.adapter import RxOperator


class InFolder(Operator):
    """Tells the test what happens by files in a folder, and waits for one of the test's."""

    class Params(Params):
        folder: str

    def say(self, name):
        (Path(self.params.folder) / name).touch()

    def may_go_on(self):
        return (Path(self.params.folder) / "go on").exists()


class Busy(InFolder):
    """Holds its thread with packets that say "hold", without looking at ctx.cancelled."""

    polls = False

    def process(self, packet, ctx):
        if packet.payload.value == "hold":
            self.say("holds")
            while not self.may_go_on() and not (self.polls and ctx.cancelled):
                time.sleep(0.001)
            self.say("let go")
        return packet


class Polling(Busy):
    """The same, and looks."""

    polls = True


class Awaiting(InFolder):
    """Waits in a coroutine with packets that say "hold"."""

    async def process(self, packet, ctx):
        if packet.payload.value == "hold":
            self.say("holds")
            try:
                while not self.may_go_on():  # noqa: ASYNC110 - another process makes the file
                    await asyncio.sleep(0.001)
            except asyncio.CancelledError:
                self.say("cancelled")
                raise
        return packet


class Endless(InFolder):
    """Never stops answering packets that say "hold"; says when it is closed."""

    def process(self, packet, ctx):
        try:
            while packet.payload.value == "hold":
                yield Json("more")
                self.say("holds")
            yield packet
        finally:
            self.say("closed")


class EndlessAsync(Endless):
    """The same as an asynchronous generator."""

    async def process(self, packet, ctx):
        try:
            while packet.payload.value == "hold":
                yield Json("more")
                self.say("holds")
                await asyncio.sleep(0)
            yield packet
        finally:
            self.say("closed")


class Gather(Operator):
    """Keeps everything; a packet that says "give", and the end, give what it has."""

    stateful = True

    async def initialize(self, ctx):
        self.kept = []

    def reset(self, ctx):
        self.kept = []

    def process(self, packet, ctx):
        if packet.payload.value == "give":
            return Json(list(self.kept))
        self.kept.append(packet.payload.value)
        return None

    def flush(self, ctx):
        yield Json(["the end", *self.kept])
        yield Json("over")


class AsyncFlush(InFolder):
    """Its flush is a coroutine that waits."""

    async def process(self, packet, ctx):
        return packet

    async def flush(self, ctx):
        self.say("flushes")
        while not self.may_go_on():  # noqa: ASYNC110 - another process makes the file
            await asyncio.sleep(0.001)
        return Json("flushed")


class Three(InFolder):
    """Three outputs for each packet, as a generator that is suspended where nobody takes them."""

    def process(self, packet, ctx):
        for place in range(3):
            self.say(f"gives {place}")
            yield Json([packet.payload.value, place])


class SlowText(Operator):
    """Takes its thread for a moment with each packet."""

    class Params(Params):
        seconds: float = 0.002

    def process(self, packet, ctx):
        time.sleep(self.params.seconds)
        return Text(f"{packet.payload.text}>slow")


class RxTwice(RxOperator):
    """Two outputs for each packet, by a chain of reactivex operators."""

    def chain(self, inlet):
        return inlet.pipe(rx.flat_map(lambda packet: reactivex.of(packet, packet)))


class Collect(Operator):
    """Three texts in one, and at the end what is left."""

    stateful = True

    async def initialize(self, ctx):
        self.kept = []

    def reset(self, ctx):
        self.kept = []

    def process(self, packet, ctx):
        self.kept.append(packet.payload.text)
        return self.flush(ctx) if len(self.kept) == 3 else None

    def flush(self, ctx):
        kept, self.kept = self.kept, []
        return Text("+".join(kept)) if kept else None


class RxCollect(RxOperator):
    """The same as a chain of reactivex operators."""

    def chain(self, inlet):
        return inlet.pipe(
            rx.map(lambda packet: packet.payload.text),
            rx.buffer_with_count(3),
            rx.filter(bool),
            rx.map(lambda texts: Text("+".join(texts))),
        )


class Interrupting(Operator):
    """Has its session interrupted from its own process, by what the test has put here."""

    asked = None

    async def process(self, packet, ctx):
        if packet.payload.value == "interrupt":
            ack = await type(self).asked()
            await ack.settled()
            return Json("never seen")
        return packet
