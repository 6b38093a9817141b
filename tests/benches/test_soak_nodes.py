"""The soak must notice what it is there to notice."""

import random

import numpy as np
import pytest

from benches.soak_nodes import SIZE_BYTES_MAX, Check, _packet


class PlainContext:
    """Gives ordinary memory."""

    def empty(self, shape, dtype):
        return np.empty(shape, dtype)


@pytest.fixture
def arrays():
    chance = random.Random(7)
    noise = np.frombuffer(chance.randbytes(SIZE_BYTES_MAX[-1] + 1024**2), np.uint8)
    return [_packet(index, chance, noise, PlainContext()).array.copy() for index in range(40)]


def checked(arrays):
    check = Check(seed=3)
    for array in arrays:
        check.take(array)
    return check.report()


def test_what_is_sound_is_only_counted(arrays):
    counts = checked(arrays)

    wrong = {name: counts[name] for name in ("lost", "repeated", "disordered", "damaged")}
    assert set(wrong.values()) == {0}
    assert counts["packets"] == 40
    assert counts["bytes"] == sum(array.nbytes for array in arrays)
    assert counts["held"] > 0


def test_a_lost_packet_is_counted(arrays):
    del arrays[10:12]

    assert checked(arrays)["lost"] == 2


def test_a_repeated_packet_is_counted(arrays):
    counts = checked([*arrays[:5], arrays[4], *arrays[5:]])

    assert (counts["repeated"], counts["lost"]) == (1, 0)


def test_an_overtaken_packet_is_no_lost_one(arrays):
    arrays[3], arrays[4] = arrays[4], arrays[3]

    counts = checked(arrays)

    assert (counts["disordered"], counts["lost"], counts["repeated"]) == (1, 0, 0)


def test_a_changed_byte_is_counted(arrays):
    largest = max(arrays, key=lambda array: array.nbytes)
    largest.view(np.uint8)[-1] ^= 1

    assert checked(arrays)["damaged"] == 1


def test_writing_into_what_is_held_is_counted(arrays):
    check = Check(seed=3)
    for array in arrays:
        check.take(array)
    for array in arrays:
        array.view(np.uint8)[16:] ^= 1  # behind index and checksum, as a reused slot would

    assert check.report()["damaged"] > 0
