import numpy as np
import pytest

from engine.errors import UsageError
from engine.payloads import Text
from operators.video.convert import VideoFormat

RAW = ["rgb24", "rgba32", "gray8", "yuv420p", "i420", "nv12"]


@pytest.mark.parametrize("source", RAW)
@pytest.mark.parametrize("target", RAW)
def test_every_format_becomes_every_other(drive, bars, source, target):
    (video,) = drive(VideoFormat(format=source)).run([bars(frame_number=2)])
    (out,) = drive(VideoFormat(format=target)).run([video])
    assert (out.format, out.width, out.height, out.frame_number) == (target, 64, 48, 2)
    (grey,) = drive(VideoFormat(format="gray8")).run([out])
    (wanted,) = drive(VideoFormat(format="gray8")).run([bars()])
    difference = np.abs(grey.pixels.astype(int) - wanted.pixels.astype(int))
    assert np.median(difference) <= 2


def test_a_frame_of_the_format_passes_unchanged(drive, bars, make_packet):
    packet = make_packet(bars())
    assert drive(VideoFormat(format="rgb24")).feed(packet) == [packet]


def test_two_names_of_one_format_share_the_pixels(drive, noise):
    video = noise("yuv420p")
    (out,) = drive(VideoFormat(format="i420")).run([video])
    assert out.format == "i420"
    assert np.shares_memory(out.pixels, video.pixels)


def test_the_params_say_matrix_and_range(drive, bars):
    full = VideoFormat(format="yuv420p", matrix="bt709", range="full")
    (out,) = drive(full).run([bars()])
    assert out.pixels[0, 0] == 255
    (back,) = drive(VideoFormat(matrix="bt709", range="full")).run([out])
    assert abs(int(back.pixels[0, 12, 2])) <= 4  # yellow has no blue


def test_other_payloads_pass(drive):
    assert drive(VideoFormat()).run([Text("a")]) == [Text("a")]


def test_an_encoded_frame_is_refused(drive, encoded):
    with pytest.raises(ValueError, match="cannot be converted"):
        drive(VideoFormat()).run([encoded])


def test_an_odd_size_is_refused_by_a_format_that_has_none(drive, noise):
    with pytest.raises(ValueError, match="even sizes only"):
        drive(VideoFormat(format="i420")).run([noise("gray8", 5, 5)])


def test_an_unknown_format_is_refused():
    with pytest.raises(UsageError, match="format"):
        VideoFormat(format="encoded")
