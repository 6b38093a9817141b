"""Make a short clip: a bar that walks over the picture, and a tone.

    $ python examples/make_clip.py clip.webm

Video and audio go to ports of their own of one node, each with its media time.
"""

from __future__ import annotations

import asyncio
import sys

import numpy as np

from operators.media.writer import MediaWriter
from remotemedia import Audio, Pipeline, Video

WIDTH, HEIGHT, FRAMES, FRAMES_PER_S = 320, 240, 50, 25
SAMPLE_RATE = 48_000


def picture(number: int) -> Video:
    pixels = np.full((HEIGHT, WIDTH, 3), (16, 64, 96), np.uint8)
    left = number * (WIDTH - 20) // FRAMES
    pixels[: HEIGHT // 2, left : left + 20] = (240, 180, 40)  # in the upper half only
    return Video(pixels, "rgb24", frame_number=number)


def sound(number: int) -> Audio:
    frames = SAMPLE_RATE // FRAMES_PER_S
    time_s = (np.arange(frames) + number * frames) / SAMPLE_RATE
    return Audio((0.3 * np.sin(2 * np.pi * 440 * time_s)).astype(np.float32), SAMPLE_RATE)


async def main(path: str) -> None:
    pipeline = Pipeline("clip") | MediaWriter(output_path=path)
    async with pipeline.session() as session:
        for number in range(FRAMES):
            time_ns = number * 1_000_000_000 // FRAMES_PER_S
            await session.send(picture(number), port="video", timestamp_ns=time_ns)
            await session.send(sound(number), port="audio", timestamp_ns=time_ns)
        await session.end_input()
        async for packet in session.outputs():
            print(f"{packet.payload.path}: {FRAMES} frames of {WIDTH} × {HEIGHT}, with sound")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
