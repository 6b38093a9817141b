"""What a drawing of a plan shows, and where: stages as boxes, nodes inside them, lines between.

Pure: no I/O, no clock. Lengths are pixels, y grows downwards.

Laid out in two levels, so that no stage covers another and no line crosses a node: each stage by
itself, every edge that enters or leaves having its place on the border; and the stages as boxes
whose wires are held to those places. A line is the three pieces put together.

The stages come first, with their wires touching them anywhere: that says in which order edges had
best cross each border. Then the insides in that order, and the stages once more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from engine.drawing.cells import WIRE_DISTANCE, Box, Point, Wire
from engine.drawing.layout import Arrangement, arrange
from engine.drawing.wording import edge_label, edge_ports, port_label, shown, stage_title
from engine.packet import DEFAULT_INPUT, DEFAULT_OUTPUT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.plan import EdgePlan, Link, NodePlan, Plan, StagePlan

NAME_PX: Final = 13.0
TYPE_PX: Final = 11.0
LABEL_PX: Final = 10.5

_NODE_WIDTH_MIN: Final = 96.0
_NODE_HEIGHT: Final = 46.0
_NODE_PADDING: Final = 14.0
_HEADER: Final = 28.0
_FOOTER: Final = 16.0
_SIDE: Final = 18.0
_END_SIZE: Final = (58.0, 24.0)
#: Places on a border are this far apart at least.
_PLACE_HEIGHT: Final = 8.0

_NARROW: Final = frozenset("iljtfrI.,:;|!'`()[] ")
_WIDE: Final = frozenset("mwMWO@%&…→")


def text_width(text: str, size_px: float) -> float:
    """About how wide a text is in a sans-serif font; rather more than less."""
    return sum(_em(char) for char in text) * size_px


def _em(char: str) -> float:
    if char in _NARROW:
        return 0.41
    if char in _WIDE or ord(char) > 0x1100:  # noqa: PLR2004 - where wide scripts begin
        return 1.0
    return 0.72 if char.isupper() else 0.63


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A place in the drawing."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Label:
    """A text on a line; `anchor` is which end of it stands at the point."""

    text: str
    at: Point
    anchor: Literal["start", "end"]


@dataclass(frozen=True, slots=True)
class Line:
    """An edge, or a link inside a stage; `kind` is "local" or "shared_memory"."""

    points: tuple[Point, ...]
    kind: str
    labels: tuple[Label, ...]
    remark: str


@dataclass(slots=True)
class Scene:
    """Everything that is drawn.

    Attributes:
        stages: each with its place.
        nodes: each with its place.
        ends: where packets enter and leave the pipeline, with their word.
        lines: in the order in which they are drawn.
        width, height: size of the whole.
    """

    stages: list[tuple[StagePlan, Rectangle]] = field(default_factory=list)
    nodes: list[tuple[NodePlan, Rectangle]] = field(default_factory=list)
    ends: list[tuple[str, Rectangle]] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    width: float = 0
    height: float = 0


def make_scene(plan: Plan) -> Scene:
    """Lay a plan out."""
    nodes = {node.id: node for stage in plan.stages for node in stage.nodes}
    rooms = {stage.id: _Room(stage, plan, nodes) for stage in plan.stages}
    for room in rooms.values():
        room.arrange()
    outer = _arrange_stages(plan, rooms, held=False)
    for room in rooms.values():
        room.arrange(outer.routes)
    outer = _arrange_stages(plan, rooms, held=True)
    scene = Scene(width=outer.width, height=outer.height)
    for stage in plan.stages:
        rooms[stage.id].draw(outer.places[f"stage {stage.id}"], scene)
    for number, edge in enumerate(plan.edges):
        scene.lines.append(_edge_line(edge, number, plan, nodes, rooms, outer))
        for key, word in ((f"from {number}", "input"), (f"to {number}", "output")):
            if key in outer.places:
                scene.ends.append((word, Rectangle(*outer.places[key], *_END_SIZE)))
    return scene


class _Room:
    """The inside of one stage."""

    def __init__(self, stage: StagePlan, plan: Plan, nodes: Mapping[str, NodePlan]) -> None:
        self._stage = stage
        self._nodes = nodes
        self._wires: list[Wire] = []
        #: Number of an edge → its wire inside.
        self._entering: dict[int, int] = {}
        self._leaving: dict[int, int] = {}
        self._wire_links(stage.links)
        self._wire_edges(plan.edges)
        self.left = 0.0 if self._entering else _SIDE
        self.width = self.height = 0.0
        self._arrangement = Arrangement({}, [], 0, 0)

    def arrange(self, outside: Sequence[Sequence[Point]] | None = None) -> None:
        """Lay the inside out.

        Args:
            outside: for each edge its points between the stages, once they are known.
        """
        self._arrangement = arrange(self._boxes(outside), self._wires, distance=16, gap=34)
        right = 0.0 if self._leaving else _SIDE
        title = text_width(stage_title(self._stage), TYPE_PX) + 2 * _NODE_PADDING
        self.width = max(self.left + self._arrangement.width + right, title)
        self.height = _HEADER + self._arrangement.height + _FOOTER

    def _wire_links(self, links: Sequence[Link]) -> None:
        for link in links:
            source, target = self._nodes[link.source_node], self._nodes[link.target_node]
            start = port_label(link.source_port, source.outputs, DEFAULT_OUTPUT)
            end = port_label(link.target_port, target.inputs, DEFAULT_INPUT)
            self._wires.append(Wire(source.id, target.id, _room_of(start), _room_of(end)))

    def _wire_edges(self, edges: Sequence[EdgePlan]) -> None:
        for number, edge in enumerate(edges):
            start, end = edge_ports(edge, self._nodes)
            if edge.target_stage == self._stage.id:
                self._entering[number] = len(self._wires)
                place = f"entry {number}"
                self._wires.append(Wire(place, edge.target_node, end_px=_room_of(end)))
            if edge.source_stage == self._stage.id:
                self._leaving[number] = len(self._wires)
                place = f"exit {number}"
                self._wires.append(Wire(edge.source_node, place, start_px=_room_of(start)))

    def _boxes(self, outside: Sequence[Sequence[Point]] | None) -> list[Box]:
        def heights(edges: Iterable[int], point: int) -> dict[int, float | None]:
            """Where each edge comes from, or goes to, outside."""
            return {edge: outside[edge][point].y if outside else None for edge in edges}

        # The third point is where a wire that passes a layer does so, else its far end.
        places = [
            Box(f"entry {edge}", 0, _PLACE_HEIGHT, side="first", order=height)
            for edge, height in heights(self._entering, -3).items()
        ]
        exits = [
            Box(f"exit {edge}", 0, _PLACE_HEIGHT, side="last", order=height)
            for edge, height in heights(self._leaving, 2).items()
        ]
        return [*places, *(self._node_box(node) for node in self._stage.nodes), *exits]

    def _node_box(self, node: NodePlan) -> Box:
        name = text_width(shown(node.id), NAME_PX) * 1.06  # bold
        kind = text_width(shown(node.node_type), TYPE_PX)
        arriving = sum(wire.target == node.id for wire in self._wires)
        departing = sum(wire.source == node.id for wire in self._wires)
        wires = WIRE_DISTANCE * (max(arriving, departing) - 1) + 20
        width = max(name, kind) + 2 * _NODE_PADDING
        return Box(node.id, max(width, _NODE_WIDTH_MIN), max(_NODE_HEIGHT, wires))

    def as_box(self, *, held: bool) -> Box:
        """The stage from outside; if held, with the places where its edges cross the border."""
        if not held:
            return Box(f"stage {self._stage.id}", self.width, self.height)
        routes = self._arrangement.routes
        return Box(
            f"stage {self._stage.id}",
            self.width,
            self.height,
            {edge: routes[wire][0].y + _HEADER for edge, wire in self._entering.items()},
            {edge: routes[wire][-1].y + _HEADER for edge, wire in self._leaving.items()},
        )

    def draw(self, at: Point, scene: Scene) -> None:
        """Put the stage with its nodes and links into the scene."""
        scene.stages.append((self._stage, Rectangle(*at, self.width, self.height)))
        origin = Point(at.x + self.left, at.y + _HEADER)
        for node in self._stage.nodes:
            place, box = self._arrangement.places[node.id], self._node_box(node)
            corner = _moved(place, origin)
            scene.nodes.append((node, Rectangle(*corner, box.width, box.height)))
        for wire, link in enumerate(self._stage.links):
            points = [_moved(point, origin) for point in self._arrangement.routes[wire]]
            scene.lines.append(self._link_line(link, points))

    def _link_line(self, link: Link, points: Sequence[Point]) -> Line:
        source, target = self._nodes[link.source_node], self._nodes[link.target_node]
        start = port_label(link.source_port, source.outputs, DEFAULT_OUTPUT)
        end = port_label(link.target_port, target.inputs, DEFAULT_INPUT)
        return Line(tuple(points), "local", _labels(points, start, "", end), str(link))

    def entry(self, edge: int, at: Point) -> list[Point]:
        """The way of an edge from the border to its node."""
        origin = Point(at.x + self.left, at.y + _HEADER)
        return [_moved(p, origin) for p in self._arrangement.routes[self._entering[edge]]]

    def exit(self, edge: int, at: Point) -> list[Point]:
        """The way of an edge from its node to the border."""
        origin = Point(at.x + self.left, at.y + _HEADER)
        points = [_moved(p, origin) for p in self._arrangement.routes[self._leaving[edge]]]
        return [*points, Point(at.x + self.width, points[-1].y)]


def _arrange_stages(plan: Plan, rooms: Mapping[str, _Room], *, held: bool) -> Arrangement:
    boxes: list[Box] = []
    leaving: list[Box] = []
    wires: list[Wire] = []
    for number, edge in enumerate(plan.edges):
        source, target = f"stage {edge.source_stage}", f"stage {edge.target_stage}"
        if edge.source_stage is None:
            source = f"from {number}"
            boxes.append(Box(source, *_END_SIZE))
        if edge.target_stage is None:
            target = f"to {number}"
            leaving.append(Box(target, *_END_SIZE))
        wires.append(Wire(source, target, middle_px=_room_of(edge_label(edge, plan))))
    boxes += [rooms[stage.id].as_box(held=held) for stage in plan.stages]
    return arrange([*boxes, *leaving], wires, distance=26, gap=40)


def _edge_line(
    edge: EdgePlan,
    number: int,
    plan: Plan,
    nodes: Mapping[str, NodePlan],
    rooms: Mapping[str, _Room],
    outer: Arrangement,
) -> Line:
    start, end = edge_ports(edge, nodes)
    before: list[Point] = []
    behind: list[Point] = []
    if edge.source_stage is not None:
        before = rooms[edge.source_stage].exit(number, outer.places[f"stage {edge.source_stage}"])
    if edge.target_stage is not None:
        behind = rooms[edge.target_stage].entry(number, outer.places[f"stage {edge.target_stage}"])
    between = outer.routes[number]
    points = [*before, *between, *behind]
    labels = _labels(points, start, "", end)
    labels += _labels(between, "", edge_label(edge, plan), "")
    remark = f"{edge.id}\n{edge.kind.replace('_', ' ')}, {edge.capacity} packets, {edge.overflow}"
    return Line(tuple(points), edge.kind, labels, remark)


def _labels(points: Sequence[Point], start: str, middle: str, end: str) -> tuple[Label, ...]:
    first, last = points[0], points[-1]
    labels = [
        Label(text, Point(first.x + 5, first.y - 4), "start") for text in (start, middle) if text
    ]
    if end:
        labels.append(Label(end, Point(last.x - 10, last.y - 4), "end"))
    return tuple(labels)


def _room_of(label: str) -> float:
    return text_width(label, LABEL_PX) + 14 if label else 0.0


def _moved(point: Point, origin: Point) -> Point:
    return Point(point.x + origin.x, point.y + origin.y)
