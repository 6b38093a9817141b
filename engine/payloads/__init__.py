"""The payload kinds: what a packet carries.

Pure: no I/O, no clock. Slotted classes, made on the hot path, never pydantic models.

    audio    Audio     samples and their rate            binary   Binary    bytes of a MIME type
    video    Video     one frame, raw or encoded         file     File      a file, by its path
    tensor   Tensor    an array of numbers               table    Table     an Arrow record batch
    text     Text      text for the ear or the eye       control  Control   about the stream itself
    json     Json      a JSON value

Every payload has an Arrow form (`to_arrow`, `from_arrow`, the Arrow PyCapsule interface), in which
it crosses processes; `engine.payloads.arrow` says what it looks like.

Arrays are read-only from the moment they are in a payload, on every executor: a payload freezes the
array it is given. To change samples, copy them, or write into `ctx.empty(...)` before making the
payload.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from engine.payloads.arrays import freeze
from engine.payloads.audio import AUDIO_DTYPES, Audio
from engine.payloads.control import (
    BatchHint,
    CancelSpeculation,
    Control,
    ControlMessage,
    DeadlineWarning,
)
from engine.payloads.plain import Binary, File, Json, Text
from engine.payloads.table import Table
from engine.payloads.tensor import Tensor
from engine.payloads.video import VIDEO_CODECS, VIDEO_FORMATS, Video

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "AUDIO_DTYPES",
    "KINDS",
    "KIND_NAMES",
    "PAYLOAD_TYPES",
    "VIDEO_CODECS",
    "VIDEO_FORMATS",
    "Audio",
    "BatchHint",
    "Binary",
    "CancelSpeculation",
    "Control",
    "ControlMessage",
    "DeadlineWarning",
    "File",
    "Json",
    "Payload",
    "Table",
    "Tensor",
    "Text",
    "Video",
    "freeze",
    "from_arrow",
    "kind_of",
    "not_an_output",
    "payload_bytes",
    "to_arrow",
]

Payload: TypeAlias = Audio | Video | Tensor | Text | Json | Binary | File | Table | Control

#: Name of each payload kind, as used in manifests, messages and statistics.
KINDS: dict[str, type[Payload]] = {
    "audio": Audio,
    "video": Video,
    "tensor": Tensor,
    "text": Text,
    "json": Json,
    "binary": Binary,
    "file": File,
    "table": Table,
    "control": Control,
}
KIND_NAMES: dict[type[Payload], str] = {cls: name for name, cls in KINDS.items()}
PAYLOAD_TYPES = frozenset(KIND_NAMES)


def kind_of(payload: Payload) -> str:
    """The kind's name, a key of KINDS."""
    return KIND_NAMES[type(payload)]


def to_arrow(payload: Payload) -> pa.RecordBatch:
    """The payload's Arrow form, see `engine.payloads.arrow`.

    Raises:
        ValueError: it has none.
    """
    return payload.to_arrow()


def from_arrow(batch: pa.RecordBatch) -> Payload:
    """The payload a record batch stands for; one without our mark is a Table.

    Raises:
        ValueError: the batch is damaged.
    """
    from engine.payloads import arrow

    return arrow.from_arrow(batch)


def payload_bytes(payload: Payload) -> int:
    """Size of the payload's data in bytes, as counted by byte credits and statistics.

    A Table's is that of the message Arrow writes. Json, File and Control carry no data to speak of:
    0.
    """
    kind = type(payload)
    if kind is Audio:
        return payload.samples.nbytes  # type: ignore[union-attr]
    size = _SIZES.get(kind)
    return size(payload) if size is not None else 0


def _text_bytes(payload: Text) -> int:
    text = payload.text
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def _table_bytes(table: Table) -> int:
    """As Arrow would write it; its own `nbytes` ends the process at an empty slice of a union."""
    import pyarrow as pa

    return int(pa.ipc.get_record_batch_size(table.batch))


_SIZES: dict[type[Any], Any] = {
    Video: lambda payload: payload.pixels.nbytes,
    Tensor: lambda payload: payload.array.nbytes,
    Text: _text_bytes,
    Binary: lambda payload: len(payload.data),
    Table: _table_bytes,
}

_HINTS: dict[type[Any], str] = {
    str: "return Text(...)",
    bytes: "return Binary(...)",
    bytearray: "return Binary(...)",
    dict: "return Json(...)",
    bool: "return Json(...)",
    int: "return Json(...)",
    float: "return Json(...)",
    np.ndarray: "return Audio(samples, sample_rate), Video(pixels) or Tensor(array)",
}


def not_an_output(value: Any) -> str:
    """What to say of a value that an operator handed out and that is no payload."""
    if isinstance(value, type):
        return f"{value.__name__} is a class: return one made of it, {value.__name__}(...)"
    if isinstance(value, tuple):
        return "a pair is not a payload: ctx.to(port, payload) names an output port"
    hint = _HINTS.get(type(value))
    if hint is None and isinstance(value, os.PathLike):
        hint = "return File(path)"
    if hint is None and hasattr(value, "__arrow_c_stream__"):
        hint = "return Table(...)"
    if hint is None:
        hint = "return a payload, a Packet, ctx.to(port, payload), an iterable of these, or None"
    return f"{type(value).__name__} is not a payload: {hint}"
