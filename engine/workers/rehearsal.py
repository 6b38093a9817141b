"""A worker's work, gone through once in the zygote, so that every worker finds it warm.

A worker shares the zygote's memory until it writes to it. Much is written to when it is first run:
the interpreter's caches inside the code, the libraries' tables, the heap they come from. Here a
stage of one node runs to its end over real edges, and its memory is then everybody's.

It leaves no thread, no descriptor and no mapping behind: the zygote is about to fork.
Source: NFR-002, NFR-004.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from typing import TYPE_CHECKING, Final

import numpy as np

from engine.edges.doorbell import make_pair
from engine.edges.segment import Segment, create_segment
from engine.edges.shared_memory import ArenaWriter, SharedMemoryReceiver, SharedMemorySender
from engine.loops import new_event_loop
from engine.operator import Operator
from engine.packet import Origin, Packet, Source
from engine.payloads import Audio, Json, Text
from engine.plan import EdgePlan, NodePlan, StagePlan
from engine.workers.channel import packet_socketpair
from engine.workers.control_page import ControlPage, create_page
from engine.workers.lane import Lane
from engine.workers.stage_runner import run_stages
from engine.workers.stage_spec import EdgeSpec, StageSpec

if TYPE_CHECKING:
    import socket

    from engine.context import NodeContext
    from engine.payloads import Payload

#: The interpreter adapts its code after eight calls; more change nothing in a worker's memory.
_ROUNDS: Final = 10
_CAPACITY: Final = 8
_SEGMENT_BYTES: Final = 4 << 20
#: Larger than what is copied at receive.
_LEASED_FRAMES: Final = 40_000
_TIMEOUT_S: Final = 10.0
_SESSION_ID: Final = "rehearsal"


class Echo(Operator):
    """Hands on what it gets: every other packet as it is, the rest as a new payload."""

    def process(self, packet: Packet, ctx: NodeContext) -> Packet | Payload:  # type: ignore[override]
        """See `Operator`."""
        payload = packet.payload
        if packet.sequence % 2 or type(payload) is not Audio:
            return packet
        samples = ctx.empty(payload.samples.shape, payload.samples.dtype)
        np.copyto(samples, payload.samples)
        return Audio(samples, payload.sample_rate)


def rehearse() -> None:
    """Run a stage; for a process without threads, on its main thread, before it forks."""
    wakeup_fd = signal.set_wakeup_fd(-1)  # uvloop sets its own, and takes it away again
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(_play())
    finally:
        signal.set_wakeup_fd(wakeup_fd, warn_on_full_buffer=False)
    gc.collect()  # sockets and mappings that only cycles hold


async def _play() -> None:
    segments = [create_segment("rehearsal", _SEGMENT_BYTES) for _ in range(2)]
    doorbells = [make_pair() for _ in range(2)]
    server, worker = packet_socketpair()
    page_fd = create_page(in_edges=1)
    lane = Lane(worker, ControlPage.of_fd(page_fd))
    theirs = [doorbells[0][1].detach(), segments[0], doorbells[1][0].detach(), segments[1]]
    mapped = [Segment(segments[0], writable=True), Segment(segments[1], writable=False)]
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await asyncio.gather(
                run_stages(_spec(), theirs, lane),
                _exchange(mapped, doorbells[0][0], doorbells[1][1]),
            )
    finally:
        for segment in mapped:
            segment.close()
        for fd in (*segments, page_fd):
            os.close(fd)
        server.close()
        worker.close()


async def _exchange(mapped: list[Segment], near: socket.socket, far: socket.socket) -> None:
    """Send payloads of each way an edge has, and take what comes back."""
    source = Source("echo")
    sender = SharedMemorySender("in", _CAPACITY, ArenaWriter(mapped[0]), near, ("in",))
    receiver = SharedMemoryReceiver("out", _CAPACITY, mapped[1], far, ("",), source, _SESSION_ID)
    came = asyncio.Event()
    receiver.on_readable = came.set
    payloads = (
        Audio(np.zeros(320, np.float32), 16_000),
        Audio(np.zeros(_LEASED_FRAMES, np.float32), 16_000),
        Text("text"),
        Json({"number": 1}),
    )
    for number in range(_ROUNDS * len(payloads)):
        origin = Origin(_SESSION_ID, number, 0, 0)
        sender.try_send(Packet(payloads[number % len(payloads)], Source("", ""), "in", 0, origin))
        sender.flush()
        while receiver.try_receive() is None:
            came.clear()
            await came.wait()
        receiver.release()
        receiver.flush()
    sender.finish()
    while not receiver.ended:
        came.clear()
        await came.wait()
    sender.dispose()
    receiver.dispose()


def _spec() -> StageSpec:
    node = NodePlan(
        id="echo",
        node_type="Echo",
        target=f"{__name__}:{Echo.__qualname__}",
        params={},
        inputs=("in",),
        outputs=("out",),
        executor="process",
        rule="manifest",
    )
    ends = ("in", None, "echo", "in"), ("out", "echo", None, "")
    edges = [
        EdgePlan(
            id=name,
            source_stage=source,
            target_stage=target,
            source_node="echo",
            source_port="" if source is None else "out",
            target_node="echo",
            target_port=port,
            kind="shared_memory",
            capacity=_CAPACITY,
        )
        for name, source, target, port in ends
    ]
    return StageSpec(
        _SESSION_ID,
        (StagePlan("echo", "process", (node,)),),
        checksums=False,
        receivers=(EdgeSpec(edges[0], ("in",), Source("", ""), 0, 1, 1, 0),),
        senders=(EdgeSpec(edges[1], ("",), Source("echo"), 2, 3, 1, 0),),
    )
