"""Interrupts five processors in pipecat-ai. Runs in .peers/pipecat, see `benches.peers`.

What interrupts there is an InterruptionFrame, which a processor broadcasts up and down; each that
it reaches cancels what it is at and drops its queue.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from answering import serve  # type: ignore[import-not-found]
from loguru import logger  # type: ignore[import-not-found]
from pipecat.frames.frames import (  # type: ignore[import-not-found]
    EndFrame,
    Frame,
    InterruptionFrame,
    OutputAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline  # type: ignore[import-not-found]
from pipecat.pipeline.worker import PipelineWorker  # type: ignore[import-not-found]
from pipecat.processors.frame_processor import (  # type: ignore[import-not-found]
    FrameDirection,
    FrameProcessor,
)
from pipecat.workers.runner import WorkerRunner  # type: ignore[import-not-found]

TIMEOUT_S = 60.0


@dataclass
class Numbered(OutputAudioRawFrame):  # type: ignore[misc]
    """Audio of the so-manyth interrupt."""

    number: int = 0


def sound(number: int) -> Numbered:
    """A block of 20 ms."""
    return Numbered(audio=bytes(640), sample_rate=16_000, num_channels=1, number=number)


class PassThrough(FrameProcessor):  # type: ignore[misc]
    """Pushes every frame on."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """See the base class."""
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)


class Compute(PassThrough):
    """Keeps the thread busy for a while with each block, then lets others on the loop go on.

    Without the latter it would work off its whole queue in one go, and no interruption get in.
    """

    def __init__(self, compute_ms: float) -> None:
        super().__init__()
        self._compute_ns = round(compute_ms * 1e6)
        self.busy = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """See the base class."""
        if isinstance(frame, Numbered):
            self.busy.set()
            until_ns = time.monotonic_ns() + self._compute_ns
            while time.monotonic_ns() < until_ns:
                pass
            await asyncio.sleep(0)
        await super().process_frame(frame, direction)


class Watching(PassThrough):
    """The last of them: notes when the interruption came, and what came behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.begin(0)

    def begin(self, number: int) -> None:
        """Wait for the interrupt of this number, and for the first block that is sent after it."""
        self._number = number
        self.returned = False
        self.interrupted_ns = 0
        self.first_new_ns = 0
        self.stale = self.stale_after_call = 0
        self.came = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """See the base class."""
        if isinstance(frame, InterruptionFrame) and not self.interrupted_ns:
            self.interrupted_ns = time.perf_counter_ns()
        elif isinstance(frame, Numbered) and frame.number < self._number:
            self.stale += bool(self.interrupted_ns)
            self.stale_after_call += self.returned
        elif isinstance(frame, Numbered) and not self.first_new_ns:
            self.first_new_ns = time.perf_counter_ns()
            self.came.set()
        await super().process_frame(frame, direction)


class Row:
    """A pipeline that runs."""

    def __init__(self, stages: int, slow: int, compute_ms: float) -> None:
        self.first, self.last = PassThrough(), Watching()
        self.slow = Compute(compute_ms)
        between = [PassThrough() for _ in range(stages - 3)]
        processors = [self.first, *between[: slow - 1], self.slow, *between[slow - 1 :], self.last]
        self.worker = PipelineWorker(Pipeline(processors))
        self.answer: dict[str, Any] = {
            "acknowledged_ms": [],
            "first_new_ms": [],
            "stale": 0,
            "stale_after_call": 0,
        }

    async def interrupt(self, number: int, queued: int) -> None:
        """Interrupt once, with so many blocks under way."""
        last, answer = self.last, self.answer
        if queued:
            self.slow.busy.clear()
            await self.worker.queue_frames([sound(number - 1) for _ in range(queued)])
            await self.slow.busy.wait()
        last.begin(number)
        called_ns = time.perf_counter_ns()
        await self.first.broadcast_interruption()
        last.returned = True
        await self.worker.queue_frame(sound(number))
        await last.came.wait()
        if not last.interrupted_ns:
            raise AssertionError("what was sent after the interruption has overtaken it")
        answer["acknowledged_ms"].append((last.interrupted_ns - called_ns) / 1e6)
        answer["first_new_ms"].append((last.first_new_ns - called_ns) / 1e6)
        answer["stale"] += last.stale
        answer["stale_after_call"] += last.stale_after_call


async def run(
    stages: int, slow: int, compute_ms: float, queued: int, interrupts: int
) -> dict[str, Any]:
    """Measure one pipeline."""
    row = Row(stages, slow, compute_ms)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(row.worker)
    running = asyncio.create_task(runner.run())
    async with asyncio.timeout(TIMEOUT_S):
        await row.worker.queue_frame(sound(0))
        await row.last.came.wait()
        for number in range(1, interrupts + 1):
            await row.interrupt(number, queued)
    await row.worker.queue_frame(EndFrame())
    await running
    return row.answer


if __name__ == "__main__":
    logger.remove()
    serve(lambda **load: asyncio.run(run(**load)))
