"""Operators of the steering fault tests; workers import them by this module's name."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from engine.interruption import Played
from engine.operator import Operator, Params
from engine.payloads import BatchHint, Control, Json


class SlowToStart(Operator):
    """Waits in its initialize for a file, "go on", if there is a folder; says what it was told."""

    hot = frozenset({"word"})

    class Params(Params):
        folder: str
        word: str = "a"

    async def initialize(self, ctx):
        folder = Path(self.params.folder)
        (folder / "starts").touch()
        while not (folder / "go on").exists():  # noqa: ASYNC110 - another process makes the file
            await asyncio.sleep(0.002)
        self.told = 0

    def control(self, control, ctx):
        self.told += 1

    def process(self, packet, ctx):
        if packet.payload.value == "hold":
            (Path(self.params.folder) / "holds").touch()
            time.sleep(3600)
        return Json([packet.payload.value, self.params.word, self.told])


class WithBytes(Operator):
    """Has a param that no JSON can carry."""

    hot = frozenset({"word"})

    class Params(Params):
        word: str = "a"
        key: bytes = b"\xff\xfe"

    def process(self, packet, ctx):
        return Json([packet.payload.value, self.params.word])


class FlushSlowly(Operator):
    """Its flush waits for a file, "go on"."""

    class Params(Params):
        folder: str

    def process(self, packet, ctx):
        return packet

    async def flush(self, ctx):
        folder = Path(self.params.folder)
        (folder / "flushes").touch()
        while not (folder / "go on").exists():  # noqa: ASYNC110 - another process makes the file
            await asyncio.sleep(0.002)
        return Json("the end")


class Either(Operator):
    """Two inputs, of which one may be left unconnected."""

    inputs = ("a", "b")

    def process(self, packet, ctx):
        return Json([packet.port, packet.payload.value])


class PlaysMuch(Operator):
    """Says more of what it plays than one message to the server holds."""

    def process(self, packet, ctx):
        return packet

    def played(self):
        return [Played(number, 1, 2, {"text": "x" * 4000}) for number in range(64)]


class SpeakOften(Operator):
    """Tells all behind it very much in one turn."""

    def process(self, packet, ctx):
        for number in range(packet.payload.value):
            ctx.control(Control(BatchHint(number + 1)))
        return packet


class Told(Operator):
    """Says how many control messages it was told, once it was told the last."""

    async def initialize(self, ctx):
        self.sizes = []

    def control(self, control, ctx):
        self.sizes.append(control.message.suggested_batch_size)
        if self.sizes[-1] == 3 * 64:
            ctx.emit(Json(self.sizes))

    def process(self, packet, ctx):
        return None
