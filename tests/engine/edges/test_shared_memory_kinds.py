"""engine.edges.shared_memory with every kind: large ones are leased views, reserved ones stay."""

from __future__ import annotations

import gc

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.edges.codec import COPY_BYTES_MAX
from engine.payloads import Audio, Binary, Table, Tensor, Text, Video, kind_of, payload_bytes
from tests.engine.edges.conftest import audio, group, packet
from tests.engine.payloads.strategies import EXAMPLES, PAYLOADS, same

MIB = 1 << 20
#: Rows of pixels, each of 1024 bytes, that are delivered as a view.
ROWS = 2 * COPY_BYTES_MAX // 1024


def frame_of(rows=ROWS, number=0, value=1, **fields):
    return Video(np.full((rows, 1024), value, np.uint8), "gray8", frame_number=number, **fields)


def tensor_of(rows=ROWS, value=1):
    return Tensor(np.full((rows, 512), value, np.float16), "HW")


def table_of(rows=ROWS, value=1):
    words = pa.array([f"word {value}"] * rows).dictionary_encode()
    columns = {"x": np.full(rows * 128, value, np.int64), "word": words.take([0] * rows * 128)}
    return Table(pa.RecordBatch.from_pydict(columns).replace_schema_metadata({"by": "a test"}))


LARGE = [frame_of(), tensor_of(), table_of()]


def in_arena(payload, arena):
    """Whether a payload is a view of the consumer's side of an arena."""
    view = np.frombuffer(arena._theirs.view, np.uint8)
    start = view.ctypes.data
    if type(payload) is Table:
        address = payload.batch.column(0).buffers()[1].address
    else:
        array = payload.pixels if type(payload) is Video else payload.array
        address = array.ctypes.data
    return start <= address < start + view.nbytes


async def used_slots(link):
    """Slots that are taken, once the consumer has returned what it has done with."""
    gc.collect()
    link.sender.ask_for_slots()
    await link.settle()
    await link.settle()
    return link.arena.used_slots


# --------------------------------------------------------------------------------- what arrives


async def test_every_kind_crosses_and_is_counted(make_link):
    link = make_link(capacity=64)
    payloads = [*EXAMPLES.values(), *LARGE]
    for number, payload in enumerate(payloads):
        assert link.sender.try_send(packet(payload, number))
    await link.settle()
    received = await link.pass_on(len(payloads))
    assert [item.payload for item in received] == payloads
    size_bytes = sum(map(payload_bytes, payloads))
    assert link.sender.statistics().payload_bytes == size_bytes
    assert link.receiver.statistics().payload_bytes == size_bytes


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50
)
@given(payloads=st.lists(PAYLOADS, min_size=1, max_size=10))
async def test_any_payloads_cross(make_link, payloads):
    link = make_link(capacity=64)
    for payload in payloads:
        assert link.sender.try_send(packet(payload))
    await link.settle()
    received = await link.pass_on(len(payloads))
    for item, payload in zip(received, payloads, strict=True):
        assert same(item.payload, payload)
    del item, received
    assert await used_slots(link) == 0


@pytest.mark.parametrize("payload", LARGE, ids=kind_of)
async def test_large_ones_are_views_and_small_ones_copies(make_link, payload):
    link = make_link(arena_bytes=4 * MIB)
    small = {
        Video: frame_of(2),
        Tensor: tensor_of(2),
        Table: Table(pa.RecordBatch.from_pydict({"x": [1]})),
    }[type(payload)]
    for sent, is_view in ((payload, True), (small, False)):
        assert link.sender.try_send(packet(sent))
        await link.settle()
        (item,) = await link.pass_on()
        assert in_arena(item.payload, link.arena) is is_view
        assert item.payload == sent
        del item
        assert await used_slots(link) == 0


@pytest.mark.parametrize("payload", LARGE, ids=kind_of)
async def test_a_view_keeps_its_slot_until_the_last_of_it_dies(make_link, payload):
    link = make_link(arena_bytes=4 * MIB)
    assert link.sender.try_send(packet(payload))
    await link.settle()
    (item,) = await link.pass_on()
    if type(payload) is Table:
        part = item.payload.batch.column("x")[1:3]
    else:
        array = item.payload.pixels if type(payload) is Video else item.payload.array
        part = array[1:, 1:3]
    del item
    if type(payload) is not Table:
        del array
    for number in range(3):  # nothing that is sent meanwhile lands on it
        assert link.sender.try_send(packet(frame_of(value=7, number=number)))
        await link.settle()
        await link.pass_on()
    assert await used_slots(link) == 1
    assert (np.asarray(part) == 1).all()
    del part
    assert await used_slots(link) == 0


@pytest.mark.parametrize("make", [frame_of, tensor_of, table_of])
async def test_holding_all_of_them_never_stops_the_edge(make_link, make):
    link = make_link(capacity=4, arena_bytes=2 * MIB)
    held = []
    for value in range(1, 31):
        while not link.sender.try_send(packet(make(value=value))):
            await link.settle()
        await link.settle()
        held += await link.pass_on()
        link.check_law()
    for value, item in enumerate(held, 1):
        assert item.payload == make(value=value)
    assert link.receiver.statistics().copies > 0


async def test_a_table_that_no_room_will_ever_be_for_goes_by_the_socket(make_link):
    link = make_link(arena_bytes=MIB)
    held = [link.sender.reserve((200, 1024), np.uint8) for _ in range(4)]
    assert link.sender.try_send(packet(table_of(300)))
    await link.settle()
    (item,) = await link.pass_on()
    assert item.payload == table_of(300)
    assert not in_arena(item.payload, link.arena)
    assert link.sender.statistics().copies == 1
    del held


async def test_frames_of_a_stream_keep_their_numbers(make_link):
    link = make_link(capacity=64)
    for number in range(40):
        frame = frame_of(2, number=number, value=number, keyframe=number % 10 == 0)
        assert link.sender.try_send(packet(frame))
    await link.settle()
    frames = [item.payload for item in await link.pass_on(40)]
    assert [frame.frame_number for frame in frames] == list(range(40))
    assert [frame.keyframe for frame in frames] == [number % 10 == 0 for number in range(40)]
    assert [frame.pixels[0, 0] for frame in frames] == list(range(40))
    assert len(link.receiver._decoder._known) == len(link.arena.writer._encoder._frames) == 1


# --------------------------------------------------------------------------------- reserved


MAKERS = {
    "audio": ((ROWS * 512, 2), np.int16, lambda array: Audio(array, 8000)),
    "mono": ((ROWS * 512,), np.float32, lambda array: Audio(array, 8000)),
    "rgb24": ((ROWS, 1024, 3), np.uint8, lambda array: Video(array, frame_number=5)),
    "gray8": ((ROWS, 1024), np.uint8, lambda array: Video(array, "gray8", keyframe=True)),
    "nv12": ((ROWS * 3, 1024), np.uint8, lambda array: Video(array, "nv12")),
    "flat": ((ROWS * 1024,), np.uint8, lambda array: Video(array, "gray8", ROWS, 1024)),
    "half": ((ROWS, 512), np.float16, lambda array: Tensor(array, "HW")),
    "bool": ((ROWS, 1024), np.bool_, Tensor),
    "complex": ((4, ROWS, 8), np.complex128, Tensor),
}


@pytest.mark.parametrize("name", MAKERS)
async def test_a_reserved_array_is_sent_where_it_lies(make_link, name):
    shape, dtype, make = MAKERS[name]
    link = make_link(arena_bytes=4 * MIB)
    array = link.sender.reserve(shape, dtype)
    array[...] = 1
    slots = link.arena.used_slots
    payload = make(array)
    assert link.sender.try_send(packet(payload))
    assert link.arena.used_slots == slots == 1
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 0
    expected = make(np.ones(shape, dtype))
    await link.settle()
    (item,) = await link.pass_on()
    assert item.payload == expected
    del item, payload, array
    link.sender.flush()
    assert await used_slots(link) == 0


async def test_a_reserved_frame_sent_under_two_numbers_arrives_with_both(make_link):
    link = make_link(arena_bytes=4 * MIB)
    array = link.sender.reserve((ROWS, 1024), np.uint8)
    array[...] = 3
    frames = [Video(array, "gray8", frame_number=number) for number in range(2)]
    for frame in frames:
        assert link.sender.try_send(packet(frame))
        link.sender.flush()
    assert link.arena.used_slots == 2  # the second one is a copy
    await link.settle()
    assert [item.payload for item in await link.pass_on(2)] == frames


async def test_a_head_longer_than_the_room_for_it_is_written_elsewhere(make_link):
    link = make_link(arena_bytes=4 * MIB)
    before = link.sender.reserve((ROWS, 1024), np.uint8)  # what lies in front of it
    before[...] = 9
    array = link.sender.reserve((ROWS, 512), np.float16)
    array[...] = 1
    payload = Tensor(array, "a long name of axes " * 200)
    assert link.sender.try_send(packet(payload))
    assert link.arena.used_slots == 3
    await link.settle()
    (item,) = await link.pass_on()
    assert item.payload == payload
    assert (before == 9).all()


async def test_a_group_of_different_kinds_crosses_whole(make_link):
    link = make_link(ports=("a", "v", "t", "w"), arena_bytes=4 * MIB)
    members = {"a": audio(1), "v": frame_of(), "t": table_of(), "w": Text("x")}
    assert link.sender.try_send(
        group(*(packet(payload, 3, port=port) for port, payload in members.items()))
    )
    await link.settle()
    got = link.take()
    assert {port: item.payload for port, item in got.members.items()} == members


async def test_bytes_of_binary_are_counted_once_per_packet(make_link):
    link = make_link()
    for _ in range(2):
        assert link.sender.try_send(packet(Binary(bytes(1000))))
    assert link.sender.statistics().payload_bytes == 2000
