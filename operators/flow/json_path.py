"""Dotted paths into JSON values: `speech.words.0.text`.

Pure: no I/O, no clock. Source: FR-002.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from pydantic import AfterValidator

#: Parts of a path, outermost first; none of them: the whole value.
Path: TypeAlias = tuple[str, ...]

#: A longer path is somebody's mistake.
CHARS_MAX = 1_000


class Missing:
    """What a path leads to where there is nothing."""

    def __repr__(self) -> str:
        return "nothing"


MISSING: Final = Missing()


def parse_path(text: str) -> Path:
    """Split a path into its parts.

    Args:
        text: keys and list positions from 0, joined by dots; "" is the whole value.

    Raises:
        ValueError: a part is empty, or there are more than `CHARS_MAX` characters.
    """
    if not text:
        return ()
    if len(text) > CHARS_MAX:
        raise ValueError(f"must have at most {CHARS_MAX} characters, has {len(text)}")
    parts = tuple(text.split("."))
    if "" in parts:
        raise ValueError('must be keys and positions joined by single dots, like "words.0.text"')
    return parts


def look_up(value: Any, path: Path) -> Any:
    """What a path leads to, or MISSING."""
    for part in path:
        if isinstance(value, dict):
            value = value.get(part, MISSING)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return MISSING
    return value


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number; bool is an int to Python, but not a number to JSON."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def same_json(first: Any, second: Any) -> bool:
    """Whether two JSON values are equal: 1 is 1.0, but not true."""
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(
            same_json(value, second[key]) for key, value in first.items()
        )
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(same_json, first, second))
    return bool(first == second)


def _checked(text: str) -> str:
    parse_path(text)
    return text


#: A param that is a path; kept as it was written.
JsonPath = Annotated[str, AfterValidator(_checked)]
