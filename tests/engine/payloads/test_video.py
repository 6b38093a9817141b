"""engine.payloads.video: every format's shape, and what is no frame."""

import numpy as np
import pytest

from engine.payloads import VIDEO_CODECS, VIDEO_FORMATS, Video

#: format → shape of a frame of 6 × 4 pixels.
SHAPES = {
    "rgb24": (4, 6, 3),
    "rgba32": (4, 6, 4),
    "gray8": (4, 6),
    "yuv420p": (6, 6),
    "i420": (6, 6),
    "nv12": (6, 6),
}


def test_the_formats_are_those_of_the_wire():
    assert set(VIDEO_FORMATS) == {*SHAPES, "encoded"}


@pytest.mark.parametrize("format_", SHAPES)
def test_an_array_gives_width_and_height(format_):
    pixels = np.zeros(SHAPES[format_], np.uint8)
    video = Video(pixels, format_)
    assert (video.width, video.height, video.format) == (6, 4, format_)
    assert video.pixels.shape == SHAPES[format_]
    assert np.shares_memory(video.pixels, pixels)
    assert Video(pixels, format_, 6, 4) == Video(pixels, format_, height=4) == video


@pytest.mark.parametrize("format_", SHAPES)
def test_bytes_are_taken_with_width_and_height(format_):
    data = np.arange(np.prod(SHAPES[format_]), dtype=np.uint8)
    for flat in (data.copy(), data.tobytes(), bytearray(data), memoryview(data.tobytes())):
        video = Video(flat, format_, 6, 4)
        assert video.pixels.shape == SHAPES[format_]
        assert video.pixels.tobytes() == data.tobytes()
        assert not video.pixels.flags.writeable


def test_encoded_frames():
    video = Video(b"\0\1\2", "encoded", 640, 480, 3, "h264", keyframe=True)
    assert video.pixels.tolist() == [0, 1, 2]
    assert (video.width, video.height, video.codec, video.keyframe) == (640, 480, "h264", True)
    assert repr(video) == "Video(640 × 480, h264, 3 bytes, frame 3, keyframe)"
    for codec in VIDEO_CODECS:
        assert Video(b"x", "encoded", 1, 1, codec=codec).codec == codec


def test_pixels_are_taken_over_and_frozen():
    pixels = np.zeros((4, 6, 3), np.uint8)
    assert np.shares_memory(Video(pixels).pixels, pixels)
    with pytest.raises(ValueError, match="read-only"):
        pixels[0, 0, 0] = 1


def test_a_bytearray_can_be_written_on():
    data = bytearray(24)
    video = Video(data, "gray8", 6, 4)
    data[0] = 9
    assert video.pixels[0, 0] == 0


def test_a_flipped_view_becomes_contiguous():
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6)
    video = Video(pixels[::-1], "gray8")
    assert video.pixels.flags.c_contiguous
    assert video.pixels[0].tolist() == [18, 19, 20, 21, 22, 23]


def test_frames_are_equal_by_pixels_and_header():
    pixels = np.zeros((4, 6), np.uint8)
    video = Video(pixels, "gray8", frame_number=1)
    assert video == Video(pixels.copy(), "gray8", frame_number=1)
    assert video != Video(pixels, "gray8", frame_number=2)
    assert video != Video(pixels, "gray8", frame_number=1, keyframe=True)
    assert video != Video(pixels + 1, "gray8", frame_number=1)
    assert Video(bytes(36), "i420", 6, 4) != Video(bytes(36), "nv12", 6, 4)
    assert video != pixels.tolist()


U8 = np.uint8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((4, 6, 3), U8), "rgb"), r"no video format 'rgb'; it must be rgb24, .* or enc"),
        ((np.zeros((4, 6, 4), U8),), r"rgb24 .* shape \(height, width, 3\), got \(4, 6, 4\)"),
        ((np.zeros((4, 6), U8),), r"rgb24 .* shape \(height, width, 3\), got \(4, 6\)"),
        ((np.zeros((4, 6, 1), U8), "gray8"), r"shape \(height, width\), got \(4, 6, 1\)"),
        ((np.zeros((4, 6, 3), np.float32),), r"must be uint8, got float32; convert"),
        ((np.zeros((4, 6, 3), U8), "rgb24", 7), r"is 6 × 4 pixels, not 7 × 4"),
        ((np.zeros((4, 6, 3), U8), "rgb24", 6, 5), r"is 6 × 4 pixels, not 6 × 5"),
        ((np.zeros((0, 6, 3), U8),), r"video height must be 1 to"),
        ((np.zeros((4, 0, 3), U8),), r"video width must be 1 to"),
        (
            (bytes(24), "gray8"),
            r"gray8 video from flat .*\(height, width\).* needs width and height",
        ),
        ((np.uint8(5), "gray8"), r"gray8 .* shape \(height, width\), got \(\)"),
        ((bytes(24), "gray8", 6), r"needs width and height"),
        ((bytes(23), "gray8", 6, 4), r"gray8 frame of 6 × 4 pixels has 24 bytes, got 23"),
        ((bytes(73), "rgb24", 6, 4), r"has 72 bytes, got 73"),
        ((bytes(37), "i420", 6, 4), r"has 36 bytes, got 37"),
        ((bytes(0), "gray8", 0, 4), r"video width must be 1 to 4294967295, got 0"),
        ((bytes(0), "gray8", 4, -1), r"video height must be 1 to 4294967295, got -1"),
        ((bytes(23), "nv12", 5, 3), r"even width and height, got 5 × 3"),
        ((np.zeros((6, 5), U8), "nv12"), r"even width and height, got 5 × 4"),
        ((np.zeros((4, 4), U8), "nv12"), r"height × 3 / 2 rows, which 4 cannot be"),
        ((np.zeros((4, 6, 3), U8), "i420"), r"shape \(height × 3 / 2, width\), got \(4, 6, 3\)"),
        ((b"x", "encoded", 4, 4), r"needs a codec, vp8, h264 or av1; got ''"),
        ((b"x", "encoded", 4, 4, 0, "hevc"), r"needs a codec, .* got 'hevc'"),
        ((b"x", "encoded", None, None, 0, "vp8"), r"encoded video needs width and height"),
        ((b"", "encoded", 4, 4, 0, "vp8"), r"at least one byte"),
        ((np.zeros((2, 2), U8), "encoded", 4, 4, 0, "vp8"), r"shape \(bytes,\), got \(2, 2\)"),
        ((bytes(24), "gray8", 6, 4, 0, "vp8"), r"codec 'vp8' is for encoded video"),
        ((bytes(24), "gray8", 6, 4, -1), r"frame_number must be 0 to"),
        ((bytes(24), "gray8", 6, 4, 2**64), r"frame_number must be 0 to"),
    ],
)
def test_a_frame_that_is_none_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Video(*arguments)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format": None}, r"Video.format must be a string, got NoneType"),
        ({"codec": 1}, r"Video.codec must be a string, got int"),
        ({"width": 6.0, "height": 4}, r"video width must be a whole number, got float"),
        ({"frame_number": "1"}, r"frame_number must be a whole number, got str"),
    ],
)
def test_fields_of_other_types_are_refused(fields, message):
    with pytest.raises(TypeError, match=message):
        Video(bytes(24), **({"format": "gray8", "width": 6, "height": 4} | fields))


def test_whole_numbers_of_numpy_are_taken():
    video = Video(bytes(24), "gray8", np.int64(6), np.uint8(4), np.uint64(2**64 - 1))
    assert type(video.width) is type(video.frame_number) is int
    assert video.frame_number == 2**64 - 1
