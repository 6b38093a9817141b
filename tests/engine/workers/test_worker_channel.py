"""Packet sockets that never block."""

import os
import socket

import pytest

from engine.workers.channel import Channel, packet_socketpair
from engine.workers.messages import MESSAGE_BYTES_MAX
from tests.engine.workers.worker_helpers import open_descriptors


@pytest.fixture
def ends():
    ours, theirs = packet_socketpair()
    channel = Channel(ours)
    yield channel, theirs
    channel.close()
    theirs.close()


def test_messages_keep_their_boundaries(ends):
    channel, peer = ends
    channel.send(b"one")
    channel.send(b"two")
    assert [peer.recv(100), peer.recv(100)] == [b"one", b"two"]
    peer.send(b"three")
    assert channel.receive() == b"three"
    assert channel.receive() is None


def test_what_a_peer_said_before_it_closed_is_heard_though_it_read_nothing(ends):
    channel, peer = ends
    channel.send(b"never read")
    peer.send(b"last words")
    peer.close()
    assert [channel.receive() for _ in range(3)] == [b"last words", b"", b""]


def test_the_largest_message_fits(ends):
    channel, peer = ends
    channel.send(b"x" * MESSAGE_BYTES_MAX)
    assert not channel.wants_write
    assert len(peer.recv(MESSAGE_BYTES_MAX)) == MESSAGE_BYTES_MAX


def test_what_the_peer_does_not_take_is_queued_in_order(ends):
    channel, peer = ends
    sent = 0
    while not channel.wants_write:
        channel.send(b"%d" % sent + b" " * 10_000)
        sent += 1
    channel.send(b"%d" % sent)
    received = []
    while len(received) <= sent:
        received.append(int(peer.recv(MESSAGE_BYTES_MAX)))
        channel.flush()
    assert received == list(range(sent + 1))
    assert not channel.wants_write


def test_descriptors_are_closed_once_sent(ends):
    channel, peer = ends
    before = open_descriptors()
    reading, writing = os.pipe()
    channel.send(b"a pipe", (reading, writing))
    assert open_descriptors() == before
    data, fds, _, _ = socket.recv_fds(peer, 100, 2)
    assert data == b"a pipe"
    os.write(fds[1], b"through")
    assert os.read(fds[0], 100) == b"through"
    for fd in fds:
        os.close(fd)


def test_descriptors_that_wait_are_closed_with_the_channel(ends):
    channel, _ = ends
    while not channel.wants_write:
        channel.send(b" " * 10_000)
    before = open_descriptors()
    channel.send(b"pipes", os.pipe())
    assert len(open_descriptors() - before) == 2
    own = str(channel.fileno())
    channel.close()
    channel.close()
    assert open_descriptors() == before - {own}


def test_a_peer_that_is_gone(ends):
    channel, peer = ends
    peer.close()
    before = open_descriptors()
    assert channel.receive() == b""
    with pytest.raises(BrokenPipeError):
        channel.send(b"late", os.pipe())
    assert open_descriptors() == before
    assert not channel.wants_write
    channel.close()
    assert channel.receive() == b""
