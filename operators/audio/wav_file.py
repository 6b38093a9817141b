"""Sound files: read in blocks, written as 16-bit WAV.

Source: FR-002. Blocking file I/O through libsndfile (https://libsndfile.github.io/libsndfile/); no
operator. What is read may be any format libsndfile knows (WAV, FLAC, OGG, MP3, …).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from engine.errors import MediaError, UsageError
from engine.payloads import Audio

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What a sound file says about itself.

    Attributes:
        sample_rate: Hz.
        channels: number of channels.
        frames: samples per channel.
        format: container and encoding, for people: "WAV, Signed 16 bit PCM".
    """

    sample_rate: int
    channels: int
    frames: int
    format: str

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate


def read_info(path: str | os.PathLike[str]) -> AudioInfo:
    """Look at a sound file.

    Raises:
        MediaError: the file is missing, a directory, unreadable, or no sound file.
    """
    with _open(Path(path)) as file:
        return AudioInfo(
            file.samplerate,
            file.channels,
            file.frames,
            f"{file.format_info.split(' (')[0]}, {file.subtype_info}",
        )


def read_blocks(
    path: str | os.PathLike[str],
    block_ms: int = 20,
    dtype: Literal["float32", "int16", "int32"] = "float32",
) -> Iterator[Audio]:
    """Read a sound file block by block, in constant memory.

    Args:
        path: the file.
        block_ms: length of a block in milliseconds, at least 1; the last one may be shorter. Where
            the rate makes that a fraction of a frame, blocks differ by one frame, so that block `n`
            begins at the frame nearest before `n * block_ms`.
        dtype: of the samples; float32 is in −1…1.

    Returns:
        An iterator of blocks of shape (frames, channels). It holds the file open from its first to
        its last block, or until it is closed.

    Raises:
        MediaError: at once, if the file is missing, a directory, unreadable, or no sound file;
            while reading, if it is damaged further on.
        UsageError: `block_ms` is less than 1.
    """
    if block_ms < 1:
        raise UsageError(f"block_ms must be at least 1, got {block_ms}", block_ms=block_ms)
    read_info(path)
    return _blocks(Path(path), block_ms, dtype)


def _blocks(path: Path, block_ms: int, dtype: str) -> Iterator[Audio]:
    import soundfile

    with _open(path) as file:
        rate: int = file.samplerate
        position = 0
        for number in range(1, 1 + -(-file.frames * 1000 // (rate * block_ms))):
            stop = min(number * rate * block_ms // 1000, file.frames)
            if stop == position:  # a block shorter than a frame
                continue
            try:
                samples = file.read(stop - position, dtype=dtype, always_2d=True)
            except soundfile.SoundFileError as error:
                raise MediaError(
                    f"{path} is damaged after {position / rate:.3f} s: {error}", path=str(path)
                ) from error
            if not len(samples):
                return  # shorter than its header says
            position += len(samples)
            yield Audio(samples, rate)


class WavWriter:
    """Writes audio to a 16-bit WAV file that appears only when it is complete.

    The first packet decides rate and channels. Samples are written to a file beside the target,
    which takes its place on `close`; leaving the `with` block by an exception removes it, and
    leaves the target as it was. Without any sample no file is made: `written_frames` is 0 then.
    Samples beyond −1…1 are clipped.

    Args:
        path: the target; replaced if it exists.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        #: Samples per channel written so far.
        self.written_frames = 0
        #: The file's rate in Hz and its channels, once the first packet has come.
        self.form: tuple[int, int] | None = None
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}-{id(self):x}.part")
        self._file: Any = None
        self._closed = False

    def write(self, audio: Audio) -> None:
        """Append a packet.

        Raises:
            MediaError: the file cannot be written, or rate or channels differ from the first
                packet's.
            UsageError: the writer is closed.
        """
        if self._closed:
            raise UsageError(f"the writer of {self.path} is closed", path=str(self.path))
        form = (audio.sample_rate, audio.channels)
        if self.form is None:
            self._file = self._create(*form)
            self.form = form
        if form != self.form:
            raise MediaError(
                f"{self.path} holds {_said(self.form)}, the next packet is {_said(form)}: put a"
                " FastResampleNode before the writer",
                path=str(self.path),
            )
        try:
            self._file.write(audio.samples)
        except (OSError, RuntimeError) as error:  # SoundFileError is a RuntimeError
            raise MediaError(f"cannot write {self.path}: {error}", path=str(self.path)) from error
        self.written_frames += audio.frames

    def close(self) -> None:
        """Complete the file and put it in its place; does nothing the second time.

        Raises:
            MediaError: it cannot be put there.
        """
        if self._closed:
            return
        self._closed = True
        if self._file is None:
            return
        self._file.close()
        if not self.written_frames:
            self._part.unlink()
            return
        try:
            self._part.replace(self.path)
        except OSError as error:
            self._part.unlink(missing_ok=True)
            raise MediaError(f"cannot write {self.path}: {error}", path=str(self.path)) from error

    def discard(self) -> None:
        """Throw away what was written, leaving the target as it was."""
        if self._closed:
            return
        self._closed = True
        if self._file is not None:
            self._file.close()
            self._part.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def _create(self, sample_rate: int, channels: int) -> Any:
        import soundfile

        if self.path.is_dir():
            raise MediaError(f"{self.path} is a directory, not a file", path=str(self.path))
        if not self.path.parent.is_dir():
            raise MediaError(
                f"cannot write {self.path}: there is no directory {self.path.parent}",
                path=str(self.path),
            )
        try:
            return soundfile.SoundFile(
                self._part, "w", sample_rate, channels, subtype="PCM_16", format="WAV"
            )
        except (OSError, RuntimeError) as error:
            raise MediaError(f"cannot write {self.path}: {error}", path=str(self.path)) from error


def _open(path: Path) -> Any:
    import soundfile

    if path.is_dir():
        raise MediaError(f"{path} is a directory, not a sound file", path=str(path))
    try:
        with path.open("rb"):
            pass  # the system's own words on what is wrong are better than libsndfile's
        return soundfile.SoundFile(path)
    except FileNotFoundError as error:
        raise MediaError(f"there is no file {path}", path=str(path)) from error
    except OSError as error:
        raise MediaError(f"cannot read {path}: {error.strerror}", path=str(path)) from error
    except soundfile.SoundFileError as error:
        raise MediaError(
            f"{path} is not a sound file (WAV, FLAC, OGG, MP3, …): {error}", path=str(path)
        ) from error


def _said(form: tuple[int, int]) -> str:
    return f"{form[0]} Hz × {form[1]}"
