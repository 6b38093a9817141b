"""Hop: how long from emit in one process to process in another, beside what others take for it?

A hop lasts from a filled float32 array in the producer's operator to an array in the consumer's,
by the monotonic clock, which all processes share. Three modes:

    ping-pong   the next message is sent once the last has been taken: the way of one message. The
                way back is not measured. Peers answer by their own means. Our graphs have no
                cycles, nor have Ray's: our consumer writes a byte into a pipe that the producer
                watches, and Ray's driver triggers the next one
    paced       a message every 5 ms, as media come: both sides have slept
    saturated   as quick as it goes: messages a second and processor time only

The producer fills every message anew, before the hop, into fresh memory, or in place: `ctx.empty`
and what peers have of that kind. Every message is probed by the consumer, and those before and
after the measured ones are compared by checksum. What is called raw carries bytes that the consumer
must know how to read; what is not brings its type along. Processor time is that of each side's
process, per message; "other" is what else is needed on the way: dora's daemon.
Source: FR-007, NFR-003, SC-007.
"""

from __future__ import annotations

import argparse
import itertools
from functools import partial
from typing import TYPE_CHECKING

from benches import hop_results, hop_tables
from benches.hop_subjects import NAMES, Subjects, carries
from benches.rounds import alternate
from benches.scripts.hop_work import PACED, PING_PONG, SATURATED, Load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benches.hop_subjects import Outcome
    from benches.report import Result

SIZES = (8, 640, 4096, 64 * 1024, 1024**2, 10 * 1024**2)
#: From here on messages are also filled in place.
IN_PLACE_BYTES_MIN = 1024**2
MODES = (PING_PONG, PACED, SATURATED)

to_markdown = hop_tables.tables


def run(
    rounds: int,
    sizes: Sequence[int] = SIZES,
    modes: Sequence[str] = MODES,
    subjects: Sequence[str] = NAMES,
) -> list[Result]:
    """See `benches.__main__.Bench`.

    Args:
        rounds: how many.
        sizes: bytes of the messages, whole words of 4.
        modes: which of `MODES`.
        subjects: which of `benches.hop_subjects.NAMES`.
    """
    loads = {case_of(load): load for load in _loads(sizes, modes)}
    with Subjects() as measured:
        cases: dict[str, Callable[[], Outcome]] = {
            f"{case}/{name}": partial(measured.measure, name, load)
            for case, load in loads.items()
            for name in subjects
            if carries(name, load)
        }
        samples = alternate("hop", cases, rounds)
    return hop_results.results(samples, loads, subjects)


def add_options(parser: argparse.ArgumentParser) -> None:
    """This bench's own options, named like the arguments of `run`."""
    parser.add_argument(
        "--sizes", type=_sizes, default=SIZES, help="bytes of the messages, with commas between"
    )
    parser.add_argument("--modes", type=partial(_some, MODES), default=MODES, help=",".join(MODES))
    parser.add_argument(
        "--subjects", type=partial(_some, NAMES), default=NAMES, help=",".join(NAMES)
    )


def case_of(load: Load) -> str:
    """A load's name in results."""
    return f"hop/{load.size_bytes}{'-in-place' if load.in_place else ''}/{load.mode}"


def _loads(sizes: Sequence[int], modes: Sequence[str]) -> list[Load]:
    loads = []
    for size_bytes, mode in itertools.product(sizes, modes):
        messages, checked = _counts(size_bytes, mode)
        ways = (False, True) if size_bytes >= IN_PLACE_BYTES_MIN else (False,)
        loads += [Load(size_bytes, mode, in_place, messages, checked) for in_place in ways]
    return loads


def _counts(size_bytes: int, mode: str) -> tuple[int, int]:
    """How many messages a round measures, and how many it checks before and after them."""
    if mode == PACED:
        return 200, 10
    quick, medium, slow = (10_000, 400, 60) if mode == SATURATED else (1_000, 300, 60)
    if size_bytes < 256 * 1024:
        return quick, 50
    return (medium, 10) if size_bytes < 4 * 1024**2 else (slow, 5)


def _sizes(text: str) -> tuple[int, ...]:
    sizes = tuple(int(part) for part in text.split(","))
    if any(size < 4 or size % 4 for size in sizes):
        raise argparse.ArgumentTypeError("sizes are whole words of 4 bytes")
    return sizes


def _some(known: Sequence[str], text: str) -> tuple[str, ...]:
    wanted = tuple(text.split(","))
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no {unknown[0]!r}; there are {known}")
    return wanted
