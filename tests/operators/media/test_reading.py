import os
import wave

import numpy as np
import pytest

from engine.errors import MediaError
from engine.payloads import Audio, Video
from operators.media.opening import layout_name
from operators.media.reading import ReadOptions, read_media

MS = 1_000_000
SECOND = 1_000_000_000


def read(path, **options):
    """All items of a file."""
    return [item for item in read_media(path, ReadOptions(**options), np.empty) if item]


def audio_in(items):
    return [item for item in items if isinstance(item.payload, Audio)]


def video_in(items):
    return [item for item in items if isinstance(item.payload, Video)]


def samples_in(items):
    return np.concatenate([item.payload.samples for item in audio_in(items)])


def noise(heard, wanted, skip=2_000):
    """Root mean square of the difference of two signals, without the ends."""
    assert len(heard) == len(wanted)
    return np.sqrt(np.mean((heard[skip:-skip] - wanted[skip:-skip]) ** 2))


@pytest.mark.parametrize(
    ("name", "audio", "tolerance"),
    [
        ("a.wav", "pcm_s16le", 1e-4),
        ("a.flac", "flac", 1e-4),
        ("a.mp3", "libmp3lame", 0.02),
        ("a.ogg", "libopus", 0.02),
        ("a.m4a", "aac", 0.02),
        ("a.mka", "libopus", 0.02),
    ],
)
def test_sound_files_have_their_samples_and_times(tmp_path, media, name, audio, tolerance):
    path = media.make_file(tmp_path / name, seconds=1.5, video=None, audio=audio)
    items = read(path)
    assert media.lag(samples_in(items)[:, 0], media.tone(1.5)[:, 0]) == 0
    assert noise(samples_in(items)[:, 0], media.tone(1.5)[:, 0]) < tolerance
    assert [item.timestamp_ns for item in items] == [number * 20 * MS for number in range(75)]
    assert {item.payload.frames for item in items} == {960}


@pytest.mark.parametrize(
    ("name", "video", "audio"),
    [
        ("a.mp4", "libx264", "aac"),
        ("a.mov", "libx264", "aac"),
        ("a.mkv", "libx264", "libopus"),
        ("a.webm", "libvpx", "libopus"),
        ("a.webm", "libvpx-vp9", "libopus"),
        ("a.avi", "mpeg4", "pcm_s16le"),
    ],
)
def test_videos_have_their_pictures_and_times(tmp_path, media, name, video, audio):
    path = media.make_file(tmp_path / name, seconds=1.0, video=video, audio=audio)
    items = read(path)
    frames = video_in(items)
    assert [item.payload.frame_number for item in frames] == list(range(25))
    for number, item in enumerate(frames):
        assert media.psnr(item.payload.pixels, media.picture(number)) > 24
        expected_ns = number * 40 * MS
        assert abs(item.timestamp_ns - frames[0].timestamp_ns - expected_ns) <= MS
        assert item.end_ns > item.timestamp_ns
    assert frames[0].payload.keyframe
    heard = samples_in(items)
    assert abs(len(heard) - 48_000) <= 1_152
    assert np.abs(heard[4_000:40_000]).max() == pytest.approx(0.3, abs=0.03)


def test_both_come_in_the_files_order(clip):
    items = read(clip)
    ahead = [
        abs(a.timestamp_ns - v.timestamp_ns)
        for a, v in zip(audio_in(items)[::2], video_in(items), strict=True)
    ]
    assert max(ahead) == 0
    order = ["a" if isinstance(item.payload, Audio) else "v" for item in items]
    assert "aaaaaaaaaaaaaaaaaaaaaaaaa" not in "".join(order)


@pytest.mark.parametrize("block_ms", [0, 7, 20, 5_000])
def test_blocks_have_the_wanted_length(clip, block_ms):
    blocks = audio_in(read(clip, video=False, block_ms=block_ms))
    assert sum(item.payload.frames for item in blocks) == 48_000
    if block_ms == 5_000:
        assert len(blocks) == 1
    elif block_ms:
        assert {item.payload.frames for item in blocks[:-1]} == {block_ms * 48}


@pytest.mark.parametrize("dtype", ["float32", "int16", "int32"])
def test_rate_channels_and_dtype_are_as_wanted(clip, dtype):
    items = read(clip, video=False, sample_rate=16_000, channels=2, sample_dtype=dtype)
    heard = samples_in(items)
    assert heard.dtype == dtype
    assert heard.shape == (16_000, 2)
    scale = 1 if dtype == "float32" else -float(np.iinfo(dtype).min)
    assert np.abs(heard / scale).max() == pytest.approx(0.3 / np.sqrt(2), abs=0.12)


def test_stereo_stays_stereo(tmp_path, media):
    samples = media.tone(0.5, channels=2)
    samples[:, 1] *= -0.5
    path = media.make_file(
        tmp_path / "a.wav", video=None, audio="pcm_s16le", channels=2, samples=samples
    )
    np.testing.assert_allclose(samples_in(read(path)), samples, atol=1e-4)


@pytest.mark.parametrize("format_", ["rgb24", "rgba32", "gray8", "yuv420p", "i420", "nv12"])
def test_pixel_formats(clip, format_):
    (first, *_) = read(clip, audio=False, pixel_format=format_)
    assert (first.payload.format, first.payload.width, first.payload.height) == (format_, 64, 48)
    assert not first.payload.pixels.flags.writeable


def test_odd_sizes(tmp_path, media):
    path = media.make_file(tmp_path / "a.webm", video="libvpx", audio=None, size=(33, 17))
    (first, *_) = read(path)
    assert first.payload.pixels.shape == (17, 33, 3)
    with pytest.raises(MediaError, match=r"a\.webm: a frame of 33 × 17 pixels cannot be nv12"):
        read(path, pixel_format="nv12")


def test_frames_of_a_variable_rate_keep_their_times(tmp_path, media):
    times = [0.0, 0.02, 0.5, 0.51, 1.7, 2.0]
    path = media.make_file(tmp_path / "a.mp4", audio=None, seconds=1, times=times)
    frames = read(path)
    assert [round(item.timestamp_ns / 1e9, 4) for item in frames] == times


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.wav"])
@pytest.mark.parametrize(("start_ms", "length_ms"), [(0, 333), (1_234, None), (1_000, 500)])
def test_a_part_is_cut_to_the_sample_and_the_frame(tmp_path, media, name, start_ms, length_ms):
    video = None if name == "a.wav" else "libx264"
    audio = {"a.mp4": "aac", "a.mkv": "libopus", "a.wav": "pcm_s16le"}[name]
    path = media.make_file(tmp_path / name, seconds=2, video=video, audio=audio)
    items = read(
        path, start_ns=start_ms * MS, duration_ns=None if length_ms is None else length_ms * MS
    )
    end_ms = 2_000 if length_ms is None else start_ms + length_ms
    sound = audio_in(items)
    heard = samples_in(items)[:, 0]
    wanted = media.tone(2)[start_ms * 48 : end_ms * 48, 0]
    assert sound[0].timestamp_ns == start_ms * MS
    rounding = 48 if name == "a.mkv" and start_ms else 0  # its times are whole milliseconds
    assert abs(len(heard) - len(wanted)) <= rounding
    assert abs(media.lag(heard, wanted)) <= rounding
    if video:
        wanted = [number for number in range(50) if start_ms <= number * 40 < end_ms]
        frames = video_in(items)
        assert [round(item.timestamp_ns / MS / 40) for item in frames] == wanted
        for number, item in zip(wanted, frames, strict=True):
            assert media.psnr(item.payload.pixels, media.picture(number)) > 24


def test_reading_stops_behind_the_wanted_part(tmp_path, media):
    path = media.make_file(tmp_path / "a.mp4", seconds=10)
    options = ReadOptions(duration_ns=SECOND // 2)
    steps = sum(1 for _ in read_media(path, options, np.empty))
    assert steps < 150  # of about 1,000


def test_a_cover_is_no_video(tmp_path, media):
    import av

    path = tmp_path / "a.mp3"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("libmp3lame", rate=48_000)
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic.value
        container.mux(cover.encode(av.VideoFrame.from_ndarray(media.picture(0))))
        container.mux(cover.encode(None))
        frame = av.AudioFrame.from_ndarray(media.tone(1).T.copy(), format="fltp", layout="mono")
        frame.sample_rate = 48_000
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    assert {type(item.payload) for item in read(path)} == {Audio}
    with pytest.raises(MediaError, match="has no video that can be decoded; it has audio, video"):
        read(path, audio=False)


def test_the_file_is_closed_when_nobody_wants_more(clip, media, monkeypatch):
    opened = []
    real = type(clip).open

    def open_and_note(self, *args, **kwargs):
        opened.append(real(self, *args, **kwargs))
        return opened[-1]

    monkeypatch.setattr(type(clip), "open", open_and_note)
    items = read_media(clip, ReadOptions(), np.empty)
    next(items)
    items.close()
    assert [file.closed for file in opened] == [True]
    assert read(clip)
    assert [file.closed for file in opened] == [True, True]


# --- what is wrong ------------------------------------------------------------------------------


def test_a_missing_file(tmp_path):
    with pytest.raises(MediaError, match=r"there is no file .*nowhere\.mp4"):
        read(tmp_path / "nowhere.mp4")


@pytest.mark.parametrize(
    ("name", "message"),
    [("x" * 300, "cannot read .*: File name too long"), ("a\0b", "cannot be a path: .*null byte")],
)
def test_a_name_that_no_file_can_have(tmp_path, name, message):
    with pytest.raises(MediaError, match=message):
        read(tmp_path / name)


def test_a_directory(tmp_path):
    with pytest.raises(MediaError, match="is a directory, not a media file"):
        read(tmp_path)


def test_what_is_no_regular_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(MediaError, match=r"pipe\.mp4 is no regular file"):
        read(tmp_path / "pipe.mp4")


@pytest.mark.parametrize("name", ["a.mp3", "a.mka", "a.wav"])
def test_a_sound_file_that_is_cut_off_is_read_to_its_end_and_told_of(tmp_path, media, caplog, name):
    audio = {"a.mp3": "libmp3lame", "a.mka": "libopus", "a.wav": "pcm_s16le"}[name]
    path = media.make_file(tmp_path / name, seconds=4, video=None, audio=audio)
    assert len(samples_in(read(path))) == 4 * 48_000
    assert caplog.records == []
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 // 1024 * 1024])
    heard = len(samples_in(read(path)))
    assert 48_000 < heard < 3 * 48_000
    told = [record.message for record in caplog.records]
    assert told == ([] if name == "a.wav" else ["media_file_ends_early"])  # WAV: by its size


def test_a_file_without_any_sample_gives_nothing(tmp_path):
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8_000, 0, "NONE", ""))
    assert read(path) == []


def test_an_empty_file(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(MediaError, match=r"a\.mp4 is empty"):
        read(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    "content",
    [
        b"this is no media\n" * 100,
        bytes(range(256)) * 20,
        b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nsecret.wav\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile 'secret.wav'\n",
    ],
    ids=["text", "noise", "playlist", "concat"],
)
def test_a_file_of_something_else_is_never_followed(tmp_path, media, content):
    media.make_file(tmp_path / "secret.wav", video=None, audio="pcm_s16le")
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"a\.mp4 is not a media file"):
        read(path)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_file_whose_index_is_cut_off(clip, tmp_path, share):
    path = tmp_path / "cut.mp4"
    data = clip.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(MediaError, match=r"cut\.mp4 (is not a media file .*damaged|has no audio)"):
        read(path)


def test_a_file_cut_off_further_on_is_read_until_there(tmp_path, media):
    whole = media.make_file(tmp_path / "a.mp4", seconds=3, movflags="faststart")
    path = tmp_path / "cut.mp4"
    data = whole.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    items = []
    with pytest.raises(MediaError, match=r"cut\.mp4 is damaged or cut off after [01]\.\d+ s"):
        items.extend(read_media(path, ReadOptions(), np.empty))
    assert len([item for item in items if item]) > 20


def test_a_damaged_file_says_where(tmp_path, media):
    path = media.make_file(tmp_path / "a.flac", seconds=2, video=None, audio="flac")
    data = bytearray(path.read_bytes())
    for position in range(len(data) // 2, len(data) // 2 + 400):
        data[position] ^= 0x5A
    path.write_bytes(data)
    with pytest.raises(MediaError, match=r"a\.flac is damaged or cut off after \d\.\d+ s: ."):
        read(path)


def test_a_start_beyond_the_end(clip):
    with pytest.raises(MediaError, match=r"lasts 1\.000 s: it cannot be read from 2 s on"):
        read(clip, start_ns=2 * SECOND)


def test_a_kind_the_file_has_not(tmp_path, media):
    path = media.make_file(tmp_path / "a.wav", video=None, audio="pcm_s16le")
    with pytest.raises(MediaError, match=r"a\.wav has no video that can be decoded; it has audio"):
        read(path, audio=False)


def test_layouts_have_names():
    assert [layout_name(n) for n in (1, 2, 6, 9)] == ["mono", "stereo", "5.1", "9 channels"]
