"""The two nodes of `benches.bench_hop`, as a user would write them: a producer and a consumer.

    ping-pong   a graph has no cycles, so the way back is not ours: the consumer writes a byte into
                a named pipe, and the producer, which watches it on its loop, emits the next message
    paced       a timer of the producer's emits every 5 ms
    saturated   a generator is pulled as quickly as the edge takes packets

One input starts each of them.

The last message is followed by the producer's report, which the consumer passes on with its own.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from benches.scripts.hop_work import (
    PACE_NS,
    PACED,
    PING_PONG,
    SATURATED,
    Load,
    Report,
    Sender,
    Taker,
)
from remotemedia import Operator, Params, Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benches.scripts.hop_work import Floats
    from remotemedia import Context, Packet


class HopParams(Params):
    """A load, see `benches.scripts.hop_work.Load`."""

    size_bytes: int = Field(description="of each message")
    mode: str = Field(description="ping-pong, paced or saturated")
    in_place: bool = Field(description="messages are filled in the outgoing arena")
    messages: int = Field(description="how many are measured")
    checked: int = Field(description="how many before and after them are compared by checksum")
    way_back: str = Field(description="path of the pipe by which the consumer answers")

    def load(self) -> Load:
        """The same as a tuple."""
        return Load(self.size_bytes, self.mode, self.in_place, self.messages, self.checked)


class HopProducer(Operator):
    """Fills, stamps and emits messages."""

    Params = HopParams
    default_executor = "process"

    async def initialize(self, ctx: Context) -> None:
        """See `Operator`."""
        self._load: Load = self.params.load()
        self._sender = Sender(self._load)
        self._index = 0
        self._due_ns = 0
        self._pipe: int | None = None

    def process(self, packet: Packet, ctx: Context) -> Iterator[Tensor] | None:
        """See `Operator`."""
        if self._load.mode == SATURATED:
            return self._all(ctx)
        if self._load.mode == PACED:
            self._due_ns = time.monotonic_ns()
            self._wait(ctx)
        else:
            self._pipe = os.open(self.params.way_back, os.O_RDONLY | os.O_NONBLOCK)
            asyncio.get_running_loop().add_reader(self._pipe, self._answered, ctx)
            self._emit_one(ctx)
        return None

    async def cleanup(self) -> None:
        """See `Operator`."""
        if self._pipe is not None:
            asyncio.get_running_loop().remove_reader(self._pipe)
            os.close(self._pipe)

    def _all(self, ctx: Context) -> Iterator[Tensor]:
        for index in range(self._load.total):
            yield self._message(index, ctx)
        yield to_tensor(self._sender.report())

    def _answered(self, ctx: Context) -> None:
        assert self._pipe is not None
        if os.read(self._pipe, 1):
            self._emit_one(ctx)

    def _wait(self, ctx: Context) -> None:
        self._due_ns += PACE_NS
        delay_ns = max(0, self._due_ns - time.monotonic_ns())
        ctx.call_later(delay_ns / 1e9, lambda: self._tick(ctx))

    def _tick(self, ctx: Context) -> None:
        self._emit_one(ctx)
        if self._index <= self._load.total:
            self._wait(ctx)

    def _emit_one(self, ctx: Context) -> None:
        index = self._index
        self._index += 1
        if index < self._load.total:
            ctx.emit(self._message(index, ctx))
        else:
            ctx.emit(to_tensor(self._sender.report()))

    def _message(self, index: int, ctx: Context) -> Tensor:
        def arena(words: int) -> Floats:
            reserved: Floats = ctx.empty((words,), np.float32)  # type: ignore[assignment]
            return reserved

        array = self._sender.fill(index, arena if self._load.in_place else None)
        self._sender.stamp()
        return Tensor(array)


class HopConsumer(Operator):
    """Stamps and checks messages."""

    Params = HopParams
    default_executor = "process"

    async def initialize(self, ctx: Context) -> None:
        """See `Operator`."""
        load: Load = self.params.load()
        self._taker = Taker(load)
        self._pipe: int | None = None
        if load.mode == PING_PONG:  # for reading, too: it would block until somebody reads
            self._pipe = os.open(self.params.way_back, os.O_RDWR)

    async def cleanup(self) -> None:
        """See `Operator`."""
        if self._pipe is not None:
            os.close(self._pipe)

    def process(self, packet: Packet, ctx: Context) -> list[Tensor] | None:
        """See `Operator`."""
        now_ns = time.monotonic_ns()
        payload = packet.expect(Tensor)
        if payload.array.dtype == np.int64:
            return [payload, to_tensor(self._taker.report())]
        self._taker.take(payload.array, now_ns)
        if self._pipe is not None:
            os.write(self._pipe, b"!")
        return None


def to_tensor(report: Report) -> Tensor:
    """A report as a payload."""
    return Tensor(np.array([report.cpu_ns, *report.stamps_ns], np.int64))


def from_tensor(payload: Tensor) -> Report:
    """Undo `to_tensor`."""
    cpu_ns, *stamps_ns = payload.array.tolist()
    return Report(stamps_ns, cpu_ns)
