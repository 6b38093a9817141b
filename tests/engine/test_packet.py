"""engine.packet: headers."""

import mmap

import numpy as np
import pytest

from engine.flags import FLAG_GAP, FLAG_UNINTERRUPTIBLE
from engine.packet import (
    NO_METADATA,
    Group,
    Origin,
    Packet,
    Source,
    lineage_key,
)
from engine.payloads import Audio, Text


def packet(sequence=0, index=0, node="a", port="in", **header):
    origin = Origin("session", sequence, sequence * 10, sequence * 100, **header)
    return Packet(Text(f"{sequence}.{index}"), Source(node), port, index, origin)


def test_a_packet_shows_what_its_origin_holds():
    one = packet(3, 2, generation=4, flags=FLAG_GAP, metadata={"k": "v"})
    assert one.session_id == "session"
    assert (one.sequence, one.index) == (3, 2)
    assert (one.timestamp_ns, one.ingress_ns) == (30, 300)
    assert (one.generation, one.flags) == (4, FLAG_GAP)
    assert one.metadata == {"k": "v"}


def test_by_default_nothing_is_set():
    one = packet()
    assert (one.generation, one.flags) == (0, 0)
    assert one.metadata is NO_METADATA
    assert FLAG_GAP & FLAG_UNINTERRUPTIBLE == 0


def test_the_empty_metadata_cannot_be_written():
    with pytest.raises(TypeError):
        NO_METADATA["k"] = "v"


def test_a_packet_on_its_way_to_another_port_is_the_same_otherwise():
    one = packet(1)
    other = one.to_port("side")
    assert (other.port, one.port) == ("side", "in")
    assert other.payload is one.payload
    assert other.origin is one.origin
    assert (other.source, other.index) == (one.source, one.index)


def test_another_payload_keeps_the_lineage():
    one = packet(1, 2, metadata={"k": "v"})
    other = one.with_payload(Text("new"))
    assert other.payload == Text("new")
    assert other.origin is one.origin
    assert lineage_key(other) == lineage_key(one)


def test_other_metadata_leave_the_original_alone():
    one = packet(1, metadata={"k": "v"}, generation=3, flags=1)
    other = one.with_payload(Text("new"), {"k": "w"})
    assert (one.metadata, other.metadata) == ({"k": "v"}, {"k": "w"})
    assert (other.sequence, other.timestamp_ns, other.ingress_ns) == (1, 10, 100)
    assert (other.session_id, other.generation, other.flags) == ("session", 3, 1)


def test_keeping_a_packet_copies_only_what_is_lent():
    one = packet()
    assert one.keep() is one
    lent = np.frombuffer(memoryview(mmap.mmap(-1, 64)).toreadonly(), np.float32)
    view = one.with_payload(Audio(lent, 8_000), {"k": "v"})
    kept = view.keep()
    assert kept.payload == view.payload
    assert not np.shares_memory(kept.payload.samples, lent)
    assert (kept.origin, kept.source, kept.port) == (view.origin, view.source, view.port)


def test_headers_have_no_room_for_anything_else():
    for thing in (packet(), packet().origin, Group({"in": packet()})):
        with pytest.raises(AttributeError):
            thing.extra = 1


def test_a_group_has_the_origin_of_its_members_and_their_order():
    left, right = packet(5, port="left"), packet(5, port="right")
    group = Group({"left": left, "right": right})
    assert list(group) == [left, right]
    assert group.origin is left.origin


def test_results_are_sorted_by_source_sequence_and_index():
    packets = [packet(10, 0), packet(2, 1), packet(2, 0), packet(1, 0, node="b"), packet(0, 5)]
    packets.sort(key=lineage_key)
    assert [(p.source.node, p.sequence, p.index) for p in packets] == [
        ("a", 0, 5),
        ("a", 2, 0),
        ("a", 2, 1),
        ("a", 10, 0),
        ("b", 1, 0),
    ]


def test_a_source_is_an_output_of_a_node():
    assert str(Source("a")) == "a.out"
    assert str(Source("a", "left")) == "a.left"


def test_they_can_be_read_in_a_log():
    assert repr(packet(1, 2)).startswith("Packet(a.out → in, #1.2, Text(")
    assert "sequence=1" in repr(packet(1).origin)
    assert "'in': Packet(" in repr(Group({"in": packet()}))
