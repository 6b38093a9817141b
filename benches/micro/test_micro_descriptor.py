"""What it costs to pack a packet's descriptor, and to unpack a message of 1 and of 32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.edges.descriptor import PACKETS, Member, pack_item, unpack_items

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

MEMBER = Member(
    slot=4096,
    start=4096,
    size_bytes=4736,
    head_bytes=632,
    kind=0,
    checksum=0,
    port=0,
    flags=0,
    sequence=123_456,
    packet_index=0,
    timestamp_ns=2_469_120_000_000,
    ingress_ns=987_654_321_000_000,
    generation=0,
    metadata_bytes=0,
)


def test_pack(benchmark: BenchmarkFixture) -> None:
    assert benchmark(pack_item, 7, [(MEMBER, b"")], grouped=False)


@pytest.mark.parametrize("items", [1, 32])
def test_unpack(benchmark: BenchmarkFixture, items: int) -> None:
    packed = b"".join(
        pack_item(number, [(MEMBER, b"")], grouped=False, sent_ns=0) for number in range(items)
    )
    found = benchmark(unpack_items, bytes([PACKETS]) + packed)
    assert [item.edge_seq for item in found] == list(range(items))
    assert found[0].members[0][0] == MEMBER
