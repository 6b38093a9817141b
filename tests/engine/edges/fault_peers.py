"""Real processes at the other end of an edge, to be killed: run as a script by test_faults."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np

from engine.edges.doorbell import make_pair
from engine.edges.segment import Segment, create_segment
from engine.edges.shared_memory import ArenaWriter, SharedMemoryReceiver, SharedMemorySender
from engine.packet import Origin, Packet, Source
from engine.payloads import Audio

#: 10 MiB of samples.
FRAMES = (10 << 20) // 4
SEGMENT_BYTES = 64 << 20
CAPACITY = 8
PATIENCE_S = 60
ROOT = Path(__file__).parents[3]


def make_packet(number):
    samples = np.full(FRAMES, number, np.float32)
    return Packet(Audio(samples, 48_000), Source("a"), "in", 0, Origin("session", number, 0, 0))


def consume(samples):
    """Look at every sample."""
    if not (samples == samples.flat[0]).all():
        raise AssertionError("a payload that is not whole")


def make_sender(segment_fd, sock):
    writer = ArenaWriter(Segment(segment_fd, writable=True))
    return SharedMemorySender("edge", CAPACITY, writer, sock, ["in"])


def make_receiver(segment_fd, sock):
    segment = Segment(segment_fd, writable=False)
    return SharedMemoryReceiver("edge", CAPACITY, segment, sock, ["in"], Source("a"), "session")


def fill(sender, numbers):
    """Send until it is refused; whether anybody reads is not asked."""
    while sender.ready:
        if not sender.try_send(make_packet(len(numbers))):
            return
        numbers.append(len(numbers))
        sender.flush()
        if sender._closed:
            return


def take(receiver, received):
    """Look through all that has come."""
    while (item := receiver.try_receive()) is not None:
        consume(item.payload.samples)
        assert item.payload.samples.flat[0] == item.sequence == len(received)
        received.append(item.sequence)
        receiver.release()
        del item
    receiver.flush()


async def _produce(segment_fd, sock):
    """Write 10 MiB again and again, for ever."""
    sender, numbers, credit = make_sender(segment_fd, sock), [], asyncio.Event()
    sender.on_credit = credit.set
    while not sender._closed:
        credit.clear()
        fill(sender, numbers)
        sender.flush()
        await credit.wait()


async def _consume(segment_fd, sock):
    """Read whatever comes, and keep a view of every second."""
    receiver, news, kept, count = make_receiver(segment_fd, sock), asyncio.Event(), [], 0
    receiver.on_readable = news.set
    while receiver.error is None:
        news.clear()
        while (item := receiver.try_receive()) is not None:
            consume(item.payload.samples)
            count += 1
            kept = [*kept, item.payload.samples][-2:] if count % 2 else kept
            receiver.release()
            del item
        receiver.flush()
        await news.wait()


@contextlib.contextmanager
def peer(what):
    """A child with one end; gives it, the segment's descriptor and our socket."""
    segment_fd = create_segment("fault", SEGMENT_BYTES)
    ours, theirs = make_pair()
    child = subprocess.Popen(
        [sys.executable, __file__, what, str(segment_fd), str(theirs.fileno())],
        pass_fds=(segment_fd, theirs.fileno()),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
    )
    theirs.close()
    try:
        yield child, segment_fd, ours
    finally:
        child.kill()
        child.wait()
        os.close(segment_fd)


async def kill_a_producer(after):
    """Receive so many payloads, kill who writes them; how many came whole, and the edge's error."""
    with peer("produce") as (child, segment_fd, ours):
        receiver, news, received = make_receiver(segment_fd, ours), asyncio.Event(), []
        receiver.on_readable = news.set
        async with asyncio.timeout(PATIENCE_S):
            while receiver.error is None:
                news.clear()
                take(receiver, received)
                if len(received) >= after:
                    child.kill()
                if receiver.error is None:
                    await news.wait()
        receiver.dispose()
        return len(received), receiver.error


async def kill_a_consumer(after):
    """Send until so many have come through, kill who reads them; the sender's counts, its arena."""
    with peer("consume") as (child, segment_fd, ours):
        sender, numbers, credit = make_sender(segment_fd, ours), [], asyncio.Event()
        sender.on_credit = credit.set
        async with asyncio.timeout(PATIENCE_S):
            while not sender._doorbell.hung_up:
                credit.clear()
                fill(sender, numbers)
                sender.flush()
                counts = sender.statistics()
                if counts.sent - counts.in_flight - counts.queued >= after:
                    child.kill()
                if not sender._closed:
                    await credit.wait()
        sender.dispose()
        return sender.statistics(), sender._writer._arena


if __name__ == "__main__":
    run = {"produce": _produce, "consume": _consume}[sys.argv[1]]
    asyncio.run(run(int(sys.argv[2]), socket.socket(fileno=int(sys.argv[3]))))
