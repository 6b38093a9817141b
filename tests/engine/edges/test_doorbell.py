"""engine.edges.doorbell: messages whole and in order, a full socket, both ways of being left."""

from __future__ import annotations

import asyncio
import gc

import pytest
import uvloop

from engine.edges.descriptor import MESSAGE_BYTES_MAX
from engine.edges.doorbell import Doorbell, make_pair

#: Longer than anything here takes.
PATIENCE_S = 10.0


class End:
    """A doorbell that remembers what it heard."""

    def __init__(self, sock):
        self.heard = []
        self.hang_ups = 0
        self._changed = asyncio.Event()
        self.bell = Doorbell(sock, self._on_message, self._on_hang_up)

    def _on_message(self, message):
        assert not self.hang_ups, "a message after the end"
        self.heard.append(message)
        self._changed.set()

    def _on_hang_up(self):
        self.hang_ups += 1
        self._changed.set()

    async def until(self, condition):
        async with asyncio.timeout(PATIENCE_S):
            while not condition(self):
                self._changed.clear()
                await self._changed.wait()

    async def until_heard(self, count):
        await self.until(lambda end: len(end.heard) >= count)

    async def until_hung_up(self):
        await self.until(lambda end: end.hang_ups)


@pytest.fixture
async def ends():
    one, other = (End(sock) for sock in make_pair())
    yield one, other
    one.bell.close()
    other.bell.close()


@pytest.fixture
async def half():
    """One end with a doorbell, the other a bare socket."""
    near, far = make_pair()
    far.setblocking(False)
    end = End(near)
    yield end, far
    end.bell.close()
    far.close()


async def test_messages_keep_their_bounds_and_order_both_ways(ends):
    one, other = ends
    messages = [bytes([n]) * size for n, size in enumerate([1, 2, 1000, MESSAGE_BYTES_MAX, 3])]
    for message in messages:
        one.bell.send(message)
        other.bell.send(message[::-1])
    await other.until_heard(len(messages))
    await one.until_heard(len(messages))
    assert other.heard == one.heard == messages


async def test_a_full_socket_keeps_messages_in_memory_and_in_order(ends):
    one, other = ends
    sent = asyncio.Event()
    one.bell.on_sent = sent.set
    messages = [n.to_bytes(4, "little") * 8000 for n in range(200)]
    for message in messages:
        one.bell.send(message)
    assert one.bell.unsent > 100
    assert not sent.is_set()
    await other.until_heard(len(messages))
    assert other.heard == messages
    async with asyncio.timeout(PATIENCE_S):
        await sent.wait()
    assert one.bell.unsent == 0


async def test_a_message_sent_while_others_wait_does_not_overtake_them(half):
    end, far = half
    count = 0
    while not end.bell.unsent:
        end.bell.send(count.to_bytes(4, "little") * 8000)
        count += 1
    far.recv(MESSAGE_BYTES_MAX)  # room in the socket, before the writer was told
    end.bell.send(b"last")
    received = []
    async with asyncio.timeout(PATIENCE_S):
        while b"last" not in received:
            received.append(await asyncio.get_running_loop().sock_recv(far, MESSAGE_BYTES_MAX))
    assert [int.from_bytes(message[:4], "little") for message in received[:-1]] == list(
        range(1, count)
    )


async def test_an_idle_doorbell_does_not_watch_for_room(ends):
    one, other = ends
    for _ in range(50):
        one.bell.send(bytes(8000))
    await other.until_heard(50)
    await one.until(lambda end: not end.bell.unsent)
    assert not asyncio.get_running_loop().remove_writer(one.bell._socket.fileno())


async def test_closing_is_heard_once_after_all_messages(ends):
    one, other = ends
    for n in range(10):
        one.bell.send(bytes([n]))
    one.bell.close()
    await other.until_hung_up()
    assert other.heard == [bytes([n]) for n in range(10)]
    assert other.hang_ups == 1
    assert other.bell.hung_up
    assert one.hang_ups == 0  # who closes knows


async def test_what_the_other_side_said_comes_though_it_left_messages_unread(half):
    end, far = half
    for n in range(5):
        end.bell.send(bytes([n]))
        far.send(bytes([100 + n]))
    far.close()  # the system reports a reset first, then what it had sent
    await end.until_hung_up()
    assert end.heard == [bytes([100 + n]) for n in range(5)]
    assert end.hang_ups == 1


async def test_sending_to_who_has_left_is_nothing_before_and_after_it_is_known(half):
    end, far = half
    far.send(b"last words")
    far.close()
    end.bell.send(b"a")
    end.bell.send(b"b")
    assert not end.bell.hung_up
    await end.until_hung_up()
    assert end.heard == [b"last words"]
    end.bell.send(b"c")
    assert end.bell.unsent == 0


async def test_unread_messages_and_a_sender_that_meets_the_reset_first(half):
    end, far = half
    end.bell.send(b"unread")
    far.send(b"last words")
    far.close()
    end.bell.send(b"meets the reset")
    await end.until_hung_up()
    assert end.heard == [b"last words"]


async def test_messages_that_wait_are_dropped_when_the_other_side_leaves(half):
    end, far = half
    sent = asyncio.Event()
    end.bell.on_sent = sent.set
    while end.bell.unsent < 10:
        end.bell.send(bytes(30_000))
    far.close()
    await end.until_hung_up()
    assert end.bell.unsent == 0
    assert end.heard == []


async def test_both_sides_close_at_once(ends):
    one, other = ends
    one.bell.send(b"x")
    one.bell.close()
    other.bell.close()
    await asyncio.sleep(0)
    assert one.hang_ups == other.hang_ups == 0


async def test_a_second_close_does_nothing(ends):
    one, other = ends
    one.bell.close()
    one.bell.close()
    one.bell.send(b"nowhere")
    await other.until_hung_up()
    other.bell.close()
    other.bell.close()
    assert other.heard == []


async def test_closing_while_messages_wait(ends):
    one, other = ends
    while one.bell.unsent < 5:
        one.bell.send(bytes(30_000))
    one.bell.close()
    await other.until_hung_up()
    assert all(message == bytes(30_000) for message in other.heard)


async def test_a_callback_may_close_its_own_doorbell():
    near, far = make_pair()
    heard = []
    closed = asyncio.Event()

    def on_message(message):
        heard.append(message)
        bell.close()
        closed.set()

    bell = Doorbell(near, on_message, lambda: heard.append("hung up"))
    far.send(b"one")
    far.send(b"two")
    async with asyncio.timeout(PATIENCE_S):
        await closed.wait()
    far.close()
    for _ in range(3):
        await asyncio.sleep(0)
    assert heard == [b"one"]


async def test_an_abandoned_pair_leaves_no_descriptor():
    near, far = make_pair()
    end = End(near)
    end.bell.close()
    far.close()
    assert near.fileno() == far.fileno() == -1
    gc.collect()  # an unclosed socket would be a ResourceWarning, which is an error


async def test_a_poll_takes_all_that_waits_without_the_loop(ends):
    one, other = ends
    for number in range(5):
        other.bell.send(bytes([number + 1]))
    one.bell.poll()
    assert one.heard == [bytes([number + 1]) for number in range(5)]
    one.bell.poll()
    assert len(one.heard) == 5


async def test_a_poll_takes_what_was_sent_before_the_end_and_the_end_once(ends):
    one, other = ends
    other.bell.send(b"last")
    other.bell.close()
    one.bell.poll()
    assert (one.heard, one.hang_ups) == ([b"last"], 1)
    one.bell.poll()
    assert one.hang_ups == 1


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_sender_that_meets_the_reset_in_the_iteration_in_which_it_is_told(loop_factory):
    """The reset is told once: by the poll, which ends with it on uvloop, or by what we send."""

    async def hear():
        near, far = make_pair()
        first, rings_first = make_pair()
        end = End(near)
        loop = asyncio.get_running_loop()

        def send():
            first.recv(10)
            end.bell.send(b"credits")  # takes the reset away from who reads

        first.setblocking(False)
        loop.add_reader(first.fileno(), send)
        await asyncio.sleep(0.01)  # both are polled
        end.bell.send(b"never read")
        rings_first.send(b"now")
        for number in range(5):
            far.send(bytes([number + 1]))
        far.close()
        await end.until_hung_up()
        assert end.heard == [bytes([number + 1]) for number in range(5)]
        loop.remove_reader(first.fileno())
        end.bell.close()
        first.close()
        rings_first.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(hear())
