import gc
import logging

import numpy as np
import pytest

from engine.errors import MediaError, UsageError
from engine.payloads import Audio, Video
from operators.media import writing
from operators.media.containers import CONTAINERS
from operators.media.part_file import PartFile
from operators.media.writing import MediaFileWriter, WriteOptions

MS = 1_000_000
SECOND = 1_000_000_000
LOGGER = logging.getLogger("tests.media")


def names_in(directory):
    return sorted(path.name for path in directory.iterdir())


def writer_of(path, **options):
    return MediaFileWriter(path, WriteOptions(**options), LOGGER)


def blocks(samples, rate, ms=20):
    """(Audio, time) of a signal, in blocks."""
    step = rate * ms // 1_000
    for start in range(0, len(samples), step):
        yield Audio(samples[start : start + step].copy(), rate), start * SECOND // rate


def write_audio(writer, samples):
    for audio, at in blocks(samples, 48_000):
        writer.write_audio(audio, at)


def write(path, *, samples=None, rate=48_000, pictures=(), times_ms=None, **options):
    """Write audio and pictures, 25 a second, as they would flow, in order of time."""
    writer = writer_of(path, **options)
    events = []
    if samples is not None:
        events += [(at, audio) for audio, at in blocks(samples, rate)]
    times_ms = times_ms or [number * 40 for number in range(len(pictures))]
    for number, (pixels, at_ms) in enumerate(zip(pictures, times_ms, strict=True)):
        events.append((at_ms * MS, Video(pixels, frame_number=number)))
    try:
        for at, payload in sorted(events, key=lambda event: event[0]):
            if isinstance(payload, Audio):
                writer.write_audio(payload, at)
            else:
                writer.write_video(payload, at)
        return writer.commit()
    finally:
        writer.discard()


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("a.wav", 1e-4),
        ("a.flac", 1e-4),
        ("a.mp3", 0.02),
        ("a.ogg", 0.01),
        ("a.opus", 0.01),
        ("a.m4a", 0.02),
        ("a.mka", 0.01),
    ],
)
def test_sound_files_hold_what_was_written(tmp_path, media, name, tolerance):
    samples = media.tone(1.5)
    size = write(tmp_path / name, samples=samples)
    found = media.probe(tmp_path / name)
    assert size == (tmp_path / name).stat().st_size
    assert found.sample_rate == 48_000
    assert len(samples) <= len(found.samples) < len(samples) + 1_152  # AAC fills its last packet
    assert media.lag(found.samples[:, 0], samples[:, 0]) == 0
    error = (found.samples[: len(samples)] / _scale(found.samples) - samples)[2_000:-2_000]
    assert np.sqrt(np.mean(error**2)) < tolerance


def _scale(samples):
    return 1 if samples.dtype.kind == "f" else -float(np.iinfo(samples.dtype).min)


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.int32])
@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_every_dtype_and_number_of_channels(tmp_path, media, dtype, channels, name):
    samples = media.tone(0.3, channels=channels, dtype=dtype)
    write(tmp_path / name, samples=samples)
    heard = media.probe(tmp_path / name).samples
    assert heard.shape == samples.shape
    np.testing.assert_allclose(heard / _scale(heard), samples / _scale(samples), atol=1e-4)


def test_wav_may_be_of_floats_or_wide_integers(tmp_path, media):
    samples = media.tone(0.3)
    write(tmp_path / "a.wav", samples=samples, audio_codec="pcm_f32le")
    np.testing.assert_array_equal(media.probe(tmp_path / "a.wav").samples, samples)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100])
@pytest.mark.parametrize("name", ["a.opus", "a.mp3", "a.m4a"])
def test_every_usual_rate_can_be_written(tmp_path, media, name, rate):
    samples = media.tone(1.0, rate)
    write(tmp_path / name, samples=samples, rate=rate)
    found = media.probe(tmp_path / name)
    seconds = len(found.samples) / found.sample_rate
    assert seconds == pytest.approx(1.0, abs=1_200 / found.sample_rate)


@pytest.mark.parametrize(
    ("name", "codec", "decoder"),
    [
        ("a.mp4", "", "h264"),
        ("a.mov", "", "h264"),
        ("a.webm", "", "vp9"),
        ("a.webm", "vp8", "vp8"),
        ("a.mkv", "", "h264"),
        ("a.mkv", "mpeg4", "mpeg4"),
    ],
)
def test_videos_hold_what_was_written(tmp_path, media, name, codec, decoder):
    pictures = [media.picture(number, 160, 96) for number in range(30)]
    write(tmp_path / name, samples=media.tone(1.2), pictures=pictures, video_codec=codec)
    found = media.probe(tmp_path / name)
    assert found.codecs["video"].endswith(decoder)
    assert len(found.pictures) == 30
    assert min(media.psnr(a, b) for a, b in zip(found.pictures, pictures, strict=True)) > 28
    np.testing.assert_allclose(
        np.array(found.times_s) - found.audio_start_s, np.arange(30) / 25, atol=0.002
    )
    if name in ("a.mp4", "a.mov"):
        assert found.average_rate == 25
        assert found.colours == (6, 1)  # BT.601, limited
    assert media.lag(found.samples[:, 0], media.tone(1.2)[:, 0]) == 0


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm"])
def test_a_beep_stays_with_its_flash(tmp_path, media, name):
    samples, pictures = media.beep_and_flash(2, 1.2)
    write(tmp_path / name, samples=samples, pictures=pictures)
    found = media.probe(tmp_path / name)
    flash_s = found.times_s[int(np.argmax([picture.mean() for picture in found.pictures]))]
    beep = int(np.argmax(np.abs(found.samples[:, 0]) > 0.4))
    beep_s = found.audio_start_s + beep / found.sample_rate
    assert abs(flash_s - beep_s) < 0.01


@pytest.mark.parametrize("first", ["audio", "video"])
def test_a_stream_that_begins_later_keeps_its_place(tmp_path, media, first):
    writer = writer_of(tmp_path / "a.mp4")
    late = {"audio": 0, "video": 0}
    late["video" if first == "audio" else "audio"] = 800 * MS
    events = [(at + late["audio"], audio) for audio, at in blocks(media.tone(1), 48_000)]
    events += [(n * 40 * MS + late["video"], Video(media.picture(n))) for n in range(25)]
    for at, payload in sorted(events, key=lambda event: event[0]):
        write_one = writer.write_audio if isinstance(payload, Audio) else writer.write_video
        write_one(payload, at + 5 * SECOND)  # the file begins with the first packet
    writer.commit()
    found = media.probe(tmp_path / "a.mp4")
    assert found.audio_start_s == pytest.approx(late["audio"] / SECOND, abs=0.025)
    assert found.times_s[0] == pytest.approx(late["video"] / SECOND, abs=0.025)


def test_a_stream_whose_first_packet_is_older_than_the_files_beginning(tmp_path, media):
    writer = writer_of(tmp_path / "a.mp4")
    writer.write_video(Video(media.picture(0)), 40 * MS)
    write_audio(writer, media.tone(1))
    for number in range(1, 25):
        writer.write_video(Video(media.picture(number)), (number + 1) * 40 * MS)
    writer.commit()
    found = media.probe(tmp_path / "a.mp4")
    assert found.times_s[0] - found.audio_start_s == pytest.approx(0.04, abs=0.005)
    assert len(found.pictures) == 25
    assert media.lag(found.samples[:, 0], media.tone(1)[:, 0]) == 0


def test_frames_of_a_variable_rate_keep_their_times(tmp_path, media):
    times_ms = [0, 20, 500, 510, 1_700, 2_000]
    pictures = [media.picture(number) for number in range(6)]
    write(tmp_path / "a.mp4", pictures=pictures, times_ms=times_ms)
    found = media.probe(tmp_path / "a.mp4")
    np.testing.assert_allclose(found.times_s, np.array(times_ms) / 1_000, atol=1e-4)


def test_a_rate_rounds_times_and_drops_what_is_too_much(tmp_path, media):
    times_ms = [0, 8, 34, 65, 100, 101, 333]
    pictures = [media.picture(number) for number in range(7)]
    write(tmp_path / "a.mp4", pictures=pictures, times_ms=times_ms, fps=10)
    found = media.probe(tmp_path / "a.mp4")
    np.testing.assert_allclose(found.times_s, [0, 0.1, 0.3], atol=1e-4)
    assert media.psnr(found.pictures[1], media.picture(3)) > 25  # of 65, 100 and 101 the first


@pytest.mark.parametrize("fps", [None, 50])
def test_frames_without_times_of_their_own_follow_each_other(tmp_path, media, fps):
    pictures = [media.picture(number) for number in range(6)]
    writer = writer_of(tmp_path / "a.mp4", fps=fps)
    for pixels in pictures:
        writer.write_video(Video(pixels), 7 * SECOND)
    writer.commit()
    found = media.probe(tmp_path / "a.mp4")
    np.testing.assert_allclose(found.times_s, np.arange(6) / (fps or 30), atol=1e-4)


@pytest.mark.parametrize("size", [(33, 17), (32, 17), (3, 3)])
def test_odd_sizes(tmp_path, media, size, caplog):
    pictures = [media.picture(number, *size) for number in range(3)]
    write(tmp_path / "a.webm", pictures=pictures, video_codec="vp8")
    assert media.probe(tmp_path / "a.webm").pictures[0].shape == (size[1], size[0], 3)
    assert caplog.records == []
    write(tmp_path / "a.mp4", pictures=pictures)
    even = (size[1] // 2 * 2, size[0] // 2 * 2, 3)
    assert media.probe(tmp_path / "a.mp4").pictures[0].shape == even
    assert [record.message for record in caplog.records] == ["media_writer_cuts_odd_size"]


def test_a_frame_too_small_for_the_codec(tmp_path, media):
    with pytest.raises(MediaError, match=r"a\.mp4: libx264 encodes no frames of 1 × 1"):
        write(tmp_path / "a.mp4", pictures=[np.zeros((1, 1, 3), np.uint8)])


@pytest.mark.parametrize("format_", ["rgb24", "rgba32", "gray8", "yuv420p", "i420", "nv12"])
def test_every_raw_format_is_taken(tmp_path, media, format_):
    from operators.video.frames import Converter, to_frame

    writer = writer_of(tmp_path / "a.mp4")
    convert = Converter()
    for number in range(5):
        picture = Video(media.picture(number))
        video = convert.payload(to_frame(picture), format_, np.empty)
        writer.write_video(video, number * 40 * MS)
    writer.commit()
    found = media.probe(tmp_path / "a.mp4")
    assert len(found.pictures) == 5
    wanted = media.picture(4).astype(float)
    if format_ == "gray8":
        wanted = np.repeat((wanted @ [0.299, 0.587, 0.114])[..., None], 3, 2)
    assert media.psnr(found.pictures[4], wanted) > 25


def test_a_bit_rate_is_kept_to(tmp_path, media):
    random = np.random.default_rng(3)
    pictures = [random.integers(0, 256, (96, 160, 3), np.uint8) for _ in range(50)]
    small = write(tmp_path / "a.mp4", pictures=pictures, video_bit_rate=100_000)
    large = write(tmp_path / "b.mp4", pictures=pictures, video_bit_rate=1_000_000)
    assert small * 3 < large
    low = write(tmp_path / "a.mp3", samples=media.tone(2), audio_bit_rate=32_000)
    high = write(tmp_path / "b.mp3", samples=media.tone(2), audio_bit_rate=128_000)
    assert low * 3 < high


# --- gaps ---------------------------------------------------------------------------------------


def with_gap(path, media, gap_ms, **options):
    """Two stretches of sound with a gap between, beside a video."""
    writer = writer_of(path, **options)
    if path.suffix == ".mp4":
        for number in range(2 + gap_ms // 40):
            writer.write_video(Video(media.picture(number)), number * 40 * MS)
    try:
        for audio, at in blocks(media.tone(0.5), 48_000):
            writer.write_audio(audio, at)
        for audio, at in blocks(media.tone(0.5), 48_000):
            writer.write_audio(audio, at + (500 + gap_ms) * MS)
        writer.commit()
    finally:
        writer.discard()
    return len(media.probe(path).samples) / 48_000


@pytest.mark.parametrize(
    ("name", "gaps", "seconds"),
    [
        ("a.wav", "auto", 1.0),
        ("a.wav", "close", 1.0),
        ("a.wav", "keep", 3.5),
        ("a.mp4", "auto", 3.5),
        ("a.mp4", "close", 1.0),
    ],
)
def test_gaps_become_silence_where_time_matters(tmp_path, media, name, gaps, seconds):
    assert with_gap(tmp_path / name, media, 2_500, gaps=gaps) == pytest.approx(seconds, abs=0.03)


def test_the_jitter_of_packets_is_no_gap(tmp_path, media):
    assert with_gap(tmp_path / "a.wav", media, 90, gaps="keep") == 1.0


def test_times_that_do_not_move_are_laid_end_to_end(tmp_path, media):
    writer = writer_of(tmp_path / "a.wav", gaps="keep")
    for audio, _ in blocks(media.tone(1), 48_000):
        writer.write_audio(audio, 0)
    writer.commit()
    assert len(media.probe(tmp_path / "a.wav").samples) == 48_000


def test_a_jump_that_cannot_be_meant_is_an_error(tmp_path, media):
    with pytest.raises(MediaError, match=r'jumps by 1000\.0 s .*set gaps to "close"'):
        with_gap(tmp_path / "a.wav", media, 1_000_000, gaps="keep")
    assert names_in(tmp_path) == []


# --- which streams ------------------------------------------------------------------------------


def test_one_stream_in_a_container_for_two(tmp_path, media):
    write(tmp_path / "a.mp4", pictures=[media.picture(number) for number in range(10)])
    assert set(media.probe(tmp_path / "a.mp4").codecs) == {"video"}
    write(tmp_path / "b.mp4", samples=media.tone(1))
    assert set(media.probe(tmp_path / "b.mp4").codecs) == {"audio"}
    write(tmp_path / "c.mp4", samples=media.tone(1), streams="both")
    assert set(media.probe(tmp_path / "c.mp4").codecs) == {"audio"}


def test_what_waits_for_a_second_stream_is_bounded_in_time(tmp_path, media, monkeypatch):
    monkeypatch.setattr(writing, "HELD_NS_MAX", SECOND)
    writer = writer_of(tmp_path / "a.mp4")
    write_audio(writer, media.tone(3))
    assert writer._held == []
    with pytest.raises(MediaError, match=r"video began when 3\.0 s without any were written"):
        writer.write_video(Video(media.picture(0)), 0)
    writer.commit()
    assert len(media.probe(tmp_path / "a.mp4").samples) >= 144_000


def test_what_waits_for_a_second_stream_is_bounded_in_bytes(tmp_path, media, monkeypatch):
    monkeypatch.setattr(writing, "HELD_BYTES_MAX", 10_000)
    writer = writer_of(tmp_path / "a.mkv", audio_codec="pcm_s16le")
    held = []
    for audio, at in blocks(media.tone(1), 48_000):
        writer.write_audio(audio, at)
        held.append(sum(packet.size for packet in writer._held))
    assert 0 < max(held) <= 10_000
    writer.discard()


def test_streams_both_waits_but_not_for_ever(tmp_path, media, monkeypatch):
    monkeypatch.setattr(writing, "HELD_NS_MAX", SECOND)
    with pytest.raises(MediaError, match=r"no video has come within 1\.0 s: connect it"):
        write(tmp_path / "a.mp4", samples=media.tone(3), streams="both")


def test_a_stream_that_is_not_expected(tmp_path, media):
    with pytest.raises(MediaError, match="it takes audio only, and video came"):
        write(tmp_path / "a.mp4", streams="audio", pictures=[media.picture(0)])
    with pytest.raises(MediaError, match="it takes audio only, and video came"):
        write(tmp_path / "a.wav", pictures=[media.picture(0)])


def test_a_container_for_sound_is_no_place_for_video(tmp_path):
    with pytest.raises(MediaError, match=r"a\.wav: wav holds audio only"):
        writer_of(tmp_path / "a.wav", streams="both")


def test_a_codec_that_is_not_there_is_said_at_once(tmp_path):
    with pytest.raises(MediaError, match="video_codec 'vp8' cannot be used in mp4"):
        writer_of(tmp_path / "a.mp4", video_codec="vp8")
    writer_of(tmp_path / "a.mp4", video_codec="vp8", streams="audio").discard()


# --- what must stay, and what is left -----------------------------------------------------------


def test_rate_channels_and_size_must_stay(tmp_path, media):
    writer = writer_of(tmp_path / "a.mp4")
    writer.write_audio(Audio(np.zeros(480, np.float32), 48_000), 0)
    writer.write_video(Video(media.picture(0)), 0)
    with pytest.raises(MediaError, match=r"audio is 48000 Hz × 1, .* 16000 Hz × 1: put a FastRes"):
        writer.write_audio(Audio(np.zeros(480, np.float32), 16_000), 0)
    with pytest.raises(MediaError, match=r"frames are 64 × 48, .* is 32 × 48: put a VideoScaleN"):
        writer.write_video(Video(media.picture(0, 32)), 0)
    with pytest.raises(MediaError, match=r"cannot write .*a\.mp4: an encoded frame \(vp8\)"):
        writer.write_video(Video(b"xx", "encoded", 64, 48, codec="vp8"), SECOND)
    writer.discard()
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(("name", "channels"), [("a.mp3", 6), ("a.ogg", 3), ("a.flac", 16)])
def test_channels_that_the_codec_has_not_are_said(tmp_path, name, channels):
    writer = writer_of(tmp_path / name)
    message = rf"cannot write .*{name}: .* does not encode audio of 48000 Hz × {channels} channels"
    with pytest.raises(MediaError, match=message):
        writer.write_audio(Audio(np.zeros((480, channels), np.float32), 48_000), 0)
    writer.discard()
    assert names_in(tmp_path) == []


def test_nothing_is_visible_before_the_end(tmp_path, media):
    (tmp_path / "a.wav").write_bytes(b"old")
    writer = writer_of(tmp_path / "a.wav")
    write_audio(writer, media.tone(2))
    assert names_in(tmp_path) == ["a.wav"]
    writer.discard()
    assert (tmp_path / "a.wav").read_bytes() == b"old"
    assert names_in(tmp_path) == ["a.wav"]


@pytest.mark.parametrize("suffix", CONTAINERS)
@pytest.mark.parametrize("samples", [None, np.zeros((0, 1), np.float32)], ids=["none", "empty"])
def test_without_content_there_is_no_file(tmp_path, samples, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"old")
    writer = writer_of(path)
    if samples is not None:
        writer.write_audio(Audio(samples, 48_000), 0)
    assert writer.commit() is None
    assert path.read_bytes() == b"old"


def test_a_full_disk_is_said_with_the_path(tmp_path, media, monkeypatch):
    monkeypatch.setattr(PartFile, "location", "/dev/full")
    writer = writer_of(tmp_path / "a.wav")
    with pytest.raises(MediaError, match=r"cannot write .*a\.wav: No space left on device"):
        write_audio(writer, media.tone(60))
    writer.discard()
    assert names_in(tmp_path) == []


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # which is what is provoked
def test_a_writer_that_nobody_closed_can_be_collected(tmp_path, media):
    writer = writer_of(tmp_path / "a.mp4")
    for audio, at in blocks(media.tone(1), 48_000):
        writer.write_audio(audio, at)
        writer.write_video(Video(media.picture(at // (20 * MS))), at)
    writer.itself = writer
    del writer
    gc.collect()
    assert names_in(tmp_path) == []


def test_a_closed_writer_takes_no_commit(tmp_path):
    writer = writer_of(tmp_path / "a.wav")
    writer.discard()
    writer.discard()
    with pytest.raises(UsageError, match="is closed"):
        writer.commit()
