"""Where boxes and the wires between them go: a layered drawing, from left to right.

Pure: no I/O, no clock. Knows nothing of plans. Lengths are pixels, y grows downwards.

    1  layers     each box behind all that feed it; a wire has a cell in each layer it passes
    2  order      within a layer, with few crossings
    3  heights    each cell as near as may be to where its wires would be straight
    4  columns    a gap is as wide as the labels in it

Source: K. Sugiyama, S. Tagawa, M. Toda, "Methods for visual understanding of hierarchical system
structures", 1981.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.drawing.cells import Cell, Point, layers_of, touch
from engine.drawing.heights import set_heights
from engine.drawing.ordering import set_order

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.drawing.cells import Box, Wire

#: What a gap needs besides its labels, for the curve.
_CURVE_PX: Final = 26.0


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Where everything is.

    Attributes:
        places: key → upper left corner of the box.
        routes: for each wire its points, at least four, from the right side of one box to the left
            side of the other, two for each layer it passes; between two of the same height it is
            straight, else a curve.
        width, height: size of the whole.
    """

    places: dict[str, Point]
    routes: list[list[Point]]
    width: float
    height: float


def arrange(
    boxes: Sequence[Box], wires: Sequence[Wire], *, distance: float, gap: float
) -> Arrangement:
    """Place boxes and lead wires.

    Args:
        boxes: each behind those whose wires lead to it.
        wires: between them.
        distance: least distance of two boxes in a layer.
        gap: least distance of two layers.
    """
    drawing = _Drawing(boxes, wires, gap)
    cells = [cell for layer in drawing.layers for cell in layer]
    for cell in cells:
        touch(cell, held_only=True)
    set_order(drawing.layers)
    for cell in cells:
        touch(cell)
    set_heights(drawing.layers, distance)
    return drawing.result()


class _Drawing:
    def __init__(self, boxes: Sequence[Box], wires: Sequence[Wire], gap: float) -> None:
        self._wires = wires
        self._gap = gap
        self.cells = {
            box.key: Cell(box, layer, box.width, box.height)
            for box, layer in zip(boxes, layers_of(boxes, wires), strict=True)
        }
        count = max((cell.layer for cell in self.cells.values()), default=-1) + 1
        self.layers: list[list[Cell]] = [[] for _ in range(count)]
        for cell in self.cells.values():
            self.layers[cell.layer].append(cell)
        #: Per wire the cells along it.
        self._chains = [self._chain(index, wire) for index, wire in enumerate(wires)]

    def _chain(self, index: int, wire: Wire) -> list[Cell]:
        source, target = self.cells[wire.source], self.cells[wire.target]
        chain = [source]
        for layer in range(source.layer + 1, target.layer):
            passing = Cell(None, layer)
            self.layers[layer].append(passing)
            chain.append(passing)
        chain.append(target)
        for first, second in itertools.pairwise(chain):
            first.behind[index] = second
            second.before[index] = first
        return chain

    def result(self) -> Arrangement:
        """What it is when order and heights are set."""
        lefts, rights = self._columns()
        places = {
            key: Point((lefts[cell.layer] + rights[cell.layer] - cell.width) / 2, cell.y)
            for key, cell in self.cells.items()
        }
        routes = [
            self._route(index, chain, places, lefts, rights)
            for index, chain in enumerate(self._chains)
        ]
        bottoms = (cell.y + cell.height for layer in self.layers for cell in layer)
        return Arrangement(places, routes, rights[-1] if rights else 0, max(bottoms, default=0))

    def _columns(self) -> tuple[list[float], list[float]]:
        """Left and right end of each layer."""
        needs = [self._gap] * max(len(self.layers) - 1, 0)
        for wire, chain in zip(self._wires, self._chains, strict=True):
            first, last = chain[0].layer, chain[-1].layer - 1
            rooms = dict.fromkeys(range(first, last + 1), 0.0)
            rooms[first] += wire.start_px + wire.middle_px
            rooms[last] += wire.end_px
            for layer, room in rooms.items():
                needs[layer] = max(needs[layer], room + _CURVE_PX)
        lefts, rights = [], []
        x = 0.0
        for cells, need in zip(self.layers, [*needs, 0.0], strict=False):
            lefts.append(x)
            rights.append(x + max(cell.width for cell in cells))
            x = rights[-1] + need
        return lefts, rights

    def _route(
        self,
        index: int,
        chain: Sequence[Cell],
        places: Mapping[str, Point],
        lefts: Sequence[float],
        rights: Sequence[float],
    ) -> list[Point]:
        first, *passed, last = chain
        wire = self._wires[index]
        y = first.y + first.departures[index]
        labelled = rights[first.layer] + wire.start_px + wire.middle_px
        points = [Point(places[wire.source].x + first.width, y), Point(labelled, y)]
        for cell in passed:
            y = cell.y + cell.height / 2
            points += [Point(lefts[cell.layer], y), Point(rights[cell.layer], y)]
        y = last.y + last.arrivals[index]
        points += [Point(lefts[last.layer] - wire.end_px, y), Point(places[wire.target].x, y)]
        return points
