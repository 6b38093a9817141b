"""Transcode the sound of any media file to mono of 16 kHz.

$ python examples/transcode.py clip.webm sound.wav
"""

from __future__ import annotations

import sys

from operators.media.reader import MediaReader
from operators.media.writer import MediaWriter
from remotemedia import Pipeline

if __name__ == "__main__":
    source, target = sys.argv[1:]
    reader = MediaReader(path=source, streams="audio", audio_rate=16_000, audio_channels=1)
    pipeline = Pipeline("transcode") | reader | MediaWriter(output_path=target)
    for packet in pipeline.run([]):
        print(f"{packet.payload.path}: {packet.payload.mime_type}")
