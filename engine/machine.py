"""What the machine gives this process: memory, descriptors, control groups.

Reads /proc and /sys; where something cannot be read it is unknown, and nothing is refused for it.
Source: FR-010.
"""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT: Final = Path("/")
#: What the first version of control groups shows where there is no limit: a number near 2⁶³.
_NO_LIMIT_BYTES_MIN: Final = 1 << 60


@dataclass(frozen=True, slots=True)
class Room:
    """How much of something there may be, and how much of that is taken.

    Attributes:
        limit: how much there may be; None: without a limit, or unknown.
        used: how much of it is taken.
    """

    limit: int | None
    used: int

    @property
    def free(self) -> int | None:
        """How much is left, never below 0; None: without a limit, or unknown."""
        return None if self.limit is None else max(0, self.limit - self.used)


def memory_room(root: Path = _ROOT) -> Room:
    """The memory this process and its children can have, in bytes.

    Args:
        root: where /proc and /sys are.

    Returns:
        The tighter of the machine's memory and the control group's: the one with less free.
    """
    return _tightest([_machine_memory(root), *_group_rooms(root, "memory")])


def memory_bytes_max(root: Path = _ROOT) -> int | None:
    """The memory there is at all, in bytes; the least of all limits, or None if none is known."""
    rooms = [_machine_memory(root), *_group_rooms(root, "memory")]
    return min((room.limit for room in rooms if room.limit is not None), default=None)


def process_room(root: Path = _ROOT) -> Room:
    """The processes and threads that the control group may have."""
    return _tightest([*_group_rooms(root, "pids")])


def descriptor_room() -> Room:
    """The descriptors this process may have open; those above a lowered limit take no room."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return Room(None, 0)
    try:
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 - per session
    except OSError:
        return Room(None, 0)
    # The listing has one open itself, which is closed by now.
    return Room(limit, sum(number < limit for number in numbers) - 1)


def _tightest(rooms: list[Room]) -> Room:
    known = [room for room in rooms if room.free is not None]
    return min(known, key=lambda room: room.free or 0) if known else Room(None, 0)


def _machine_memory(root: Path) -> Room:
    facts = {}
    for line in _lines(root / "proc/meminfo"):
        name, _, value = line.partition(":")
        number, _, unit = value.strip().partition(" ")
        if unit == "kB":
            facts[name] = int(number) * 1024
    total = facts.get("MemTotal")
    return Room(total, 0 if total is None else total - facts.get("MemAvailable", total))


def _group_rooms(root: Path, controller: str) -> Iterator[Room]:
    """What our control group and those around it may have, of both versions.

    Args:
        root: where /proc and /sys are.
        controller: "memory" or "pids".
    """
    for line in _lines(root / "proc/self/cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        base = root / "sys/fs/cgroup"
        limit_name, used_name = f"{controller}.max", f"{controller}.current"
        if controllers:  # the first version: a tree for each controller
            if controller not in controllers.split(","):
                continue
            base /= controller
            if controller == "memory":
                limit_name, used_name = "memory.limit_in_bytes", "memory.usage_in_bytes"
        # In a container the path may be the host's, and only the mount's root is there.
        folder = Path(path.lstrip("/"))
        for group in dict.fromkeys((folder, *folder.parents, Path())):
            limit = _number(base / group / limit_name)
            if limit is not None and limit < _NO_LIMIT_BYTES_MIN:
                yield Room(limit, _number(base / group / used_name) or 0)


def _number(path: Path) -> int | None:
    """The number in a file; None: there is none, as in "max"."""
    text = "".join(_lines(path))
    return int(text) if text.isdecimal() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
