"""An interrupt, wherever nodes run: nothing stale after it, nothing newer lost, nothing left."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import itertools
import os
import random
import signal
import threading

import pytest

from engine.errors import NodeError, UsageError
from engine.interruption import scope_of
from engine.payloads import Json, Text
from engine.pipeline import Pipeline
from operators.flow.buffer import Buffer
from operators.flow.debounce import Debounce
from tests.integration.conftest import PATIENCE_S, SETTINGS, digest
from tests.integration.graph_operators import Hold, Misbehave, Pass, make_registry
from tests.integration.interrupt_operators import (
    AsyncFlush,
    Awaiting,
    Busy,
    Collect,
    Endless,
    EndlessAsync,
    Gather,
    Interrupting,
    Polling,
    RxCollect,
    RxTwice,
    SlowText,
    Three,
)
from tests.integration.restart_operators import Fail
from tests.integration.test_restart import OFTEN, restarting

pytestmark = pytest.mark.process

PLACES = ["local", "process"]


#: A process of its own that is replaced when it fails, where the node may be.
RESTARTING = "restarting"
KEEP_STATE = {"Collect", "RxCollect", "RxTwice"}


def pipeline_of(*steps, **settings):
    pipeline = Pipeline("interrupted", settings=dataclasses.replace(SETTINGS, **settings))
    for step in steps:
        pipeline = pipeline | step
    return pipeline


@contextlib.asynccontextmanager
async def running(*steps, **settings):
    async with asyncio.timeout(PATIENCE_S), pipeline_of(*steps, **settings).session() as session:
        yield session


async def appears(path):
    """Wait for a file of another process."""
    async with asyncio.timeout(PATIENCE_S):
        while not path.exists():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.002)


async def rest(session):
    """What comes out when nothing more is sent."""
    await session.end_input()
    return [packet.payload.value async for packet in session.outputs()]


def nothing_under_way(session):
    """No packet waits, and local edges have all their credits.

    Between processes the last ones are not sent home any more once the stream has ended: that none
    is lost is seen with capacities so small that one would be missed.
    """
    here = {edge.id for edge in session.plan.edges if edge.kind == "local"}
    edges = session.statistics().edges
    assert not {name: edge for name, edge in edges.items() if edge.queued}
    assert not {name: edges[name] for name in here if edges[name].in_flight}


# -------------------------------------------------------------------------------- the law


def some_graph(seed):
    """Nodes, links, executors and settings of a graph of two to six nodes."""
    rnd = random.Random(seed)
    kinds = ["Pass", "Mark", "SlowMark", "Twice", "StreamTwice", "RxTwice", "SlowText", "SlowText"]
    nodes, links = {}, []
    for position in range(rnd.randint(2, 6)):
        before = rnd.sample(sorted(nodes), min(position, rnd.choice([1, 1, 1, 2])))
        nodes[f"n{position}"] = rnd.choice(kinds)
        links += [(node, f"n{position}") for node in before]
    choices = ["local", "process"]
    if seed % 3 == 0:
        choices = ["local", {"process": "g"}, {"process": "h"}]
    elif seed % 3 == 1:
        choices = ["local", "process", RESTARTING]
    places = {node: rnd.choice(choices) for node in nodes}
    return nodes, links, places, {"channel_capacity": rnd.choice([1, 2, 5, 100])}


def graph_of(nodes, links, places, **settings):
    registry = make_registry()
    for cls in (SlowText, RxTwice, Collect, RxCollect):
        registry.register(cls)
    described = []
    for node, kind in nodes.items():
        place = places.get(node, "local")
        fields = {"executor": "process" if place == RESTARTING else place}
        if place == RESTARTING and kind not in KEEP_STATE:
            fields["restart"] = OFTEN
        described.append({"id": node, "node_type": kind, "params": {}} | fields)
    manifest = {
        "version": "v1",
        "metadata": {"name": "law"},
        "nodes": described,
        "connections": [{"from": source, "to": target} for source, target in links],
    }
    return Pipeline.from_manifest(
        manifest, registry=registry, settings=dataclasses.replace(SETTINGS, **settings)
    )


def ways_to(node, links):
    """How many paths lead from the ingress to a node."""
    before = [source for source, target in links if target == node]
    return sum(ways_to(source, links) for source in before) if before else 1


def told(packet):
    return packet.source.node, packet.sequence, digest(packet.payload)


def numbers_of(packet):
    """The packets that an output is made of; each was sent with its number as text."""
    return [int(text.split(">")[0]) for text in packet.payload.text.split("+")]


async def interrupted_run(pipeline, count, rnd, scopes=None):
    """Send packets and interrupt between some of them; check what must hold at any moment.

    Args:
        pipeline: what is interrupted.
        count: how many packets.
        rnd: says when, and in which scope.
        scopes: which there are; by default all.

    Returns:
        Outputs, how many were sent before the last interrupt, and the nodes that were in a scope.
    """
    plan = pipeline.plan()
    known = sorted(node.id for stage in plan.stages for node in stage.nodes)
    scopes = [None, *known] if scopes is None else scopes
    outputs, acks = [], []
    #: Node → what its outputs may be of from now on: this generation, this packet.
    floors = collections.defaultdict(lambda: (0, 0))
    sent = before_last = 0

    async def read(session):
        async for packet in session.outputs():
            generation, sequence = floors[packet.source.node]
            assert packet.generation >= generation, packet
            assert min(numbers_of(packet), default=packet.sequence) >= sequence, packet
            outputs.append(packet)

    async def interrupt(session):
        nonlocal before_last
        scope = rnd.choice(scopes)
        acks.append(await session.interrupt(scope, deadline_s=PATIENCE_S))
        everything = acks[-1].nodes == frozenset(known)
        assert acks[-1].nodes == scope_of(plan, scope)
        for node in acks[-1].nodes:
            floors[node] = acks[-1].generation, sent if everything else floors[node][1]
        before_last = sent

    async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
        async with asyncio.TaskGroup() as group:
            group.create_task(read(session))
            moments = collections.Counter(rnd.choices(range(count), k=rnd.randint(1, 6)))
            for number in range(count):
                for _ in range(moments[number]):
                    await interrupt(session)
                    await asyncio.sleep(rnd.choice([0, 0, 0.003]))
                await session.send(Text(str(number)))
                sent += 1
                if rnd.random() < 0.3:
                    await asyncio.sleep(0)
            await session.end_input()
        for ack in acks:
            assert not (await ack.settled()).late
        assert session.phase == "finished"
        nothing_under_way(session)
    return outputs, before_last, {node for ack in acks for node in ack.nodes}


@pytest.mark.parametrize("seed", range(24))
async def test_nothing_stale_leaves_and_nothing_newer_is_lost(seed):
    nodes, links, places, settings = some_graph(seed)
    count, rnd = 60, random.Random(seed + 1000)
    async with asyncio.timeout(PATIENCE_S), graph_of(nodes, links, {}).session() as session:
        inputs = (Text(str(number)) for number in range(count))
        expected = collections.Counter([told(p) async for p in session.stream(inputs)])

    pipeline = graph_of(nodes, links, places, **settings)
    outputs, before_last, in_scope = await interrupted_run(pipeline, count, rnd)

    came = collections.Counter(map(told, outputs))
    assert came <= expected  # nothing twice, nothing that should not be
    missing = expected - came
    assert all(sequence < before_last for _, sequence, _ in missing)
    assert all(node in in_scope for node, _, _ in missing)
    for node in nodes:
        sequences = [packet.sequence for packet in outputs if packet.source.node == node]
        if ways_to(node, links) == 1:
            assert sequences == sorted(sequences)


@pytest.mark.parametrize("seed", range(5))
async def test_an_aggregator_holds_nothing_stale_and_loses_nothing_newer(seed):
    rnd = random.Random(seed + 5000)
    steps = [*rnd.choices(["Pass", "SlowMark", "SlowText"], k=rnd.randint(0, 2))]
    steps += [rnd.choice(["Collect", "RxCollect"]), *rnd.choices(["Pass", "SlowMark"], k=1)]
    nodes = {f"n{position}": kind for position, kind in enumerate(steps)}
    places = {node: rnd.choice(["local", "process", RESTARTING]) for node in nodes}
    pipeline = graph_of(
        nodes, list(itertools.pairwise(nodes)), places, channel_capacity=rnd.choice([1, 3, 100])
    )
    outputs, before_last, _ = await interrupted_run(pipeline, 60, rnd, [None])
    numbers = [number for packet in outputs for number in numbers_of(packet)]
    assert numbers == sorted(set(numbers))  # nothing twice, in order
    assert set(range(before_last, 60)) <= set(numbers)


# ---------------------------------------------------------------------------------- cases


@pytest.mark.parametrize("place", PLACES)
async def test_an_idle_session_settles_and_goes_on(place):
    async with running(Pass().named("a").on(place), Pass().named("b").on(place)) as session:
        before = await session.interrupt()  # before any packet
        assert not (await before.settled()).late
        await session.send(Json(1))
        assert (await session.receive()).payload.value == 1
        ack = await session.interrupt("b", reason="the user speaks")
        settlement = await ack.settled()
        assert (ack.generation, ack.reason, ack.nodes) == (2, "the user speaks", {"b"})
        assert (settlement.generation, settlement.dropped, settlement.late) == (2, {}, ())
        await session.send(Json(2))
        packet = await session.receive()
        assert (packet.payload.value, packet.generation, packet.sequence) == (2, 2, 1)
        assert await rest(session) == []
        nothing_under_way(session)


async def test_full_queues_before_a_slow_process_are_dropped_and_counted(tmp_path):
    slow = Polling(folder=str(tmp_path)).named("slow").on("process")
    async with running(Pass().named("a").on("process"), slow, channel_capacity=100) as session:
        await session.send(Json("hold"))
        await appears(tmp_path / "holds")
        for number in range(99):
            await session.send(Json(number))
        ack = await session.interrupt()
        settlement = await ack.settled()
        assert not settlement.late
        assert 0 < sum(settlement.dropped.values()) <= 99
        await session.send(Json("new"))
        assert await rest(session) == ["new"]
        nothing_under_way(session)


async def test_synchronous_code_that_looks_at_cancelled_returns_at_once(tmp_path):
    async with running(Polling(folder=str(tmp_path)).on("process")) as session:
        await session.send(Json("hold"))
        await appears(tmp_path / "holds")
        settlement = await (await session.interrupt(deadline_s=PATIENCE_S)).settled()
        assert (tmp_path / "let go").exists()
        assert not settlement.late
        await session.send(Json("new"))
        assert await rest(session) == ["new"]


async def test_synchronous_code_that_does_not_is_late_and_its_result_is_dropped(tmp_path):
    async with running(Busy(folder=str(tmp_path)).named("busy").on("process")) as session:
        await session.send(Json("hold"))
        await appears(tmp_path / "holds")
        ack = await session.interrupt(deadline_s=0.05)
        assert (await ack.settled()).late == ("busy",)
        await session.send(Json("new"))
        (tmp_path / "go on").touch()
        assert await rest(session) == ["new"]
        nothing_under_way(session)


async def test_a_late_stage_fails_the_session_where_that_is_wanted(tmp_path):
    async with running(Busy(folder=str(tmp_path)).named("busy").on("process")) as session:
        await session.send(Json("hold"))
        await appears(tmp_path / "holds")
        await session.interrupt(deadline_s=0.05, on_late="fail")
        with pytest.raises(NodeError, match="'busy' had not answered an interrupt") as caught:
            await session.receive()
    assert caught.value.node_id == "busy"


async def test_a_frozen_worker_holds_nobody_up_and_is_named():
    a, b = Pass().named("a").on("process"), Pass().named("b").on("process")
    async with running(a, b) as session:
        await session.send(Json(1))
        assert (await session.receive()).payload.value == 1
        pid = next(stage.pid for stage in session.stages if stage.plan.id == "b")
        os.kill(pid, signal.SIGSTOP)
        try:
            for number in range(50):
                await session.send(Json(number))
            acks = [await session.interrupt(deadline_s=0.3) for _ in range(100)]
            assert (await acks[-1].settled()).late == ("b",)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert not (await (await session.interrupt(deadline_s=PATIENCE_S)).settled()).late
        await session.send(Json("new"))
        assert await rest(session) == ["new"]
        nothing_under_way(session)


@pytest.mark.parametrize("place", PLACES)
async def test_a_coroutine_is_cancelled_where_it_awaits(place, tmp_path):
    async with running(Awaiting(folder=str(tmp_path)).named("c").on(place)) as session:
        await session.send(Json("hold"))
        await appears(tmp_path / "holds")
        settlement = await (await session.interrupt(deadline_s=PATIENCE_S)).settled()
        assert (settlement.dropped, settlement.late) == ({"c": 1}, ())
        await appears(tmp_path / "cancelled")
        await session.send(Json("new"))
        assert await rest(session) == ["new"]
        nothing_under_way(session)


@pytest.mark.parametrize("operator", [Endless, EndlessAsync])
@pytest.mark.parametrize("place", PLACES)
async def test_a_generator_is_closed(place, operator, tmp_path):
    node = operator(folder=str(tmp_path)).named("g").on(place)
    async with running(node, channel_capacity=4) as session:
        await session.send(Json("hold"))
        await appears(tmp_path / "holds")
        assert (await session.receive()).payload.value == "more"
        settlement = await (await session.interrupt(deadline_s=PATIENCE_S)).settled()
        assert not settlement.late
        await appears(tmp_path / "closed")
        await session.send(Json("new"))
        assert await rest(session) == ["new"]
        nothing_under_way(session)


@pytest.mark.parametrize("place", PLACES)
async def test_what_an_operator_holds_is_forgotten(place):
    async with running(Gather().on(place)) as session:
        for value in (1, 2, "give"):
            await session.send(Json(value))
        assert (await session.receive()).payload.value == [1, 2]
        await session.interrupt()
        for value in (3, "give"):
            await session.send(Json(value))
        assert await rest(session) == [[3], ["the end", 3], "over"]


@pytest.mark.parametrize("place", PLACES)
async def test_a_buffer_of_reactivex_is_subscribed_anew(place):
    async with running(Buffer(count=3).named("b").on(place), Pass().on("local")) as session:
        for number in range(5):
            await session.send(Json(number))
        await session.receive()  # the first three; two are held
        await (await session.interrupt("b")).settled()
        for number in range(5, 9):
            await session.send(Json(number))
        values = await rest(session)
        assert [value for group in values for value in _numbers_in(group)] == [5, 6, 7, 8]


def _numbers_in(value):
    """The numbers 0…99 in a JSON value, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for each in value for number in _numbers_in(each)]
    return [value] if isinstance(value, int) else []


@pytest.mark.parametrize("place", PLACES)
async def test_a_debounce_forgets_what_waits_in_it(place):
    async with running(Debounce(time_s=300).named("d").on(place)) as session:
        await session.send(Json("old"))
        await (await session.interrupt()).settled()
        await session.send(Json("new"))
        assert await rest(session) == ["new"]


# ---------------------------------------------------------------------------- uninterruptible


async def test_an_uninterruptible_packet_passes_through_full_queues(tmp_path):
    slow = Polling(folder=str(tmp_path)).named("slow").on("process")
    async with running(Pass().named("a").on("process"), slow, Pass()) as session:
        await session.send(Json("hold"))
        await appears(tmp_path / "holds")
        for number in range(20):
            await session.send(Json(number), uninterruptible=number % 10 == 0)
        await session.interrupt()
        await session.send(Json("new"))
        assert await rest(session) == [0, 10, "new"]
        nothing_under_way(session)


@pytest.mark.parametrize("place", PLACES)
async def test_the_call_with_an_uninterruptible_packet_goes_on(place, tmp_path):
    async with running(Awaiting(folder=str(tmp_path)).on(place), Pass()) as session:
        await session.send(Json("hold"), uninterruptible=True)
        await appears(tmp_path / "holds")
        settlement = await (await session.interrupt()).settled()
        assert settlement.dropped == {}
        await session.send(Json("new"))
        await session.end_input()
        (tmp_path / "go on").touch()
        packets = [packet async for packet in session.outputs()]
        assert [packet.payload.value for packet in packets] == ["hold", "new"]
        assert not (tmp_path / "cancelled").exists()
        nothing_under_way(session)


@pytest.mark.parametrize("place", PLACES)
async def test_an_iterator_over_an_uninterruptible_packet_goes_on(place, tmp_path):
    node = Three(folder=str(tmp_path)).on(place)
    async with running(node, channel_capacity=1) as session:
        await session.send(Json(1), uninterruptible=True)
        await appears(tmp_path / "gives 0")
        await (await session.interrupt()).settled()
        await session.end_input()
        packets = [packet async for packet in session.outputs()]
        assert [packet.payload.value for packet in packets] == [[1, 0], [1, 1], [1, 2]]
        nothing_under_way(session)


async def test_a_group_can_be_uninterruptible():
    async with running(Pass().named("a")) as session:
        await session.send_group({"in": Json("kept")}, uninterruptible=True)
        await session.send(Json("stale"))
        await session.interrupt()
        assert await rest(session) == ["kept"]


# ------------------------------------------------------------------------ the end of the stream


@pytest.mark.parametrize("place", PLACES)
async def test_the_end_survives_an_interrupt_before_the_flush(place, tmp_path):
    async with running(Awaiting(folder=str(tmp_path)).on(place), Gather().on(place)) as session:
        await session.send(Json(1))
        await session.send(Json("hold"))
        await appears(tmp_path / "holds")
        await session.end_input()
        await session.interrupt()
        outputs = [packet async for packet in session.outputs()]
        assert [packet.payload.value for packet in outputs] == [["the end"], "over"]
        assert session.phase == "finished"


@pytest.mark.parametrize("place", PLACES)
async def test_the_end_survives_an_interrupt_of_a_flush(place, tmp_path):
    async with running(AsyncFlush(folder=str(tmp_path)).on(place), Pass()) as session:
        await session.send(Json(1))
        await session.end_input()
        await appears(tmp_path / "flushes")
        await session.interrupt()
        assert [packet async for packet in session.outputs()] == []
        assert session.phase == "finished"
        nothing_under_way(session)


@pytest.mark.parametrize("place", PLACES)
async def test_the_end_survives_an_interrupt_after_the_flush(place):
    async with running(Gather().on(place), channel_capacity=1) as session:
        await session.send(Json(1))
        await session.end_input()
        assert (await session.receive()).payload.value == ["the end", 1]
        await session.interrupt()
        assert [packet async for packet in session.outputs()] == []
        assert session.phase == "finished"
        await session.interrupt()  # nothing is left that could be stale
        assert not (await (await session.interrupt()).settled()).late


# ------------------------------------------------------------------------------ any moment


@pytest.mark.parametrize("place", PLACES)
async def test_a_hundred_interrupts_in_a_row(place):
    async with running(*(Pass().on(place) for _ in range(3))) as session:
        for number in range(20):
            await session.send(Json(number))
        acks = [await session.interrupt() for _ in range(100)]
        await session.send(Json("new"))
        assert await rest(session) == ["new"]
        assert [ack.generation for ack in acks] == list(range(1, 101))
        for ack in acks:
            assert not (await ack.settled()).late
        nothing_under_way(session)


async def test_a_local_coroutine_may_interrupt_its_own_session():
    async with running(Interrupting().named("i"), Pass().named("b").on("process")) as session:
        Interrupting.asked = session.interrupt
        await session.send(Json("interrupt"))
        while session.generation == 0:  # noqa: ASYNC110 - it gives no sign but this
            await asyncio.sleep(0)
        await session.send(Json("new"))
        assert await rest(session) == ["new"]
        nothing_under_way(session)


async def test_an_unknown_scope_is_refused_with_what_was_meant():
    async with running(Pass().named("speaker")) as session:
        with pytest.raises(UsageError, match=r"no node 'speeker'.*did you mean 'speaker'"):
            await session.interrupt("speeker")
        assert session.generation == 0


async def test_a_session_that_was_not_started_cannot_be_interrupted():
    with pytest.raises(UsageError, match="start the session first"):
        await pipeline_of(Pass()).session().interrupt()


async def test_a_closed_session_has_nothing_to_settle():
    async with running(Pass().on("process")) as session:
        await session.send(Json(1))
        open_ack = await session.interrupt()
    assert not (await open_ack.settled()).late
    assert not (await (await session.interrupt()).settled()).late


async def test_a_failed_session_says_why():
    async with running(Misbehave(at=0).named("f")) as session:
        await session.send(Json(1))
        with pytest.raises(NodeError, match="on purpose"):
            await session.receive()
        with pytest.raises(NodeError, match=r"'f' failed in process.*on purpose"):
            await session.interrupt()


def test_a_blocking_session_is_interrupted_from_any_thread(tmp_path):
    pipeline = pipeline_of(Awaiting(folder=str(tmp_path)).named("c").on("process"))
    with pipeline.blocking_session() as session:
        session.send(Json("kept"), uninterruptible=True)
        session.send(Json("hold"))
        assert session.receive(PATIENCE_S).payload.value == "kept"
        received = []
        reader = threading.Thread(target=lambda: received.append(session.receive(PATIENCE_S)))
        reader.start()
        ack = session.interrupt("c", reason="enough", deadline_s=PATIENCE_S)
        assert not ack.settled().late
        assert (ack.generation, ack.nodes, ack.reason) == (1, {"c"}, "enough")
        session.send(Json("new"))
        reader.join(PATIENCE_S)
        assert received[0].payload.value == "new"
    assert ack.over
    assert not ack.settled().late


# ----------------------------------------------------------------- a scope that is not everything


@pytest.mark.parametrize("place", [*PLACES, {"process": "g"}])
async def test_what_is_before_the_scope_is_kept_and_goes_into_it(place, tmp_path):
    """What waits in a node outside the scope was not dropped, and is newer once it comes out."""
    before = Awaiting(folder=str(tmp_path)).named("before")
    behind = Pass().named("behind")
    if isinstance(place, dict):
        before, behind = before.on("process", group="g"), behind.on("process", group="g")
    else:
        before, behind = before.on(place), behind.on(place)
    async with running(before, behind) as session:
        await session.send(Json("hold"))
        await appears(tmp_path / "holds")
        await session.send(Json("queued"))
        settlement = await (await session.interrupt("behind")).settled()
        assert (settlement.dropped, settlement.late) == ({}, ())
        (tmp_path / "go on").touch()
        await session.end_input()
        packets = [packet async for packet in session.outputs()]
        assert [packet.payload.value for packet in packets] == ["hold", "queued"]
        assert {packet.generation for packet in packets} == {1}
        nothing_under_way(session)


# ----------------------------------------------------------- beside what else the engine can do


async def test_a_node_that_restarts_forgets_what_waits_for_it(tmp_path):
    node = restarting(Fail(folder=str(tmp_path), at={"3": 1}))
    async with running(node, Pass().named("b").on("process")) as session:
        for number in range(20):
            await session.send(Json(number))
            if number == 3:
                await appears(tmp_path / "at-3.0")
        ack = await session.interrupt(deadline_s=PATIENCE_S)
        await session.send(Json(99))
        assert not (await ack.settled()).late
        values = await rest(session)
        assert values == [[99, 0], [99, 1], [99, 2], ["end", 0], ["end", 1]]
        nothing_under_way(session)


async def test_a_restarting_node_outside_the_scope_loses_nothing(tmp_path):
    node = restarting(Fail(folder=str(tmp_path), at={"3": 1}))
    async with running(node, Pass().named("b"), channel_capacity=100) as session:
        for number in range(5):
            await session.send(Json(number))
        await appears(tmp_path / "at-3.0")
        await session.interrupt("b", deadline_s=PATIENCE_S)
        values = await rest(session)
        # Whatever the process gave before it failed may have been in the scope.
        later = [[3, 1], [3, 2], [4, 0], [4, 1], [4, 2], ["end", 0], ["end", 1]]
        assert values[-len(later) :] == later
        nothing_under_way(session)


async def test_a_node_that_is_being_restarted_does_not_hold_an_interrupt_up(tmp_path):
    fail = Fail(folder=str(tmp_path), at={"3": 1})
    node = restarting(fail, {"max": 3, "backoff_ms": 30_000})
    async with running(node) as session:
        restarts = asyncio.Event()
        session.on_progress(lambda step: step.status == "restarting" and restarts.set())
        await session.send(Json(3))
        await restarts.wait()
        await session.send(Json(4))
        settlement = await (await session.interrupt(deadline_s=10)).settled()
        assert not settlement.late
        assert session.statistics().stages["r"].restarts == 1
        assert session.receive_nowait() is None


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "latest", "error"])
@pytest.mark.parametrize("place", PLACES)
async def test_what_waits_before_a_dropping_edge_is_dropped_too(place, overflow, tmp_path):
    source = Pass().named("a").on(place).into(capacity=6, overflow=overflow)
    async with running(source, Hold().named("hold").on("process")) as session:
        go_on = tmp_path / "go on"
        await session.send(Json({"number": 0, "until": str(go_on)}), uninterruptible=True)
        for number in range(1, 6):  # as many as the edge holds
            await session.send(Json({"number": number}))
        # Another process says so only in its counts.
        while session.statistics().edges["a.out→hold.in"].sent < 6:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        await (await session.interrupt("a", deadline_s=PATIENCE_S)).settled()
        for number in range(10, 14):  # there is room for them
            await session.send(Json({"number": number}))
        go_on.touch()
        numbers = [value["number"] for value in await rest(session)]
        assert [number for number in numbers if number] == [10, 11, 12, 13]
        nothing_under_way(session)
