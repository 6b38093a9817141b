"""Opens media files for reading, and says what is wrong with those that cannot be.

Source: FR-002. Blocking file I/O through PyAV; no operator.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from engine.errors import MediaError

if TYPE_CHECKING:
    import contextlib
    from pathlib import Path

_SECOND_NS = 1_000_000_000


def open_media(path: Path, stack: contextlib.ExitStack) -> Any:
    """Open a file, first as a file, so that the system says what is wrong with it.

    Args:
        path: the file.
        stack: what is opened is closed with it.

    Returns:
        PyAV's input container.

    Raises:
        MediaError: the file is missing, no regular file, unreadable, empty, or no media file.
    """
    import av

    try:
        if path.exists() and not path.is_file():
            what = "a directory" if path.is_dir() else "no regular file"
            raise MediaError(f"{path} is {what}, not a media file", path=str(path))
        file = stack.enter_context(path.open("rb"))
        size_bytes = path.stat().st_size
    except FileNotFoundError as error:
        raise MediaError(f"there is no file {path}", path=str(path)) from error
    except OSError as error:
        raise MediaError(f"cannot read {path}: {error.strerror}", path=str(path)) from error
    except ValueError as error:  # a zero byte in its name, say
        raise MediaError(f"{str(path)!r} cannot be a path: {error}", path=str(path)) from error
    if not size_bytes:
        raise MediaError(f"{path} is empty", path=str(path))
    try:
        # The file alone: whatever it refers to, libav has no protocol to open it by.
        container = av.open(file, options={"protocol_whitelist": "none"}, metadata_errors="replace")
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(
            f"{path} is not a media file that can be read (MP4, WebM, MKV, WAV, MP3, OGG, …), or it"
            f" is damaged: {error.strerror}",
            path=str(path),
        ) from error
    return stack.enter_context(container)


def main_stream(container: Any, kind: str) -> Any:
    """The file's main stream of a kind that there is a decoder for, or None; a cover is no video.

    Args:
        container: PyAV's.
        kind: "audio" or "video".
    """
    from av.stream import Disposition

    usable = [
        stream
        for stream in container.streams
        if stream.type == kind
        and stream.codec_context is not None
        and not stream.disposition & Disposition.attached_pic
    ]
    main = [stream for stream in usable if stream.disposition & Disposition.default]
    return next(iter(main or usable), None)


def origin_ns(container: Any) -> int:
    """The time at which a file begins by its own clock, so that position 0 is its beginning.

    Times before zero belong to what the decoder swallows.
    """
    starts = [
        nanoseconds(stream.start_time, stream.time_base)
        for stream in container.streams
        if stream.start_time is not None and stream.time_base
    ]
    return max(0, min(starts, default=0))


def promised_ns(container: Any) -> int:
    """Up to which position the file says it goes; 0 where it does not.

    That of a stream where it is told by stream, since one may be shorter than the others.
    """
    ends = [
        nanoseconds((stream.start_time or 0) + stream.duration, stream.time_base)
        for stream in container.streams
        if stream.duration is not None and stream.time_base
    ]
    if ends:
        return max(0, min(ends) - origin_ns(container))
    return (container.duration or 0) * 1_000 if len(container.streams) == 1 else 0


def nanoseconds(ticks: int, time_base: Fraction) -> int:
    """A time in ticks, in nanoseconds."""
    return round(Fraction(ticks * time_base.numerator * _SECOND_NS, time_base.denominator))


def layout_name(channels: int) -> str:
    """The name libav has for the usual layout of so many channels."""
    names = ("mono", "stereo", "2.1", "4.0", "5.0", "5.1", "6.1", "7.1")
    return names[channels - 1] if channels <= len(names) else f"{channels} channels"
