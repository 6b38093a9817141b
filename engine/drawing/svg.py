"""A plan as an SVG that stands for itself: readable in the light and in the dark.

Pure: no I/O, no clock. No script, no link, no font or image from elsewhere. The colours stand in
attributes (what knows no style sheets shows the light ones) and again in a style sheet, which
follows the reader's preference; its classes begin with `rm-`, since in a page it holds for all of
the page.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape, quoteattr

from engine.drawing.scene import LABEL_PX, NAME_PX, TYPE_PX, Rectangle, make_scene, text_width
from engine.drawing.wording import counted, node_remark, shown, stage_title, summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.drawing.cells import Point
    from engine.drawing.scene import Label, Line, Scene
    from engine.plan import NodePlan, Plan, StagePlan

#: More nodes or edges than this give no drawing that anybody could read.
NODES_MAX: Final = 200
EDGES_MAX: Final = 600

_MARGIN: Final = 20.0
_TITLE: Final = 52.0
_FONT: Final = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"

#: What XML 1.0, 2.2 does not allow.
_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

#: Class → attributes in the light, and what differs in the dark.
_STYLES: Final[dict[str, tuple[dict[str, str], dict[str, str]]]] = {
    "rm-page": ({"fill": "#ffffff", "stroke": "#d7dae0"}, {"fill": "#15171c", "stroke": "#343943"}),
    "rm-title": ({"fill": "#1b1f27"}, {"fill": "#eceef2"}),
    "rm-muted": ({"fill": "#596273"}, {"fill": "#a3acba"}),
    "rm-stage-local": (
        {"fill": "#f2f6fc", "stroke": "#8ea6c8", "stroke-dasharray": "5 4"},
        {"fill": "#1a202c", "stroke": "#5b7499"},
    ),
    "rm-stage-process": (
        {"fill": "#fdf3e1", "stroke": "#c77f12", "stroke-width": "2.2"},
        {"fill": "#2b2114", "stroke": "#d79a38"},
    ),
    "rm-place-local": ({"fill": "#46618a"}, {"fill": "#9db7dd"}),
    "rm-place-process": ({"fill": "#8f5706"}, {"fill": "#efbd6b"}),
    "rm-node-local": (
        {"fill": "#ffffff", "stroke": "#6f8bb3", "stroke-width": "1.3"},
        {"fill": "#262d3b", "stroke": "#7f9bc4"},
    ),
    "rm-node-process": (
        {"fill": "#ffffff", "stroke": "#c77f12", "stroke-width": "1.3"},
        {"fill": "#3a2d1b", "stroke": "#d79a38"},
    ),
    "rm-end": ({"fill": "#e9ebef", "stroke": "#a9b0bb"}, {"fill": "#2a2e36", "stroke": "#646c79"}),
    "rm-line-local": (
        {"fill": "none", "stroke": "#5a6478", "stroke-width": "1.5"},
        {"stroke": "#99a4b8"},
    ),
    "rm-line-shared_memory": (
        {"fill": "none", "stroke": "#b8730c", "stroke-width": "2.2"},
        {"stroke": "#e0a548"},
    ),
    "rm-head-local": ({"fill": "#5a6478"}, {"fill": "#99a4b8"}),
    "rm-head-shared_memory": ({"fill": "#b8730c"}, {"fill": "#e0a548"}),
}


def to_svg(plan: Plan) -> str:
    """The plan as one `<svg>` element.

    Of a plan that is too large to be read it is a card that says so.
    """
    nodes = sum(len(stage.nodes) for stage in plan.stages)
    if nodes > NODES_MAX or len(plan.edges) > EDGES_MAX:
        count = f"{counted(nodes, 'node')} and {counted(len(plan.edges), 'edge')}"
        return _page(plan, 0, 0, [], f"{count}: too many to draw; see its description")
    scene = make_scene(plan)
    return _page(plan, scene.width, scene.height, _drawn(scene), summary(plan))


def _drawn(scene: Scene) -> Iterable[str]:
    for stage, place in scene.stages:
        yield from _stage(stage, place)
    for line in scene.lines:
        yield from _line(line)
    for node, place in scene.nodes:
        yield from _node(node, place)
    for word, place in scene.ends:
        yield _rectangle(place, "rm-end", place.height / 2)
        yield _text(word, _middle(place), place.y + place.height / 2 + 4, TYPE_PX, "rm-muted")
    for line in scene.lines:
        yield from (_label(label) for label in line.labels)


def _page(plan: Plan, width: float, height: float, drawn: Iterable[str], about: str) -> str:
    name = shown(plan.name)
    title = max(text_width(name, 16) * 1.06, text_width(about, 12))
    whole = Rectangle(
        0.5, 0.5, max(width, title) + 2 * _MARGIN - 1, height + _TITLE + (_MARGIN if height else 0)
    )
    size = f"{_number(whole.width + 1)} {_number(whole.height + 1)}"
    wide, high = size.split()
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{wide}"'
            f' height="{high}" role="img" aria-label={quoteattr(f"{name}: {about}")}'
            f" font-family={quoteattr(_FONT)}>"
        ),
        f"<style>@media (prefers-color-scheme: dark) {{{_dark()}}}</style>",
        _rectangle(whole, "rm-page", 10),
        _text(name, _MARGIN, 27, 16, "rm-title", anchor="start", bold=True),
        _text(about, _MARGIN, 44, 12, "rm-muted", anchor="start"),
        f'<g transform="translate({_number(_MARGIN)} {_number(_TITLE + 4)})">',
        *drawn,
        "</g>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _dark() -> str:
    return " ".join(
        f".{name} {{{'; '.join(f'{key}: {value}' for key, value in dark.items())}}}"
        for name, (_, dark) in _STYLES.items()
    )


# --- shapes -----------------------------------------------------------------------------------


def _stage(stage: StagePlan, place: Rectangle) -> Iterable[str]:
    kind = _kind(stage.executor)
    yield _rectangle(place, f"rm-stage-{kind}", 9)
    word = stage_title(stage)
    left, top = place.x + 12, place.y + 18
    bold = kind == "process"
    yield _text(word, left, top, TYPE_PX, f"rm-place-{kind}", anchor="start", bold=bold)


def _node(node: NodePlan, place: Rectangle) -> Iterable[str]:
    yield f"<g><title>{_said(node_remark(node))}</title>"
    yield _rectangle(place, f"rm-node-{_kind(node.executor)}", 6)
    middle, height = _middle(place), place.y + place.height / 2
    yield _text(shown(node.id), middle, height - 3, NAME_PX, "rm-title", bold=True)
    yield _text(shown(node.node_type), middle, height + 13, TYPE_PX, "rm-muted")
    yield "</g>"


def _kind(executor: str) -> str:
    return "local" if executor == "local" else "process"


def _line(line: Line) -> Iterable[str]:
    *points, end = line.points
    neck = end._replace(x=end.x - 7)
    yield f"<g><title>{_said(line.remark)}</title>"
    yield f'<path d="{_path([*points, neck])}" {_styled(f"rm-line-{line.kind}")}/>'
    tip = f"M{_at(end)} L{_at(neck._replace(y=neck.y - 4))} L{_at(neck._replace(y=neck.y + 4))} Z"
    yield f'<path d="{tip}" {_styled(f"rm-head-{line.kind}")}/>'
    yield "</g>"


def _path(points: Sequence[Point]) -> str:
    parts = [f"M{_at(points[0])}"]
    for first, second in itertools.pairwise(points):
        if abs(first.y - second.y) < 0.5:  # noqa: PLR2004 - half a pixel is straight
            parts.append(f"L{_at(second)}")
        else:
            middle = (first.x + second.x) / 2
            bend, back = first._replace(x=middle), second._replace(x=middle)
            parts.append(f"C{_at(bend)} {_at(back)} {_at(second)}")
    return " ".join(parts)


def _label(label: Label) -> str:
    return _text(label.text, *label.at, LABEL_PX, "rm-muted", anchor=label.anchor)


def _rectangle(place: Rectangle, name: str, radius: float) -> str:
    measures = (place.x, place.y, place.width, place.height, radius)
    x, y, width, height, corner = map(_number, measures)
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="{corner}" {_styled(name)}/>'
    )


def _text(
    text: str,
    x: float,
    y: float,
    size_px: float,
    name: str,
    *,
    anchor: str = "middle",
    bold: bool = False,
) -> str:
    weight = ' font-weight="600"' if bold else ""
    where = f'x="{_number(x)}" y="{_number(y)}"'
    return (
        f'<text {where} font-size="{_number(size_px)}" text-anchor="{anchor}"{weight}'
        f" {_styled(name)}>{_said(text)}</text>"
    )


def _styled(name: str) -> str:
    light, _ = _STYLES[name]
    return " ".join((f'class="{name}"', *(f'{key}="{value}"' for key, value in light.items())))


def _said(text: str) -> str:
    """A text as XML; characters that XML cannot have are question marks."""
    return escape(_NOT_XML.sub("?", text))


def _middle(place: Rectangle) -> float:
    return place.x + place.width / 2


def _at(point: Point) -> str:
    return f"{_number(point.x)} {_number(point.y)}"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
