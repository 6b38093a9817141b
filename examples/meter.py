"""Meters a sound file and draws its level.

Shows a pipeline of one operator, fed from a file block by block.

    $ python examples/write_tone.py tone.wav
    $ python examples/meter.py tone.wav
"""

from __future__ import annotations

import sys

from operators.audio.level import AudioLevel
from operators.audio.wav_file import read_blocks
from remotemedia import Pipeline

#: Levels from here to 0 dBFS are drawn, one character for three decibels.
LOWEST_DBFS = -60


def main(path: str) -> None:
    pipeline = Pipeline("meter") | AudioLevel(window_ms=250)
    for packet in pipeline.run(read_blocks(path)):
        said = packet.payload.value
        bar = "█" * round((max(said["rms_dbfs"], LOWEST_DBFS) - LOWEST_DBFS) / 3)
        print(f"{said['timestamp_ms']:5} ms {said['rms_dbfs']:8.2f} dBFS {bar}".rstrip())


if __name__ == "__main__":
    main(*sys.argv[1:])
