"""Measuring several subjects in turn, so that what disturbs the machine disturbs all of them."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Sample = TypeVar("Sample")

#: How often subjects are measured in turn unless asked otherwise; five is the least that counts.
ROUNDS_DEFAULT = 7
ROUNDS_MIN = 5


class CannotMeasure(Exception):
    """A subject cannot be measured here; says why, and what to do about it."""


class Samples(Generic[Sample]):
    """What was measured.

    Attributes:
        of: subject → its samples, one a round; empty if it could not be measured.
        why: subject → why it could not.
    """

    def __init__(self) -> None:
        self.of: dict[str, list[Sample]] = {}
        self.why: dict[str, str] = {}

    def pairs(self, one: str, other: str) -> list[tuple[Sample, Sample]]:
        """The two subjects' samples, those of the same round together."""
        return list(zip(self.of[one], self.of[other], strict=False))


def alternate(
    bench: str, subjects: Mapping[str, Callable[[], Sample]], rounds: int
) -> Samples[Sample]:
    """Measure every subject once a round, every other round in reverse.

    A subject that raises CannotMeasure is left out from then on.

    Args:
        bench: name, for progress on stderr.
        subjects: name → measures it once.
        rounds: how many; at least ROUNDS_MIN.
    """
    samples: Samples[Sample] = Samples()
    samples.of = {name: [] for name in subjects}
    order = list(subjects)
    for number in range(1, rounds + 1):
        for name in order:
            if name in samples.why:
                continue
            _show(f"{bench}: round {number} of {rounds}: {name}")
            gc.collect()
            try:
                samples.of[name].append(subjects[name]())
            except CannotMeasure as error:
                samples.why[name] = str(error)
                samples.of[name].clear()
        order.reverse()
    _show("")
    return samples


def _show(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text:<78}\r", end="", file=sys.stderr, flush=True)
