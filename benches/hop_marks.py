"""Where a hop's time goes: `python -m benches.hop_marks [SIZE [in-place]]` puts clock marks in it.

In ping-pong, both nodes put marks around the steps that the engine takes in their processes. It
looks inside the engine on purpose, and breaks with it. A mark costs 0.1 to 0.2 µs. What stands
beside a step is the median of all hops, since the step before.

    producer   stamp ─ turn ─ try_send ─ write ─ written ─ send ─ sent
    consumer                                                     └─ woken ─ read ─ turn ─ receive ─
                                                                    received ─ process
"""

from __future__ import annotations

import asyncio
import gc
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from benches.hop_nodes import HopConsumer, HopProducer
from benches.hop_ours import run_session
from benches.report import machine, machine_line
from benches.scripts.hop_work import PING_PONG, Load
from engine.edges.shared_memory import ArenaWriter, SharedMemoryReceiver, SharedMemorySender
from engine.hosts import AsyncioHost

if TYPE_CHECKING:
    from remotemedia import Context, Packet

MESSAGES = 2_000
CHECKED = 50
SENDING = ("stamp", "turn", "try_send", "write", "written", "send", "sent")
TAKING = ("woken", "read", "turn", "receive", "received", "process")

Found = TypeVar("Found")


class Marks:
    """The last time each step was reached, and a row of these times for each message."""

    def __init__(self, steps: tuple[str, ...], path: Path) -> None:
        self._steps = steps
        self._path = path
        self._last = dict.fromkeys(steps, 0)
        self._rows: list[tuple[int, ...]] = []

    def reached(self, step: str) -> None:
        """A step begins now."""
        self._last[step] = time.monotonic_ns()

    def around(self, owner: Any, name: str, before: str, after: str = "") -> None:
        """Mark the calls of one object's method."""
        inner = getattr(owner, name)

        def marked(*args: Any, **kwargs: Any) -> Any:
            self.reached(before)
            result = inner(*args, **kwargs)
            if after:
                self.reached(after)
            return result

        setattr(owner, name, marked)

    def end_row(self) -> None:
        """The message is through."""
        self._rows.append(tuple(self._last[step] for step in self._steps))

    def save(self) -> None:
        """Write all rows, one column a step."""
        np.save(self._path, np.array(self._rows, np.int64))


class MarkedProducer(HopProducer):
    """A producer that marks what its worker does."""

    node_type = "MarkedProducer"

    def process(self, packet: Packet, ctx: Context) -> Any:
        """See `Operator`."""
        marks = self._marks = Marks(SENDING, Path(f"{self.params.way_back}.producer.npy"))
        marks.around(_only(AsyncioHost), "_turn", "turn")
        sender = _only(SharedMemorySender)
        marks.around(sender, "try_send", "try_send")
        marks.around(_only(ArenaWriter), "write", "write", "written")
        marks.around(sender._doorbell, "send", "send", "sent")  # noqa: SLF001 - on purpose
        marks.around(self._sender, "stamp", "stamp")
        return super().process(packet, ctx)

    def _emit_one(self, ctx: Context) -> None:
        if self._index:
            self._marks.end_row()
        if self._index == self._load.total:
            self._marks.save()
        super()._emit_one(ctx)


class MarkedConsumer(HopConsumer):
    """A consumer that marks what its worker does."""

    node_type = "MarkedConsumer"

    async def initialize(self, ctx: Context) -> None:
        """See `Operator`."""
        await super().initialize(ctx)
        marks = self._marks = Marks(TAKING, Path(f"{self.params.way_back}.consumer.npy"))
        receiver = _only(SharedMemoryReceiver)
        doorbell: Any = receiver._doorbell  # noqa: SLF001 - on purpose
        marks.around(doorbell, "_on_message", "read")
        marks.around(doorbell, "_receive", "woken")
        asyncio.get_running_loop().add_reader(doorbell._socket.fileno(), doorbell._receive)  # noqa: SLF001
        marks.around(_only(AsyncioHost), "_turn", "turn")
        marks.around(receiver, "try_receive", "receive", "received")

    def process(self, packet: Packet, ctx: Context) -> Any:
        """See `Operator`."""
        self._marks.reached("process")
        self._marks.end_row()
        if packet.payload.array.dtype == np.int64:  # type: ignore[union-attr]
            self._marks.save()
        return super().process(packet, ctx)


def _only(kind: type[Found]) -> Found:
    """The one object of a kind in this process."""
    found = [each for each in gc.get_objects() if isinstance(each, kind)]
    assert len(found) == 1, f"there are {len(found)} of {kind.__name__}"
    return found[0]


def main(size_bytes: int = 4096, *, in_place: bool = False) -> None:
    """Run once, and print a table."""
    load = Load(size_bytes, PING_PONG, in_place, MESSAGES, CHECKED)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asyncio.run(run_session(load, folder, MarkedProducer, MarkedConsumer))
        sent = np.load(folder / "way_back.producer.npy")
        taken = np.load(folder / "way_back.consumer.npy")
    times = np.hstack([sent[: load.total], taken[: load.total]])[CHECKED : CHECKED + MESSAGES]
    steps = [f"producer {step}" for step in SENDING] + [f"consumer {step}" for step in TAKING]
    print(f"{size_bytes} bytes{', in place' * in_place}: {machine_line(machine())}")
    for step, took_ns in zip(steps[1:], np.diff(times).T, strict=True):
        print(f"{step:<20} {np.median(took_ns) / 1e3:8.1f} µs")
    print(f"{'all':<20} {np.median(times[:, -1] - times[:, 0]) / 1e3:8.1f} µs")


if __name__ == "__main__":
    main(*[int(word) for word in sys.argv[1:2]], in_place="in-place" in sys.argv[2:])
