"""Frames to work on."""

import numpy as np
import pytest

from engine.payloads import Video

#: Colours of the eight bars of a test picture, as RGB.
BARS = [
    (255, 255, 255),
    (255, 255, 0),
    (0, 255, 255),
    (0, 255, 0),
    (255, 0, 255),
    (255, 0, 0),
    (0, 0, 255),
    (0, 0, 0),
]


@pytest.fixture(scope="session")
def bars():
    """A picture of eight upright colour bars, rgb24."""

    def picture(width=64, height=48, **header):
        columns = np.array([BARS[x * 8 // width] for x in range(width)], np.uint8)
        return Video(np.repeat(columns[None], height, axis=0), **header)

    return picture


@pytest.fixture(scope="session")
def noise():
    """A frame of a format, of random bytes."""

    def frame(format_, width=8, height=6, **header):
        channels = {"rgb24": 3, "rgba32": 4, "gray8": 1}.get(format_, 1.5)
        data = np.random.default_rng(7).integers(0, 256, int(width * height * channels), np.uint8)
        return Video(data, format_, width, height, **header)

    return frame


@pytest.fixture(scope="session")
def encoded():
    return Video(np.ones(9, np.uint8), "encoded", 64, 48, codec="vp8", keyframe=True)
