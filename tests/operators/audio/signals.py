"""Signals of known level, and how to cut them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from engine.payloads import Audio

#: Audio formats an operator may meet: dtype → full scale.
SCALES = {np.float32: 1.0, np.int16: 32_768.0, np.int32: 2_147_483_648.0}
DTYPES = list(SCALES)

#: Sizes of packets, used in turn.
sizes = st.lists(st.integers(1, 700), min_size=1, max_size=8)


def encoded(wave, dtype):
    """A wave of full scale 1 in a dtype, rounded and clipped."""
    if dtype == np.float32:
        return wave.astype(np.float32)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(wave * SCALES[dtype]), limits.min, limits.max).astype(dtype)


def sine(dbfs, *, rate=48_000, frames=48_000, frequency=1_000, phase=0.0, dtype=np.float32):
    """Samples of shape (frames, 1): a sine whose peaks have this level."""
    time = np.arange(frames) / rate
    wave = 10 ** (dbfs / 20) * np.sin(2 * np.pi * frequency * time + phase)
    return encoded(wave, dtype).reshape(-1, 1)


def audio(*channels, rate=48_000):
    """Audio of some channels, each of shape (frames, 1)."""
    return Audio(np.concatenate(channels, axis=1), rate)


def noise(frames, channels=1, seed=0, dtype=np.float32):
    wave = np.random.default_rng(seed).uniform(-0.9, 0.9, (frames, channels))
    return encoded(wave, dtype)
