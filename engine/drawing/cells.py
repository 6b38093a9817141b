"""Boxes, the wires between them, and the cells they are laid out in. Pure: no I/O, no clock.

Lengths are pixels, y grows downwards. Each box has a cell in its layer; a wire that passes a layer
has a cell there, too, so that nothing else is put where it goes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Distance of two wires at the side of a box, where there is room for it.
WIRE_DISTANCE: Final = 18.0
#: Room for a wire that passes a layer.
_PASSING_HEIGHT: Final = 6.0
#: How far from its corners wires touch a box.
_CORNER: Final = 7.0


class Point(NamedTuple):
    """A place in the drawing."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Box:
    """Something to be placed.

    Attributes:
        key: its name; unique.
        width, height: its size.
        arrivals: where wires end at its left side: wire's index → distance from its top; None: they
            are spread.
        departures: the same for its right side.
        side: "first" or "last": it is put into the first or the last layer, alone with its like.
        order: where it stands among its like; the order of a layer that has some is not changed.
    """

    key: str
    width: float
    height: float
    arrivals: Mapping[int, float] | None = None
    departures: Mapping[int, float] | None = None
    side: Literal["", "first", "last"] = ""
    order: float | None = None


@dataclass(frozen=True, slots=True)
class Wire:
    """A line from one box to another that comes later.

    Attributes:
        source, target: keys of the boxes.
        start_px, end_px: room for labels at its start and its end, where it runs straight.
        middle_px: room for a label behind the first one.
    """

    source: str
    target: str
    start_px: float = 0
    end_px: float = 0
    middle_px: float = 0


@dataclass(slots=True, eq=False)
class Cell:
    """A box in its layer, or a place where a wire passes a layer."""

    box: Box | None
    layer: int
    width: float = 0
    height: float = _PASSING_HEIGHT
    y: float = 0
    rank: int = 0
    #: Wire → the cell at its other end, in the layer before and in the one behind.
    before: dict[int, Cell] = field(default_factory=dict)
    behind: dict[int, Cell] = field(default_factory=dict)
    #: Wire → where it touches this cell, from its top.
    arrivals: dict[int, float] = field(default_factory=dict)
    departures: dict[int, float] = field(default_factory=dict)


def layers_of(boxes: Sequence[Box], wires: Sequence[Wire]) -> list[int]:
    """The layer of each box: behind all that feed it.

    Args:
        boxes: each behind those whose wires lead to it.
        wires: between them.
    """
    sources: dict[str, list[str]] = {box.key: [] for box in boxes}
    targets: dict[str, list[str]] = {box.key: [] for box in boxes}
    for wire in wires:
        sources[wire.target].append(wire.source)
        targets[wire.source].append(wire.target)
    lowest = 1 if any(box.side == "first" for box in boxes) else 0
    layer: dict[str, int] = {}
    for box in boxes:
        least = 0 if box.side == "first" else lowest
        layer[box.key] = max((layer[source] + 1 for source in sources[box.key]), default=least)
    middle = [box.key for box in boxes if not box.side]
    for key in middle:  # what nothing feeds stands just before what it feeds
        if not sources[key] and targets[key]:
            layer[key] = max(layer[key], min(layer[target] for target in targets[key]) - 1)
    last = max((layer[key] for key in middle), default=lowest - 1) + 1
    return [last if box.side == "last" else layer[box.key] for box in boxes]


def far_end(cell: Cell, wire: int, *, before: bool) -> float:
    """Where a wire touches the cell at its other end, in ranks."""
    other = cell.before[wire] if before else cell.behind[wire]
    touches = other.departures if before else other.arrivals
    return other.rank + touches.get(wire, other.height / 2) / max(other.height, 1.0)


def touch(cell: Cell, *, held_only: bool = False) -> None:
    """Say where wires touch a cell: where its box says, else spread in the others' order.

    Args:
        cell: is changed.
        held_only: leave it alone unless its box says where.
    """
    fixed = (cell.box.arrivals, cell.box.departures) if cell.box else (None, None)
    if held_only and fixed == (None, None):
        return
    cell.arrivals = _touches(cell, cell.before, fixed[0])
    cell.departures = _touches(cell, cell.behind, fixed[1])


def _touches(
    cell: Cell, wires: Mapping[int, Cell], fixed: Mapping[int, float] | None
) -> dict[int, float]:
    if fixed is not None:
        return dict(fixed)
    before = wires is cell.before
    order = sorted(wires, key=lambda wire: (far_end(cell, wire, before=before), wire))
    room = max(cell.height - 2 * _CORNER, 0.0)
    step = min(WIRE_DISTANCE, room / (len(order) - 1)) if len(order) > 1 else 0.0
    first = cell.height / 2 - step * (len(order) - 1) / 2
    return {wire: first + step * number for number, wire in enumerate(order)}
