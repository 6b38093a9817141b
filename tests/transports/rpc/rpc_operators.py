"""Operators for the tests of the gRPC door; those named Process… run in processes of their own."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import numpy as np

from engine.operator import Operator, Params
from engine.payloads import Audio, Binary, Json, Text
from engine.registry import Registry
from operators.catalog import declare_all


class Upper(Operator):
    """Text in capitals."""

    def process(self, packet, ctx):
        return Text(packet.expect(Text).text.upper())


class ProcessUpper(Upper):
    default_executor = "process"


class Expand(Operator):
    """Each input several times, or not at all."""

    class Params(Params):
        times: int = 3

    def process(self, packet, ctx):
        return [
            Json({"value": packet.payload.value, "index": index})
            for index in range(self.params.times)
        ]


class Keep(Operator):
    """Gives what it was given when its input ends."""

    stateful = True

    async def initialize(self, ctx):
        self.texts = []

    def reset(self, ctx):
        self.texts.clear()

    def process(self, packet, ctx):
        self.texts.append(packet.payload.text)

    def flush(self, ctx):
        return Text("+".join(self.texts))


class ProcessKeep(Keep):
    default_executor = "process"


class Source(Operator):
    """Gives one item when its input ends."""

    def process(self, packet, ctx):
        return packet

    def flush(self, ctx):
        return Text("from nothing")


class Pair(Operator):
    """Both ports of one input, as one JSON value."""

    inputs = ("left", "right")
    joins = True

    def process(self, packets, ctx):
        return Json({port: packet.payload.text for port, packet in packets.items()})


class Fail(Operator):
    """Raises at a text."""

    def process(self, packet, ctx):
        if packet.payload.text == "fail":
            raise ValueError("cannot digest this")
        return packet


class ProcessFail(Fail):
    default_executor = "process"


class FailInInitialize(Operator):
    async def initialize(self, ctx):
        raise RuntimeError("the model is missing")

    def process(self, packet, ctx):
        return packet


class ProcessFailInInitialize(FailInInitialize):
    default_executor = "process"


class ProcessNeverReady(Operator):
    default_executor = "process"

    async def initialize(self, ctx):
        ctx.progress(0.1, "downloading", status="loading_model")
        await asyncio.sleep(3_600)

    def process(self, packet, ctx):
        return packet


class ProcessModel(Operator):
    """Tells how its start goes."""

    default_executor = "process"

    async def initialize(self, ctx):
        ctx.progress(0.5, "half of the\nweights", status="loading_model")

    def process(self, packet, ctx):
        return packet


class ProcessSlowStart(Operator):
    """Takes more than a second to get ready."""

    default_executor = "process"

    async def initialize(self, ctx):
        await asyncio.sleep(1.2)

    def process(self, packet, ctx):
        return packet


class ProcessCrash(Operator):
    """Ends its process at a text."""

    default_executor = "process"

    def process(self, packet, ctx):
        text = packet.payload.text
        if text == "exit":
            os._exit(7)
        if text == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        return packet


class WantsAudio(Operator):
    """Takes nothing but audio, and says so when it is given something."""

    def process(self, packet, ctx):
        return Json(packet.expect(Audio).frames)


class ProcessWantsAudio(WantsAudio):
    default_executor = "process"


class OnlyAudio(Operator):
    """Declares that it takes nothing but audio."""

    accepts = frozenset({"audio"})
    strict = True

    def process(self, packet, ctx):
        return packet


class Unsayable(Operator):
    """Gives what no wire can say."""

    def process(self, packet, ctx):
        return Json(float("nan"))


class Never(Operator):
    """Takes forever."""

    async def process(self, packet, ctx):
        await asyncio.sleep(3_600)


class NeverAt(Operator):
    """Takes forever at the text "wait"."""

    async def process(self, packet, ctx):
        if packet.payload.text == "wait":
            await asyncio.sleep(3_600)
        return packet


class Flood(Operator):
    """Gives payloads without end, and counts them in a file."""

    class Params(Params):
        path: str
        size: int = 10_000

    def process(self, packet, ctx):
        count = 0
        while True:
            count += 1
            with open(self.params.path, "w") as file:  # noqa: PTH123
                file.write(str(count))
            yield Binary(bytes(self.params.size), "text/plain")


class Tone(Operator):
    """Audio of integers."""

    def process(self, packet, ctx):
        return Audio(np.array([[-32_768], [16_384]], np.int16), 8_000)


class ProcessWork(Operator):
    """Works for a while, and says from when to when."""

    default_executor = "process"

    class Params(Params):
        ms: int = 300

    def process(self, packet, ctx):
        began = time.monotonic()
        time.sleep(self.params.ms / 1e3)
        return Json([began, time.monotonic()])


class Where(Operator):
    """Which process it runs in."""

    def process(self, packet, ctx):
        return Json(os.getpid())


class ProcessWhere(Where):
    default_executor = "process"


class Told(Operator):
    """Waits until it is told a batch size, and says it with each text."""

    accepts = frozenset({"text"})

    async def initialize(self, ctx):
        self.told = asyncio.get_running_loop().create_future()

    async def process(self, packet, ctx):
        return Text(f"{packet.payload.text} told {await asyncio.shield(self.told)}")

    def control(self, message, ctx):
        self.told.set_result(message.message.suggested_batch_size)


class Scale(Operator):
    """Numbers, times a factor that may change."""

    hot = frozenset({"factor"})

    class Params(Params):
        factor: int = 1
        offset: int = 0

    def process(self, packet, ctx):
        return Json(packet.payload.value * self.params.factor + self.params.offset)


class ProcessScale(Scale):
    default_executor = "process"


class ProcessHog(Operator):
    """Takes as many MiB as it is told."""

    default_executor = "process"

    def process(self, packet, ctx):
        return Json(len(bytearray(packet.payload.value * 2**20)))


OPERATORS = [
    value
    for value in list(globals().values())
    if isinstance(value, type) and issubclass(value, Operator) and value is not Operator
]


def make_registry():
    registry = Registry()
    declare_all(registry)
    for cls in OPERATORS:
        registry.register(cls)
    return registry
