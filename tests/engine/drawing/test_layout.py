"""The layout: nothing covers anything, wires lead to the right, straight where they can."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.drawing.cells import Box, Wire
from engine.drawing.layout import arrange

DISTANCE, GAP = 20.0, 40.0


def box(key, **rest):
    return Box(key, 100, 46, **rest)


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 14))
    sizes = st.tuples(st.integers(20, 200), st.integers(20, 90))
    boxes = [Box(f"b{number}", *draw(sizes)) for number in range(count)]
    pairs = list(itertools.combinations(range(count), 2))
    chosen = draw(st.lists(st.sampled_from(pairs), max_size=24)) if pairs else []
    rooms = st.sampled_from([0.0, 30.0, 90.0])
    wires = [Wire(f"b{a}", f"b{b}", draw(rooms), draw(rooms), draw(rooms)) for a, b in chosen]
    return boxes, wires


def frame(drawn, item):
    x, y = drawn.places[item.key]
    return x, y, x + item.width, y + item.height


@settings(deadline=None)
@given(graphs())
def test_no_box_touches_another_and_all_lie_inside(graph):
    boxes, wires = graph
    drawn = arrange(boxes, wires, distance=DISTANCE, gap=GAP)
    for first, second in itertools.combinations(boxes, 2):
        a, b = frame(drawn, first), frame(drawn, second)
        apart = a[2] + GAP <= b[0] or b[2] + GAP <= a[0]  # in other layers
        stacked = a[3] <= b[1] + 1e-6 or b[3] <= a[1] + 1e-6
        assert apart or stacked
    for item in boxes:
        left, top, right, bottom = frame(drawn, item)
        assert left >= -1e-6
        assert top >= -1e-6
        assert right <= drawn.width + 1e-6
        assert bottom <= drawn.height + 1e-6


@settings(deadline=None)
@given(graphs())
def test_wires_go_from_box_to_box_to_the_right_and_through_none(graph):
    boxes, wires = graph
    drawn = arrange(boxes, wires, distance=DISTANCE, gap=GAP)
    by_key = {item.key: item for item in boxes}
    for wire, route in zip(wires, drawn.routes, strict=True):
        source, target = frame(drawn, by_key[wire.source]), frame(drawn, by_key[wire.target])
        assert route[0].x == pytest.approx(source[2])
        assert source[1] < route[0].y < source[3]
        assert route[-1].x == pytest.approx(target[0])
        assert target[1] < route[-1].y < target[3]
        assert [point.x for point in route] == sorted(point.x for point in route)
        for first, second in itertools.pairwise(route):
            for item in boxes:
                left, top, right, bottom = frame(drawn, item)
                beside = second.x <= left + 1e-6 or first.x >= right - 1e-6
                assert beside or not top < first.y == second.y < bottom


def test_a_chain_is_one_straight_line():
    boxes = [Box(f"b{n}", 80 + 10 * n, 40 + 6 * n) for n in range(6)]
    wires = [Wire(f"b{n}", f"b{n + 1}") for n in range(5)]
    drawn = arrange(boxes, wires, distance=DISTANCE, gap=GAP)
    heights = [point.y for route in drawn.routes for point in route]
    assert max(heights) - min(heights) < 0.5


def test_a_chain_behind_a_branch_is_straight():
    # Springs come to rest: what hangs on one wire follows it.
    boxes = [box("a"), box("b"), Box("c", 60, 24), box("d"), Box("e", 60, 24)]
    wires = [Wire("a", "b"), Wire("a", "c"), Wire("b", "d"), Wire("d", "e")]
    drawn = arrange(boxes, wires, distance=DISTANCE, gap=GAP)
    for route in drawn.routes[2:]:
        assert route[0].y == pytest.approx(route[-1].y, abs=1.0)


def crossings(drawn):
    """Pairs of wires that change sides on the way."""
    return sum(
        (first[0].y - second[0].y) * (first[-1].y - second[-1].y) < 0
        for first, second in itertools.combinations(drawn.routes, 2)
    )


def test_wires_do_not_cross_where_they_need_not():
    boxes = [box(key) for key in "abcdef"]
    wires = [Wire("a", "f"), Wire("b", "e"), Wire("c", "d")]
    drawn = arrange(boxes, wires, distance=DISTANCE, gap=GAP)
    assert crossings(drawn) == 0


def test_a_diamond_does_not_cross():
    wires = [Wire("a", "b"), Wire("a", "c"), Wire("b", "d"), Wire("c", "d"), Wire("a", "d")]
    drawn = arrange([box(key) for key in "abcd"], wires, distance=DISTANCE, gap=GAP)
    ends = sorted(drawn.routes[index][-1].y for index in (2, 3, 4))
    assert ends[1] - ends[0] >= 10
    assert ends[2] - ends[1] >= 10
    starts = {index: drawn.routes[index][0].y for index in (0, 1, 4)}
    assert len(set(starts.values())) == 3


def test_wires_are_held_to_the_places_a_box_gives():
    held = Box("b", 100, 200, arrivals={0: 150.0, 1: 20.0})
    wires = [Wire("a", "b"), Wire("c", "b")]
    drawn = arrange([box("a"), box("c"), held], wires, distance=DISTANCE, gap=GAP)
    top = drawn.places["b"].y
    assert [route[-1].y - top for route in drawn.routes] == [150.0, 20.0]
    assert drawn.places["c"].y < drawn.places["a"].y  # so that they do not cross


def test_first_and_last_boxes_stand_alone_and_in_their_order():
    boxes = [
        Box("in1", 0, 8, side="first", order=9.0),
        Box("in2", 0, 8, side="first", order=1.0),
        box("a"),
        box("b"),
        Box("out", 0, 8, side="last"),
    ]
    wires = [Wire("in1", "a"), Wire("in2", "b"), Wire("a", "out")]
    drawn = arrange(boxes, wires, distance=DISTANCE, gap=GAP)
    assert drawn.places["in1"].x == drawn.places["in2"].x == 0
    assert drawn.places["in2"].y < drawn.places["in1"].y
    assert drawn.places["b"].y < drawn.places["a"].y
    assert drawn.places["out"].x == drawn.width


def test_what_nothing_feeds_stands_next_to_what_it_feeds():
    boxes = [box("late"), box("a"), box("b"), box("c")]
    wires = [Wire("a", "b"), Wire("b", "c"), Wire("late", "c")]
    drawn = arrange(boxes, wires, distance=DISTANCE, gap=GAP)
    assert drawn.places["late"].x == drawn.places["b"].x


def test_a_gap_is_as_wide_as_its_labels():
    narrow = arrange([box("a"), box("b")], [Wire("a", "b")], distance=DISTANCE, gap=GAP)
    wide = arrange([box("a"), box("b")], [Wire("a", "b", 50, 60, 70)], distance=DISTANCE, gap=GAP)
    assert narrow.places["b"].x - 100 == GAP
    assert wide.places["b"].x - 100 > 180
    start, bend, straight, end = wide.routes[0]
    assert bend.x - start.x == 120
    assert end.x - straight.x == 60


def test_nothing_at_all():
    drawn = arrange([], [], distance=DISTANCE, gap=GAP)
    assert (drawn.places, drawn.routes, drawn.width, drawn.height) == ({}, [], 0, 0)
