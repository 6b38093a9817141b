"""What the processes of a session take of memory while it runs, sampled beside it. Linux only."""

from __future__ import annotations

import contextlib
import statistics
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PERIOD_S = 0.05
_BLOCK_BYTES = 512


class Sample(NamedTuple):
    """One moment.

    Attributes:
        arena_bytes: inode of an arena → what is touched of it.
        pss_bytes: the processes' share of all memory, shared memory with it.
        private_bytes: of that, what no other process has.
    """

    arena_bytes: dict[int, int]
    pss_bytes: int
    private_bytes: int


class Peak(NamedTuple):
    """The most there was of each; of arenas, of the one that was touched most."""

    arena_bytes: int
    arena_median_bytes: int
    pss_bytes: int
    private_bytes: int


@contextlib.contextmanager
def watch(pids: Sequence[int]) -> Iterator[list[Sample]]:
    """Sample some processes, on a thread of this one; the list grows until the context ends."""
    samples: list[Sample] = []
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(PERIOD_S):
            with contextlib.suppress(OSError):  # a process has ended: so has the session
                samples.append(take(pids))

    thread = threading.Thread(target=sample, name="soak-memory", daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()


def take(pids: Sequence[int]) -> Sample:
    """Look at some processes once.

    Raises:
        OSError: one of them has ended.
    """
    arenas: dict[int, int] = {}
    pss = private = 0
    for pid in pids:
        own_pss, own_private = parse_rollup(Path(f"/proc/{pid}/smaps_rollup").read_text())
        pss += own_pss
        private += own_private
        arenas.update(_arenas_of(pid))
    return Sample(arenas, pss, private)


def parse_rollup(text: str) -> tuple[int, int]:
    """PSS and private bytes of a smaps_rollup."""
    pss = private = 0
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if name == "Pss":
            pss += _kibibytes(rest)
        elif name.startswith("Private_"):
            private += _kibibytes(rest)
    return pss, private


def peak_of(samples: Sequence[Sample]) -> Peak:
    """The most of each of some samples.

    Raises:
        AssertionError: there are none.
    """
    assert samples, "the session ended before the first look at its memory"
    arenas = [max(sample.arena_bytes.values(), default=0) for sample in samples]
    return Peak(
        max(arenas),
        round(statistics.median(arenas)),
        max(sample.pss_bytes for sample in samples),
        max(sample.private_bytes for sample in samples),
    )


def _arenas_of(pid: int) -> Iterator[tuple[int, int]]:
    """The memory files that a process has open: each one's inode, and how much of it is touched."""
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            if str(descriptor.readlink()).startswith("/memfd:"):
                found = descriptor.stat()
                yield found.st_ino, found.st_blocks * _BLOCK_BYTES


def _kibibytes(text: str) -> int:
    return int(text.split(maxsplit=1)[0]) * 1024
