"""engine.edges.descriptor: what is packed is unpacked again, and damage is an EdgeError."""

from __future__ import annotations

import json
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.edges.descriptor import (
    CREDITS,
    DATA,
    FAIL,
    ITEM_BYTES_MAX,
    MEMBERS_MAX,
    MESSAGE_BYTES_MAX,
    METADATA_BYTES_MAX,
    PACKETS,
    PART_BYTES_MAX,
    Member,
    pack_credits,
    pack_failure,
    pack_item,
    pack_metadata,
    pack_parts,
    unpack_credits,
    unpack_failure,
    unpack_items,
)
from engine.errors import EdgeClosedError, EdgeError, EdgeOverflowError, NodeError, PeerDiedError

U8, U16 = st.integers(0, 2**8 - 1), st.integers(0, 2**16 - 1)
U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
I64 = st.integers(-(2**63), 2**63 - 1)
METADATA = st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=5)
HEADERS = st.tuples(U64, U64, U64, U32, U8, U32, U8, U16, U64, U32, I64, I64, U32)
MEMBERS = st.lists(st.tuples(HEADERS, METADATA), min_size=1, max_size=6)
ITEMS = st.lists(st.tuples(U64, MEMBERS, st.booleans()), max_size=5)


def packed(headers_and_metadata):
    return [
        ((*header, len(pack_metadata(metadata))), pack_metadata(metadata))
        for header, metadata in headers_and_metadata
    ]


def message_of(items):
    return bytes([PACKETS]) + b"".join(
        pack_item(seq, packed(members), grouped=grouped, sent_ns=0)
        for seq, members, grouped in items
    )


def member(**fields):
    return Member._make([0] * len(Member._fields))._replace(**fields)


# --------------------------------------------------------------------------------- round trips


@given(ITEMS)
def test_items_survive(items):
    unpacked = unpack_items(message_of(items))
    assert [(item.edge_seq, item.grouped) for item in unpacked] == [
        (seq, grouped) for seq, _, grouped in items
    ]
    for item, (_, members, _) in zip(unpacked, items, strict=True):
        assert [tuple(fields)[:-1] for fields, _ in item.members] == [
            header for header, _ in members
        ]
        assert [metadata for _, metadata in item.members] == [metadata for _, metadata in members]


def test_a_group_of_one_is_not_a_packet():
    one = [(member(), b"")]
    message = (
        bytes([PACKETS])
        + pack_item(0, one, grouped=True, sent_ns=0)
        + pack_item(1, one, grouped=False, sent_ns=0)
    )
    assert [item.grouped for item in unpack_items(message)] == [True, False]


@given(U32, st.lists(U64, max_size=200))
def test_credits_survive(count, slots):
    message = pack_credits(count, slots)
    assert message[0] == CREDITS
    assert unpack_credits(message) == (count, tuple(slots))


@given(st.lists(st.binary(max_size=3 * PART_BYTES_MAX), max_size=3))
def test_parts_are_the_whole_in_order_and_fit_a_message(pieces):
    messages = list(pack_parts(pieces))
    assert all(message[0] == DATA and len(message) <= MESSAGE_BYTES_MAX for message in messages)
    assert b"".join(message[1:] for message in messages) == b"".join(pieces)


@pytest.mark.parametrize("cls", [EdgeError, EdgeClosedError, PeerDiedError, EdgeOverflowError])
def test_failures_survive(cls):
    message = pack_failure(cls("it broke", edge="a→b", stage="a"))
    assert message[0] == FAIL
    error = unpack_failure(message)
    assert type(error) is cls
    assert error.message == "it broke"
    assert error.context == {"edge": "a→b", "stage": "a"}


def test_a_failure_is_cut_to_a_message():
    error = EdgeError("𝄞" * 100_000, edge="x" * 100_000, lines=["ü" * 10_000] * 50)
    error.remote_traceback = "𝄞" * 100_000
    message = pack_failure(error)
    assert len(message) <= MESSAGE_BYTES_MAX
    assert unpack_failure(message).message == "𝄞" * 4096


def test_a_failure_of_another_kind_arrives_as_an_edge_error():
    data = NodeError("a node's", node_id="a").to_dict()
    error = unpack_failure(bytes([FAIL]) + json.dumps(data).encode())
    assert type(error) is EdgeError
    assert error.message == "a node's"


# --------------------------------------------------------------------------------- limits


def test_metadata_may_be_any_mapping_of_strings():
    assert pack_metadata({}) == b""
    assert pack_metadata(MappingProxyType({"a": "\ud800 ü"})) == b'{"a":"\\ud800 \\u00fc"}'


@pytest.mark.parametrize("metadata", [{"a": 1}, {1: "a"}, {"a": None}, ["ab"], "text", {"a": b""}])
def test_metadata_of_other_than_strings_is_refused(metadata):
    with pytest.raises(EdgeError, match="strings"):
        pack_metadata(metadata)


def test_long_metadata_is_refused():
    assert len(pack_metadata({"a": "x" * (METADATA_BYTES_MAX - 8)})) == METADATA_BYTES_MAX
    with pytest.raises(EdgeError, match=f"{METADATA_BYTES_MAX + 1} bytes"):
        pack_metadata({"a": "x" * (METADATA_BYTES_MAX - 7)})


@pytest.mark.parametrize(
    "field", ["port", "flags", "sequence", "packet_index", "timestamp_ns", "ingress_ns"]
)
@pytest.mark.parametrize("value", [2**64, -(2**63) - 1])
def test_a_number_out_of_range_is_refused(field, value):
    with pytest.raises(EdgeError, match="header"):
        pack_item(0, [(member(**{field: value}), b"")], grouped=False, sent_ns=0)


def test_too_many_members_are_refused():
    one = (member(), b"")
    message = bytes([PACKETS]) + pack_item(0, [one] * MEMBERS_MAX, grouped=True, sent_ns=0)
    assert len(unpack_items(message)[0].members) == MEMBERS_MAX
    with pytest.raises(EdgeError, match="a group of 128 packets"):
        pack_item(0, [one] * (MEMBERS_MAX + 1), grouped=True, sent_ns=0)


def test_too_much_metadata_in_a_group_is_refused():
    metadata = pack_metadata({"a": "x" * (METADATA_BYTES_MAX - 8)})
    one = (member(metadata_bytes=len(metadata)), metadata)
    assert len(pack_item(0, [one] * 3, grouped=True, sent_ns=0)) <= ITEM_BYTES_MAX
    with pytest.raises(EdgeError, match="less metadata"):
        pack_item(0, [one] * 4, grouped=True, sent_ns=0)


# --------------------------------------------------------------------------------- damage

GOOD = message_of(
    [
        (7, [((1,) * 13, {"a": "b"})], False),
        (8, [((2,) * 13, {}), ((3,) * 13, {"c": "d"})], True),
    ]
)


@pytest.mark.parametrize("length", range(2, len(GOOD)))
def test_items_cut_off_anywhere_are_refused_or_fewer(length):
    try:
        items = unpack_items(GOOD[:length])
    except EdgeError:
        return
    assert [item.edge_seq for item in items] == [7]


@given(st.binary(max_size=400))
def test_noise_is_no_item(noise):
    try:
        items = unpack_items(bytes([PACKETS]) + noise)
    except EdgeError:
        return
    assert all(item.members for item in items)


@given(st.integers(1, len(GOOD) - 1), U8)
def test_a_damaged_byte_is_an_error_or_another_item(position, value):
    message = bytearray(GOOD)
    message[position] = value
    try:
        items = unpack_items(bytes(message))
    except EdgeError:
        return
    for item in items:
        for _, metadata in item.members:
            assert all(isinstance(key, str) for key in metadata)


@pytest.mark.parametrize(
    "metadata", [b"[1]", b'"a"', b"12", b'{"a":1}', b"\xff\xff", b"{", b"[" * 20_000]
)
def test_damaged_metadata_is_refused(metadata):
    item = pack_item(
        0, [(member(metadata_bytes=len(metadata)), metadata)], grouped=False, sent_ns=0
    )
    with pytest.raises(EdgeError):
        unpack_items(bytes([PACKETS]) + item)


def test_an_item_without_members_is_refused():
    with pytest.raises(EdgeError, match="without members"):
        unpack_items(bytes([PACKETS]) + pack_item(0, [], grouped=False, sent_ns=0))


@pytest.mark.parametrize("length", [1, 2, 4, 6, 12, 14])
def test_a_cut_off_credit_message_is_refused(length):
    with pytest.raises(EdgeError, match="damaged credit message"):
        unpack_credits(pack_credits(3, [1, 2])[:length])


@given(st.binary(max_size=100))
def test_noise_is_no_credit_or_a_valid_one(noise):
    message = bytes([CREDITS]) + noise
    try:
        count, slots = unpack_credits(message)
    except EdgeError:
        return
    assert pack_credits(count, slots) == message


@pytest.mark.parametrize(
    "report",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b"\xff",
        b'{"code":"edge","message":"m","context":5}',
        b'{"code":"edge","message":"m","context":{"message":"twice"}}',
        b'{"code":"manifest","context":{"problems":[{}]}}',
        b"[" * 50_000,
    ],
)
def test_a_damaged_failure_is_still_an_edge_error(report):
    assert isinstance(unpack_failure(bytes([FAIL]) + report), EdgeError)
