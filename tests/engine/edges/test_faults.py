"""Edges under damage: whatever comes over a socket or lies in a slot is an EdgeError, never more.

Everything is mutated from what a real producer or consumer said. Source: FR-007, FR-010, FR-011.
"""

from __future__ import annotations

import asyncio
import random
import signal
import socket
import struct

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.edges.descriptor import (
    CLOSE,
    CREDITS,
    DATA,
    END,
    FAIL,
    MESSAGE_BYTES_MAX,
    PACKETS,
    WANT,
    Member,
    pack_credits,
    pack_failure,
    pack_item,
    unpack_items,
)
from engine.edges.doorbell import Doorbell, make_pair
from engine.errors import EdgeError, PeerDiedError
from engine.packet import Group, Packet
from engine.payloads import (
    BatchHint,
    Binary,
    Control,
    File,
    Json,
    Table,
    Tensor,
    Text,
    Video,
    payload_bytes,
    to_arrow,
)
from engine.testing.edges import SharedMemoryPair
from engine.testing.edges.traffic import audio, group, packet
from tests.engine.edges.fault_peers import consume, kill_a_consumer, kill_a_producer

PORTS = ("a", "b")
LARGE = 40_000
BATCH = pa.RecordBatch.from_pydict(
    {
        "n": pa.array([1, None, 3], pa.int16()),
        "s": ["a", "", "ü" * 30],
        "l": [[1.5, 2.5], None, []],
        "d": pa.array(["x", "y", "x"]).dictionary_encode(),
        "t": pa.array([0, 1, None], pa.timestamp("us", "Europe/Berlin")),
        "r": pa.array([{"a": 1, "b": "x"}, None, {"a": 3, "b": "z"}]),
        "m": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int8())),
        "v": pa.array(["short", "a string of more than twelve bytes", None], pa.string_view()),
        "e": pa.RunEndEncodedArray.from_arrays(pa.array([1, 3], pa.int32()), pa.array(["a", "b"])),
    }
)
PAYLOADS = {
    "audio": audio(1),
    "large audio": audio(2, LARGE),
    "video": Video(np.zeros((4, 6, 3), np.uint8), frame_number=7),
    "encoded video": Video(b"0123456789", "encoded", 4, 2, 3, "vp8", keyframe=True),
    "tensor": Tensor(np.arange(12.0).reshape(3, 4), "NC"),
    "empty tensor": Tensor(np.zeros(0, np.float32)),
    "text": Text("größe", "de"),
    "json": Json({"a": [1, {"b": None}]}, "schema"),
    "binary": Binary(bytes(range(256)), "image/png"),
    "file": File("a/b.wav", "b.wav"),
    "table": Table(BATCH),
    "control": Control(BatchHint(3), "segment", 5, {"k": "v"}),
}


def items():
    """Something of everything an edge carries."""
    singles = [
        packet(number, payload, port="a", metadata={"key": "välue"})
        for number, payload in enumerate(PAYLOADS.values())
        if payload_bytes(payload) < 10_000
    ]
    return [*singles, group(packet(99, audio(9), port="a"), packet(99, Text("x"), port="b"))]


@pytest.fixture
async def make_edge():
    pairs = []

    def make(capacity, ports=PORTS, **options):
        pairs.append(SharedMemoryPair(capacity, ports, **options))
        return pairs[-1]

    yield make
    for pair in pairs:
        pair.dispose()


def look_at_all_of(item):
    """Read every byte of an item, as its consumer may."""
    for each in item if isinstance(item, Group) else (item,):
        repr(each), repr(each.payload)
        kept = each.keep()
        to_arrow(kept.payload).validate(full=True)
        assert isinstance(each, Packet)


def receive_all(pair, count=200):
    """Take whatever comes, as a stage does; what that was."""
    received = []
    for _ in range(count):
        item = pair.receiver.try_receive()
        if item is None:
            break
        look_at_all_of(item)
        received.append(item)
        pair.receiver.release()
    return received


def check_end(error, *, reported=False):
    """An error of the edge that says which one; what its producer reported has words of its own."""
    if error is not None:
        assert isinstance(error, EdgeError)
        if not reported:
            assert error.context["edge"] == "edge"
            assert "'edge'" in error.message
        assert "edge" in error.context


class Recorder(SharedMemoryPair):
    """A pair whose ends' messages are read by the test instead of by the other end."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.near)
        loop.remove_reader(self.far)
        self.near.setblocking(False)
        self.far.setblocking(False)

    @staticmethod
    def said_to(sock):
        messages = []
        while True:
            try:
                messages.append(sock.recv(MESSAGE_BYTES_MAX))
            except BlockingIOError:
                return messages


def run(coroutine):
    with asyncio.Runner() as runner:
        return runner.run(coroutine)


async def _real_messages():
    """What a real producer says of `items`, a few to a message, and a real consumer to that."""
    pair = Recorder(64, PORTS)
    for number, item in enumerate(items()):
        assert pair.sender.try_send(item)
        if number % 3 == 0:
            pair.sender.flush()
    pair.sender.finish()
    forward = pair.said_to(pair.far)
    back = [pack_credits(3, [4096, 4160]), pack_credits(1, []), bytes([CLOSE])]
    pair.dispose()
    return forward, back


FORWARD, BACK = run(_real_messages())
assert [message[0] for message in FORWARD].count(PACKETS) > 3
FORWARD += [
    pack_failure(EdgeError("it failed", edge="edge")),
    bytes([WANT]),
    bytes([DATA]) + bytes(100),
]


@st.composite
def damaged(draw, messages):
    """A real message with some of its bytes changed, cut off, put in twice or replaced."""
    message = bytearray(draw(st.sampled_from(messages)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(message) - 1)))
        match draw(st.sampled_from(["byte", "word", "cut", "insert", "repeat", "bit"])):
            case "byte" if message:
                message[at] = draw(st.integers(0, 255))
            case "bit" if message:
                message[at] ^= 1 << draw(st.integers(0, 7))
            case "word":
                word = draw(st.sampled_from([0, 1, 64, 4096, 2**31, 2**32 - 1, 2**63, 2**64 - 1]))
                message[at : at + 8] = struct.pack("<Q", word)
            case "cut":
                del message[at:]
            case "insert":
                message[at:at] = draw(st.binary(min_size=1, max_size=40))
            case "repeat":
                message += message[at:]
    return bytes(message[:MESSAGE_BYTES_MAX]) or b"\0"


RANDOM = st.binary(min_size=1, max_size=200)


# ------------------------------------------------------------------------------------- messages


@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(damaged(FORWARD), RANDOM, st.sampled_from(FORWARD)), max_size=6))
def test_whatever_a_producer_says_is_items_or_an_error_of_the_edge(messages):
    async def hear():
        pair = SharedMemoryPair(64, PORTS)
        for item in items():  # so that there is something in the arena to be misread
            assert pair.sender.try_send(item)
        pair.sender._batch.clear()  # what it says is said by the test
        for message in messages:
            pair.near.send(message)
        await pair.settle()
        receive_all(pair)
        reported = any(message[0] == FAIL for message in messages)
        check_end(pair.receiver.error, reported=reported)
        assert not (pair.receiver.ended and pair.receiver.error)
        pair.receiver.flush()
        pair.receiver.close()
        await pair.settle()
        pair.dispose()

    run(hear())


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(damaged(BACK), RANDOM, st.sampled_from(BACK)), min_size=1, max_size=6))
def test_whatever_a_consumer_says_is_credits_or_an_error_of_the_edge(messages):
    async def hear():
        pair = SharedMemoryPair(64, PORTS)
        for item in items():
            assert pair.sender.try_send(item)
        pair.sender.flush()
        asyncio.get_running_loop().remove_reader(pair.far)  # the test is the consumer
        for message in messages:
            pair.far.send(message)
        await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        counts = pair.sender.statistics()
        assert 0 <= counts.queued + counts.in_flight <= 64
        pair.sender._credits.check()
        if not pair.sender._closed:
            assert pair.sender.try_send(packet(5, port="a")) in {True, False}
        pair.sender.finish()
        pair.dispose()

    run(hear())


@pytest.mark.parametrize(
    "message",
    [
        pack_credits(60, []),
        pack_credits(2**32 - 1, []),
        pack_credits(0, [4096] * 3),
        pack_credits(1, [2**64 - 1]),
        bytes([CREDITS]),
        bytes([CREDITS, 1, 0, 0, 0, 9]),
        bytes([PACKETS]),
        bytes([END]),
        bytes([DATA, 1, 2]),
        bytes(1),
        b"\xff" * 100,
    ],
)
async def test_a_consumer_that_lies_is_left_and_told_why(make_edge, message):
    pair = make_edge(64)
    assert pair.sender.try_send(packet(0, port="a"))
    await pair.settle()
    pair.far.send(message)
    await pair.settle()
    assert receive_all(pair)
    assert "the consumer sent" in pair.receiver.error.message
    check_end(pair.receiver.error)
    assert pair.sender.try_send(packet(1, port="a"))
    assert pair.sender.statistics().dropped == 1


def one_item(*, seq=0, count=1, **changes):
    """A descriptor of a real audio packet in slot 4096, with fields changed."""
    audio_in_first_slot = {"slot": 4096, "start": 4096, "size_bytes": 800, "head_bytes": 700}
    fields = dict.fromkeys(Member._fields, 0) | audio_in_first_slot
    assert changes.keys() <= fields.keys()
    member = tuple((fields | changes).values())
    return pack_item(seq, [(member, b"")] * count, grouped=count > 1, sent_ns=0)


@pytest.mark.parametrize(
    ("what", "descriptor"),
    {
        "a slot beyond the arena": one_item(slot=2**40, start=2**40),
        "a slot that ends beyond it": one_item(slot=(1 << 20) - 64, start=(1 << 20) - 64),
        "a slot of all memory": one_item(size_bytes=2**64 - 1),
        "a start before its slot": one_item(start=64),
        "a start that wraps": one_item(start=2**64 - 64),
        "page 0": one_item(slot=64, start=64),
        "a head of nothing": one_item(head_bytes=0),
        "a head that is not its own": one_item(head_bytes=64),
        "another kind": one_item(kind=5),
        "a video without room for a number": one_item(kind=4, head_bytes=8),
        "no kind at all": one_item(kind=77),
        "no port": one_item(port=9),
        "a gap": one_item(seq=1),
        "an item twice": one_item() + one_item(),
        "an item from before": one_item() + one_item(seq=2),
        "no members": pack_item(0, [], grouped=False, sent_ns=0),
        "metadata that is not there": one_item(metadata_bytes=500),
        "a payload by the socket that did not come": one_item(slot=0),
        "a payload of nothing": one_item(size_bytes=0),
        "more than there are credits": b"".join(one_item(seq=n) for n in range(65)),
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_descriptor_that_cannot_be_is_an_error_of_the_edge(make_edge, what, descriptor):
    pair = make_edge(64)
    assert pair.sender.try_send(packet(0, port="a"))
    pair.sender._batch.clear()
    pair.near.send(bytes([PACKETS]) + descriptor)
    await pair.settle()
    receive_all(pair)
    assert pair.receiver.error is not None, what
    check_end(pair.receiver.error)
    assert not pair.receiver.readable
    assert not pair.receiver.ended


@pytest.mark.parametrize("cut", range(1, 84, 7))
async def test_a_descriptor_cut_anywhere_is_an_error_of_the_edge(make_edge, cut):
    pair = make_edge(64)
    assert pair.sender.try_send(packet(0, port="a"))
    whole = bytes([PACKETS]) + pair.sender._batch[0]
    assert len(whole) > cut
    pair.sender._batch.clear()
    pair.near.send(whole[:cut] if cut > 1 else whole[: len(whole) - 1])
    await pair.settle()
    assert receive_all(pair) == []
    check_end(pair.receiver.error)
    assert pair.receiver.error is not None


async def test_behind_damage_parts_of_payloads_are_not_kept(make_edge):
    pair = make_edge(4)
    pair.near.send(b"\xff")
    for _ in range(10):
        pair.near.send(bytes([DATA]) + bytes(30_000))
        await pair.settle()
    assert pair.receiver.error is not None
    assert not pair.receiver._loose


async def test_a_message_longer_than_any_is_an_error_of_the_edge(make_edge):
    """It is cut when it is received, which shows."""
    pair = make_edge(2000)
    long = bytes([PACKETS]) + b"".join(one_item(seq=n) for n in range(1500))
    assert len(long) > MESSAGE_BYTES_MAX
    pair.near.send(long)
    await pair.settle()
    assert receive_all(pair) == []
    check_end(pair.receiver.error)
    assert pair.receiver.error is not None


# ---------------------------------------------------------------------------------------- slots


def damaged_slot(payload, changes):
    """Send a payload, change bytes of its slot, and receive it: what came, and the error."""

    async def go():
        pair = SharedMemoryPair(4, PORTS)
        assert pair.sender.try_send(packet(0, payload, port="a"))
        member = unpack_items(bytes([PACKETS]) + pair.sender._batch[0])[0].members[0][0]
        stream = pair.writer._arena.slot(member.slot)
        for place, value in changes:
            stream[int(place * (len(stream) - 1))] = value
        await pair.settle()
        received = receive_all(pair)
        check_end(pair.receiver.error)
        assert bool(received) != bool(pair.receiver.error)
        del received
        pair.receiver.close()
        await pair.settle()
        pair.dispose()

    run(go())


SMALL = {name: payload for name, payload in PAYLOADS.items() if name != "large audio"}
CHANGES = st.lists(
    st.tuples(st.floats(0, 1), st.one_of(st.integers(0, 255), st.sampled_from([0, 1, 127, 255]))),
    min_size=1,
    max_size=6,
)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(sorted(SMALL)), CHANGES)
def test_whatever_lies_in_a_slot_is_a_payload_or_an_error_of_the_edge(name, changes):
    damaged_slot(PAYLOADS[name], changes)


@settings(max_examples=60, deadline=None)
@given(CHANGES)
def test_whatever_lies_in_a_slot_that_is_leased_is_a_payload_or_an_error(changes):
    damaged_slot(PAYLOADS["large audio"], [(place / 200, value) for place, value in changes])


@pytest.mark.parametrize("name", SMALL)
async def test_a_slot_filled_with_anything_is_an_error_of_the_edge(make_edge, name):
    rnd = random.Random(1)
    for _ in range(10):
        pair = make_edge(4)
        assert pair.sender.try_send(packet(0, PAYLOADS[name], port="a"))
        slot = next(iter(pair.sender._slots))
        stream = pair.writer._arena.slot(slot)
        stream[:] = rnd.randbytes(len(stream))
        await pair.settle()
        assert receive_all(pair) == []
        assert pair.receiver.error is not None
        check_end(pair.receiver.error)


@pytest.mark.parametrize("name", [b"col", b"inner", b"Europe"])
async def test_a_table_with_a_name_that_is_no_text_is_an_error_of_the_edge(make_edge, name):
    """Arrow checks no name: without a look at all of them, their reader would meet it."""
    batch = pa.RecordBatch.from_pydict(
        {
            "column": pa.array([{"inner": 1}]),
            "t": pa.array([0], pa.timestamp("us", "Europe/Berlin")),
        }
    )
    pair = make_edge(4)
    assert pair.sender.try_send(packet(0, Table(batch), port="a"))
    slot = pair.writer._arena.slot(next(iter(pair.sender._slots)))
    at = bytes(slot).index(name)
    slot[at : at + 1] = b"\xff"
    await pair.settle()
    assert receive_all(pair) == []
    check_end(pair.receiver.error)
    assert "can't decode" in pair.receiver.error.message


async def test_what_a_payload_is_read_from_lies_in_its_slot(make_edge):
    """Neighbours of a slot hold other samples; none of them is ever seen."""
    pair = make_edge(8)
    for number in range(8):
        payload = audio(number, 100 + number * 3_000)
        assert pair.sender.try_send(packet(number, payload, port="a"))
    await pair.settle()
    start = np.frombuffer(pair.receiver._view, np.uint8).ctypes.data
    slots = dict(pair.writer._arena._sizes)
    for number in range(8):
        samples = pair.receiver.try_receive().payload.samples
        assert (samples == number).all()
        offset = samples.ctypes.data - start
        if 0 <= offset < pair.payload_bytes_max:  # a view
            slot = max(each for each in slots if each <= offset)
            assert offset + samples.nbytes <= slot + slots[slot]
        del samples
        pair.receiver.release()


# --------------------------------------------------------------------------------------- sockets


async def flow(pair, count, *, frames=8):
    """Items through a pair, both ends waiting only for what the loop says; the numbers received."""
    received, done = [], asyncio.Event()
    loop = asyncio.get_running_loop()
    sent = 0

    def produce():
        nonlocal sent
        while sent < count and pair.sender.try_send(packet(sent, audio(sent, frames), port="a")):
            sent += 1
        if sent == count:
            pair.sender.finish()
        pair.sender.flush()

    def take():
        while (item := pair.receiver.try_receive()) is not None:
            assert item.payload.samples[-1, 0] == item.sequence
            received.append(item.sequence)
            pair.receiver.release()
        pair.receiver.flush()
        if pair.receiver.ended or pair.receiver.error:
            done.set()

    pair.sender.on_credit = lambda: loop.call_soon(produce)
    pair.receiver.on_readable = lambda: loop.call_soon(take)
    produce()
    async with asyncio.timeout(60):
        await done.wait()
    return received


@pytest.mark.parametrize("capacity", [1, 7, 64, 300])
async def test_a_socket_that_is_nearly_always_full_loses_nothing(make_edge, capacity):
    pair = make_edge(capacity, send_buffer_bytes=1)  # the least the system gives
    waited = 0
    send = pair.sender._doorbell.send

    def counted(message):
        nonlocal waited
        send(message)
        waited += pair.sender._doorbell.unsent > 0

    pair.sender._doorbell.send = counted
    ring = pair.sender._ring
    pair.sender.flush = lambda: ring() if len(pair.sender._batch) < 8 else None
    take_one_at_a_time(pair)
    assert await flow(pair, 600) == list(range(600))
    assert pair.receiver.error is None
    assert capacity < 64 or waited


def take_one_at_a_time(pair):
    """Ring for every packet: no message is then longer than so small a socket takes."""
    try_send = pair.sender.try_send

    def ringing(item):
        accepted = try_send(item)
        pair.sender._ring()
        return accepted

    pair.sender.try_send = ringing
    pair.sender.flush = pair.sender._writer.forget


async def test_calls_that_signals_interrupt_lose_nothing(make_edge):
    """EINTR: a timer goes off thousands of times while messages go both ways."""
    ticks = 0

    def tick(*_):
        nonlocal ticks
        ticks += 1

    before = signal.signal(signal.SIGALRM, tick)
    signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
    pair = make_edge(64)
    try:
        assert await flow(pair, 4000) == list(range(4000))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert ticks > 100
    assert pair.receiver.error is None


class Refusing:
    """A socket that now and then refuses, as the system may."""

    def __init__(self, sock, errors):
        self._sock, self._errors, self._calls = sock, errors, 0

    def __getattr__(self, name):
        return getattr(self._sock, name)

    def _maybe_raise(self):
        self._calls += 1
        if self._calls % 3 == 0:
            raise self._errors[self._calls // 3 % len(self._errors)]

    def recv(self, size):
        self._maybe_raise()
        return self._sock.recv(size)

    def send(self, message):
        return self._sock.send(message)


async def test_a_socket_that_has_nothing_after_all_is_read_again(make_edge):
    pair = make_edge(5)
    errors = [BlockingIOError(), InterruptedError()]
    for end in (pair.sender, pair.receiver):
        end._doorbell._socket = Refusing(end._doorbell._socket, errors)
    assert await flow(pair, 300) == list(range(300))


async def test_a_producer_that_goes_between_two_parts_of_a_payload_has_died(make_edge):
    """What had come of the payload is nothing; what came before it is whole."""
    pair = make_edge(8)
    assert pair.sender.try_send(packet(0, port="a"))
    pair.sender.flush()
    for _ in range(3):
        pair.near.send(bytes([DATA]) + bytes(30_000))
    pair.kill_producer()
    await pair.settle()
    assert [item.sequence for item in receive_all(pair)] == [0]
    assert isinstance(pair.receiver.error, PeerDiedError)
    check_end(pair.receiver.error)


async def test_a_consumer_that_goes_with_a_full_socket_before_it_gives_all_back(make_edge):
    pair = make_edge(64, send_buffer_bytes=1)
    take_one_at_a_time(pair)
    while not pair.sender._doorbell.unsent:
        assert pair.sender.try_send(packet(0, port="a"))
    pair.kill_consumer()
    await pair.settle()
    counts = pair.sender.statistics()
    assert counts.queued + counts.in_flight == 0
    assert pair.writer._arena.is_empty
    assert pair.sender.try_send(packet(0, port="a"))


async def test_half_a_doorbell_closed_by_force_is_a_death(make_edge):
    """The socket is shut down under both ends, as when a descriptor is closed by mistake."""
    pair = make_edge(8)
    assert pair.sender.try_send(packet(0, port="a"))
    await pair.settle()
    pair.near.shutdown(socket.SHUT_RDWR)
    await pair.settle()
    assert [item.sequence for item in receive_all(pair)] == [0]
    assert isinstance(pair.receiver.error, PeerDiedError)
    assert pair.sender.try_send(packet(1, port="a"))
    assert pair.sender.statistics().in_flight == 0


def test_sockets_take_the_longest_message():
    near, far = make_pair()
    near.setblocking(False)
    for sock, peer in ((near, far), (far, near)):
        assert sock.send(bytes(MESSAGE_BYTES_MAX)) == MESSAGE_BYTES_MAX
        assert len(peer.recv(MESSAGE_BYTES_MAX)) == MESSAGE_BYTES_MAX
    near.close()
    far.close()


def test_sockets_that_are_too_small_for_a_message_are_refused_at_the_start(monkeypatch):
    class Small(socket.socket):
        def setsockopt(self, *_):
            super().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 10_000)

        def getsockopt(self, *_):
            return min(20_000, super().getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF))

    real = socket.socketpair

    def small_pair(*args):
        return tuple(Small(fileno=sock.detach()) for sock in real(*args))

    monkeypatch.setattr(socket, "socketpair", small_pair)
    with pytest.raises(EdgeError, match=r"messages of 20000 bytes.*net\.core\.wmem_max"):
        make_pair()


async def test_a_doorbell_hears_nothing_of_what_is_not_for_it():
    """Random bytes are handed on whole: what they mean is the edge's business."""
    near, far = make_pair()
    heard = []
    bell = Doorbell(near, heard.append, lambda: None)
    rnd = random.Random(3)
    messages = [rnd.randbytes(rnd.randint(1, 3000)) for _ in range(50)]
    for message in messages:
        far.send(message)
        await asyncio.sleep(0)
    for _ in range(100):
        await asyncio.sleep(0)
    assert heard == messages
    bell.close()
    far.close()


# --------------------------------------------------------------------------------------- deaths


@pytest.mark.fault
@pytest.mark.parametrize("after", [1, 2, 7])
async def test_a_producer_killed_in_mid_write_is_a_death_and_all_that_came_is_whole(after):
    """A real process that writes 10 MiB again and again, killed while it does."""
    received, error = await kill_a_producer(after)
    assert received >= after
    assert isinstance(error, PeerDiedError)
    assert error.context["edge"] == "edge"


@pytest.mark.fault
@pytest.mark.parametrize("after", [1, 5])
async def test_a_consumer_killed_while_it_reads_gives_everything_back(after):
    """A real process that reads 10 MiB payloads and keeps views of them, killed while it does."""
    sender, arena = await kill_a_consumer(after)
    assert sender.in_flight == sender.queued == 0
    assert sender.sent >= after
    assert arena.is_empty


def test_peers_of_these_tests_take_no_damage_for_whole():
    with pytest.raises(AssertionError, match="not whole"):
        consume(np.array([1, 1, 2], np.float32))
