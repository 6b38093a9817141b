"""How a conversion says that a message cannot be used.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from transports.rpc.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def as_input_error(what: str) -> Iterator[None]:
    """Turn what a payload says of its fields into an InputError.

    Args:
        what: the message's name, as clients know it.

    Raises:
        InputError: a ValueError or TypeError was raised inside.
    """
    try:
        yield
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{what}: {error}") from error


def wrong_size(what: str, got: int, expected: int, why: str) -> InputError:
    """The error of data of the wrong size.

    Args:
        what: the field.
        got: its bytes.
        expected: what it should have.
        why: what says so.
    """
    return InputError(f"{what} has {got} bytes, and {why} is {expected} bytes")
