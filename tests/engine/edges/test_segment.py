"""engine.edges.segment: sealed, sparse, nameless memory that goes when nobody looks at it."""

from __future__ import annotations

import fcntl
import mmap
import os
from pathlib import Path

import numpy as np
import pytest

from engine.edges.segment import PAGE_BYTES, Segment, create_segment
from engine.errors import EdgeError

MIB = 1 << 20


@pytest.fixture
def make_fd():
    fds = []

    def make(size_bytes=MIB, name="test"):
        fds.append(create_segment(name, size_bytes))
        return fds[-1]

    yield make
    for fd in fds:
        os.close(fd)


def memory_bytes(fd):
    """What a segment really costs."""
    return os.fstat(fd).st_blocks * 512


def test_a_segment_is_whole_pages(make_fd):
    assert os.fstat(make_fd(1)).st_size == PAGE_BYTES
    assert os.fstat(make_fd(PAGE_BYTES)).st_size == PAGE_BYTES
    assert os.fstat(make_fd(PAGE_BYTES + 1)).st_size == 2 * PAGE_BYTES


@pytest.mark.parametrize("size_bytes", [0, PAGE_BYTES, 2 * MIB])
def test_nobody_can_change_its_size(make_fd, size_bytes):
    fd = make_fd(MIB)
    with pytest.raises(PermissionError):
        os.ftruncate(fd, size_bytes)
    assert os.fstat(fd).st_size == MIB


def test_nobody_can_add_seals(make_fd):
    fd = make_fd()
    with pytest.raises(PermissionError):
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    wanted = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) == wanted


def test_it_costs_memory_only_where_it_is_touched(make_fd):
    fd = make_fd(1 << 33)
    segment = Segment(fd, writable=True)
    assert memory_bytes(fd) == 0
    segment.view[1 << 32] = 1
    assert 0 < memory_bytes(fd) <= 4 * MIB  # a huge page, where the system gives them
    segment.close()


def test_pages_given_back_are_zero_and_free(make_fd):
    fd = make_fd(8 * MIB)
    segment = Segment(fd, writable=True)
    segment.view[:] = b"\1" * (8 * MIB)
    assert memory_bytes(fd) == 8 * MIB
    assert segment.give_back(4 * MIB, 4 * MIB)
    assert memory_bytes(fd) == 4 * MIB
    assert segment.view[4 * MIB - 1] == 1
    assert segment.view[4 * MIB :] == bytes(4 * MIB)
    segment.close()


def test_a_segment_that_cannot_give_back_says_so_and_stops_trying(make_fd):
    segment = Segment(make_fd(), writable=True)
    assert not segment.give_back(1, PAGE_BYTES)
    assert not segment.give_back(PAGE_BYTES, PAGE_BYTES)
    segment.close()


def test_what_one_mapping_writes_the_other_reads_and_cannot_write(make_fd):
    fd = make_fd()
    writer, reader = Segment(fd, writable=True), Segment(fd, writable=False)
    assert writer.size_bytes == reader.size_bytes == MIB
    writer.view[100:105] = b"hello"
    assert reader.view[100:105] == b"hello"
    assert reader.view.readonly
    with pytest.raises(TypeError):
        reader.view[0] = 1
    assert not np.frombuffer(reader.view, np.uint8, 4).flags.writeable
    writer.close()
    reader.close()


def test_it_has_no_name_in_the_file_system(make_fd):
    before = set(Path("/dev/shm").iterdir())
    fd = make_fd(name="remotemedia-somewhere")
    assert set(Path("/dev/shm").iterdir()) == before
    assert "remotemedia-somewhere" in str(Path(f"/proc/self/fd/{fd}").readlink())


@pytest.mark.parametrize("name", ["x" * 1000, "ü" * 255, "\ud800", "a\0b", "", "a/b"])
def test_any_name_is_taken(make_fd, name):
    assert make_fd(name=name) >= 0


def test_its_descriptor_is_not_inherited(make_fd):
    assert not os.get_inheritable(make_fd())


def open_descriptors():
    return set(Path("/proc/self/fd").iterdir())


def mappings():
    maps = Path("/proc/self/maps").read_text()
    return sum("memfd:closing" in line for line in maps.splitlines())


def test_closing_unmaps_and_is_idempotent(make_fd):
    segment = Segment(make_fd(name="closing"), writable=True)
    before = open_descriptors()
    assert mappings() == 1
    segment.close()
    segment.close()
    assert mappings() == 0
    assert len(before - open_descriptors()) == 1  # the mapping's own


@pytest.mark.parametrize("from_slice", [True, False])
def test_views_outlive_closing_and_the_last_one_unmaps(make_fd, from_slice):
    segment = Segment(make_fd(name="closing"), writable=True)
    source = segment.view[64:] if from_slice else segment.view
    view = np.frombuffer(source, np.uint8, 100)
    part = view[10:20]
    del source, view
    segment.close()
    segment.close()
    assert mappings() == 1
    assert part.sum() == 0
    del part
    assert mappings() == 0


def test_a_mapping_outlives_the_descriptor():
    fd = create_segment("test", MIB)
    segment = Segment(fd, writable=True)
    os.close(fd)
    segment.view[:3] = b"abc"
    assert segment.view[:3] == b"abc"
    segment.close()


def test_what_cannot_be_made_is_an_edge_error():
    with pytest.raises(EdgeError, match="cannot size shared memory"):
        create_segment("test", 2**63)
    reading, writing = os.pipe()
    try:
        for fd in (reading, -1, 10**6):
            with pytest.raises(EdgeError, match="cannot map"):
                Segment(fd, writable=True)
    finally:
        os.close(reading)
        os.close(writing)


def test_page_size_is_the_systems():
    assert PAGE_BYTES == mmap.PAGESIZE
