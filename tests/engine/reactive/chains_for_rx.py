"""Functions that the tests of `rx` name as users would: by module and attribute."""

import reactivex
from reactivex import operators as ops

from engine.payloads import Text

NOT_A_FUNCTION = 3
#: An observable to give to operators by name.
TICKS = reactivex.never()

#: What `counting` was called with.
CALLS = []


def shout(packet):
    return Text(packet.payload.text.upper())


def is_long(value):
    return len(value) > 1


def tag(suffix, *, times=1):
    """An operator of our own, of plain values."""
    CALLS.append((suffix, times))
    if times < 1:
        raise ValueError("times must be at least 1")
    return ops.map(lambda value: value + suffix * times)


def nothing_of_the_kind():
    return 3


def gives_a_list():
    return lambda source: [source]
