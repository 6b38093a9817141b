"""What a packet costs inside one place, layer by layer, for five pass-through nodes.

- edge: sent, received and released on one local edge
- adapters: pushed through the five adapters, into nothing
- stage: edge, turn, five adapters, exit, edge; everything but the session
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine.compile import compile_stage, make_operators
from engine.edges.local import LocalEdge
from engine.packet import Origin, Packet, Source
from engine.payloads import Audio
from engine.pipeline import Pipeline
from engine.stage import Stage
from operators.flow.pass_through import PassThrough

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

NODES = 5
#: Packets a call, as many as a stage takes in one run; divide by it.
PACKETS = 64


class Host:
    """Drives nothing: the bench calls the stage itself."""

    now_ns = staticmethod(time.monotonic_ns)

    def wake(self) -> None:
        """The bench runs the stage when it is time."""

    def finished(self, stage: Stage) -> None:
        """A stage that ends before the bench does has failed."""
        if stage.error is not None:
            raise stage.error

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a chain of synchronous operators asked its host for {name}")


class Nowhere(LocalEdge):
    """Takes everything."""

    def try_send(self, item: Any) -> bool:
        """See `LocalEdge`."""
        del item
        return True


@pytest.fixture
def packets() -> list[Packet]:
    audio = Audio(np.zeros(320, np.int16), 16_000)
    return [
        Packet(audio, Source("", ""), "in", 0, Origin("bench", number, 0, 0))
        for number in range(PACKETS)
    ]


def make_stage(exit_edge: type[LocalEdge] = LocalEdge) -> tuple[Stage, LocalEdge, LocalEdge]:
    """A stage of pass-through nodes between two edges."""
    pipeline = Pipeline("micro")
    for _ in range(NODES):
        pipeline = pipeline | PassThrough().on("local")
    plan = pipeline.plan()
    (stage_plan,) = plan.stages
    ingress = next(edge for edge in plan.edges if edge.source_stage is None)
    egress = next(edge for edge in plan.edges if edge.target_stage is None)
    before, behind = LocalEdge("in", ingress.capacity), exit_edge("out", egress.capacity)
    stage = Stage(stage_plan.id, "bench", Host())
    compile_stage(
        stage_plan, make_operators(stage_plan), stage, [(ingress, before)], [(egress, behind)]
    )
    return stage, before, behind


def take_all(edge: LocalEdge) -> int:
    """Receive and release what is there."""
    count = 0
    while edge.try_receive() is not None:
        edge.release()
        count += 1
    return count


def test_edge(benchmark: BenchmarkFixture, packets: list[Packet]) -> None:
    edge = LocalEdge("edge", PACKETS)

    def through() -> int:
        for packet in packets:
            edge.try_send(packet)
        return take_all(edge)

    assert benchmark(through) == PACKETS


def test_adapters(benchmark: BenchmarkFixture, packets: list[Packet]) -> None:
    stage, _, _ = make_stage(Nowhere)
    first, last = stage.adapters[0], stage.adapters[-1]

    def through() -> None:
        for packet in packets:
            first.on_next(packet)

    benchmark(through)
    assert stage.error is None
    counts = stage.statistics().nodes
    assert counts[last.node_id].emitted == counts[first.node_id].received > 0


def test_stage(benchmark: BenchmarkFixture, packets: list[Packet]) -> None:
    stage, before, behind = make_stage()

    def through() -> int:
        for packet in packets:
            before.try_send(packet)
        stage.run()
        return take_all(behind)

    assert benchmark(through) == PACKETS
    assert stage.error is None
