"""Five pass-through processors in pipecat-ai. Runs in .peers/pipecat, see `benches.peers`.

Two ways: as a user gets it, and lean, with all left out that can be.
"""

import asyncio
import time
from typing import Any

from answering import serve  # type: ignore[import-not-found]
from loguru import logger  # type: ignore[import-not-found]
from pipecat.frames.frames import (  # type: ignore[import-not-found]
    EndFrame,
    Frame,
    OutputAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline  # type: ignore[import-not-found]
from pipecat.pipeline.worker import PipelineWorker  # type: ignore[import-not-found]
from pipecat.processors.frame_processor import (  # type: ignore[import-not-found]
    FrameDirection,
    FrameProcessor,
)
from pipecat.workers.runner import WorkerRunner  # type: ignore[import-not-found]

NODES = 5
WARM_UP = 500
TIMEOUT_S = 60.0
#: Frames under way at once, as many as our edges have credits. pipecat would take all of them at
#: once; its priority queues make that slower.
WINDOW = 100
#: What a PipelineWorker adds by default and can do without.
LEAN = {"enable_rtvi": False, "enable_turn_tracking": False, "idle_timeout_secs": None}


class PassThrough(FrameProcessor):  # type: ignore[misc]
    """Pushes every frame on."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """See the base class."""
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)


class Counting(PassThrough):
    """The last of them: checks count and order as the frames pass."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.expected: list[Frame] = []
        self.count = 0
        self.waited_for = 0
        self.reached = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """See the base class."""
        if isinstance(frame, OutputAudioRawFrame):
            if frame is not self.expected[self.count]:
                raise AssertionError(f"frame {self.count} is out of order")
            self.count += 1
            if self.count == self.waited_for:
                self.reached.set()
        await super().process_frame(frame, direction)


async def run(packets: int, *, lean: bool) -> dict[str, float]:
    """Measure one pipeline."""
    last = Counting(enable_direct_mode=lean)
    processors = [PassThrough(enable_direct_mode=lean) for _ in range(NODES - 1)]
    worker = PipelineWorker(Pipeline([*processors, last]), **(LEAN if lean else {}))
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    await pass_through(worker, last, WARM_UP)
    took = await pass_through(worker, last, packets)
    await worker.queue_frame(EndFrame())
    await running
    return took


async def pass_through(worker: PipelineWorker, last: Counting, packets: int) -> dict[str, float]:
    """Send frames through and wait for the last one; making them is not measured."""
    frames = [
        OutputAudioRawFrame(audio=bytes(640), sample_rate=16_000, num_channels=1)
        for _ in range(packets)
    ]
    last.expected, last.count = frames, 0
    started, started_cpu = time.perf_counter(), time.process_time()
    async with asyncio.timeout(TIMEOUT_S):
        for first in range(0, packets, WINDOW):
            window = frames[first : first + WINDOW]
            last.waited_for = first + len(window)
            last.reached.clear()
            await worker.queue_frames(window)
            await last.reached.wait()
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - started_cpu
    assert last.count == packets
    return {"seconds": seconds, "cpu_seconds": cpu_seconds}


if __name__ == "__main__":
    logger.remove()
    serve(lambda packets, lean: asyncio.run(run(packets, lean=lean)))
