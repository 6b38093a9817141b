"""How high cells stand: so that wires are as straight as may be. Pure: no I/O, no clock.

Each wire is taken for a spring, and the layers settle one after the other, each exactly (by
isotonic regression: pool adjacent violators), until nothing moves any more.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.drawing.cells import Cell

#: Turns of setting heights: enough for a drawing anybody can read, fewer for large ones.
_TURNS_MIN: Final = 12
_TURNS_MAX: Final = 60
_CELLS_TURNED_MAX: Final = 40_000
#: A turn that moves nothing farther than this is the last.
_STILL_PX: Final = 0.1
#: How much it matters that a piece of a wire is straight, by how many of its ends are in passing.
_STRAIGHTNESS: Final = (1.0, 2.0, 8.0)
#: What nothing pulls gives way to what is pulled.
_STILL_WEIGHT: Final = 0.01
#: Distance of a passing wire from what is beside it, as a share of the distance of boxes.
_PASSING_SHARE: Final = 0.6


def set_heights(layers: Sequence[Sequence[Cell]], distance: float) -> None:
    """Say how high each cell stands; the topmost at 0.

    Args:
        layers: in their order, which is kept.
        distance: least distance of two boxes.
    """
    for layer in layers:
        for cell, y in zip(layer, _stacked(layer, distance), strict=True):
            cell.y = y
    cells = sum(len(layer) for layer in layers)
    turns = min(_TURNS_MAX, max(_TURNS_MIN, _CELLS_TURNED_MAX // max(cells, 1)))
    for turn in range(turns):
        # At first each layer follows the one before or behind it, so that all is carried through;
        # then it takes the middle of both.
        both, forward = turn >= _TURNS_MIN // 2, turn % 2 == 0
        moved = [
            _settle(layer, distance, before=both or forward, behind=both or not forward)
            for layer in (layers if forward else reversed(layers))
        ]
        if both and max(moved, default=0) < _STILL_PX:
            break
    top = min((cell.y for layer in layers for cell in layer), default=0)
    for layer in layers:
        for cell in layer:
            cell.y -= top


def _stacked(layer: Sequence[Cell], distance: float) -> list[float]:
    """The tops of a layer's cells, as close together as may be."""
    steps = (
        first.height + distance * (1.0 if first.box and second.box else _PASSING_SHARE)
        for first, second in itertools.pairwise(layer)
    )
    return list(itertools.accumulate(steps, initial=0.0))[: len(layer)]


def _settle(layer: Sequence[Cell], distance: float, *, before: bool, behind: bool) -> float:
    """Move a layer's cells to where their wires are straightest; says how far one went."""
    wanted = [_wanted_y(cell, before=before, behind=behind) for cell in layer]
    offsets = _stacked(layer, distance)
    shifted = [y - offset for (y, _), offset in zip(wanted, offsets, strict=True)]
    weights = [weight for _, weight in wanted]
    farthest = 0.0
    for cell, y, offset in zip(layer, _ascending(shifted, weights), offsets, strict=True):
        farthest = max(farthest, abs(cell.y - y - offset))
        cell.y = y + offset
    return farthest


def _wanted_y(cell: Cell, *, before: bool, behind: bool) -> tuple[float, float]:
    """The top at which a cell's wires are straight, on the average, and how much it matters."""
    pulls: list[tuple[float, float]] = []
    if before:
        pulls += [
            (other.y + other.departures[wire] - cell.arrivals[wire], _straightness(cell, other))
            for wire, other in cell.before.items()
        ]
    if behind:
        pulls += [
            (other.y + other.arrivals[wire] - cell.departures[wire], _straightness(cell, other))
            for wire, other in cell.behind.items()
        ]
    weight = sum(weight for _, weight in pulls)
    if not weight:
        return cell.y, _STILL_WEIGHT
    return sum(y * weight for y, weight in pulls) / weight, weight


def _straightness(first: Cell, second: Cell) -> float:
    return _STRAIGHTNESS[(first.box is None) + (second.box is None)]


def _ascending(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The ascending values that are nearest to some, by the weighted sum of squares."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values, weights, strict=True):
        block = (value, weight, 1)
        while blocks and blocks[-1][0] > block[0]:
            last = blocks.pop()
            total = last[1] + block[1]
            mean = (last[0] * last[1] + block[0] * block[1]) / total
            block = (mean, total, last[2] + block[2])
        blocks.append(block)
    return [value for value, _, count in blocks for _ in range(count)]
