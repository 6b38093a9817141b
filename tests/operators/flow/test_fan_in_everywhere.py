"""The nodes with several inputs, in sessions: branches that end, are silent or much quicker."""

from __future__ import annotations

import asyncio

import pytest

from engine.config import Settings
from engine.payloads import Json, Text
from remotemedia import Pipeline

pytestmark = pytest.mark.process

#: Longer than any session here takes, on a busy machine.
PATIENCE_S = 60.0
EXECUTORS = ("local", "process")


def pipeline(node_type, params, executor, *, branches="local", between=None):
    """Two sources, or one with two branches, before a node with the inputs a and b."""
    nodes = [
        {"id": "left", "node_type": "PassThrough", "executor": branches},
        {"id": "right", "node_type": "PassThrough"},
        {"id": "join", "node_type": node_type, "params": params, "executor": executor},
    ]
    connections = [
        {"from": "left", "to": "join", "to_port": "a"},
        {"from": "right", "to": "join", "to_port": "b"},
    ]
    if between is not None:
        nodes.append({"id": "source", "node_type": "PassThrough"})
        connections += [{"from": "source", "to": "left"}, {"from": "source", "to": "right"}]
        nodes[1] |= between
    return Pipeline.from_manifest(
        {
            "version": "v1",
            "metadata": {"name": "fan-in"},
            "nodes": nodes,
            "connections": connections,
        },
        settings=Settings(channel_capacity=4),
    )


def numbers(count, node):
    return [(node, Json(number)) for number in range(count)]


async def outputs(made, *producers):
    """What comes out while each producer sends at its own pace; then all inputs end."""
    async with asyncio.timeout(PATIENCE_S), made.session() as session:

        async def produce():
            async with asyncio.TaskGroup() as tasks:
                for producer in producers:
                    tasks.create_task(send_all(session, producer))
            await session.end_input()

        sending = asyncio.create_task(produce())
        packets = [packet async for packet in session.outputs()]
        await sending
        return [packet.payload.value for packet in packets]


async def send_all(session, items):
    for node, payload in items:
        await session.send(payload, node)


@pytest.mark.parametrize("executor", EXECUTORS)
class TestTwoSources:
    async def test_zip_pairs_a_quick_source_with_a_slow_one(self, executor):
        made = pipeline("ZipNode", {"skew_max": 3}, executor)
        values = await outputs(made, numbers(200, "left"), numbers(200, "right"))
        assert values == [{"a": number, "b": number} for number in range(200)]

    @pytest.mark.parametrize(("left", "right"), [(5, 3), (3, 5), (0, 4), (4, 0), (0, 0)])
    async def test_zip_ends_with_the_shorter_source(self, executor, left, right):
        made = pipeline("ZipNode", {"skew_max": 3}, executor)
        values = await outputs(made, numbers(left, "left"), numbers(right, "right"))
        assert values == [{"a": number, "b": number} for number in range(min(left, right))]

    async def test_zip_drops_what_leads_too_far(self, executor):
        made = pipeline("ZipNode", {"skew_max": 2, "policy": "drop_oldest"}, executor)
        values = await outputs(made, [*numbers(100, "left"), *numbers(3, "right")])
        assert len(values) <= 3
        assert [value["b"] for value in values] == list(range(len(values)))
        assert [value["a"] for value in values] == sorted({value["a"] for value in values})

    async def test_combine_latest_ends_with_the_latest_of_both(self, executor):
        made = pipeline("CombineLatestNode", {}, executor)
        values = await outputs(made, numbers(300, "left"), numbers(3, "right"))
        assert values[-1] == {"a": 299, "b": 2}
        pairs = [(value["a"], value["b"]) for value in values]
        assert pairs == sorted(pairs)
        assert len(set(pairs)) == len(pairs)

    async def test_combine_latest_is_silent_beside_a_silent_source(self, executor):
        assert await outputs(pipeline("CombineLatestNode", {}, executor), numbers(50, "left")) == []

    async def test_with_latest_from_follows_its_first_input(self, executor):
        made = pipeline("WithLatestFromNode", {}, executor)
        values = await outputs(made, numbers(50, "left"), numbers(300, "right"))
        firsts = [value["a"] for value in values]
        assert firsts == list(range(50))[50 - len(firsts) :]
        assert [value["b"] for value in values] == sorted(value["b"] for value in values)

    async def test_merge_takes_all_of_both(self, executor):
        values = await outputs(
            pipeline("MergeNode", {}, executor), numbers(300, "left"), numbers(3, "right")
        )
        assert sorted(values) == sorted([*range(300), *range(3)])


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("branches", EXECUTORS)
async def test_zip_waits_for_the_slower_branch_of_one_source(executor, branches):
    made = pipeline(
        "ZipNode",
        {"skew_max": 1},
        executor,
        branches=branches,
        between={"node_type": "DelayNode", "params": {"time_s": 0.02, "count_max": 5}},
    )
    values = await outputs(made, numbers(60, "source"))
    assert values == [{"a": number, "b": number} for number in range(60)]


@pytest.mark.parametrize("executor", EXECUTORS)
async def test_a_function_is_imported_where_the_node_runs(executor):
    params = {"combine": "tests.operators.flow.flow_helpers:only_louder"}
    made = pipeline("ZipNode", params, executor)
    left = [("left", Json(value)) for value in (3, 1, 9)]
    right = [("right", Json(value)) for value in (1, 3, 4)]
    assert await outputs(made, left, right) == [2, 5]


@pytest.mark.parametrize("executor", EXECUTORS)
async def test_a_router_and_a_merge_give_all_back(executor):
    made = Pipeline.from_manifest(
        {
            "version": "v1",
            "metadata": {"name": "router"},
            "nodes": [
                {
                    "id": "route",
                    "node_type": "RouterNode",
                    "params": {"routes": [{"port": "short", "when": {"text": {"matches": "^.$"}}}]},
                    "executor": executor,
                },
                {"id": "join", "node_type": "MergeNode", "params": {"port_key": "by"}},
            ],
            "connections": [
                {"from": "route.short", "to": "join.a"},
                {"from": "route.otherwise", "to": "join.b"},
            ],
        },
        settings=Settings(channel_capacity=2),
    )
    texts = [Text("ab"[: number % 3]) for number in range(60)]
    async with asyncio.timeout(PATIENCE_S), made.session() as session:
        packets = [packet async for packet in session.stream(texts)]
    assert sorted(packet.sequence for packet in packets) == list(range(60))
    assert all(
        (packet.metadata["by"] == "a") == (len(packet.payload.text) == 1) for packet in packets
    )
