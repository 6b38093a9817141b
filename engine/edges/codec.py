"""The Arrow form of every payload, and how a slot is written and read.

Pure over memory. Source: FR-007, NFR-003; Apache Arrow IPC streaming format, version 1.

Every slot is a complete Arrow IPC stream of one record batch with one row, so that a slot, or many
of them as a recording, can be read by anything that reads Arrow:

    audio    sample_rate: int32 · channels: int32 · samples: list<float32 | int16 | int32>,
             interleaved
    text     text: utf8 · language: utf8 · channel: utf8
    json     value: utf8 (JSON) · schema_type: utf8
    binary   data: large_binary · mime_type: utf8

Audio is the hot one. Two messages of the same dtype, shape and rate differ in nothing but the
samples, which stand last, so it is written by copying a cached head, the samples and a cached tail,
and read by looking the head up:

    ┌──────────────── head ────────────────┬── samples ──┬── tail ──┐
    │ schema · batch header · other columns │ dtype bytes │ pad, EOS │
    └──────────────────────────────────────┴─────────────┴──────────┘

A head that is not known yet goes through pyarrow, which checks it; so does every other kind.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from engine.errors import EdgeError
from engine.payloads import Audio, Binary, Json, Payload, Text, kind_of

if TYPE_CHECKING:
    import numpy.typing as npt

#: Payloads up to this size are copied out of the slot when they are received; larger ones are
#: leased views.
COPY_BYTES_MAX = 65_536
#: How many audio shapes an encoder or decoder remembers.
SHAPES_REMEMBERED = 128
#: Upper bound of an audio head, kept free before an array that `ctx.empty` hands out.
HEAD_BYTES_MAX = 1024

#: Kinds as numbers, for descriptors.
KIND_CODES = {"audio": 0, "text": 1, "json": 2, "binary": 3}
KIND_OF_CODE = {code: kind for kind, code in KIND_CODES.items()}

_KIND = "remotemedia.kind"
_ARROW_TYPES = {"float32": pa.float32(), "int16": pa.int16(), "int32": pa.int32()}


def _schema(kind: str, **columns: pa.DataType) -> pa.Schema:
    fields = [pa.field(name, dtype, nullable=False) for name, dtype in columns.items()]
    return pa.schema(fields, metadata={_KIND: kind})


_AUDIO_SCHEMAS = {
    name: _schema("audio", sample_rate=pa.int32(), channels=pa.int32(), samples=pa.list_(dtype))
    for name, dtype in _ARROW_TYPES.items()
}
_TEXT_SCHEMA = _schema("text", text=pa.utf8(), language=pa.utf8(), channel=pa.utf8())
_JSON_SCHEMA = _schema("json", value=pa.utf8(), schema_type=pa.utf8())
_BINARY_SCHEMA = _schema("binary", data=pa.large_binary(), mime_type=pa.utf8())
_SCHEMAS = {
    "audio": tuple(_AUDIO_SCHEMAS.values()),
    "text": (_TEXT_SCHEMA,),
    "json": (_JSON_SCHEMA,),
    "binary": (_BINARY_SCHEMA,),
}

#: What pyarrow, json and our constructors raise at what they cannot read or write.
_UNREADABLE = (pa.ArrowException, OSError, TypeError, ValueError, RecursionError)


def to_arrow(payload: Payload) -> pa.RecordBatch:
    """The payload's Arrow form: a record batch of one row.

    Raises:
        EdgeError: it has none: a Json value that JSON cannot express, text that is no Unicode, a
            field of another type than the payload's class says.
    """
    try:
        if type(payload) is Audio:
            return _audio_to_arrow(payload)
        if type(payload) is Text:
            return _row(_TEXT_SCHEMA, payload.text, payload.language, payload.channel)
        if type(payload) is Json:
            return _row(_JSON_SCHEMA, _dump_json(payload.value), payload.schema_type)
        if type(payload) is Binary:
            return _row(_BINARY_SCHEMA, payload.data, payload.mime_type)
    except (*_UNREADABLE, OverflowError) as error:
        raise EdgeError(f"this {kind_of(payload)} payload has no Arrow form: {error}") from error
    raise EdgeError(f"{type(payload).__name__} is not a payload")


def from_arrow(batch: pa.RecordBatch) -> Payload:
    """The payload a record batch of `to_arrow` stands for; audio is a view of the batch's memory.

    Raises:
        EdgeError: not such a batch, or a damaged one.
    """
    try:
        kind = (batch.schema.metadata or {}).get(_KIND.encode(), b"").decode(errors="replace")
        if batch.num_rows != 1 or not any(map(batch.schema.equals, _SCHEMAS.get(kind, ()))):
            raise EdgeError(
                f"not a payload's record batch: kind {kind!r}, schema {batch.schema.names}"
            )
        batch.validate(full=True)
        if any(column.null_count for column in batch.columns):
            raise EdgeError(f"damaged {kind} record batch: a value is missing")
        if kind == "audio":
            return _audio_from_arrow(batch)
        values = [column[0].as_py() for column in batch.columns]
        if kind == "text":
            return Text(*values)
        if kind == "json":
            return Json(json.loads(values[0]), values[1])
        return Binary(*values)
    except _UNREADABLE as error:
        raise EdgeError(f"damaged record batch: {error}") from error


def _row(schema: pa.Schema, *values: Any) -> pa.RecordBatch:
    arrays = [pa.array([value], field.type) for value, field in zip(values, schema, strict=True)]
    missing = [field.name for field, array in zip(schema, arrays, strict=True) if array.null_count]
    if missing:
        raise TypeError(f"{', '.join(missing)} must not be None")
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _dump_json(value: Any) -> str:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can say and UTF-8 cannot
        return json.dumps(value, separators=(",", ":"))
    return text


def _audio_to_arrow(audio: Audio) -> pa.RecordBatch:
    samples = audio.samples
    flat = pa.array(samples.reshape(-1), _ARROW_TYPES[samples.dtype.name])
    offsets = pa.array([0, len(flat)], pa.int32())
    columns = [
        pa.array([audio.sample_rate], pa.int32()),
        pa.array([samples.shape[1]], pa.int32()),
        pa.ListArray.from_arrays(offsets, flat),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=_AUDIO_SCHEMAS[samples.dtype.name])


def _audio_from_arrow(batch: pa.RecordBatch) -> Audio:
    rate, channels = batch.column(0)[0].as_py(), batch.column(1)[0].as_py()
    flat = batch.column(2).flatten().to_numpy(zero_copy_only=True)
    if channels < 1 or len(flat) % channels:
        raise ValueError(f"{len(flat)} samples do not divide into {channels} channels")
    return Audio(flat.reshape(-1, channels), rate)


def write_stream(batch: pa.RecordBatch) -> pa.Buffer:
    """A record batch as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def read_stream(view: memoryview) -> pa.RecordBatch:
    """The one record batch of an Arrow IPC stream; its columns are views of the memory.

    Raises:
        EdgeError: the memory holds no such stream.
    """
    try:
        with pa.ipc.open_stream(pa.py_buffer(view)) as reader:
            return reader.read_next_batch()
    except (*_UNREADABLE, StopIteration) as error:
        raise EdgeError(
            f"a slot of {len(view)} bytes holds no Arrow IPC stream: {error}"
        ) from error


def read_payload(slot: memoryview, kind: int) -> Payload:
    """The payload of a slot of any kind but audio; nothing of it is a view of the slot.

    Args:
        slot: the stream's memory.
        kind: the code of KIND_CODES it was announced with.

    Raises:
        EdgeError: the slot is damaged, or holds another kind.
    """
    payload = from_arrow(read_stream(slot))
    if KIND_CODES[kind_of(payload)] != kind or type(payload) is Audio:
        raise EdgeError(f"a slot announced as kind {kind} holds {kind_of(payload)}")
    return payload


class Message(NamedTuple):
    """A payload ready to be copied into a slot: head, body, tail.

    Attributes:
        kind: a code of KIND_CODES.
        head: bytes before the samples; for other kinds, everything.
        body: the samples' bytes, or empty.
        tail: bytes behind the samples.
    """

    kind: int
    head: bytes | memoryview
    body: memoryview
    tail: bytes

    @property
    def size_bytes(self) -> int:
        """Size of the whole stream."""
        return len(self.head) + len(self.body) + len(self.tail)

    def write(self, slot: memoryview) -> None:
        """Copy the stream into a slot of exactly its size."""
        head_end = len(self.head)
        body_end = head_end + len(self.body)
        slot[:head_end] = self.head
        slot[head_end:body_end] = self.body
        slot[body_end:] = self.tail


_NO_BODY = memoryview(b"")


class Encoder:
    """Turns payloads into messages; remembers the heads of the shapes it has seen."""

    def __init__(self) -> None:
        self._frames: OrderedDict[tuple[np.dtype[Any], tuple[int, ...], int], tuple[bytes, bytes]]
        self._frames = OrderedDict()

    def encode(self, payload: Payload) -> Message:
        """Prepare a payload.

        Raises:
            EdgeError: it has no Arrow form, see `to_arrow`.
        """
        if type(payload) is not Audio:
            stream = memoryview(write_stream(to_arrow(payload))).cast("B")
            return Message(KIND_CODES[kind_of(payload)], stream, _NO_BODY, b"")
        samples = payload.samples
        key = (samples.dtype, samples.shape, payload.sample_rate)
        frame = self._frames.get(key)
        if frame is None:
            frame = self._remember(key, payload)
        body = samples.data.cast("B") if samples.size else _NO_BODY
        return Message(0, frame[0], body, frame[1])

    def _remember(
        self, key: tuple[np.dtype[Any], tuple[int, ...], int], audio: Audio
    ) -> tuple[bytes, bytes]:
        """Learn head and tail of a shape from what pyarrow writes for it."""
        batch = _audio_to_arrow(audio)
        stream = write_stream(batch)
        values = read_stream(memoryview(stream)).column(2).values.buffers()[1]
        nbytes = audio.samples.nbytes
        start = values.address - stream.address if nbytes else stream.size
        view = memoryview(stream).cast("B")
        frame = (bytes(view[:start]), bytes(view[start + nbytes :]))
        self._frames[key] = frame
        if len(self._frames) > SHAPES_REMEMBERED:
            self._frames.popitem(last=False)
        return frame


class _Shape(NamedTuple):
    dtype: np.dtype[Any]
    frames: int
    channels: int
    sample_rate: int
    nbytes: int
    tail_bytes: int


class Decoder:
    """Turns slots into payloads; remembers the heads it has checked."""

    def __init__(self) -> None:
        self._shapes: OrderedDict[bytes, _Shape] = OrderedDict()

    def samples(self, slot: memoryview, head_bytes: int) -> tuple[npt.NDArray[Any], int, int]:
        """The samples of an audio slot.

        Args:
            slot: the stream's memory, read-only.
            head_bytes: length of its head.

        Returns:
            A flat view of the slot's memory, the number of channels, and the sample rate in Hz.

        Raises:
            EdgeError: the slot is damaged.
        """
        head = bytes(slot[:head_bytes])
        shape = self._shapes.get(head)
        if shape is None:
            shape = self._check(head, slot)
        if head_bytes + shape.nbytes + shape.tail_bytes != len(slot):
            raise EdgeError(
                f"an audio slot of {len(slot)} bytes should have"
                f" {head_bytes + shape.nbytes + shape.tail_bytes}"
            )
        flat = np.frombuffer(slot, shape.dtype, shape.frames * shape.channels, head_bytes)
        return flat, shape.channels, shape.sample_rate

    def _check(self, head: bytes, slot: memoryview) -> _Shape:
        audio = from_arrow(read_stream(slot))
        if type(audio) is not Audio:
            raise EdgeError(f"a slot announced as audio holds {kind_of(audio)}")
        samples = audio.samples
        tail_bytes = len(slot) - len(head) - samples.nbytes
        shape = _Shape(
            samples.dtype,
            audio.frames,
            audio.channels,
            audio.sample_rate,
            samples.nbytes,
            tail_bytes,
        )
        # Without samples there is no body either: the head is everything.
        body_at = len(slot)
        if samples.size:
            body_at = samples.ctypes.data - np.frombuffer(slot, np.uint8).ctypes.data
        if body_at != len(head) or tail_bytes < 0:
            raise EdgeError(f"an audio slot's head is not {len(head)} bytes long")
        self._shapes[head] = shape
        if len(self._shapes) > SHAPES_REMEMBERED:
            self._shapes.popitem(last=False)
        return shape
