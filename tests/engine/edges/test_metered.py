"""Edges that count bytes: what waits is bounded, nothing is lost, and who was refused is told."""

from __future__ import annotations

import marshal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.edges.metered import MeteredEdge, bytes_of
from engine.interruption import older_than
from engine.packet import Group, Origin, Packet, Source
from engine.payloads import Audio, Binary, Json, Text


def packet(payload, number=0, port="in", generation=0):
    return Packet(payload, Source("a"), port, 0, Origin("s", number, 0, 0, generation))


def binary(size, number=0, generation=0):
    return packet(Binary(bytes(size), "a/b"), number, generation=generation)


def edge(bytes_max=100, capacity=8):
    return MeteredEdge("e", capacity, None, bytes_max)


def test_one_packet_more_than_the_bytes_may_wait():
    e = edge()
    assert e.try_send(binary(99))
    assert e.ready
    assert e.try_send(binary(10_000))
    assert not e.ready
    assert not e.try_send(binary(0))
    assert e.statistics().payload_bytes == 10_099
    assert e.statistics().refused == 2
    assert (e.statistics().sent, e.statistics().queued) == (2, 2)


def test_who_was_refused_is_told_once_that_there_is_room():
    told = []
    e = edge()
    e.on_credit = lambda: told.append(e.ready)
    e.try_send(binary(100))
    assert not e.try_send(binary(1))
    assert e.try_receive() is not None
    assert told == [True]
    e.release()
    assert told == [True]
    assert e.try_send(binary(1))


def test_a_credit_is_waited_for_as_ever():
    told = []
    e = edge(capacity=1)
    e.on_credit = lambda: told.append(None)
    assert e.try_send(binary(200))
    assert not e.try_send(binary(1))
    e.try_receive()
    assert told == []  # there is room, and no credit
    e.release()
    assert told == [None]
    assert e.try_send(binary(1))


def test_what_is_dropped_makes_room():
    e = edge()
    e.try_send(binary(60, generation=0))
    e.try_send(binary(60, generation=1))
    assert not e.ready
    assert e.discard(older_than(1)) == 1
    assert e.ready
    assert e.try_receive().payload.data == bytes(60)
    e.release()
    e.try_send(binary(200))
    e.close()
    assert e.ready
    assert e.try_send(binary(1))  # and goes nowhere
    assert e.try_receive() is None


def test_sizes_of_payloads_and_groups():
    value = {"text": "x" * 50}
    samples = np.zeros((10, 2), np.float32)
    assert bytes_of(packet(Text("äb"))) == 3
    assert bytes_of(packet(Audio(samples, 16_000))) == 80
    assert bytes_of(packet(Json(value))) == len(marshal.dumps(value)) > 50
    assert bytes_of(packet(Json({"odd": object()}))) == 0
    assert bytes_of(Group({"l": packet(Text("ab"), port="l"), "r": binary(5)})) == 7


@given(st.data())
def test_whatever_is_done_what_waits_is_bounded_and_nothing_is_lost(data):
    bytes_max, capacity = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 6))
    e = edge(bytes_max, capacity)
    refused, sent, held, received, dropped = [False], [], 0, [], set()

    def on_credit():
        refused[0] = False

    e.on_credit = on_credit
    for number in range(data.draw(st.integers(1, 40))):
        match data.draw(st.sampled_from(["send", "receive", "release", "discard"])):
            case "send":
                size = data.draw(st.integers(0, 80))
                waiting = sum(len(each.payload.data) for each in e._queue)
                room = waiting < bytes_max and len(e._queue) + held < capacity
                taken = e.try_send(binary(size, number, generation=number % 2))
                assert taken == room
                if taken:
                    assert not refused[0]  # or nobody would have said that there is room again
                    sent.append(number)
                refused[0] = not taken
            case "receive":
                if (item := e.try_receive()) is not None:
                    received.append(item.origin.sequence)
                    held += 1
            case "release":
                if held:
                    held -= 1
                    e.release()
            case "discard":
                before = {each.origin.sequence for each in e._queue}
                e.discard(older_than(1))
                dropped |= before - {each.origin.sequence for each in e._queue}
        assert e._waiting_bytes == sum(len(each.payload.data) for each in e._queue)
    while (item := e.try_receive()) is not None:
        received.append(item.origin.sequence)
    assert received == [number for number in sent if number not in dropped]


@pytest.mark.parametrize("sizes", [[10, 200, 10], [300], [1] * 50])
def test_a_producer_that_waits_to_be_told_sends_all(sizes):
    e, waiting, received = edge(bytes_max=20, capacity=3), list(sizes), []

    def send():
        while waiting and e.try_send(binary(waiting[0])):
            waiting.pop(0)

    e.on_credit = send
    send()
    while (item := e.try_receive()) is not None:
        received.append(len(item.payload.data))
        e.release()
    assert received == sizes
