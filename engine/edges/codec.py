"""How a slot is written and read: every payload as an Arrow IPC stream.

Pure over memory. Source: FR-007, NFR-003; Apache Arrow IPC streaming format, version 1.

Every slot is a complete stream of one record batch, the payload's Arrow form
(`engine.payloads.arrow`), so that a slot, or many of them as a recording, can be read by anything
that reads Arrow.

Audio, raw Video and Tensor are the hot ones. Two messages of the same dtype, shape and rate differ
in nothing but the samples, which stand last, so they are written by copying a cached head, the
samples and a cached tail, and read by looking the head up:

    ┌──────────────── head ────────────────┬── samples ──┬── tail ──┐
    │ schema · batch header · other columns │ dtype bytes │ pad, EOS │
    └──────────────────────────────────────┴─────────────┴──────────┘

What varies from frame to frame, a Video's number and whether it is a keyframe, stands at known
places of the head: there it is patched when written, and blanked before the head is looked up.

A head that is not known yet goes through pyarrow, which checks it; so does every other kind, and
what has no samples or a length of its own each time: empty arrays and encoded video.
"""

from __future__ import annotations

import functools
import struct
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engine.edges.ipc import from_arrow, read_stream, to_arrow, write_stream
from engine.errors import EdgeError
from engine.payloads import Audio, Payload, Tensor, Video, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    import numpy.typing as npt
    import pyarrow as pa

    #: Makes a payload of its flat array and the slot its head is in.
    Rebuild = Callable[[npt.NDArray[Any], memoryview], Payload]

#: Payloads up to this size are copied out of the slot when they are received; larger ones are
#: leased views.
COPY_BYTES_MAX = 65_536
#: How many heads an encoder or decoder remembers.
SHAPES_REMEMBERED = 128
#: Room for a head, kept free before an array that `ctx.empty` hands out. Only a tensor of a very
#: long layout or of dozens of axes has a longer one; it is copied.
HEAD_BYTES_MAX = 1536

#: Kinds as numbers, for descriptors.
KIND_CODES = {
    "audio": 0,
    "text": 1,
    "json": 2,
    "binary": 3,
    "video": 4,
    "tensor": 5,
    "file": 6,
    "table": 7,
    "control": 8,
}
KIND_OF_CODE = {code: kind for kind, code in KIND_CODES.items()}
_AUDIO, _VIDEO, _TENSOR = (KIND_CODES[kind] for kind in ("audio", "video", "tensor"))
#: Kinds that may consist of head, samples and tail.
NUMERIC_CODES = frozenset({_AUDIO, _VIDEO, _TENSOR})

_FRAME_NUMBER = struct.Struct("<Q")


def read_payload(slot: memoryview | npt.NDArray[np.uint8], kind: int) -> Payload:
    """The payload of a slot of any kind, by pyarrow.

    Nothing of it is a view of the slot, unless it is a Table: its columns are.

    Args:
        slot: the stream's memory.
        kind: the code of KIND_CODES it was announced with.

    Raises:
        EdgeError: the slot is damaged, or holds another kind.
    """
    payload = from_arrow(read_stream(memoryview(bytes(slot)) if kind in NUMERIC_CODES else slot))
    _check_kind(payload, kind)
    return payload


def _check_kind(payload: Payload, kind: int) -> None:
    if KIND_CODES[kind_of(payload)] != kind:
        announced = KIND_OF_CODE.get(kind, f"kind {kind}")
        raise EdgeError(f"a slot announced as {announced} holds {kind_of(payload)}")


def array_of(payload: Payload) -> npt.NDArray[Any] | None:
    """The array of an Audio, a Video or a Tensor."""
    if type(payload) is Audio:
        return payload.samples
    if type(payload) is Video:
        return payload.pixels
    return payload.array if type(payload) is Tensor else None


class Message(NamedTuple):
    """A payload ready to be copied into a slot: head, body, tail.

    Attributes:
        kind: a code of KIND_CODES.
        head: bytes before the samples; without samples, everything.
        body: the samples' bytes, or empty.
        tail: bytes behind the samples.
    """

    kind: int
    head: bytes | bytearray | memoryview
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
        self._frames: OrderedDict[Hashable, tuple[bytes, bytes]] = OrderedDict()

    def encode(self, payload: Payload) -> Message:
        """Prepare a payload.

        Raises:
            EdgeError: it has no Arrow form, see `to_arrow`.
        """
        if type(payload) is Audio:
            samples = payload.samples
            if samples.size:
                key = (samples.dtype, samples.shape, payload.sample_rate)
                frame = self._frames.get(key) or self._remember(key, payload)
                return Message(_AUDIO, frame[0], samples.data.cast("B"), frame[1])
        elif type(payload) is Video:
            if payload.format != "encoded":
                return self._video(payload)
        elif type(payload) is Tensor and payload.array.size:
            return self._tensor(payload)
        stream = memoryview(write_stream(to_arrow(payload))).cast("B")
        return Message(KIND_CODES[kind_of(payload)], stream, _NO_BODY, b"")

    def _video(self, video: Video) -> Message:
        key = (video.format, video.width, video.height)
        frame = self._frames.get(key) or self._remember(key, video)
        head = bytearray(frame[0])
        number_at, keyframe_at = _video_places()
        _FRAME_NUMBER.pack_into(head, number_at, video.frame_number)
        head[keyframe_at] = video.keyframe
        return Message(_VIDEO, head, video.pixels.data.cast("B"), frame[1])

    def _tensor(self, tensor: Tensor) -> Message:
        array = tensor.array
        key = (array.dtype, array.shape, tensor.layout)
        frame = self._frames.get(key) or self._remember(key, tensor)
        # A memoryview cannot be cast from a half or a complex number.
        return Message(_TENSOR, frame[0], array.reshape(-1).view(np.uint8).data, frame[1])

    def _remember(self, key: Hashable, payload: Audio | Video | Tensor) -> tuple[bytes, bytes]:
        """Learn head and tail of a shape from what pyarrow writes for it."""
        stream = write_stream(to_arrow(payload))
        values = read_stream(memoryview(stream)).columns[-1].values.buffers()[1]
        start = values.address - stream.address
        end = start + values.size
        view = memoryview(stream).cast("B")
        frame = (bytes(view[:start]), bytes(view[end:]))
        self._frames[key] = frame
        if len(self._frames) > SHAPES_REMEMBERED:
            self._frames.popitem(last=False)
        return frame


@functools.cache
def _video_places() -> tuple[int, int]:
    """Where the head of every Video has its frame number and its keyframe bit.

    Both are columns of fixed width before any other, so nothing that varies lies before them.
    """
    sample = Video(np.zeros((1, 1), np.uint8), "gray8")
    stream = write_stream(to_arrow(sample))
    return _places_of(read_stream(memoryview(stream)), stream.address)


def _places_of(batch: pa.RecordBatch, stream_address: int) -> tuple[int, int]:
    number, keyframe = (batch.column(at).buffers()[1].address for at in range(2))
    return number - stream_address, keyframe - stream_address


class _Known(NamedTuple):
    """What a head that was checked says.

    Attributes:
        kind: a code of KIND_CODES.
        dtype, size: the array's.
        rest_bytes: length of the array and of what follows it.
        rebuild: makes the payload.
    """

    kind: int
    dtype: np.dtype[Any]
    size: int
    rest_bytes: int
    rebuild: Rebuild


class Decoder:
    """Turns slots into payloads; remembers the heads it has checked."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, _Known] = OrderedDict()

    def body(
        self, slot: memoryview, head_bytes: int, kind: int
    ) -> tuple[npt.NDArray[Any], Rebuild]:
        """The array of a slot of NUMERIC_CODES that has one.

        Args:
            slot: the stream's memory, read-only.
            head_bytes: length of its head.
            kind: the code it was announced with.

        Returns:
            A flat view of the slot's memory, and what makes the payload of it, or of a copy of it,
            and the slot.

        Raises:
            EdgeError: the slot is damaged, or holds another kind.
        """
        head = bytes(slot[:head_bytes]) if kind != _VIDEO else _blanked(slot, head_bytes)
        known = self._known.get(head)
        if known is None:
            known = self._check(head, slot, kind)
        said, dtype, size, rest_bytes, rebuild = known
        if said != kind or head_bytes + rest_bytes != len(slot):
            raise EdgeError(
                f"a slot announced as {KIND_OF_CODE[kind]} has {len(slot)} bytes; its head says"
                f" {KIND_OF_CODE[said]} and should have {head_bytes + rest_bytes}"
            )
        return np.frombuffer(slot, dtype, size, head_bytes), rebuild

    def _check(self, head: bytes, slot: memoryview, kind: int) -> _Known:
        batch = read_stream(slot)
        payload = from_arrow(batch)
        _check_kind(payload, kind)
        array = array_of(payload)
        address = np.frombuffer(slot, np.uint8).ctypes.data
        if array is None or not array.size or array.ctypes.data - address != len(head):
            raise EdgeError(f"a slot's head is not {len(head)} bytes long")
        if kind == _VIDEO and _places_of(batch, address) != _video_places():
            raise EdgeError("a video slot's frame number is not where it should be")
        rest_bytes = len(slot) - len(head)
        known = _Known(kind, array.dtype, array.size, rest_bytes, _rebuild_like(payload))
        self._known[head] = known
        if len(self._known) > SHAPES_REMEMBERED:
            self._known.popitem(last=False)
        return known


def _blanked(slot: memoryview, head_bytes: int) -> bytes:
    """A Video's head without what varies from frame to frame."""
    number_at, keyframe_at = _video_places()
    head = bytearray(slot[:head_bytes])
    if len(head) <= max(number_at + _FRAME_NUMBER.size, keyframe_at):
        raise EdgeError(f"a video slot's head is not {head_bytes} bytes long")
    _FRAME_NUMBER.pack_into(head, number_at, 0)
    head[keyframe_at] = 0
    return bytes(head)


def _rebuild_like(payload: Payload) -> Rebuild:
    """What makes payloads that differ from this one in their array, and in what varies."""
    if type(payload) is Audio:
        shape, rate = payload.samples.shape, payload.sample_rate
        return lambda flat, _slot: Audio(flat.reshape(shape), rate)
    if type(payload) is Tensor:
        shape, layout = payload.array.shape, payload.layout
        return lambda flat, _slot: Tensor(flat.reshape(shape), layout)
    assert type(payload) is Video
    format_, width, height, codec = payload.format, payload.width, payload.height, payload.codec

    def video(flat: npt.NDArray[Any], slot: memoryview) -> Payload:
        number_at, keyframe_at = _video_places()
        (number,) = _FRAME_NUMBER.unpack_from(slot, number_at)
        keyframe = bool(slot[keyframe_at] & 1)
        return Video(flat, format_, width, height, number, codec, keyframe)

    return video
