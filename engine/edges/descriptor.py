"""What goes over a doorbell: descriptors one way, credits and released slots the other.

Pure. Source: FR-007.

One socket message is one of (integers little-endian):

    PACKETS   u8 1 · item…          item: u64 edge_seq · u64 sent_ns · u8 members · member…
                                    member: the fields of `Member`, in order · metadata as JSON
    CREDITS   u8 2 · u32 credits · u64 slot…
    END       u8 3                  the stream ends after all that was sent
    FAIL      u8 4 · error as JSON  the edge ends abnormally
    CLOSE     u8 5                  the consumer leaves
    WANT      u8 6                  the producer is out of credit or room: return what is collected,
                                    and say so if there is nothing and no turn is under way
    DATA      u8 7 · bytes          part of a payload for which the arena has no room that will ever
                                    be free: kept views hold it. Comes before its member, whose slot
                                    is 0.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import EdgeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from typing_extensions import Buffer

PACKETS, CREDITS, END, FAIL, CLOSE, WANT, DATA = 1, 2, 3, 4, 5, 6, 7

#: A packet's metadata may have this many bytes as JSON.
METADATA_BYTES_MAX = 16_384
#: No message is longer. The socket takes at least 200 KiB; receiving into a buffer of 128 KiB can
#: take 15 µs, because each is mapped anew, and into one of 64 KiB takes 2.4 µs.
MESSAGE_BYTES_MAX = 65_536
#: An item, metadata of all its members included, may have this many bytes.
ITEM_BYTES_MAX = 60_000
#: A payload that goes by the socket is cut into parts of this size.
PART_BYTES_MAX = 32_768

#: Stands for a checksum that is 0.
_CRC_OF_ZERO = 0xFFFFFFFF
#: Slot of a payload that went by the socket; page 0 of an arena is never one.
NO_SLOT = 0

_ITEM = struct.Struct("<QQB")
_MEMBER = struct.Struct("<QQQIBIBHQIqqIH")
_CREDITS = struct.Struct("<I")

END_MESSAGE = bytes([END])
CLOSE_MESSAGE = bytes([CLOSE])
WANT_MESSAGE = bytes([WANT])


class Member(NamedTuple):
    """One packet of an item: where its payload lies, and its header.

    Attributes:
        slot: offset of the slot, by which it is released.
        start: offset of the Arrow stream inside the segment.
        size_bytes: its length.
        head_bytes: length of the stream's head, see `codec.Message`.
        kind: a code of `codec.KIND_CODES`.
        checksum: CRC-32 of the stream, see `checksum_of`; 0: it has none.
        port: position of the receiving port in the edge's ports.
        flags, sequence, packet_index, timestamp_ns, ingress_ns, generation: see `engine.packet`.
        metadata_bytes: length of the metadata behind it.
    """

    slot: int
    start: int
    size_bytes: int
    head_bytes: int
    kind: int
    checksum: int
    port: int
    flags: int
    sequence: int
    packet_index: int
    timestamp_ns: int
    ingress_ns: int
    generation: int
    metadata_bytes: int


def checksum_of(stream: Iterable[Buffer]) -> int:
    """CRC-32 of a stream's parts; never 0, which stands for none."""
    crc = 0
    for part in stream:
        crc = zlib.crc32(part, crc)
    return crc or _CRC_OF_ZERO


class DescribedItem(NamedTuple):
    """A packet (one member) or a group, as received.

    Attributes:
        edge_seq: counts an edge's items, without a gap.
        sent_ns: when the edge took it, on the monotonic clock that all processes share.
        members: its packets, each with its metadata.
        grouped: whether it is a group.
    """

    edge_seq: int
    sent_ns: int
    members: list[tuple[Member, Mapping[str, str]]]
    grouped: bool


#: Bit of the member count that tells a group of one from a packet.
_GROUPED = 0x80
MEMBERS_MAX = _GROUPED - 1


def pack_metadata(metadata: Mapping[str, str]) -> bytes:
    """Metadata as JSON; empty as nothing.

    Raises:
        EdgeError: it is too long, or not strings.
    """
    if not metadata:
        return b""
    if not _is_metadata(metadata):
        raise EdgeError(f"a packet's metadata must be strings by strings, got {metadata!r:.100}")
    data = json.dumps(dict(metadata), separators=(",", ":")).encode()
    if len(data) > METADATA_BYTES_MAX:
        raise EdgeError(
            f"a packet's metadata has {len(data)} bytes, at most {METADATA_BYTES_MAX} cross a"
            " process boundary: put large values into the payload"
        )
    return data


def _is_metadata(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(key, str) and isinstance(text, str) for key, text in value.items()
    )


def pack_item(
    edge_seq: int, members: Sequence[tuple[Sequence[int], bytes]], *, grouped: bool, sent_ns: int
) -> bytes:
    """An item as bytes; each member as the fields of `Member` and its metadata.

    Raises:
        EdgeError: a header's number is out of range, there are too many members, or the item is too
            long.
    """
    if len(members) > MEMBERS_MAX:
        raise EdgeError(
            f"a group of {len(members)} packets cannot cross a process boundary: at most"
            f" {MEMBERS_MAX} can"
        )
    try:
        parts = [_ITEM.pack(edge_seq, sent_ns, len(members) | (_GROUPED if grouped else 0))]
        for fields, metadata in members:
            parts.append(_MEMBER.pack(*fields))
            parts.append(metadata)
    except struct.error as error:
        raise EdgeError(f"a packet's header cannot cross a process boundary: {error}") from error
    item = b"".join(parts)
    if len(item) > ITEM_BYTES_MAX:
        raise EdgeError(
            f"the headers of a group of {len(members)} packets have {len(item)} bytes, at most"
            f" {ITEM_BYTES_MAX} cross a process boundary: carry less metadata"
        )
    return item


def pack_credits(count: int, slots: Sequence[int]) -> bytes:
    """A CREDITS message."""
    return struct.pack(f"<BI{len(slots)}Q", CREDITS, count, *slots)


def pack_failure(error: EdgeError) -> bytes:
    """A FAIL message, cut so that it fits."""
    data = error.to_dict()
    data["traceback"] = data["traceback"][-4096:]
    data["message"] = data["message"][:4096]
    message = bytes([FAIL]) + json.dumps(data).encode()
    if len(message) <= MESSAGE_BYTES_MAX:
        return message
    return bytes([FAIL]) + json.dumps({**data, "traceback": "", "context": {}}).encode()


def pack_parts(payload: Iterable[bytes | bytearray | memoryview]) -> Iterator[bytes]:
    """DATA messages for the pieces of a payload's stream."""
    for piece in payload:
        view = memoryview(piece)
        for start in range(0, len(view), PART_BYTES_MAX):
            yield b"".join((bytes([DATA]), view[start : start + PART_BYTES_MAX]))


def unpack_items(message: bytes) -> list[DescribedItem]:
    """The items of a PACKETS message.

    Raises:
        EdgeError: it is damaged.
    """
    items: list[DescribedItem] = []
    position, end = 1, len(message)
    try:
        while position < end:
            edge_seq, sent_ns, count = _ITEM.unpack_from(message, position)
            position += _ITEM.size
            members: list[tuple[Member, Mapping[str, str]]] = []
            for _ in range(count & ~_GROUPED):
                member = Member._make(_MEMBER.unpack_from(message, position))
                position += _MEMBER.size
                metadata: dict[str, Any] = {}
                if member.metadata_bytes:
                    stop = position + member.metadata_bytes
                    metadata = json.loads(message[position:stop])
                    if not _is_metadata(metadata):
                        raise EdgeError(f"damaged metadata in packet {edge_seq}")
                    position = stop
                members.append((member, metadata))
            if not members:
                raise EdgeError("a descriptor without members")
            items.append(DescribedItem(edge_seq, sent_ns, members, bool(count & _GROUPED)))
    except (struct.error, ValueError, RecursionError) as error:
        raise EdgeError(f"a damaged descriptor of {len(message)} bytes: {error}") from error
    if position != end:
        raise EdgeError(f"a descriptor of {len(message)} bytes is cut off")
    return items


def unpack_credits(message: bytes) -> tuple[int, tuple[int, ...]]:
    """Credits and slots of a CREDITS message.

    Raises:
        EdgeError: it is damaged.
    """
    try:
        (count,) = _CREDITS.unpack_from(message, 1)
        slots = struct.unpack_from(f"<{(len(message) - 5) // 8}Q", message, 5)
    except struct.error as error:
        raise EdgeError(f"a damaged credit message of {len(message)} bytes: {error}") from error
    if 5 + 8 * len(slots) != len(message):
        raise EdgeError(f"a damaged credit message of {len(message)} bytes")
    return count, slots


def unpack_failure(message: bytes) -> EdgeError:
    """The error of a FAIL message."""
    try:
        error = EdgeError.from_dict(json.loads(message[1:]))
    except (ValueError, AttributeError, TypeError, RecursionError) as cause:
        return EdgeError(f"the producer failed, and so did its report: {cause}")
    return error if isinstance(error, EdgeError) else EdgeError(error.message)
