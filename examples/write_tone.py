"""Writes tone.wav for the other examples: two seconds of stereo.

The left channel is a tone that reaches −6 dBFS, the right one is softer by 12 dB; the second second
is silent.

    $ python examples/write_tone.py tone.wav
"""

from __future__ import annotations

import sys

import numpy as np

from operators.audio.wav_file import WavWriter
from remotemedia import Audio

RATE = 48_000


def tone(dbfs: float) -> np.ndarray:
    """A second of 440 Hz whose peaks reach a level, then a second of nothing."""
    wave = 10 ** (dbfs / 20) * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    return np.concatenate((wave, np.zeros(RATE)))


def main(path: str) -> None:
    samples = np.stack((tone(-6), tone(-18)), axis=1).astype(np.float32)
    with WavWriter(path) as file:
        file.write(Audio(samples, RATE))
    print(f"{path}: {len(samples) / RATE:.0f} s of stereo at {RATE} Hz")


if __name__ == "__main__":
    main(*sys.argv[1:])
