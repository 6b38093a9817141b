"""The words that server and worker share."""

import fcntl
import os

import pytest

from engine.interruption import ANNOUNCED, CANCELLED, STALE_BELOW
from engine.workers.control_page import PAGE_BYTES, ControlPage, create_page
from tests.engine.workers.worker_helpers import open_descriptors


@pytest.fixture
def page_fd():
    fd = create_page()
    yield fd
    os.close(fd)


def test_both_sides_see_the_same_words(page_fd):
    server, worker = ControlPage.of_fd(page_fd), ControlPage.of_fd(page_fd)
    assert (worker.stale_below, worker.cancelled, server.turn_started_ns) == (0, False, 0)
    server.announce(2**63, everything=True)
    server.cancelled = True
    assert (worker.stale_below, worker.cancelled) == (2**63, True)
    assert [worker.words[at] for at in (STALE_BELOW, CANCELLED, ANNOUNCED)] == [2**63, 1, 2**63]
    worker.begin_turn(3, 17)
    assert (server.turn_node, server.turn_started_ns) == (3, 17)
    worker.end_turn()
    assert (server.turn_node, server.turn_started_ns) == (3, 0)
    worker.beat()
    worker.beat()
    assert server.heartbeats == 2


def test_an_announcement_makes_stale_what_its_scope_is_all_of(page_fd):
    server, worker = ControlPage.of_fd(page_fd), ControlPage.of_fd(page_fd)
    server.announce(3, everything=False)
    assert (worker.words[ANNOUNCED], worker.stale_below) == (3, 0)
    server.announce(4, everything=True)
    server.announce(2, everything=True)
    assert (worker.words[ANNOUNCED], worker.stale_below) == (4, 4)


def test_it_cannot_be_resized(page_fd):
    for size in (0, 2 * PAGE_BYTES):
        with pytest.raises(PermissionError):
            os.ftruncate(page_fd, size)
    with pytest.raises(PermissionError):
        fcntl.fcntl(page_fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)


def test_a_detached_page_is_a_copy_and_holds_no_descriptor(page_fd):
    before = len(open_descriptors())
    server, worker = ControlPage.of_fd(page_fd), ControlPage.of_fd(page_fd)
    worker.begin_turn(1, 99)
    server.detach()
    assert server.turn_started_ns == 99
    worker.end_turn()
    server.announce(5, everything=True)
    assert server.turn_started_ns == 99
    assert worker.stale_below == 0
    worker.detach()
    assert len(open_descriptors()) == before
