"""Ports that params name: so many of them, or each by its name.

Pure: no I/O, no clock. Source: FR-002.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from pydantic import StringConstraints

#: More ports than this are no mixer but a mistake.
PORTS_MAX: Final = 64

PortName: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[a-zA-Z][a-zA-Z0-9_-]*$", max_length=64)
]


def port_names(prefix: str, count: int, names: tuple[str, ...] | None) -> tuple[str, ...]:
    """The names of the ports: those given, else the prefix with a number from 0."""
    return names if names is not None else tuple(f"{prefix}{index}" for index in range(count))


def check_names(names: tuple[str, ...], count: int | None, what: str) -> None:
    """Check names against each other, and against a count that was given beside them.

    Args:
        names: of the ports.
        count: how many there should be; None: nobody said.
        what: the param of the count.

    Raises:
        ValueError: a name occurs twice, or there are more or fewer names than `count`.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"names must differ from each other: {', '.join(twice)} occurs twice")
    if count is not None and count != len(names):
        raise ValueError(f"{what} is {count}, but there are {len(names)} names: leave {what} out")
