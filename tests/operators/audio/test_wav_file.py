import numpy as np
import pytest
import soundfile

from engine.errors import MediaError, UsageError
from engine.payloads import Audio
from operators.audio.wav_file import AudioInfo, WavWriter, read_blocks, read_info


def tone(frames: int, channels: int = 1) -> np.ndarray:
    samples = np.sin(np.arange(frames * channels) * 0.05) * 0.5
    return samples.astype(np.float32).reshape(frames, channels)


@pytest.fixture
def wav(tmp_path):
    path = tmp_path / "tone.wav"
    with WavWriter(path) as writer:
        writer.write(Audio(tone(2_000, 2), 22_050))
    return path


def test_what_was_written_is_read(wav, joined):
    assert read_info(wav) == AudioInfo(22_050, 2, 2_000, "WAV, Signed 16 bit PCM")
    assert read_info(wav).duration_s == pytest.approx(2_000 / 22_050)
    blocks = list(read_blocks(wav))
    assert [block.frames for block in blocks] == [441, 441, 441, 441, 236]
    assert {block.sample_rate for block in blocks} == {22_050}
    assert np.allclose(joined(blocks), tone(2_000, 2), atol=1 / 32_000)


@pytest.mark.parametrize("dtype", ["int16", "int32"])
def test_samples_may_be_integers(wav, dtype):
    block = next(read_blocks(wav, dtype=dtype))
    assert block.samples.dtype == dtype
    assert np.allclose(block.mono(), tone(441, 2).mean(axis=1), atol=1 / 32_000)


@pytest.mark.parametrize(("rate", "block_ms"), [(11_025, 20), (44_100, 7), (8_000, 1), (50, 1)])
def test_blocks_keep_time_where_a_block_is_no_whole_number_of_frames(
    tmp_path, joined, rate, block_ms
):
    path = tmp_path / "odd.wav"
    soundfile.write(path, tone(1_000), rate, "PCM_16")
    blocks = list(read_blocks(path, block_ms))
    assert sum(block.frames for block in blocks) == 1_000
    assert all(block.frames for block in blocks)
    ends = np.cumsum([block.frames for block in blocks])[:-1]
    if rate * block_ms >= 1_000:
        exact = np.arange(1, len(blocks)) * rate * block_ms / 1_000
        assert np.all((exact - 1 < ends) & (ends <= exact))


def test_blocks_of_nothing_are_refused(wav):
    with pytest.raises(UsageError, match="block_ms must be at least 1"):
        read_blocks(wav, 0)


def test_an_empty_file_has_no_blocks(tmp_path):
    path = tmp_path / "empty.wav"
    soundfile.write(path, np.zeros((0, 1)), 8_000)
    assert list(read_blocks(path)) == []


def test_a_file_of_another_kind_is_read_too(tmp_path):
    path = tmp_path / "tone.flac"
    soundfile.write(path, tone(1_000), 16_000)
    assert read_info(path).format.startswith("FLAC")
    assert sum(block.frames for block in read_blocks(path)) == 1_000


@pytest.mark.parametrize("function", [read_info, read_blocks])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.wav", "there is no file .*missing.wav"),
        ("folder", "folder is a directory, not a sound file"),
        ("text.wav", "text.wav is not a sound file"),
        ("nothing.wav", "nothing.wav is not a sound file"),
    ],
)
def test_what_is_no_sound_file_is_said_at_once(tmp_path, function, name, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.wav").write_text("not a sound")
    (tmp_path / "nothing.wav").touch()
    with pytest.raises(MediaError, match=message):
        function(tmp_path / name)


def test_a_file_that_was_cut_off_is_read_as_far_as_it_goes(wav):
    content = wav.read_bytes()
    wav.write_bytes(content[: len(content) // 2])
    assert 900 < sum(block.frames for block in read_blocks(wav)) < 1_000


def test_the_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "out.wav"
    with WavWriter(path) as writer:
        writer.write(Audio(tone(100), 8_000))
        assert not path.exists()
        assert writer.form == (8_000, 1)
    assert writer.written_frames == 100
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.wav"]
    writer.close()


def test_two_writers_of_one_path_do_not_mix(tmp_path):
    writers = [WavWriter(tmp_path / "a.wav") for _ in range(2)]
    for value in (0.25, 0.5, 0.25, 0.5):
        writers[value == 0.5].write(Audio(np.full(100, value, np.float32), 8_000))
    for value, writer in zip((0.25, 0.5), writers, strict=True):
        writer.close()
        (block,) = read_blocks(tmp_path / "a.wav", block_ms=1_000)
        assert np.array_equal(block.samples, np.full((200, 1), value, np.float32))
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_an_interrupted_run_leaves_the_target_as_it_was(tmp_path):
    path = tmp_path / "out.wav"
    path.write_text("before")

    def interrupted() -> None:
        with WavWriter(path) as writer:
            writer.write(Audio(tone(100), 8_000))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.wav"]


@pytest.mark.parametrize("packets", [[], [Audio(np.zeros(0, np.float32), 8_000)]])
def test_nothing_written_makes_no_file(tmp_path, packets):
    with WavWriter(tmp_path / "out.wav") as writer:
        for packet in packets:
            writer.write(packet)
    assert writer.written_frames == 0
    assert list(tmp_path.iterdir()) == []


def test_loud_samples_are_clipped(tmp_path):
    path = tmp_path / "loud.wav"
    with WavWriter(path) as writer:
        writer.write(Audio(np.array([2.0, -2.0, 0.5], np.float32), 8_000))
    assert next(read_blocks(path, dtype="int16")).samples[:, 0].tolist() == [
        32_767,
        -32_768,
        16_384,
    ]


@pytest.mark.parametrize("dtype", [np.int16, np.int32])
def test_integers_are_written(tmp_path, dtype):
    path = tmp_path / "integers.wav"
    samples = (tone(100) * -float(np.iinfo(dtype).min)).astype(dtype)
    with WavWriter(path) as writer:
        writer.write(Audio(samples, 8_000))
    assert np.allclose(next(read_blocks(path, 1_000)).samples, tone(100), atol=1 / 16_000)


@pytest.mark.parametrize("other", [Audio(tone(9), 16_000), Audio(tone(9, 2), 8_000)])
def test_another_format_in_mid_file_is_refused(tmp_path, other):
    writer = WavWriter(tmp_path / "out.wav")
    writer.write(Audio(tone(9), 8_000))
    with pytest.raises(MediaError, match="holds 8000 Hz × 1, the next packet is"):
        writer.write(other)
    writer.discard()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [("folder", "is a directory"), ("no/such/out.wav", "there is no directory .*no/such")],
)
def test_where_no_file_can_be_is_said(tmp_path, name, message):
    (tmp_path / "folder").mkdir()
    with pytest.raises(MediaError, match=message), WavWriter(tmp_path / name) as writer:
        writer.write(Audio(tone(9), 8_000))


def test_a_closed_writer_takes_nothing(tmp_path):
    writer = WavWriter(tmp_path / "out.wav")
    writer.close()
    with pytest.raises(UsageError, match="is closed"):
        writer.write(Audio(tone(9), 8_000))
