"""The same graph gives the same results wherever its nodes run, in bounded memory."""

from __future__ import annotations

import asyncio
import os
import random
import signal

import numpy as np
import pytest

from engine.errors import WorkerCrashedError
from engine.packet import lineage_key
from engine.payloads import Audio, Binary, Json, Text
from tests.integration.conftest import (
    PATIENCE_S,
    digest,
    graph,
    results,
    run,
)
from tests.integration.graph_operators import Counter

pytestmark = pytest.mark.process

PLACEMENTS = ("local", "process", "alternating", "alternating the other way")


def placed(nodes, placement):
    """Node id → executor."""
    offset = {"alternating": 0, "alternating the other way": 1}.get(placement)
    if offset is None:
        return placement
    return {
        node_id: "process" if position % 2 == offset else "local"
        for position, node_id in enumerate(nodes)
    }


async def run_everywhere(nodes, links, inputs):
    """Outputs for each placement."""
    return {
        placement: await run(graph(nodes, links, placed=placed(nodes, placement)), inputs)
        for placement in PLACEMENTS
    }


async def check_everywhere(nodes, links, inputs):
    """Every placement gives the same lineage and checksums; returns the outputs of one."""
    outputs = await run_everywhere(nodes, links, inputs)
    expected = results(outputs["local"])
    assert expected
    for placement, packets in outputs.items():
        assert results(packets) == expected, placement
    return outputs["local"]


def unordered(packets):
    """Outputs behind a merge: the order of arrival decides the index there."""
    return sorted((packet.source, packet.sequence, digest(packet.payload)) for packet in packets)


def mixed_inputs(count):
    rng = np.random.default_rng(1)
    for number in range(count):
        yield (
            Audio(rng.random((rng.integers(0, 500), 1 + number % 3), np.float32), 16_000),
            Audio(rng.integers(-9, 9, (40_000, 2), np.int16), 48_000),
            Text(f"text {number} ü"),
            Json({"number": number, "list": [1, None, "x"]}),
            Binary(rng.bytes(number * 100)),
        )[number % 5]


LINEAR = {"a": ("Mark", {"by": 1}), "b": ("SlowMark", {"by": 2}), "c": ("Mark", {"by": 3})}


async def test_linear():
    outputs = await check_everywhere(LINEAR, ["a->b", "b->c"], list(mixed_inputs(300)))
    assert [packet.sequence for packet in outputs] == list(range(300))


async def test_one_input_many_outputs():
    nodes = {"a": "Twice", "b": "StreamTwice", "c": ("Mark", {"by": 3}), "d": "Twice"}
    outputs = await check_everywhere(nodes, ["a->b", "b->c", "c->d"], list(mixed_inputs(60)))
    assert len(outputs) == 60 * 8
    assert [lineage_key(packet)[1:] for packet in outputs] == [
        (sequence, index) for sequence in range(60) for index in range(8)
    ]


async def test_diamond():
    nodes = {"a": "Pass", "b": ("Mark", {"by": 1}), "c": ("SlowMark", {"by": 2}), "d": "Pass"}
    links = ["a->b", "a->c", "b->d", "c->d"]
    outputs = await run_everywhere(nodes, links, list(mixed_inputs(150)))
    expected = unordered(outputs["local"])
    assert len(expected) == 300
    for placement, packets in outputs.items():
        assert unordered(packets) == expected, placement


async def test_a_process_beside_a_direct_link():
    nodes = {"a": ("Mark", {"by": 1}), "p": ("Mark", {"by": 2}), "b": ("Mark", {"by": 3})}
    links = ["a->p", "p->b", "a->b"]
    inputs = list(mixed_inputs(200))
    outputs = await run_everywhere(nodes, links, inputs)
    outputs["as drawn"] = await run(graph(nodes, links, placed={"p": "process"}), inputs)
    expected = unordered(outputs["local"])
    assert len(expected) == 400
    for placement, packets in outputs.items():
        assert unordered(packets) == expected, placement


async def test_a_process_beside_a_direct_link_with_little_credit():
    nodes = {"a": "Twice", "p": "Twice", "b": "Pass"}
    pipeline = graph(nodes, ["a->p", "p->b", "a->b"], placed={"p": "process"}, channel_capacity=1)
    assert len(await run(pipeline, [Json(n) for n in range(200)])) == 200 * 6


async def test_fan_out_to_two_processes():
    nodes = {"a": ("Mark", {"by": 1}), "b": ("Mark", {"by": 2}), "c": ("Mark", {"by": 3})}
    links = ["a->b", "a->c"]
    inputs = list(mixed_inputs(200))
    everywhere = await check_everywhere(nodes, links, inputs)
    drawn = await run(graph(nodes, links, placed={"b": "process", "c": "process"}), inputs)
    assert results(drawn) == results(everywhere)
    for node in ("b", "c"):
        of_node = [packet.sequence for packet in drawn if packet.source.node == node]
        assert of_node == list(range(200))


def random_graph(seed):
    """Nodes, links, placement, settings and inputs of a graph of two to six nodes."""
    rnd, rng = random.Random(seed), np.random.default_rng(seed)
    nodes, links = {}, []
    for position in range(rnd.randint(2, 6)):
        node_type = rnd.choice(["Pass", "Mark", "SlowMark", "Twice", "StreamTwice"])
        params = {"by": rnd.randint(1, 5)} if "Mark" in node_type else {}
        before = rnd.sample(sorted(nodes), min(position, rnd.choice([1, 1, 1, 2])))
        nodes[f"n{position}"] = (node_type, params)
        links += [f"{node}->n{position}" for node in before]
    places = {node: rnd.choice(["local", "process"]) for node in nodes}
    settings = {
        "channel_capacity": rnd.choice([1, 2, 5, 100]),
        "shm_segment_bytes": rnd.choice([1, 4]) * 1024**2,
    }
    payloads = {
        "audio": lambda: Audio(
            rng.integers(-99, 99, (rnd.choice([1, 40_000, 160_000]), 1), "i2"), 8
        ),
        "text": lambda: Text("x" * rnd.choice([0, 10, 1000])),
        "binary": lambda: Binary(rng.bytes(rnd.choice([0, 300_000]))),
    }
    count = rnd.randint(1, 40)
    inputs = [("n0", payloads[rnd.choice(sorted(payloads))]()) for _ in range(count)]
    return nodes, links, places, settings, inputs


@pytest.mark.parametrize("seed", range(12))
async def test_any_graph_with_any_placement_and_little_room(seed):
    nodes, links, places, settings, inputs = random_graph(seed)
    expected = unordered(await run(graph(nodes, links), inputs))
    assert unordered(await run(graph(nodes, links, placed=places, **settings), inputs)) == expected


async def test_two_ingress_nodes():
    nodes = {"x": ("Mark", {"by": 1}), "y": ("Mark", {"by": 2}), "m": "Merge"}
    links = ["x->m.left", "y->m.right"]
    inputs = [("xy"[number % 2], Text(str(number))) for number in range(200)]
    outputs = await run_everywhere(nodes, links, inputs)
    expected = unordered(outputs["local"])
    assert len(expected) == 200
    for placement, packets in outputs.items():
        assert unordered(packets) == expected, placement
        for port in ("left", "right"):
            numbers = [
                packet.sequence for packet in packets if packet.payload.text.startswith(port)
            ]
            assert numbers == list(range(100))


async def test_named_outputs():
    nodes = {"s": "Split", "e": ("Mark", {"by": 1}), "o": ("Mark", {"by": 2})}
    links = ["s.even->e", "s.odd->o"]
    outputs = await check_everywhere(nodes, links, [Text(str(n)) for n in range(100)])
    for node, odd in (("e", 0), ("o", 1)):
        of_node = [packet.sequence for packet in outputs if packet.source.node == node]
        assert of_node == list(range(odd, 100, 2))


@pytest.mark.parametrize("placement", ["local", "process"])
async def test_groups_reach_an_operator_whole(placement):
    async with asyncio.timeout(PATIENCE_S):
        async with graph({"j": "Join"}, [], placed=placement).session() as session:
            for number in range(150):
                while session.receive_nowait() is not None:
                    pass
                await session.send_group({"right": Text(f"r{number}"), "left": Text(f"l{number}")})
            await session.end_input()
            last = None
            async for packet in session.outputs():
                last = packet
    assert last.payload.text == "left=l149+right=r149"
    assert last.sequence == 149


@pytest.mark.parametrize("placement", ["local", "process"])
async def test_members_of_a_group_share_their_origin_whoever_else_sends(placement):
    pipeline = graph({"j": "JoinOrigins"}, [], placed=placement, channel_capacity=1)
    async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:

        async def send(count):
            for number in range(count):
                block = Audio(np.zeros(160, np.float32), 16_000)
                await session.send_group({"left": Text(str(number)), "right": block})

        sending = [asyncio.create_task(send(20)) for _ in range(3)]
        for sequence in range(60):
            value = (await session.receive()).payload.value
            assert value["left"] == value["right"]
            assert value["left"][0] == sequence
        await asyncio.gather(*sending)


async def test_an_aggregator_gives_the_rest_at_the_end():
    nodes = {"a": "Pass", "s": ("Sum", {"every": 7}), "b": "LateFlush", "c": "Pass"}
    links = ["a->s", "s->b", "b->c"]
    outputs = await check_everywhere(nodes, links, [Json(n) for n in range(100)])
    *sums, text = [packet.payload for packet in outputs]
    assert sum(payload.value for payload in sums) == sum(range(100))
    assert text == Text("flushed")
    assert {packet.sequence for packet in outputs} == {99}


async def test_no_input_at_all():
    nodes = {"a": "Pass", "s": ("Sum", {"every": 7}), "c": ("Mark", {"by": 1})}
    outputs = await check_everywhere(nodes, ["a->s", "s->c"], [])
    assert [packet.payload for packet in outputs] == [Text("flushed>1")]


async def test_ten_megabytes_a_packet():
    rng = np.random.default_rng(2)
    inputs = [Audio(rng.random((1_250_000, 2), np.float32), 48_000) for _ in range(8)]
    inputs += [Binary(rng.bytes(10_000_000)) for _ in range(4)]
    outputs = await check_everywhere(LINEAR, ["a->b", "b->c"], inputs)
    assert len(outputs) == 12
    assert all(not packet.payload.samples.flags.writeable for packet in outputs[:8])


async def test_views_that_a_process_keeps_are_never_overwritten():
    nodes = {"a": "Pass", "k": "KeepViews"}
    inputs = (Audio(np.full(20_000, n, np.float32), 16_000) for n in range(2000))
    pipeline = graph(nodes, ["a->k"], placed="process", shm_segment_bytes=4 * 1024**2)
    *values, last = [packet.payload.value for packet in await run(pipeline, inputs)]
    assert values == list(range(2000))
    assert last == {"kept": 200, "intact": True}


async def test_outputs_that_the_user_keeps_stay_as_they_are():
    pipeline = graph({"a": "Pass"}, [], placed="process", shm_segment_bytes=4 * 1024**2)
    kept = await run(pipeline, (Audio(np.full(20_000, n, np.float32), 8000) for n in range(500)))
    assert [float(packet.payload.samples[0, 0]) for packet in kept] == list(range(500))
    assert all((packet.payload.samples == packet.sequence).all() for packet in kept)


# --------------------------------------------------------------------------------- bounded memory

#: Items of one turn, by the operator that gives them and their frames (0: no audio).
BURSTS = [("Burst", 0, 10_000), ("AsyncBurst", 0, 3000), ("Burst", 20_000, 3000)]


def under_way_max(pipeline):
    """How many items there may be between the generator and the user."""
    plan = pipeline.plan()
    edges = [edge for edge in plan.edges if edge.source_stage is not None]
    nodes = sum(len(stage.nodes) for stage in plan.stages)
    return sum(edge.capacity for edge in edges) + 2 * nodes


@pytest.mark.parametrize(("operator", "frames", "count"), BURSTS)
@pytest.mark.parametrize("placement", PLACEMENTS)
async def test_a_long_turn_streams_in_bounded_memory(
    operator, frames, count, placement, progress_file
):
    nodes = {
        "g": (operator, {"count": count, "progress": progress_file, "frames": frames}),
        "p": "Pass",
        "q": "Pass",
    }
    pipeline = graph(nodes, ["g->p", "p->q"], placed=placed(nodes, placement))
    bound = under_way_max(pipeline)
    assert bound < count / 6
    async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
        await session.send(Json("go"))
        await session.end_input()
        received = 0
        async for packet in session.outputs():
            # This is the slow consumer: while it looks, whoever can runs ahead as far as it may.
            produced = Counter.read(progress_file)
            assert received <= produced <= received + bound + 1
            if received == 0:
                assert produced < count
            assert packet.index == received
            value = packet.payload.samples[0, 0] if frames else packet.payload.value
            assert value == received
            received += 1
            if received % 200 == 0:
                await let_others_run_ahead(progress_file)
            for counts in session.statistics().edges.values():
                assert counts.queued + counts.in_flight <= 100
    assert received == count
    assert packet.sequence == 0


async def let_others_run_ahead(progress_file):
    """Give way until the generator is at rest: it must be waiting for us, not for its turn."""
    seen, same = -1, 0
    while same < 5:
        await asyncio.sleep(0)
        produced = Counter.read(progress_file)
        same = same + 1 if produced == seen else 0
        seen = produced


@pytest.mark.parametrize("placement", PLACEMENTS)
async def test_nobody_takes_outputs_so_nobody_takes_inputs(placement):
    nodes = {"a": "Pass", "b": "Pass", "c": "Pass"}
    pipeline = graph(nodes, ["a->b", "b->c"], placed=placed(nodes, placement), channel_capacity=5)
    capacity = sum(edge.capacity for edge in pipeline.plan().edges)
    sent = 0
    async with pipeline.session() as session:

        async def send():
            nonlocal sent
            for number in range(1000):
                await session.send(Json(number))
                sent += 1
            await session.end_input()

        sending = asyncio.create_task(send())
        async with asyncio.timeout(PATIENCE_S):
            received = 0
            while received < 1000:
                packet = await session.receive()
                assert packet.payload.value == received
                received += 1
                await asyncio.sleep(0)
                assert sent <= received + capacity + 2 * len(nodes)
            assert await session.receive() is None
            await sending


async def test_statistics_tell_what_every_node_did():
    nodes = {"a": "Pass", "b": "Twice", "c": "Pass"}
    pipeline = graph(nodes, ["a->b", "b->c"], placed={"b": "process"})
    async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
        outputs = [packet async for packet in session.stream([Json(n) for n in range(50)])]
        statistics = session.statistics()
    assert len(outputs) == statistics.outputs == 100
    counts = {node: (of.received, of.emitted) for node, of in statistics.nodes.items()}
    assert counts == {"a": (50, 50), "b": (50, 100), "c": (100, 100)}
    assert statistics.pids["b"] not in {0, os.getpid()}
    assert statistics.pids["a"] == statistics.pids["c"] == os.getpid()
    assert statistics.edges["→a"].sent == statistics.edges["a.out→b.in"].sent == 50


@pytest.mark.parametrize("placed", ["local", "process", {"a": "process", "b": "process"}])
async def test_who_has_an_output_finds_it_counted(placed):
    pipeline = graph({"a": "Pass", "b": "Twice"}, ["a->b"], placed=placed)
    async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
        for number in range(1, 30):
            await session.send(Json(number))
            for _ in range(2):
                await session.receive()
            nodes = session.statistics().nodes
            assert (nodes["a"].received, nodes["a"].emitted) == (number, number)
            assert (nodes["b"].received, nodes["b"].emitted) == (number, 2 * number)
            assert nodes["b"].busy_ns > 0
            edges = session.statistics().edges
            assert {edge.queued for edge in edges.values()} == {0}
            if placed != "local":
                assert edges["a.out→b.in"].in_flight == edges["b.out→"].in_flight == 0


@pytest.mark.fault
async def test_the_counts_of_a_process_stay_when_it_is_frozen_and_when_it_has_died():
    pipeline = graph({"a": "Pass", "b": "Twice"}, ["a->b"], placed={"b": "process"})
    async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
        await session.send(Json(1))
        for _ in range(2):
            await session.receive()
        (process,) = (stage for stage in session.stages if not stage.local)
        os.kill(process.pid, signal.SIGSTOP)
        assert session.statistics().nodes["b"].received == 1
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(WorkerCrashedError):
            await session.receive()
        assert session.statistics().nodes["b"].received == 1
    assert session.statistics().nodes["b"].received == 1


@pytest.mark.parametrize("placed", ["process", {"a": "process"}, {"b": "process"}])
async def test_nothing_waits_on_an_edge_once_everything_was_read(placed):
    pipeline = graph({"a": "Pass", "b": "Twice"}, ["a->b"], placed=placed)
    async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
        async for _ in session.stream([Json(number) for number in range(50)]):
            pass
        during = session.statistics().edges
    after = session.statistics().edges
    assert [edge.sent for edge in during.values()] == [50, 50, 100]
    for edges in (during, after):
        assert [(edge.queued, edge.in_flight) for edge in edges.values()] == [(0, 0)] * 3


@pytest.mark.parametrize(
    "placement", ["process", {"b": "process"}, {"a": "process", "d": "process"}]
)
async def test_the_index_behind_a_merge_does_not_depend_on_who_was_quicker(placement):
    async def keys(placed):
        pipeline = graph(
            {"a": "Pass", "b": "Pass", "c": "Pass", "d": "Pass"},
            ["a->b", "a->c", "b->d", "c->d"],
            placed=placed,
        )
        async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
            inputs = [Text(str(number)) for number in range(200)]
            packets = [packet async for packet in session.stream(inputs)]
        return sorted((lineage_key(packet), packet.payload.text) for packet in packets)

    assert await keys(placement) == await keys("local")
