"""Which containers a file can be written in, with which codecs; what this machine's libav can do.

Source: FR-002. No operator. PyAV is imported when first needed.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from engine.errors import MediaError

if TYPE_CHECKING:
    from pathlib import Path

Kind = Literal["audio", "video"]


@dataclass(frozen=True, slots=True)
class Container:
    """A file format.

    Attributes:
        format: libav's name of it.
        mime_type: of a file of it.
        audio: encoder of its sound where none is named.
        video: encoder of its pictures where none is named; "": it holds sound only.
    """

    format: str
    mime_type: str
    audio: str
    video: str = ""


#: Suffix → container.
CONTAINERS = {
    ".wav": Container("wav", "audio/wav", "pcm_s16le"),
    ".mp3": Container("mp3", "audio/mpeg", "libmp3lame"),
    ".ogg": Container("ogg", "audio/ogg", "libopus"),
    ".opus": Container("opus", "audio/ogg", "libopus"),
    ".flac": Container("flac", "audio/flac", "flac"),
    ".m4a": Container("ipod", "audio/mp4", "aac"),
    ".mka": Container("matroska", "audio/x-matroska", "libopus"),
    ".mp4": Container("mp4", "video/mp4", "aac", "libx264"),
    ".mov": Container("mov", "video/quicktime", "aac", "libx264"),
    ".webm": Container("webm", "video/webm", "libopus", "libvpx-vp9"),
    ".mkv": Container("matroska", "video/x-matroska", "libopus", "libx264"),
}

#: A codec's usual name → encoders for it, the best first.
_ENCODERS = {
    "h264": ("libx264", "libopenh264"),
    "h265": ("libx265",),
    "hevc": ("libx265",),
    "vp8": ("libvpx",),
    "vp9": ("libvpx-vp9",),
    "av1": ("libsvtav1", "libaom-av1"),
    "opus": ("libopus",),
    "mp3": ("libmp3lame",),
    "vorbis": ("libvorbis",),
    "pcm": ("pcm_s16le",),
}

_UNKNOWN = "is no encoder that there is"

#: What is tried to tell people what there is.
_KNOWN: dict[Kind, tuple[str, ...]] = {
    "audio": ("aac", "flac", "mp3", "opus", "pcm_f32le", "pcm_s16le", "pcm_s24le", "vorbis"),
    "video": ("av1", "ffv1", "h264", "h265", "mjpeg", "mpeg4", "vp8", "vp9"),
}


def container_of(path: Path) -> Container:
    """The container a file's suffix stands for.

    Raises:
        MediaError: none.
    """
    container = CONTAINERS.get(path.suffix.lower())
    if container is None:
        raise MediaError(
            f"cannot tell a format from {path.name!r}: let its name end in {', '.join(CONTAINERS)}",
            path=str(path),
        )
    return container


def encoder_for(container: Container, kind: Kind, codec: str) -> str:
    """The encoder to use.

    Args:
        container: where its packets go.
        kind: of what it encodes.
        codec: a codec's or an encoder's name; "": the container's own choice.

    Raises:
        MediaError: this libav has no such encoder, or cannot open it, or the container does not
            take what it makes; the message names those that would do.
    """
    wanted = codec or (container.audio if kind == "audio" else container.video)
    why = _UNKNOWN
    for name in _ENCODERS.get(wanted.lower(), (wanted,)):
        problem = _problem(container, kind, name)
        if problem is None:
            return name
        why = problem
    usable = [name for name in _KNOWN[kind] if _usable(container, kind, name)]
    choice = f"{kind} codecs for {container.format}: {', '.join(usable) or 'none'}"
    raise MediaError(f"{kind}_codec {wanted!r} {why}; {choice}", codec=wanted)


def _usable(container: Container, kind: Kind, codec: str) -> bool:
    encoders = _ENCODERS.get(codec, (codec,))
    return any(_problem(container, kind, name, opens=False) is None for name in encoders)


def _problem(container: Container, kind: Kind, name: str, *, opens: bool = True) -> str | None:
    """Why an encoder will not do, or None; with `opens` it is opened on trial."""
    import av

    try:
        if av.Codec(name, "w").type != kind:
            return f"does not encode {kind}"
    except (ValueError, av.error.FFmpegError):
        return _UNKNOWN
    try:
        with av.open(io.BytesIO(), "w", format=container.format) as trial:
            stream: Any = trial.add_stream(name, rate=48_000 if kind == "audio" else 25)
            if kind == "video":
                stream.width, stream.height, stream.pix_fmt = 320, 240, pixel_format(stream.codec)
            stream.codec_context.thread_count = 1
            if opens:
                stream.codec_context.open()
    except (ValueError, av.error.FFmpegError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return f"cannot be used in {container.format} here ({reason})"
    return None


def pixel_format(codec: Any) -> str:
    """The pixel format to give an encoder: 4:2:0, which everybody can play, if it takes that."""
    names = [format_.name for format_ in codec.video_formats or ()]
    return "yuv420p" if not names or "yuv420p" in names else str(names[0])
