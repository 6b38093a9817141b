"""engine.payloads.arrays: what is frozen cannot be changed through any name."""

import mmap

import numpy as np
import pytest

from engine.payloads import freeze


def is_frozen(array):
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    return True


def test_an_array_that_owns_its_memory_is_frozen_in_place():
    array = np.arange(4.0)
    assert freeze(array) is array
    assert is_frozen(array)


def test_a_view_that_alone_holds_its_base_is_frozen_in_place():
    view = np.arange(4.0)[1:]
    assert freeze(view) is view
    assert is_frozen(view)
    assert is_frozen(view.base)


def test_a_view_of_what_somebody_else_holds_is_copied():
    base = np.arange(4.0)
    frozen = freeze(base[1:])
    base[1] = 99
    assert frozen.tolist() == [1, 2, 3]
    assert is_frozen(frozen)


def test_one_of_several_views_is_copied():
    first = np.arange(4.0)[1:]
    second = first[1:]
    frozen = freeze(first)
    second[0] = 99
    assert frozen.tolist() == [1, 2, 3]


def test_a_read_only_view_of_what_can_be_written_is_copied():
    base = np.arange(4.0)
    view = base[1:]
    view.flags.writeable = False
    frozen = freeze(view)
    base[1] = 99
    assert frozen.tolist() == [1, 2, 3]


def test_what_is_frozen_already_is_taken_as_it_is():
    array = freeze(np.arange(4.0))
    assert freeze(array) is array
    view = array[1:]
    assert freeze(view) is view


@pytest.mark.parametrize("buffer", [bytearray(16), memoryview(bytearray(16))])
def test_a_view_of_a_foreign_buffer_that_can_be_written_is_copied(buffer):
    array = np.frombuffer(buffer, np.int16)
    frozen = freeze(array)
    buffer[0] = 7
    assert frozen[0] == 0
    assert is_frozen(frozen)


def test_a_view_of_bytes_is_taken_as_it_is():
    array = np.frombuffer(b"\1\0\2\0", np.int16)
    assert freeze(array) is array


def test_memory_of_an_arena_is_frozen_in_place():
    arena = mmap.mmap(-1, 4096)
    try:
        array = np.frombuffer(memoryview(arena), np.float32, count=8).reshape(4, 2)
        assert freeze(array) is array
        assert is_frozen(array)
        assert arena[:32] == bytes(32)
        del array
    finally:
        arena.close()
