"""Turn a video upside down, its sound as it is.

    $ python examples/flip_video.py clip.webm flipped.webm

The reader decodes no further ahead than the writer has written.
"""

from __future__ import annotations

import sys

from operators.media.reader import MediaReader
from operators.media.writer import MediaWriter
from operators.video.flip import VideoFlip
from remotemedia import Pipeline

if __name__ == "__main__":
    source, target = sys.argv[1:]
    pipeline = (
        Pipeline("flip")
        | MediaReader(path=source)
        | VideoFlip(direction="vertical")
        | MediaWriter(output_path=target)
    )
    for packet in pipeline.run([]):
        print(f"{packet.payload.path}: {packet.payload.mime_type}")
