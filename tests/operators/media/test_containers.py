from pathlib import Path

import pytest

from engine.errors import MediaError
from operators.media.containers import CONTAINERS, container_of, encoder_for


@pytest.mark.parametrize("suffix", sorted(CONTAINERS))
def test_every_containers_own_codecs_are_there(suffix):
    container = CONTAINERS[suffix]
    assert encoder_for(container, "audio", "") == container.audio
    if container.video:
        assert encoder_for(container, "video", "") == container.video


@pytest.mark.parametrize(
    ("suffix", "kind", "codec", "encoder"),
    [
        (".mp4", "video", "h264", "libx264"),
        (".mkv", "video", "VP8", "libvpx"),
        (".webm", "video", "vp9", "libvpx-vp9"),
        (".mkv", "audio", "mp3", "libmp3lame"),
        (".ogg", "audio", "vorbis", "libvorbis"),
        (".wav", "audio", "pcm_f32le", "pcm_f32le"),
        (".mp4", "audio", "libopus", "libopus"),
    ],
)
def test_codecs_are_known_by_their_usual_names(suffix, kind, codec, encoder):
    assert encoder_for(CONTAINERS[suffix], kind, codec) == encoder


def test_a_codec_the_container_does_not_take_names_those_that_it_does():
    with pytest.raises(MediaError, match=r"'vp8' cannot be used in mp4 .*h264, .*vp9"):
        encoder_for(CONTAINERS[".mp4"], "video", "vp8")


def test_an_encoder_that_cannot_be_opened_here_names_others():
    with pytest.raises(MediaError, match=r"'h264_v4l2m2m' cannot be used .*video codecs for mp4"):
        encoder_for(CONTAINERS[".mp4"], "video", "h264_v4l2m2m")


def test_an_unknown_codec_names_those_there_are():
    with pytest.raises(MediaError, match="'nonsense' is no encoder that there is; audio codecs"):
        encoder_for(CONTAINERS[".ogg"], "audio", "nonsense")


def test_a_decoder_is_no_encoder():
    with pytest.raises(MediaError, match="is no encoder"):
        encoder_for(CONTAINERS[".mkv"], "video", "libdav1d")


def test_the_kind_must_fit():
    with pytest.raises(MediaError, match="'libx264' does not encode audio"):
        encoder_for(CONTAINERS[".mkv"], "audio", "libx264")


def test_the_suffix_may_be_in_capitals():
    assert container_of(Path("A.MP4")).format == "mp4"


@pytest.mark.parametrize("name", ["clip", "clip.txt", ".mp4x"])
def test_an_unknown_suffix_names_those_there_are(name):
    with pytest.raises(MediaError, match=r"cannot tell a format from .*\.wav, .*\.webm"):
        container_of(Path(name))
