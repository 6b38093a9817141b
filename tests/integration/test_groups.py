"""Nodes that share a process: the same results as anywhere, one worker, the right node to blame."""

from __future__ import annotations

import asyncio
import os
import signal

import numpy as np
import pytest

from engine.errors import NodeError, WorkerCrashedError
from engine.payloads import Audio, Json, Text
from engine.pipeline import Pipeline
from tests.integration.conftest import PATIENCE_S, graph, results, run
from tests.integration.graph_operators import Burst, Mark, Pass, make_registry
from tests.integration.test_placements import mixed_inputs, random_graph, unordered

pytestmark = [pytest.mark.process, pytest.mark.fault]

G, H = {"process": "g"}, {"process": "h"}

CHAIN = {"a": ("Mark", {"by": 1}), "b": ("SlowMark", {"by": 2}), "c": ("Mark", {"by": 3})}
CHAIN_LINKS = ["a->b", "b->c"]


async def stages_and_outputs(pipeline, inputs):
    """The running places of a session, its statistics at the end, and the outputs."""
    async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
        outputs = [packet async for packet in session.stream(inputs)]
        return session.stages, session.statistics(), outputs


@pytest.mark.parametrize(
    ("placed", "workers"),
    [
        ({"a": G, "b": G, "c": G}, 1),
        ({"a": G, "b": H, "c": G}, 2),
        ({"a": G, "b": "process", "c": G}, 2),
        ({"a": G, "b": "local", "c": G}, 1),
        ({"a": H, "b": G, "c": G}, 2),
        ({"a": "local", "b": G, "c": G}, 1),
    ],
)
async def test_a_chain_gives_the_same_wherever_it_is_grouped(placed, workers):
    inputs = list(mixed_inputs(150))
    expected = results(await run(graph(CHAIN, CHAIN_LINKS), inputs))
    pipeline = graph(CHAIN, CHAIN_LINKS, placed=placed)
    stages, statistics, outputs = await stages_and_outputs(pipeline, inputs)
    assert results(outputs) == expected
    pids = {stage.pid for stage in stages if stage.pid}
    assert len(pids) == len(pipeline.plan().workers) == workers
    counts = {node: (of.received, of.emitted) for node, of in statistics.nodes.items()}
    assert counts == dict.fromkeys(CHAIN, (150, 150))
    assert statistics.pids.keys() == {stage.id for stage in pipeline.plan().stages}


async def test_a_group_on_both_sides_of_another_node():
    nodes = {"a": ("Mark", {"by": 1}), "p": ("SlowMark", {"by": 2}), "b": ("Mark", {"by": 3})}
    links = ["a->p", "p->b", "a->b"]
    inputs = list(mixed_inputs(200))
    expected = unordered(await run(graph(nodes, links), inputs))
    for between in ("local", "process", H, G):
        placed = {"a": G, "p": between, "b": G}
        pipeline = graph(nodes, links, placed=placed, channel_capacity=1)
        assert unordered(await run(pipeline, inputs)) == expected, between


@pytest.mark.parametrize("seed", range(8))
async def test_any_graph_in_groups_with_little_room(seed):
    nodes, links, places, settings, inputs = random_graph(seed)
    spread = ["local", "process", G, G, H]
    placed = {node: spread[(seed + 2 * place) % 5] for place, node in enumerate(places)}
    expected = unordered(await run(graph(nodes, links), inputs))
    assert unordered(await run(graph(nodes, links, placed=placed, **settings), inputs)) == expected


async def test_ten_megabytes_within_a_group_and_out_of_it():
    samples = np.random.default_rng(3).random((1_250_000, 2), np.float32)
    inputs = [Audio(samples, 48_000) for _ in range(4)]
    expected = results(await run(graph(CHAIN, CHAIN_LINKS), inputs))
    placed = {"a": G, "b": G, "c": "process"}
    assert results(await run(graph(CHAIN, CHAIN_LINKS, placed=placed), inputs)) == expected


async def test_a_policy_on_an_edge_within_a_group_acts_there_and_is_counted():
    # All of one turn: what it gives comes faster than the next stage gets its turn.
    burst = Burst(count=500).named("a").into(capacity=2, overflow="drop_oldest")
    pipeline = Pipeline("drops", registry=make_registry()) | burst | Pass().named("b")
    pipeline = pipeline.on("process", group="g")
    _, statistics, outputs = await stages_and_outputs(pipeline, [Json("go")])
    edge = statistics.edges["a.out→b.in"]
    assert edge.sent == 500
    assert edge.dropped == 500 - len(outputs) > 0


async def test_the_edges_within_a_group_are_counted():
    pipeline = graph(CHAIN, CHAIN_LINKS, placed={"a": G, "b": G, "c": G})
    _, statistics, _ = await stages_and_outputs(pipeline, [Text("x")] * 50)
    inner = statistics.edges["a.out→b.in"]
    assert (inner.sent, inner.in_flight, inner.dropped) == (50, 0, 0)
    assert inner.hops.measured > 0


async def test_the_limit_of_processes_counts_workers():
    placed = {"a": G, "b": G, "c": G}
    pipeline = graph(CHAIN, CHAIN_LINKS, placed=placed, max_processes_per_session=1)
    assert len(await run(pipeline, [Text("x")])) == 1


# ------------------------------------------------------------------------------------- failures

#: Where harm is done: in a stage with nodes before and behind it, all of one worker.
HARMED_LINKS = ["a->bad", "bad->c"]


def harmed(bad, *, fields=None, **params):
    nodes = {"a": "Pass", "bad": (bad, params, fields or {}), "c": "Pass"}
    return graph(nodes, HARMED_LINKS, placed=dict.fromkeys(nodes, G), hang_timeout_s=0.9)


@pytest.mark.parametrize("bad", ["Misbehave", "MisbehaveInGenerator", "MisbehaveInCoroutine"])
@pytest.mark.parametrize("when", ["process", "flush"])
async def test_what_a_node_of_a_group_raises_is_its_own_error(bad, when):
    with pytest.raises(NodeError) as caught:
        await run(harmed(bad, when=when), [Json(n) for n in range(10)])
    assert caught.value.node_id == "bad"
    assert "on purpose" in caught.value.message


@pytest.mark.parametrize("bad", ["Misbehave", "MisbehaveInGenerator"])
@pytest.mark.parametrize("what", ["kill", "segfault", "exit", "stop"])
async def test_the_node_in_which_a_shared_process_ends_is_named(bad, what):
    with pytest.raises(WorkerCrashedError) as caught:
        await run(harmed(bad, what=what), [Json(n) for n in range(10)])
    assert caught.value.node_id == "bad"
    assert caught.value.context["node_ids"] == ["a", "bad", "c"]
    assert caught.value.message.startswith("node 'bad': ")
    assert caught.value.message.endswith(", in the process of 'a', 'bad', 'c'")


async def test_a_timeout_bounds_the_turns_of_its_own_node_alone():
    # The first node is slower than the second one may be, and has no bound itself.
    nodes = {
        "slow": ("Sleep", {"seconds": 0.3}),
        "quick": ("Pass", {}, {"process_timeout_ms": 200}),
    }
    pipeline = graph(nodes, ["slow->quick"], placed=dict.fromkeys(nodes, G))
    assert len(await run(pipeline, [Json(1), Json(2)])) == 2


@pytest.mark.parametrize("bad", ["Misbehave", "MisbehaveInGenerator"])
async def test_a_turn_that_takes_too_long_in_a_group_names_its_node(bad):
    pipeline = harmed(bad, what="spin", fields={"process_timeout_ms": 300})
    with pytest.raises(WorkerCrashedError) as caught:
        await run(pipeline, [Json(n) for n in range(10)])
    assert caught.value.node_id == "bad"
    assert caught.value.context["process_timeout_ms"] == 300


async def test_a_call_that_waits_too_long_in_a_group_names_its_node():
    nodes = {"a": "Pass", "w": ("Forever", {}, {"process_timeout_ms": 300}), "other": "Forever"}
    pipeline = graph(nodes, ["a->other", "a->w"], placed=dict.fromkeys(nodes, G))
    with pytest.raises(WorkerCrashedError) as caught:
        await run(pipeline, [Json(1)])
    assert caught.value.node_id == "w"


async def test_a_shared_process_that_is_killed_from_outside_ends_the_session():
    pipeline = graph(CHAIN, CHAIN_LINKS, placed=dict.fromkeys(CHAIN, G))
    async with asyncio.timeout(PATIENCE_S):
        async with pipeline.session() as session:
            await session.send(Text("x"))
            assert await session.receive() is not None
            (stage,) = session.stages
            os.kill(stage.pid, signal.SIGKILL)
            with pytest.raises(WorkerCrashedError, match="SIGKILL"):
                await session.receive()


async def test_a_group_in_python_is_the_same_as_in_a_manifest():
    flow = Mark(by=1).named("a") | Mark(by=2).named("b")
    pipeline = Pipeline("x", registry=make_registry()) | flow.on("process", group="g")
    manifest = pipeline.to_manifest()
    assert [node["executor"] for node in manifest["nodes"]] == [G, G]
    read = Pipeline.from_manifest(manifest, registry=make_registry())
    assert read.plan().stages == pipeline.plan().stages
    assert [packet.payload.text for packet in await run(read, [Text("x")])] == ["x>1>2"]
