"""The contract of an edge, first part: what is accepted arrives, as it was.

Source: FR-007, NFR-003, SC-007.
"""

from __future__ import annotations

import random
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from engine.errors import EdgeError
from engine.flags import FLAG_GAP, FLAG_UNINTERRUPTIBLE
from engine.packet import Group, Packet
from engine.payloads import (
    Audio,
    BatchHint,
    Binary,
    Control,
    File,
    Json,
    Table,
    Tensor,
    Text,
    Video,
)
from engine.testing.edges.traffic import (
    SAMPLE_RATE,
    Checks,
    Traffic,
    audio,
    expect,
    group,
    number_of,
    packet,
)

if TYPE_CHECKING:
    from engine.payloads import Payload
    from engine.testing.edges.traffic import MakeEdge

FLOW_CHECKS = Checks()

#: Samples of a payload that no edge copies out of shared memory.
LARGE_FRAMES = 40_000
#: Rounds of a producer and a consumer that go at different paces.
_ROUNDS = 60


async def _mixed_traffic(make: MakeEdge) -> Traffic:
    """A few hundred items between two that go at random, repeatable paces; then the end."""
    rnd = random.Random(1)  # noqa: S311 - a workload, no secret
    traffic = Traffic(make(7))
    traffic.open = False  # another rule's business
    for _ in range(_ROUNDS):
        for _ in range(rnd.randint(0, 9)):
            traffic.send(packet(len(traffic.sent)))
        if rnd.random() < 0.8:  # noqa: PLR2004 - a share
            await traffic.settle()
        for _ in range(rnd.randint(0, 9)):
            traffic.take()
        if traffic.held:
            traffic.release(rnd.randint(1, traffic.held))
    traffic.pair.sender.finish()
    await traffic.drain()
    return traffic


@FLOW_CHECKS.rule("every item that was accepted arrives")
async def check_lossless(make: MakeEdge) -> None:
    traffic = await _mixed_traffic(make)
    lost = traffic.lost()
    expect(not lost, f"of {len(traffic.sent)} items {len(lost)} never came, {lost[:3]} first")


@FLOW_CHECKS.rule("no item arrives twice, and none that was not sent")
async def check_no_duplicates(make: MakeEdge) -> None:
    traffic = await _mixed_traffic(make)
    surplus = traffic.surplus()
    expect(not surplus, f"{len(surplus)} more came than were sent, {surplus[:3]} first")


@FLOW_CHECKS.rule("items arrive in the order in which they were accepted")
async def check_order(make: MakeEdge) -> None:
    numbers = (await _mixed_traffic(make)).numbers()
    turned = [pair for pair in pairwise(numbers) if pair[0] > pair[1]]
    expect(not turned, f"item {turned and turned[0][1]} came behind {turned and turned[0][0]}")


@FLOW_CHECKS.rule("a payload arrives bit for bit, also an empty or a large one, and read-only")
async def check_payloads(make: MakeEdge) -> None:
    traffic = Traffic(make(32))
    payloads = _payloads()
    for number, payload in enumerate(payloads):
        expect(traffic.send(packet(number, payload)), f"{_named(payload)} was refused")
    await traffic.drain()
    lost = traffic.lost()
    expect(not lost, f"never came: {', '.join(_named(payloads[each]) for each in lost)}")
    for item, payload in zip(traffic.received, payloads, strict=True):
        assert isinstance(item, Packet)
        expect(item.payload == payload, f"{_named(payload)} came as {item.payload!r:.80}")
        array = _array_of(item.payload)
        expect(
            array is None or not array.flags.writeable,
            f"the consumer can write into {_named(payload)}, which others read, too",
        )


def _payloads() -> list[Payload]:
    numbers = np.arange(12, dtype=np.float64)
    batch = pa.RecordBatch.from_pydict({"n": [1, None, 3], "s": ["a", "", "ü"]})
    return [
        audio(1),
        Audio(np.zeros((0, 2), np.int16), SAMPLE_RATE),
        audio(2, LARGE_FRAMES),
        Video(np.zeros((4, 6, 3), np.uint8), frame_number=2**40, keyframe=True),
        Tensor(numbers.reshape(3, 4), "NC"),
        Tensor(np.zeros((0,), np.float32)),
        Text(""),
        Text("größe 𝄞", "de", "ui"),
        Json({"a": [1, 2.5, None, {"b": "c"}]}, "schema"),
        Json(None),
        Binary(b""),
        Binary(bytes(range(256)) * 300, "image/png"),
        File("a/b.wav", "b.wav", "audio/wav", 10),
        Table(batch),
        Table(batch.slice(0, 0)),
        Control(BatchHint(3), "segment", 5, {"k": "v"}),
    ]


def _named(payload: Payload) -> str:
    array = _array_of(payload)
    size = "" if array is None else f" of shape {array.shape}"
    empty = "empty " if payload in (Text(""), Binary(b"")) else ""
    return f"{empty}{type(payload).__name__}{size}"


def _array_of(payload: Any) -> Any:
    for name in ("samples", "pixels", "array"):
        if hasattr(payload, name):
            return getattr(payload, name)
    return None


@FLOW_CHECKS.rule("an item's header and metadata arrive as they were")
async def check_headers(make: MakeEdge) -> None:
    traffic = Traffic(make(4, ports=("left", "right")))
    sent = [
        packet(2**40, port="right", index=77, generation=5, metadata={"key": "välue", "empty": ""}),
        packet(2, port="left"),
    ]
    sent[0].origin.flags = FLAG_GAP | FLAG_UNINTERRUPTIBLE
    sent[0].origin.timestamp_ns = -(2**50)
    for item in sent:
        expect(traffic.send(item), "an item was refused on an empty edge")
    await traffic.drain()
    expect(len(traffic.received) == len(sent), f"{len(traffic.received)} of {len(sent)} came")
    for got, item in zip(traffic.received, sent, strict=True):
        assert isinstance(got, Packet)
        for what in ("source", "port", "index"):
            _same(what, getattr(got, what), getattr(item, what))
        for what in item.origin.__slots__:
            _same(what, getattr(got.origin, what), getattr(item.origin, what))


def _same(what: str, got: object, sent: object) -> None:
    expect(got == sent, f"{what} was {sent!r} and came as {got!r}")


@FLOW_CHECKS.rule("a group crosses whole or not at all, for one credit")
async def check_groups(make: MakeEdge) -> None:
    traffic = Traffic(make(1, ports=("a", "b")))
    pairs = [
        group(packet(n, audio(n), port="a"), packet(n, Text(f"{n}"), port="b")) for n in range(2)
    ]
    expect(traffic.send(pairs[0]), "a group of two was refused, and there was one credit")
    expect(not traffic.send(pairs[1]), "a second group was accepted without a credit")
    await traffic.drain()
    expect(traffic.send(group(packet(2, port="b"))), "a group of one was refused")
    await traffic.drain()
    expect(len(traffic.received) == 2, f"two groups were sent, {len(traffic.received)} items came")  # noqa: PLR2004 - as sent
    for got, members in zip(traffic.received, ("ab", "b"), strict=True):
        expect(type(got) is Group, f"a group came as {type(got).__name__}")
        assert isinstance(got, Group)
        ports = "".join(got.members)
        expect(ports == members, f"a group for {members!r} came as one for {ports!r}")


@FLOW_CHECKS.rule("what can never cross is an error that names the edge, and nothing happens")
async def check_too_large(make: MakeEdge) -> None:
    pair = make(1)
    if pair.payload_bytes_max is None:
        return
    traffic = Traffic(pair)
    frames = pair.payload_bytes_max // np.dtype(np.float32).itemsize + 1
    try:
        accepted = traffic.send(packet(0, audio(0, frames)))
    except EdgeError as error:
        edge = error.context.get("edge")
        expect(edge == pair.sender.edge_id, f"the error's context has the edge {edge!r}")
    else:
        said = "accepted" if accepted else "refused, which promises that it can go later"
        expect(condition=False, seen=f"a payload larger than whatever is free was {said}")
    expect(traffic.away == 0, f"{traffic.away} credits are away behind the error")
    expect(traffic.send(packet(1)), "behind the error the edge accepts nothing")
    await traffic.drain()
    expect(traffic.numbers() == [1], f"behind the error {traffic.numbers()} came")


@FLOW_CHECKS.rule("reserved memory is the producer's alone, and what was sent in it is not altered")
async def check_reserved_memory(make: MakeEdge) -> None:
    traffic = Traffic(make(4))
    for number in range(4):
        array = traffic.pair.sender.reserve((100, 2), np.float32)
        if array is None:
            array = np.empty((100, 2), np.float32)
        expect(array.shape == (100, 2) and array.dtype == np.float32, f"it is {array.dtype}")
        array[:] = number
        expect(traffic.send(packet(number, Audio(array, SAMPLE_RATE))), "it was refused")
        del array
    await traffic.drain()
    for item in traffic.received:
        assert isinstance(item, Packet)
        samples = item.expect(Audio).samples
        expect(
            bool((samples == number_of(item)).all()),
            f"array {number_of(item)} came with samples of {samples[0, 0]:g}",
        )
