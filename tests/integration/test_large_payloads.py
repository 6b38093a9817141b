"""Payloads of any length across processes, and what their arenas hold on to."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from engine.errors import EdgeError, NodeError
from engine.payloads import Json, Tensor
from tests.integration.conftest import PATIENCE_S, graph, run

pytestmark = pytest.mark.process

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
#: What a payload of 1 GiB takes: itself here, and its slot.
NEEDED_BYTES = 3 * GIB


def available_bytes():
    """Memory the system could give now."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, value = line.split(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * KIB
    return 0


gigabyte = pytest.mark.skipif(
    available_bytes() < NEEDED_BYTES, reason="needs 3 GiB of available memory"
)


@pytest.mark.parametrize(
    "size_bytes",
    [0, 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 10 * MIB + 3, pytest.param(GIB, marks=gigabyte)],
)
async def test_a_payload_of_any_length_is_sent_and_made_in_place(size_bytes):
    """The one way as an argument, written into the arena; the other made there by `ctx.empty`."""
    ends = [7] * min(size_bytes, 1) * 2
    sent = np.zeros(size_bytes, np.uint8)
    sent[:1] = sent[-1:] = 7
    settings = {"shm_segment_bytes": 2 * GIB}
    measure = graph({"measure": "Measure"}, [], placed="process", **settings)
    assert [p.payload.value for p in await run(measure, [Tensor(sent)])] == [[size_bytes, *ends]]
    del sent
    made = graph(
        {"make": "MakeTensor", "measure": "Measure"},
        ["make->measure"],
        placed="process",
        **settings,
    )
    assert [p.payload.value for p in await run(made, [Json(size_bytes)])] == [[size_bytes, *ends]]


async def test_a_payload_beyond_the_segment_says_what_to_raise():
    pipeline = graph({"measure": "Measure"}, [], placed="process", shm_segment_bytes=MIB)
    with pytest.raises(EdgeError, match=r"can never fit .* raise shm_segment_size to at least"):
        await run(pipeline, [Tensor(np.zeros(2 * MIB, np.uint8))])


async def test_an_output_beyond_the_segment_names_its_node():
    pipeline = graph({"make": "MakeTensor"}, [], placed="process", shm_segment_bytes=MIB)
    with pytest.raises(NodeError, match="raise shm_segment_size to at least") as raised:
        await run(pipeline, [Json(2 * MIB)])
    assert raised.value.node_id == "make"


async def test_copies_given_to_who_holds_too_many_views_are_counted():
    pipeline = graph({"make": "MakeTensor"}, [], placed="process", shm_segment_bytes=4 * MIB)
    async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
        held = [packet async for packet in session.stream([Json(MIB // 2)] * 12)]
        edges = session.statistics().edges
    assert len(held) == 12
    assert 0 < edges["make.out→"].copies < 12
    assert edges["→make"].copies == 0


def touched_bytes(name):
    """Memory behind the arenas of this process that are called so."""
    touched = 0
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    for line in lines:
        if f"/memfd:remotemedia-{name}" in line:
            touched += next(
                int(entry.split()[1]) * KIB for entry in lines if entry.startswith("Rss:")
            )
    return touched


async def test_a_burst_of_large_packets_is_given_back():
    """Behind a burst comes nothing: a second later its memory is the system's again."""
    pipeline = graph({"measure": "Measure"}, [], placed="process")
    async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
        for _ in range(12):
            await session.send(Tensor(np.ones(8 * MIB, np.uint8)))
        peak = touched_bytes("ingress")
        for _ in range(12):
            assert (await session.receive()).payload.value[0] == 8 * MIB
        assert peak >= 64 * MIB
        # The system says by no event that memory is its own again.
        while touched_bytes("ingress") > 2 * MIB:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_slow_consumer_of_large_packets_holds_no_more_than_its_window():
    """Frames of 10 MiB before a consumer that sleeps: touched is the window and one arena."""
    capacity, frames = 4, 10 * MIB // 4
    pipeline = graph(
        {
            "burst": ("Burst", {"count": 40, "frames": frames}),
            "slow": ("Sleep", {"seconds": 0.05}),
        },
        ["burst->slow"],
        placed="process",
        channel_capacity=capacity,
    )
    peak = 0
    async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
        await session.send(Json(0))
        await session.end_input()
        pids = [stage.pid for stage in session.stages if stage.pid]
        received = 0
        async for _ in session.outputs():
            received += 1
            if received > 30:  # who made the last ones may have ended
                continue
            peak = max(peak, *(shared_bytes(pid, "burst") for pid in pids))
    assert received == 40
    # The window, one that is being written, and one whose views are just dying.
    assert 0 < peak <= (capacity + 2) * 10 * MIB + MIB


def shared_bytes(pid, name):
    """Memory of an arena that a process has touched."""
    touched, inside = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if "-" in line.split()[0] and ":" not in line.split()[0]:
            inside = f"/memfd:remotemedia-{name}" in line
        elif inside and line.startswith("Rss:"):
            touched = max(touched, int(line.split()[1]) * KIB)
    return touched


async def test_hops_are_timed_on_every_edge():
    """Also between two processes, where neither end is here."""
    pipeline = graph(
        {"a": "Pass", "b": "Pass", "c": "Pass"},
        ["a->b", "b->c"],
        placed={"a": "process", "b": "process"},
    )
    async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
        for number in range(50):
            await session.send(Json(number))
            assert await session.receive() is not None
        edges = session.statistics().edges
        assert edges["→a"].hops.measured == edges["a.out→b.in"].hops.measured == 50
        assert edges["b.out→c.in"].hops.measured == 50
        for edge_id, counts in edges.items():
            hops = counts.hops
            assert 0 < hops.p50_us <= hops.p99_us <= hops.max_us < PATIENCE_S * 1e6, edge_id
    after = session.statistics().edges
    assert after["a.out→b.in"].hops.measured == 50
