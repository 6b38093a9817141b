"""The payload kinds: what a packet carries.

Pure: no I/O, no clock. Slotted classes, made on the hot path, never pydantic models. Their Arrow
form is the business of `engine.edges.codec`.

Arrays are read-only from the moment they are in a payload, on every executor: a payload freezes the
array it is given. To change samples, copy them, or write into `ctx.empty(...)` before making the
payload.
"""

from __future__ import annotations

import mmap
import sys
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

#: dtypes an `Audio` may have.
AUDIO_DTYPES = (np.dtype(np.float32), np.dtype(np.int16), np.dtype(np.int32))

#: Samples have the shape (frames, channels).
_DIMENSIONS = 2

#: References to an array that nobody but one view of it and our own frame hold.
_REFERENCES_UNSHARED = 3


def freeze(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Make an array read-only, so that nobody can change it any more through any name.

    An array that owns its memory, and a view whose base nobody else holds, are frozen in place,
    without a copy; the caller's own later write raises ValueError. A view of memory that somebody
    else can still write is copied.

    Returns:
        The same array, or a frozen copy.
    """
    base: object = array.base  # numpy's own types know only arrays, but it may be any buffer
    # A read-only view of something writable could still change under the reader.
    changes = array.flags.writeable or (isinstance(base, np.ndarray) and base.flags.writeable)
    if not changes:
        return array
    if base is None:
        array.flags.writeable = False
        return array
    if (
        isinstance(base, np.ndarray)
        and _is_owner(base)
        and sys.getrefcount(base) <= _REFERENCES_UNSHARED
    ):
        base.flags.writeable = False
        array.flags.writeable = False
        return array
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def _is_owner(array: npt.NDArray[Any]) -> bool:
    """Whether no other Python object gives write access to the array's memory.

    Memory of an arena (`ctx.empty`) counts: nobody else is given that part of the mapping.
    """
    base = array.base
    return base is None or (isinstance(base, memoryview) and isinstance(base.obj, mmap.mmap))


class Audio:
    """A block of PCM samples.

    Attributes:
        samples: read-only C-contiguous array of shape (frames, channels), float32 in −1…1, int16 or
            int32.
        sample_rate: frames per second.
    """

    __slots__ = ("sample_rate", "samples")

    def __init__(self, samples: npt.ArrayLike, sample_rate: int) -> None:
        """Take the samples over.

        Args:
            samples: shape (frames,) or (frames, channels); float32, int16 or int32. Frozen in place
                where possible, see `freeze`.
            sample_rate: Hz, at least 1.

        Raises:
            ValueError: wrong shape, dtype or rate.
        """
        array = samples if type(samples) is np.ndarray else np.asarray(samples)
        if array.ndim not in {1, _DIMENSIONS}:
            raise ValueError(f"audio samples must have shape (frames, channels), got {array.shape}")
        if array.dtype not in AUDIO_DTYPES:
            raise ValueError(
                f"audio samples must be float32, int16 or int32, got {array.dtype}; convert them"
            )
        if array.ndim == _DIMENSIONS and array.shape[1] < 1:
            raise ValueError("audio must have at least one channel")
        if sample_rate < 1:
            raise ValueError(f"sample_rate must be at least 1 Hz, got {sample_rate}")
        if not array.flags.c_contiguous:
            array = np.ascontiguousarray(array)
        array = freeze(
            array
        )  # before reshape: a view of the caller's array would have to be copied
        self.samples: npt.NDArray[Any] = (
            array if array.ndim == _DIMENSIONS else array.reshape(-1, 1)
        )
        self.sample_rate = int(sample_rate)

    @property
    def frames(self) -> int:
        """Samples per channel."""
        return int(self.samples.shape[0])

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.samples.shape[1])

    @property
    def duration_ns(self) -> int:
        """Length in nanoseconds."""
        return len(self.samples) * 1_000_000_000 // self.sample_rate

    def mono(self) -> npt.NDArray[np.float32]:
        """The mean of the channels as float32 of shape (frames,); a read-only view if possible."""
        samples: npt.NDArray[np.float32] = self.samples
        if samples.dtype != np.float32:
            scale = 32_768.0 if samples.dtype == np.int16 else 2_147_483_648.0
            samples = (samples / scale).astype(np.float32)
        if samples.shape[1] == 1:
            return samples[:, 0]
        mean: npt.NDArray[np.float32] = samples.mean(axis=1, dtype=np.float32)
        return mean

    def __eq__(self, other: object) -> bool:
        if type(other) is not Audio:
            return NotImplemented
        return (
            self.sample_rate == other.sample_rate
            and self.samples.dtype == other.samples.dtype
            and np.array_equal(self.samples, other.samples)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shape = f"{self.frames} frames × {self.channels}"
        return f"Audio({shape}, {self.samples.dtype}, {self.sample_rate} Hz)"


@dataclass(slots=True)
class Text:
    """Text.

    Attributes:
        text: the text.
        language: BCP 47 tag or "".
        channel: which audience it is for: "tts" (spoken) or "ui".
    """

    text: str
    language: str = ""
    channel: str = "tts"


@dataclass(slots=True)
class Json:
    """A JSON value.

    Attributes:
        value: what `json.loads` would give: dict, list, str, int, float, bool or None.
        schema_type: name of the value's schema, or "".
    """

    value: Any
    schema_type: str = ""


@dataclass(slots=True)
class Binary:
    """Bytes of some MIME type."""

    data: bytes
    mime_type: str = "application/octet-stream"


Payload: TypeAlias = Audio | Text | Json | Binary

#: Name of each payload kind, as used in manifests, messages and statistics.
KINDS: dict[str, type[Payload]] = {"audio": Audio, "text": Text, "json": Json, "binary": Binary}
KIND_NAMES: dict[type[Payload], str] = {cls: name for name, cls in KINDS.items()}
PAYLOAD_TYPES = frozenset(KIND_NAMES)


def kind_of(payload: Payload) -> str:
    """The kind's name: "audio", "text", "json" or "binary"."""
    return KIND_NAMES[type(payload)]


def payload_bytes(payload: Payload) -> int:
    """Size of the payload's data in bytes, as counted by byte credits and statistics."""
    if type(payload) is Audio:
        return payload.samples.nbytes
    if type(payload) is Text:
        return len(payload.text)
    if type(payload) is Binary:
        return len(payload.data)
    return 0


def not_an_output(value: Any) -> str:
    """What to say of a value that an operator handed out and that is no payload."""
    hint = {
        str: "return Text(...)",
        bytes: "return Binary(...)",
        dict: "return Json(...)",
        np.ndarray: "return Audio(samples, sample_rate)",
    }.get(
        type(value),
        "return a payload, a Packet, ctx.to(port, payload), an iterable of these, or None",
    )
    return f"{type(value).__name__} is not a payload: {hint}"
