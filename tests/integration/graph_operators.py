"""Operators of the integration tests; workers import them by this module's name."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import struct
import time
from pathlib import Path

import numpy as np
from pydantic import Field

from engine.flags import FLAG_GAP
from engine.operator import Operator, Params
from engine.payloads import Audio, Binary, Json, Tensor, Text
from engine.registry import Registry


class Pass(Operator):
    """Hands on what it gets."""

    def process(self, packet, ctx):
        return packet


class Hold(Operator):
    """Says what came, and whether behind a gap; waits for the file that a packet names.

    Input and output: Json({"number": …}).
    """

    async def process(self, packet, ctx):
        value = packet.payload.value if isinstance(packet.payload, Json) else {}
        if "until" in value:
            # Another process makes the file; there is no event to wait for.
            while not await asyncio.to_thread(Path(value["until"]).exists):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        return Json({"number": value.get("number"), "gap": bool(packet.flags & FLAG_GAP)})


class Mark(Operator):
    """Changes every payload in a way that shows who did it, and in which order."""

    class Params(Params):
        by: int = 1

    def process(self, packet, ctx):
        payload, by = packet.payload, self.params.by
        match payload:
            case Audio():
                changed = ctx.empty(payload.samples.shape, payload.samples.dtype)
                np.multiply(payload.samples, 2, out=changed, casting="unsafe")
                changed += np.asarray(by, changed.dtype)
                return Audio(changed, payload.sample_rate)
            case Text():
                return Text(f"{payload.text}>{by}", payload.language, payload.channel)
            case Json():
                return Json({"by": by, "was": payload.value}, payload.schema_type)
            case Binary():
                return Binary(payload.data + bytes([by]), payload.mime_type)


class SlowMark(Mark):
    """The same, as a coroutine; it begins a stage."""

    async def process(self, packet, ctx):
        for _ in range(packet.sequence % 3):
            await asyncio.sleep(0)
        return super().process(packet, ctx)


class Twice(Operator):
    """Two outputs for each input, as a list."""

    def process(self, packet, ctx):
        return [packet, packet]


class StreamTwice(Operator):
    """Two outputs for each input, as an asynchronous generator."""

    async def process(self, packet, ctx):
        yield packet
        await asyncio.sleep(0)
        yield packet


class Counter:
    """A number in a file, which the test reads while another process counts."""

    def __init__(self, path):
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT)

    def set(self, number):
        os.pwrite(self._fd, struct.pack("<q", number), 0)

    def close(self):
        os.close(self._fd)

    @staticmethod
    def read(path):
        data = Path(path).read_bytes() if Path(path).exists() else b""
        return struct.unpack("<q", data)[0] if data else 0


class Burst(Operator):
    """Many items from one input, one after the other; a file says how many so far."""

    class Params(Params):
        count: int = 10
        progress: str = ""
        frames: int = 0

    async def initialize(self, ctx):
        self.counter = Counter(self.params.progress) if self.params.progress else None

    def process(self, packet, ctx):
        for number in range(self.params.count):
            if self.counter is not None:
                self.counter.set(number + 1)
            if self.params.frames:
                samples = ctx.empty((self.params.frames,), np.float32)
                samples[:] = number
                yield Audio(samples, 16_000)
            else:
                yield Json(number)

    async def cleanup(self):
        if self.counter is not None:
            self.counter.close()


class AsyncBurst(Burst):
    """The same, as an asynchronous generator."""

    async def process(self, packet, ctx):
        for item in super().process(packet, ctx):
            yield item


class Sum(Operator):
    """Adds numbers up and gives the sum of every few; flush gives the rest."""

    stateful = True

    class Params(Params):
        every: int = 10

    async def initialize(self, ctx):
        self.reset(ctx)

    def reset(self, ctx):
        self.values = []

    def process(self, packet, ctx):
        self.values.append(packet.payload.value)
        if len(self.values) < self.params.every:
            return None
        return self.take()

    def flush(self, ctx):
        return [self.take(), Text("flushed")] if self.values else [Text("flushed")]

    def take(self):
        values, self.values = self.values, []
        return Json(sum(values))


class LateFlush(Operator):
    """Keeps everything and gives it at the end, as a generator."""

    stateful = True

    async def initialize(self, ctx):
        self.kept = []

    def reset(self, ctx):
        self.kept = []

    def process(self, packet, ctx):
        self.kept.append(packet.payload)

    def flush(self, ctx):
        yield from self.kept


class Split(Operator):
    """Even sequences to one port, odd ones to the other."""

    outputs = ("even", "odd")

    def process(self, packet, ctx):
        return ctx.to("odd" if packet.sequence % 2 else "even", packet)


class Merge(Operator):
    """Two inputs, one output, that says which input it was."""

    inputs = ("left", "right")

    def process(self, packet, ctx):
        return Text(f"{packet.port}:{packet.payload.text}")


class Join(Operator):
    """Takes groups whole."""

    inputs = ("left", "right")
    joins = True

    def process(self, packets, ctx):
        return Text("+".join(f"{port}={packets[port].payload.text}" for port in packets))


class JoinOrigins(Join):
    """Says where the members of a group come from."""

    def process(self, packets, ctx):
        of = {port: [packet.sequence, packet.timestamp_ns] for port, packet in packets.items()}
        return Json(of)


class KeepViews(Operator):
    """Keeps every tenth payload it was given, and looks at all of them again at the end."""

    stateful = True

    async def initialize(self, ctx):
        self.kept = []

    def reset(self, ctx):
        self.kept = []

    def process(self, packet, ctx):
        samples = packet.payload.samples
        if packet.sequence % 10 == 0:
            self.kept.append((samples[3:9], float(samples[0, 0])))
        return Json(float(samples[-1, 0]))

    def flush(self, ctx):
        intact = all((samples == value).all() for samples, value in self.kept)
        return Json({"kept": len(self.kept), "intact": intact})


class MakeTensor(Operator):
    """An array of the length asked for, written where it is sent from.

    Input: Json, the length in bytes. Output: Tensor of uint8, first and last element 7.
    """

    def process(self, packet, ctx):
        array = ctx.empty((packet.payload.value,), np.uint8)
        array[:1] = array[-1:] = 7
        return Tensor(array)


class Measure(Operator):
    """Says how long an array is, and its ends: Json([bytes, first, last])."""

    def process(self, packet, ctx):
        array = packet.expect(Tensor).array.reshape(-1)
        ends = array[:1].tolist() + array[-1:].tolist()
        return Json([array.nbytes, *ends])


class Sleep(Operator):
    """Keeps its thread for a while with each packet; says so by Json(None)."""

    class Params(Params):
        seconds: float = 0.05

    def process(self, packet, ctx):
        time.sleep(self.params.seconds)
        return Json(None)


class First(Operator):
    """Passes a few packets on and drops the rest."""

    class Params(Params):
        count: int = 3

    def process(self, packet, ctx):
        return packet if packet.sequence < self.params.count else None


class Misbehave(Operator):
    """Does harm at a given point."""

    class Params(Params):
        when: str = "process"
        what: str = "raise"
        at: int = 3
        seconds: float = Field(0.0, ge=0)
        pid_file: str = ""

    async def initialize(self, ctx):
        self.tell_pid()
        if self.params.when == "initialize":
            await self.wait()
            self.harm()

    def tell_pid(self):
        if self.params.pid_file:
            Path(self.params.pid_file).write_text(str(os.getpid()))

    def process(self, packet, ctx):
        if self.params.when == "process" and packet.sequence >= self.params.at:
            self.harm()
        return packet

    def flush(self, ctx):
        if self.params.when == "flush":
            self.harm()

    async def cleanup(self):
        if self.params.seconds and self.params.when != "initialize":
            await self.wait()
        if self.params.when == "cleanup":
            self.harm()

    async def wait(self):
        await asyncio.sleep(self.params.seconds)

    def harm(self):
        match self.params.what:
            case "raise":
                raise ValueError("on purpose")
            case "exit":
                os._exit(3)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "segfault":
                ctypes.string_at(0)
            case "spin":
                while True:
                    pass
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "sysexit":
                raise SystemExit(9)
            case "cancelled":
                raise asyncio.CancelledError
            case "nothing":
                pass


class MisbehaveInCoroutine(Misbehave):
    """The same, behind an await."""

    async def process(self, packet, ctx):
        await asyncio.sleep(0)
        return super().process(packet, ctx)

    async def flush(self, ctx):
        await asyncio.sleep(0)
        super().flush(ctx)


class MisbehaveInGenerator(Misbehave):
    """The same, after a first item."""

    def process(self, packet, ctx):
        yield packet
        super().process(packet, ctx)

    def flush(self, ctx):
        yield Text("before the end")
        super().flush(ctx)


class MisbehaveInAsyncGenerator(Misbehave):
    """The same, after a first item and an await."""

    async def process(self, packet, ctx):
        yield packet
        await asyncio.sleep(0)
        super().process(packet, ctx)

    async def flush(self, ctx):
        yield Text("before the end")
        super().flush(ctx)


class Forever(Operator):
    """A coroutine that never returns, whatever it is told."""

    class Params(Params):
        stubborn: bool = False

    async def process(self, packet, ctx):
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if not self.params.stubborn:
                    raise


OPERATORS = [
    Pass,
    Mark,
    SlowMark,
    Twice,
    StreamTwice,
    Burst,
    AsyncBurst,
    Sum,
    LateFlush,
    Split,
    Merge,
    Join,
    JoinOrigins,
    KeepViews,
    MakeTensor,
    Measure,
    Sleep,
    First,
    Misbehave,
    MisbehaveInCoroutine,
    MisbehaveInGenerator,
    MisbehaveInAsyncGenerator,
    Forever,
]


def make_registry():
    registry = Registry()
    for cls in OPERATORS:
        registry.register(cls)
    return registry
