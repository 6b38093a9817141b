"""A hop of ours, by the public API: a producer and a consumer, each in a worker of its own."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benches.hop_nodes import HopConsumer, HopProducer, from_tensor
from benches.scripts.hop_work import Load, Report, outcome
from engine.config import load_settings
from remotemedia import Pipeline, Tensor

if TYPE_CHECKING:
    from engine.session.session import Session

TIMEOUT_S = 60.0


def measure(load: Load) -> dict[str, Any]:
    """Measure one load.

    Returns:
        See `benches.scripts.hop_work.outcome`. Nothing else is on the way: workers talk to each
        other.

    Raises:
        NodeError: a message was not the one that was due.
        TimeoutError: it took more than a minute.
    """
    with tempfile.TemporaryDirectory() as folder:
        sent, taken = asyncio.run(run_session(load, Path(folder)))
    return outcome(load, sent, taken)


async def run_session(
    load: Load,
    folder: Path,
    producer: type[HopProducer] = HopProducer,
    consumer: type[HopConsumer] = HopConsumer,
) -> tuple[Report, Report]:
    """Run a session until both nodes have reported; see `measure`.

    Args:
        load: what to send.
        folder: an empty one, for the way back.
        producer: the producing node.
        consumer: the consuming one.
    """
    way_back = folder / "way_back"
    os.mkfifo(way_back)
    settings = {**load._asdict(), "way_back": str(way_back)}
    # The same number under way as with everybody else.
    bounded = dataclasses.replace(load_settings(), channel_capacity=load.window)
    pipeline = Pipeline("hop", settings=bounded) | producer(**settings) | consumer(**settings)
    async with asyncio.timeout(TIMEOUT_S), pipeline.session() as session:
        assert len({stage.pid for stage in session.stages}) == 2, "two workers were wanted"
        await session.send(Tensor(np.zeros(1)))
        sent, taken = [await _report(session) for _ in range(2)]
        return from_tensor(sent), from_tensor(taken)


async def _report(session: Session) -> Tensor:
    packet = await session.receive()
    assert packet is not None, "the session ended before the report"
    return packet.expect(Tensor)
