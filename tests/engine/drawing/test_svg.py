"""A plan as SVG: well-formed, complete, nothing on top of anything, and safe to put into a page."""

import itertools
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.drawing import to_svg
from engine.drawing.scene import make_scene, text_width
from engine.drawing.svg import _STYLES, EDGES_MAX, NODES_MAX

SVG = "{http://www.w3.org/2000/svg}"
DIAMOND = (
    ["mic:Gain", "vad:Gain@process", "gain:Gain", "merge:TwoPorts", "stt:Wait@process"],
    [
        "mic vad",
        "mic gain",
        "vad merge.audio_input",
        "gain merge.video_input",
        {"from": "merge.left", "to": "stt", "capacity": 8},
    ],
)


def read(svg):
    return ET.fromstring(svg)


def texts(svg):
    return [element.text for element in read(svg).iter(f"{SVG}text")]


def classes(svg, name):
    return [element for element in read(svg).iter() if element.get("class") == name]


def inside(inner, outer):
    return (
        outer.x <= inner.x
        and outer.y <= inner.y
        and inner.x + inner.width <= outer.x + outer.width + 1e-6
        and inner.y + inner.height <= outer.y + outer.height + 1e-6
    )


def apart(first, second):
    return (
        first.x + first.width <= second.x
        or second.x + second.width <= first.x
        or first.y + first.height <= second.y
        or second.y + second.height <= first.y
    )


def check_scene(plan):
    scene = make_scene(plan)
    stages = {stage.id: place for stage, place in scene.stages}
    nodes = {node.id: place for node, place in scene.nodes}
    assert len(nodes) == sum(len(stage.nodes) for stage in plan.stages)
    for stage in plan.stages:
        for node in stage.nodes:
            assert inside(nodes[node.id], stages[stage.id])
    solid = [*stages.values(), *(place for _, place in scene.ends)]
    for first, second in itertools.combinations(solid, 2):
        assert apart(first, second)
    for first, second in itertools.combinations(nodes.values(), 2):
        assert apart(first, second)
    inner = sum(len(stage.links) for stage in plan.stages)
    assert len(scene.lines) == len(plan.edges) + inner
    return scene, stages, nodes


class TestWhatIsDrawn:
    def test_every_node_with_its_type_and_where_it_runs(self, make_plan):
        svg = to_svg(make_plan(*DIAMOND, name="diamond"))
        said = texts(svg)
        for word in ("mic", "vad", "gain", "merge", "stt", "Gain", "TwoPorts", "Wait", "diamond"):
            assert word in said
        assert said.count("own process") == 2
        assert said.count("local") == 2
        assert "5 nodes in 4 stages, 2 processes" in said
        assert said.count("input") == 1
        assert said.count("output") == 1
        assert len(classes(svg, "rm-stage-process")) == 2
        assert len(classes(svg, "rm-stage-local")) == 2

    def test_labels_say_what_is_unusual_and_nothing_else(self, make_plan):
        said = texts(to_svg(make_plan(*DIAMOND)))
        assert {"audio_input", "video_input", "left", "holds 8"} <= set(said)
        assert "in" not in said
        assert "out" not in said
        assert not any("block" in text for text in said)

    def test_what_an_edge_does_when_full(self, make_plan):
        plan = make_plan(*DIAMOND)
        edges = tuple(replace(edge, overflow="drop_oldest") for edge in plan.edges)
        said = texts(to_svg(replace(plan, edges=edges)))
        assert "drop oldest, holds 8" in said

    def test_tooltips_say_the_rest(self, make_plan):
        titles = [item.text for item in read(to_svg(make_plan(*DIAMOND))).iter(f"{SVG}title")]
        assert any(
            "vad: Gain" in text and "process: the manifest says so" in text for text in titles
        )
        assert any("shared memory, 8 packets, block" in text for text in titles)

    def test_a_node_without_outputs_has_none(self, make_plan):
        said = texts(to_svg(make_plan(["a:Gain", "b:Sink"], ["a b"])))
        assert "output" not in said

    def test_the_same_plan_gives_the_same_drawing(self, make_plan):
        assert to_svg(make_plan(*DIAMOND)) == to_svg(make_plan(*DIAMOND))


class TestWhereItIs:
    @pytest.mark.parametrize(
        ("nodes", "links"),
        [
            (["a:Gain"], []),
            ([f"n{n}:Gain" for n in range(5)], [f"n{n} n{n + 1}" for n in range(4)]),
            ([f"n{n}:Gain@process" for n in range(20)], [f"n{n} n{n + 1}" for n in range(19)]),
            DIAMOND,
            (
                [*(f"s{n}:Gain{'@process' * (n % 2)}" for n in range(8)), "m:TwoPorts", "w:Wait"],
                [*(f"s{n} m.audio_input" for n in range(8)), "m.left w"],
            ),
            (["a:Gain", "b:Gain"], []),
            (["a:Gain", "b:Gain", "c:Sink"], ["a c", "b c", "a b"]),
        ],
    )
    def test_nothing_covers_anything(self, make_plan, nodes, links):
        check_scene(make_plan(nodes, links))

    def test_lines_start_and_end_at_their_nodes(self, make_plan):
        plan = make_plan(*DIAMOND)
        scene, _, nodes = check_scene(plan)
        inner = sum(len(stage.links) for stage in plan.stages)
        for edge, line in zip(plan.edges, scene.lines[inner:], strict=True):
            if edge.source_stage is not None:
                place, start = nodes[edge.source_node], line.points[0]
                assert start.x == pytest.approx(place.x + place.width)
                assert place.y < start.y < place.y + place.height
            if edge.target_stage is not None:
                place, end = nodes[edge.target_node], line.points[-1]
                assert end.x == pytest.approx(place.x)
                assert place.y < end.y < place.y + place.height

    def test_edges_leave_a_stage_in_the_order_that_does_not_cross(self, make_plan):
        plan = make_plan(*DIAMOND)
        scene, _, nodes = check_scene(plan)
        ways = {
            edge.target_node: line for edge, line in zip(plan.edges, scene.lines[1:], strict=False)
        }
        above = nodes["vad"].y < nodes["merge"].y
        # Inside the first stage, what goes past the detector stays on its own side of it.
        assert (ways["vad"].points[1].y < nodes["gain"].y) is above

    def test_names_have_room(self, make_plan):
        long = "W" * 60
        plan = make_plan([f"{long}:Gain", "b:Gain"], [f"{long} b"])
        _scene, _, nodes = check_scene(plan)
        assert nodes[long].width > text_width("W" * 31, 13)

    @settings(deadline=None, max_examples=40)
    @given(data=st.data())
    def test_of_any_graph(self, make_plan, data):
        count = data.draw(st.integers(1, 12))
        kinds = st.sampled_from(["Gain", "Wait", "Gain@process", "Sink"])
        chosen = [data.draw(kinds) for _ in range(count)]
        nodes = [f"n{number}:{kind}" for number, kind in enumerate(chosen)]
        pairs = [
            f"n{a} n{b}"
            for a, b in itertools.combinations(range(count), 2)
            if chosen[a] != "Sink" and data.draw(st.integers(0, 3)) == 0
        ]
        plan = make_plan(nodes, pairs)
        check_scene(plan)
        read(to_svg(plan))


class TestSafety:
    def test_names_are_text_and_nothing_else(self, make_plan):
        name = '<script>alert("x")</script> & \' \x00\ufffe\ud800'
        svg = to_svg(replace(make_plan(["a:Gain"]), name=name))
        read(svg.encode(errors="strict"))
        assert "<script" not in svg
        assert "<script>alert" in texts(svg)[0]
        assert "\x00" not in svg

    def test_it_refers_to_nothing_elsewhere(self, make_plan):
        svg = to_svg(make_plan(*DIAMOND))
        assert re.findall(r"https?://[^\"]*", svg) == ["http://www.w3.org/2000/svg"]
        assert not re.search(r"<(image|use|script|foreignObject|link)|url\(|@import", svg)

    def test_no_element_has_an_id_that_another_drawing_has_too(self, make_plan):
        assert not any(element.get("id") for element in read(to_svg(make_plan(*DIAMOND))).iter())

    def test_it_is_readable_in_the_light_and_in_the_dark(self, make_plan):
        svg = to_svg(make_plan(*DIAMOND))
        page, ink = (_colours("rm-page", "fill"), _colours("rm-title", "fill"))
        for index in (0, 1):
            for name in ("rm-title", "rm-muted"):
                assert _contrast(_colours(name, "fill")[index], page[index]) >= 4.5
                for node in ("rm-node-local", "rm-node-process", "rm-stage-local", "rm-end"):
                    assert (
                        _contrast(_colours(name, "fill")[index], _colours(node, "fill")[index]) > 4
                    )
            for kind in ("local", "process"):
                stage = _colours(f"rm-stage-{kind}", "fill")[index]
                assert _contrast(_colours(f"rm-place-{kind}", "fill")[index], stage) >= 4.5
        assert ink[0] != ink[1]
        assert "prefers-color-scheme: dark" in svg
        used = {element.get("class") for element in read(svg).iter()} - {None}
        assert used <= set(_STYLES)

    def test_what_is_too_large_is_a_card_that_says_so(self, make_plan):
        nodes = [f"n{number}:Gain" for number in range(NODES_MAX + 1)]
        svg = to_svg(make_plan(nodes))
        assert len(svg) < 4_000
        assert any("too many to draw" in text for text in texts(svg))

    def test_the_largest_that_is_drawn(self, make_plan):
        nodes = [f"n{number}:Gain" for number in range(NODES_MAX)]
        links = [f"n{number} n{number + 1 + number % 3}" for number in range(NODES_MAX - 3)]
        plan = make_plan(nodes, links)
        assert len(plan.edges) < EDGES_MAX
        assert len(classes(to_svg(plan), "rm-node-local")) == NODES_MAX


def _colours(name, attribute):
    light, dark = _STYLES[name]
    return light[attribute], dark.get(attribute, light[attribute])


def _contrast(first, second):
    """Ratio of the luminances of two colours, as WCAG 2.1 has it."""
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour):
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
