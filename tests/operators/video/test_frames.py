import numpy as np
import pytest

from engine.payloads import Video
from operators.video.frames import Converter, matrix_by_height, to_frame


def of_one_colour(rgb, width=16, height=16):
    return Video(np.full((height, width, 3), rgb, np.uint8))


def converted(video, format_, **how):
    return Converter(**how).payload(to_frame(video), format_, np.empty)


@pytest.mark.parametrize(
    ("matrix", "yuv_range", "luma", "chroma"),
    [  # pure red, by the coefficients of the recommendations: Y, U, V
        ("bt601", "limited", 81, (90, 240)),
        ("bt709", "limited", 63, (102, 240)),
        ("bt601", "full", 76, (85, 255)),
        ("bt709", "full", 54, (99, 255)),
    ],
)
def test_yuv_is_made_as_the_recommendations_say(matrix, yuv_range, luma, chroma):
    yuv = converted(of_one_colour((255, 0, 0)), "yuv420p", matrix=matrix, yuv_range=yuv_range)
    assert abs(int(yuv.pixels[0, 0]) - luma) <= 1
    u, v = yuv.pixels[16:].reshape(2, -1)
    assert abs(int(u[0]) - chroma[0]) <= 1
    assert abs(int(v[0]) - chroma[1]) <= 1


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("yuv_range", ["limited", "full"])
@pytest.mark.parametrize("format_", ["yuv420p", "nv12"])
def test_colours_survive_there_and_back(matrix, yuv_range, format_, bars):
    picture = bars(64, 16)
    how = {"matrix": matrix, "yuv_range": yuv_range, "interpolation": "nearest"}
    back = converted(converted(picture, format_, **how), "rgb24", **how)
    difference = np.abs(back.pixels.astype(int) - picture.pixels.astype(int))
    assert difference.max() <= 4


def test_the_matrix_follows_the_height_where_nothing_is_said():
    assert matrix_by_height(719) == "bt601"
    assert matrix_by_height(720) == "bt709"
    small = converted(of_one_colour((255, 0, 0)), "yuv420p")
    large = converted(of_one_colour((255, 0, 0), 16, 720), "yuv420p")
    assert (small.pixels[0, 0] // 10, large.pixels[0, 0] // 10) == (8, 6)


NOTES = {"bt601": 6, "bt709": 1, "limited": 1, "full": 2}


def noted(rgb, matrix, yuv_range, size=(16, 16), format_="yuv420p"):
    """A frame of one colour that says how its YUV was made."""
    yuv = converted(of_one_colour(rgb, *size), format_, matrix=matrix, yuv_range=yuv_range)
    frame = to_frame(yuv)
    frame.colorspace, frame.color_range = NOTES[matrix], NOTES[yuv_range]
    return frame


@pytest.mark.parametrize("format_", ["rgb24", "yuv420p", "nv12"])
@pytest.mark.parametrize("made", ["yuv420p", "nv12"])
@pytest.mark.parametrize("size", [(16, 16), (16, 720)])
@pytest.mark.parametrize("yuv_range", ["limited", "full"])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_a_payload_needs_no_note(matrix, yuv_range, size, made, format_):
    frame = noted((200, 60, 30), matrix, yuv_range, size, made)
    payload = Converter().payload(frame, format_, np.empty)
    rgb = converted(payload, "rgb24").pixels
    assert np.abs(rgb.astype(int) - (200, 60, 30)).max() <= 6  # rounded up to three times


def test_each_frame_is_taken_by_its_own_note():
    converter = Converter()
    for matrix in ("bt709", "bt601", "bt709"):
        frame = noted((200, 60, 30), matrix, "limited")
        rgb = converter.payload(frame, "rgb24", np.empty).pixels
        assert np.abs(rgb.astype(int) - (200, 60, 30)).max() <= 4


def test_grey_has_the_full_range():
    white = converted(of_one_colour((255, 255, 255)), "yuv420p")
    assert white.pixels[0, 0] == 235
    assert converted(white, "gray8").pixels[0, 0] == 255
    assert converted(of_one_colour((255, 255, 255)), "gray8").pixels[0, 0] == 255
    assert converted(of_one_colour((0, 0, 0)), "gray8").pixels[0, 0] == 0


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_grey_of_full_range_yuv_is_its_luma(matrix):
    grey = Video(np.arange(256, dtype=np.uint8).reshape(16, 16), "gray8")
    yuv = converted(grey, "yuv420p", matrix=matrix, yuv_range="full")
    np.testing.assert_array_equal(yuv.pixels[:16], grey.pixels)
    back = converted(yuv, "gray8", matrix=matrix, yuv_range="full")
    np.testing.assert_array_equal(back.pixels, grey.pixels)


def test_rows_with_padding_come_out_without_it(noise):
    video = noise("rgb24", 7, 5)  # 21 bytes a row, which libav pads
    rgba = converted(video, "rgba32")
    np.testing.assert_array_equal(rgba.pixels[:, :, :3], video.pixels)
    assert (rgba.pixels[:, :, 3] == 255).all()
    np.testing.assert_array_equal(converted(rgba, "rgb24").pixels, video.pixels)


def test_a_frame_lends_the_payloads_pixels(noise):
    video = noise("rgb24", 7, 5)
    assert to_frame(video).to_ndarray().tobytes() == video.pixels.tobytes()


def test_an_odd_size_has_no_half_size_chroma(noise):
    with pytest.raises(ValueError, match="7 × 5 pixels cannot be nv12, which has even sizes only"):
        converted(noise("rgb24", 7, 5), "nv12")
