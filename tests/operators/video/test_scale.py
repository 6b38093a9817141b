import numpy as np
import pytest

from engine.errors import UsageError
from engine.payloads import Text, Video
from operators.video.convert import VideoFormat
from operators.video.scale import VideoScale


@pytest.mark.parametrize(
    ("params", "size", "expected"),
    [
        ({"width": 32}, (64, 48), (32, 24)),
        ({"height": 24}, (64, 48), (32, 24)),
        ({"width": 10, "height": 20}, (64, 48), (10, 20)),
        ({"width": 100, "height": 20, "keep_aspect": True}, (64, 48), (27, 20)),
        ({"width": 20, "height": 100, "keep_aspect": True}, (64, 48), (20, 15)),
        ({"width": 1}, (64, 1), (1, 1)),
    ],
)
def test_the_size_is_as_said(drive, bars, params, size, expected):
    (out,) = drive(VideoScale(**params)).run([bars(*size, frame_number=4)])
    assert (out.width, out.height) == expected
    assert (out.format, out.frame_number) == ("rgb24", 4)


@pytest.mark.parametrize("format_", ["yuv420p", "i420", "nv12"])
def test_half_size_chroma_gets_even_sizes(drive, noise, format_):
    (out,) = drive(VideoScale(width=5, height=3)).run([noise(format_)])
    assert (out.format, out.width, out.height) == (format_, 4, 4)


@pytest.mark.parametrize("how", ["nearest", "bilinear", "bicubic", "area", "lanczos"])
def test_the_picture_stays(drive, bars, how):
    (out,) = drive(VideoScale(width=128, interpolation=how)).run([bars()])
    middles = out.pixels[40, 8::16]
    np.testing.assert_allclose(middles.astype(int), bars().pixels[0, 4::8].astype(int), atol=3)


@pytest.mark.parametrize("format_", ["rgb24", "yuv420p", "nv12"])
@pytest.mark.parametrize(("height", "wanted"), [(480, 720), (720, 480)])
def test_colours_stay_where_a_size_means_another_matrix(drive, format_, height, wanted):
    picture = Video(np.full((height, 64, 3), (200, 60, 30), np.uint8))
    (frame,) = drive(VideoFormat(format=format_)).run([picture])
    (scaled,) = drive(VideoScale(height=wanted)).run([frame])
    (back,) = drive(VideoFormat(format="rgb24")).run([scaled])
    assert np.abs(back.pixels.astype(int) - (200, 60, 30)).max() <= 6


def test_a_frame_of_the_size_passes_unchanged(drive, bars, make_packet):
    packet = make_packet(bars())
    assert drive(VideoScale(width=64)).feed(packet) == [packet]


def test_other_payloads_pass(drive):
    assert drive(VideoScale(width=2)).run([Text("a")]) == [Text("a")]


def test_an_encoded_frame_is_refused(drive, encoded):
    with pytest.raises(ValueError, match="cannot be scaled"):
        drive(VideoScale(width=2)).run([encoded])


def test_a_size_must_be_said():
    with pytest.raises(UsageError, match="give width, height, or both"):
        VideoScale()
