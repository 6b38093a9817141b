import numpy as np
import pytest

from engine.payloads import Text, Video
from operators.video.flip import VideoFlip

RAW = ["rgb24", "rgba32", "gray8", "yuv420p", "i420", "nv12"]


def planes(video):
    """The planes of a frame as arrays of shape (rows, columns, …)."""
    pixels, width, height = video.pixels, video.width, video.height
    if video.format in ("rgb24", "rgba32", "gray8"):
        return [pixels]
    luma, chroma = pixels[:height], pixels[height:].reshape(-1)
    if video.format == "nv12":
        return [luma, chroma.reshape(height // 2, width // 2, 2)]
    return [luma, *chroma.reshape(2, height // 2, width // 2)]


@pytest.mark.parametrize("format_", RAW)
@pytest.mark.parametrize("direction", ["vertical", "horizontal"])
def test_every_plane_is_flipped(drive, noise, format_, direction):
    video = noise(format_, 10, 6)
    (flipped,) = drive(VideoFlip(direction=direction)).run([video])
    axis = 0 if direction == "vertical" else 1
    assert flipped.format == format_
    assert (flipped.width, flipped.height) == (10, 6)
    for before, after in zip(planes(video), planes(flipped), strict=True):
        np.testing.assert_array_equal(after, np.flip(before, axis))
    assert not np.array_equal(flipped.pixels, video.pixels)


@pytest.mark.parametrize("format_", ["rgb24", "rgba32", "gray8"])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (1, 9)])
def test_odd_sizes_flip(drive, noise, format_, size):
    video = noise(format_, *size)
    (flipped,) = drive(VideoFlip(direction="horizontal")).run([video])
    np.testing.assert_array_equal(flipped.pixels, video.pixels[:, ::-1])


@pytest.mark.parametrize("format_", RAW)
def test_flipping_twice_gives_the_frame_back(drive, noise, format_):
    video = noise(format_, frame_number=5, keyframe=True)
    flip = drive(VideoFlip(direction="horizontal"))
    assert flip.run(flip.run([video])) == [video]


@pytest.mark.parametrize("format_", RAW)
def test_it_copies_once_into_the_array_it_is_given(drive, noise, format_):
    driver = drive(VideoFlip())
    given = []

    def empty(shape, dtype):
        given.append(np.empty(shape, dtype))
        return given[-1]

    driver.ctx.empty = empty
    (flipped,) = driver.run([noise(format_)])
    (array,) = given
    assert np.shares_memory(flipped.pixels, array)
    assert not flipped.pixels.flags.writeable


def test_the_header_stays(drive, bars, make_packet):
    packet = make_packet(bars(frame_number=3), timestamp_ns=40, metadata={"camera": "left"})
    (out,) = drive(VideoFlip()).feed(packet)
    assert (out.timestamp_ns, out.metadata, out.payload.frame_number) == (40, {"camera": "left"}, 3)


def test_other_payloads_pass(drive):
    assert drive(VideoFlip()).run([Text("a")]) == [Text("a")]


def test_an_encoded_frame_is_refused(drive, encoded):
    with pytest.raises(ValueError, match=r"encoded frame \(vp8\) cannot be flipped: decode it"):
        drive(VideoFlip()).run([encoded])


def test_a_frame_of_another_size_follows(drive, bars):
    first, second = drive(VideoFlip()).run([bars(16, 8), bars(8, 16)])
    assert isinstance(first, Video)
    assert (second.width, second.height) == (8, 16)
