"""engine.workers.turn_watch: which node a worker is in, as others see it."""

from __future__ import annotations

import pytest

from engine.operator import Operator
from engine.plan import NodePlan, StagePlan
from engine.workers.control_page import ControlPage
from engine.workers.turn_watch import TurnWatch


class Waiting:
    """A stage whose oldest open call began at a given time."""

    def __init__(self, started_ns=None):
        self.started_ns = started_ns

    def oldest_call_ns(self):
        return self.started_ns


class Look(Operator):
    """Notes what the page says while it runs."""

    def look(self):
        self.seen.append(self.page.turn_node)

    def process(self, packet, ctx):
        self.look()
        return self.items() if packet == "items" else packet

    def items(self):
        for item in range(2):
            self.look()
            yield item

    def flush(self, ctx):
        self.look()
        raise ValueError("on purpose")


def stage_of(*ids, timeouts=()):
    bounds = {**dict.fromkeys(ids), **dict(timeouts)}
    nodes = tuple(
        NodePlan(
            node_id,
            "T",
            "m:T",
            {},
            ("in",),
            ("out",),
            "process",
            "manifest",
            process_timeout_ms=bounds[node_id],
        )
        for node_id in ids
    )
    return StagePlan(ids[0], "process", nodes, worker=ids[0])


@pytest.fixture
def page():
    return ControlPage(memoryview(bytearray(40)).cast("Q"))


def looking(page):
    operator = Look()
    operator.page, operator.seen = page, []
    return operator


def test_a_turn_is_that_of_the_first_node_of_its_stage(page):
    watch = TurnWatch(page, [stage_of("a"), stage_of("b", "c")])
    watch.begin_turn("b")
    assert (page.turn_node, page.turn_started_ns > 0) == (1, True)
    watch.end_turn()
    assert page.turn_started_ns == 0


def test_each_call_of_a_stage_of_several_nodes_is_seen(page):
    first, plan = stage_of("a"), stage_of("b", "c")
    watch = TurnWatch(page, [first, plan])
    operators = {"b": looking(page), "c": looking(page)}
    watch.watch(Waiting(), plan, operators)
    watch.begin_turn("b")
    operators["c"].process("x", None)
    assert (operators["c"].seen, page.turn_node) == ([2], 1)
    items = operators["c"].process("items", None)
    assert list(items) == [0, 1]
    assert (operators["c"].seen, page.turn_node) == ([2, 2, 2, 2], 1)
    with pytest.raises(ValueError, match="on purpose"):
        operators["c"].flush(None)
    assert page.turn_node == 1


def test_between_the_items_of_an_iterator_its_node_is_not_at_work_and_it_is_closed(page):
    plan = stage_of("a", "b")
    watch = TurnWatch(page, [plan])
    operators = {"a": looking(page), "b": looking(page)}
    watch.watch(Waiting(), plan, operators)
    items = operators["b"].process("items", None)
    next(items)
    assert page.turn_started_ns == 0
    items.close()
    assert list(items) == []


def test_of_the_calls_that_wait_the_one_that_is_due_first_is_seen(page):
    plans = [stage_of("a"), stage_of("b", timeouts={"b": 5}), stage_of("c", timeouts={"c": 1})]
    watch = TurnWatch(page, plans)
    calls = [Waiting(1), Waiting(1_000_000), Waiting(4_000_000)]
    for plan, call in zip(plans, calls, strict=True):
        watch.watch(call, plan, {})
    watch.end_turn()
    assert (page.turn_node, page.turn_started_ns) == (2, 4_000_000)
    calls[2].started_ns = None
    watch.end_turn()
    assert page.turn_node == 1
    calls[1].started_ns = None
    watch.end_turn()
    assert (page.turn_node, page.turn_started_ns) == (0, 1)
