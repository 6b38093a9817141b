"""In which order cells stand in their layers: with few crossings. Pure: no I/O, no clock.

Sweep after sweep, each cell goes to the middle of what it is wired to in the layer before, or
behind; the order with the fewest crossings is kept.

Source: K. Sugiyama, S. Tagawa, M. Toda, "Methods for visual understanding of hierarchical system
structures", 1981.
"""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, Final

from engine.drawing.cells import far_end

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.drawing.cells import Cell

_SWEEPS: Final = 8


def set_order(layers: list[list[Cell]]) -> None:
    """Put each layer into an order; the ranks of its cells say which."""
    for layer in layers:
        if _is_ordered(layer):
            layer.sort(key=_given_order)
        _number(layer)
    best, least = [list(layer) for layer in layers], _crossings(layers)
    for sweep in range(_SWEEPS):
        if not least:
            break
        _sweep(layers, forward=sweep % 2 == 0)
        crossings = _crossings(layers)
        if crossings < least:
            best, least = [list(layer) for layer in layers], crossings
    for layer, cells in zip(layers, best, strict=True):
        layer[:] = cells
        _number(layer)


def _sweep(layers: Sequence[list[Cell]], *, forward: bool) -> None:
    for layer in layers if forward else reversed(layers):
        if not _is_ordered(layer):
            layer.sort(key=lambda cell: _wanted_rank(cell, forward=forward))
            _number(layer)


def _crossings(layers: Sequence[Sequence[Cell]]) -> int:
    return sum(_crossings_behind(layer) for layer in layers)


def _given_order(cell: Cell) -> float:
    return cell.box.order if cell.box is not None and cell.box.order is not None else 0.0


def _is_ordered(layer: Sequence[Cell]) -> bool:
    """Whether a layer's boxes say themselves in which order they stand."""
    return any(cell.box is not None and cell.box.order is not None for cell in layer)


def _number(layer: Sequence[Cell]) -> None:
    for rank, cell in enumerate(layer):
        cell.rank = rank


def _wanted_rank(cell: Cell, *, forward: bool) -> float:
    wires = cell.before if forward else cell.behind
    if not wires:
        return cell.rank + 0.5
    return sum(far_end(cell, wire, before=forward) for wire in wires) / len(wires)


def _crossings_behind(layer: Sequence[Cell]) -> int:
    """How many pairs of wires cross between a layer and the next."""
    ends = sorted(
        (cell.rank + cell.departures.get(wire, 0.0) / 1e6, far_end(cell, wire, before=False))
        for cell in layer
        for wire in cell.behind
    )
    seen: list[float] = []
    count = 0
    for _, end in ends:
        count += len(seen) - bisect.bisect_right(seen, end)
        bisect.insort(seen, end)
    return count
