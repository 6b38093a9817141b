import os
from pathlib import Path

import pytest

from engine.errors import MediaError
from operators.media.part_file import PartFile


def names_in(directory):
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture(params=["unnamed", "named"])
def part(request, tmp_path, monkeypatch):
    """A part file, as on Linux, and as where files must have names."""
    if request.param == "named":
        monkeypatch.setattr(os, "O_TMPFILE", 0)
    return PartFile(tmp_path / "target.bin")


def test_the_file_appears_when_it_is_complete(part, tmp_path):
    part.file.write(b"hello")
    assert not part.path.exists()
    assert part.commit() == 5
    assert part.path.read_bytes() == b"hello"
    assert names_in(tmp_path) == ["target.bin"]


def test_it_replaces_what_was_there_at_once(part):
    part.path.write_bytes(b"old")
    part.file.write(b"new!")
    assert part.path.read_bytes() == b"old"
    part.commit()
    assert part.path.read_bytes() == b"new!"


def test_what_is_discarded_leaves_nothing(part, tmp_path):
    part.path.write_bytes(b"old")
    part.file.write(b"new!")
    part.discard()
    part.discard()
    assert part.path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["target.bin"]
    assert part.file.closed


def test_an_unnamed_file_cannot_be_seen(tmp_path):
    part = PartFile(tmp_path / "target.bin")
    part.file.write(b"hello")
    part.file.flush()
    assert names_in(tmp_path) == []
    part.discard()


def test_a_library_can_write_it_by_a_path(part):
    with Path(part.location).open("r+b") as other:
        other.write(b"by another")
    assert part.commit() == 10
    assert part.path.read_bytes() == b"by another"


def test_it_has_the_permissions_of_any_new_file(part):
    other = part.path.with_name("other")
    other.write_bytes(b"")
    part.commit()
    assert part.path.stat().st_mode == other.stat().st_mode


def test_a_place_that_vanishes_is_an_error_that_names_it(part, tmp_path):
    part.file.write(b"hello")
    part.path.mkdir()
    with pytest.raises(MediaError, match=r"cannot write .*target\.bin: Is a directory"):
        part.commit()
    assert names_in(tmp_path) == ["target.bin"]


def test_a_missing_directory_is_said_at_once(tmp_path):
    with pytest.raises(MediaError, match=r"there is no directory .*nowhere"):
        PartFile(tmp_path / "nowhere" / "a.wav")


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(MediaError, match="is a directory, not a file"):
        PartFile(tmp_path)


def test_a_pipe_or_a_device_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(MediaError, match=r"pipe\.wav is no regular file"):
        PartFile(tmp_path / "pipe.wav")
    assert (tmp_path / "pipe.wav").is_fifo()


def test_a_name_that_is_too_long_is_said_with_the_path(tmp_path):
    with pytest.raises(MediaError, match=r"cannot write .*x\.wav: File name too long"):
        PartFile(tmp_path / ("x" * 300 + ".wav"))
