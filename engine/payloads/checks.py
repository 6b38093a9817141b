"""Checks of the fields of payloads, and their short forms for people.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import itertools
import operator
import reprlib
from typing import Any

#: Largest numbers of the field's widths.
U32_MAX = 2**32 - 1
U64_MAX = 2**64 - 1

#: A string or bytes of a payload are shown up to this length.
_SHOWN_MAX = 60
#: A field of a payload is shown up to this length.
_REPR_MAX = 400


def check_text(owner: str, **fields: object) -> None:
    """Refuse a field that is no string.

    Raises:
        TypeError: says which field of which payload, and what it got.
    """
    for name, value in fields.items():
        if not isinstance(value, str):
            raise TypeError(f"{owner}.{name} must be a string, got {type(value).__name__}")


def whole_number(what: str, value: Any, least: int, most: int) -> int:
    """A field's value as an int.

    Args:
        what: the field, as named to people.
        value: an int, or another type's whole number (numpy's).
        least: lowest value allowed.
        most: highest value allowed.

    Raises:
        TypeError: it is no whole number.
        ValueError: it is out of range.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{what} must be a whole number, got {type(value).__name__}") from None
    if not least <= number <= most:
        raise ValueError(f"{what} must be {least} to {most}, got {number}")
    return number


class _Short(reprlib.Repr):
    """The beginning of any JSON value; looks at no more of it than it shows."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxdict = self.maxlist = self.maxtuple = 8
        self.maxlong = self.maxother = _SHOWN_MAX

    def repr_str(self, x: str, level: int) -> str:
        return repr(x) if len(x) <= _SHOWN_MAX else f"{x[:_SHOWN_MAX]!r}… ({len(x)} characters)"

    def repr_bytes(self, x: bytes, level: int) -> str:
        return repr(x) if len(x) <= _SHOWN_MAX else f"{x[:_SHOWN_MAX]!r}… ({len(x)} bytes)"

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write very long numbers.
        bits = x.bit_length()
        return repr(x) if bits <= 3 * _SHOWN_MAX else f"<a number of {bits} bits>"

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        if level <= 0:
            return "{…}" if x else "{}"
        shown = [
            f"{self.repr1(key, level - 1)}: {self.repr1(value, level - 1)}"
            for key, value in itertools.islice(x.items(), self.maxdict)
        ]
        if len(x) > self.maxdict:
            shown.append(f"… ({len(x)} keys)")
        return "{" + ", ".join(shown) + "}"

    def repr_list(self, x: list[Any], level: int) -> str:
        if level <= 0:
            return "[…]" if x else "[]"
        shown = [self.repr1(value, level - 1) for value in x[: self.maxlist]]
        if len(x) > self.maxlist:
            shown.append(f"… ({len(x)} items)")
        return "[" + ", ".join(shown) + "]"


_SHORT = _Short()


def short(value: Any) -> str:
    """The beginning of a value's repr, in time and length independent of its size."""
    text = _SHORT.repr(value)
    return text if len(text) <= _REPR_MAX else f"{text[:_REPR_MAX]}…"
