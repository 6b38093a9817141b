"""What waits for an attached client: in order, bounded, and taps give way."""

from __future__ import annotations

import asyncio

from protos.remotemedia.v1 import common_pb2, control_pb2
from tests.transports.rpc.rpc_client import text
from transports.rpc.control_outbox import ControlOutbox

HERE, THERE = ("a", "out"), ("b", "out")


def tap(value):
    return control_pb2.ControlEvent(tap=control_pb2.TapEvent(data=text(value)))


def error(message):
    return control_pb2.ControlEvent(error=control_pb2.ErrorEvent(message=message))


async def sent(outbox):
    """Everything an outbox sends, as texts."""
    said = []

    async def write(event):
        data: common_pb2.DataBuffer = event.tap.data
        said.append(data.text.text_data.decode() or event.error.message)

    outbox.finish()
    await outbox.run(write)
    return said


async def test_events_leave_in_the_order_in_which_they_came():
    outbox = ControlOutbox()
    outbox.put_tap(HERE, tap("1"))
    await outbox.put(error("2"))
    outbox.put_tap(THERE, tap("3"))
    await outbox.put(error("4"))
    assert await sent(outbox) == ["1", "2", "3", "4"]


async def test_the_oldest_taps_give_way():
    outbox = ControlOutbox(taps_max=2)
    await outbox.put(error("0"))
    for number in range(1, 5):
        outbox.put_tap(HERE, tap(str(number)))
    assert outbox.dropped == 2
    assert await sent(outbox) == ["0", "3", "4"]


async def test_taps_give_way_by_their_size_and_one_may_be_larger():
    outbox = ControlOutbox(tap_bytes_max=100)
    outbox.put_tap(HERE, tap("a" * 60))
    outbox.put_tap(HERE, tap("b" * 60))
    assert outbox.dropped == 1
    outbox.put_tap(HERE, tap("c" * 600))
    assert outbox.dropped == 2
    assert await sent(outbox) == ["c" * 600]


async def test_taps_of_one_address_are_forgotten():
    outbox = ControlOutbox()
    outbox.put_tap(HERE, tap("1"))
    outbox.put_tap(THERE, tap("2"))
    outbox.forget_taps(HERE)
    assert await sent(outbox) == ["2"]


async def test_an_event_that_is_taken_back_is_not_sent_and_makes_room():
    outbox = ControlOutbox(others_max=2)
    first, second, third = (error(str(number)) for number in range(3))
    await outbox.put(first)
    await outbox.put(second)
    waiting = asyncio.create_task(outbox.put(third))
    await asyncio.sleep(0)
    assert not waiting.done()
    outbox.take_back(first)
    await waiting
    outbox.take_back(first)  # it is not there any more
    assert await sent(outbox) == ["1", "2"]


async def test_other_events_wait_for_room_by_their_size_and_one_may_be_larger():
    outbox = ControlOutbox(other_bytes_max=100)
    large = error("a" * 600)
    await outbox.put(large)
    waiting = asyncio.create_task(outbox.put(error("b")))
    await asyncio.sleep(0)
    assert not waiting.done()
    outbox.take_back(large)
    await waiting
    assert await sent(outbox) == ["b"]


async def test_other_events_wait_for_room():
    outbox = ControlOutbox(others_max=2)
    putting = [asyncio.create_task(outbox.put(error(str(number)))) for number in range(5)]
    await asyncio.sleep(0)
    assert [task.done() for task in putting] == [True, True, False, False, False]
    said = []
    all_said = asyncio.Event()

    async def write(event):
        said.append(event.error.message)
        if len(said) == 5:
            all_said.set()

    running = asyncio.create_task(outbox.run(write))
    await all_said.wait()
    outbox.finish()
    await running
    assert said == ["0", "1", "2", "3", "4"]
