"""A node that is started again: nothing lost, nothing twice, in order, and nothing left behind."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import random
import signal

import numpy as np
import pytest

from engine.config import Settings
from engine.errors import EdgeError, ManifestError, NodeError
from engine.executors import relayed_worker
from engine.executors.restarting import RestartingStage
from engine.flags import FLAG_GAP
from engine.payloads import Audio, Json
from engine.pipeline import Pipeline
from engine.session.wiring import Wiring
from tests.integration.conftest import PATIENCE_S, digest
from tests.integration.restart_operators import (
    Count,
    Fail,
    FailAsync,
    Keep,
    Pass,
    make_registry,
)

pytestmark = [pytest.mark.process, pytest.mark.fault]

SETTINGS = Settings(cleanup_grace_s=3.0)
#: Of a process, so often that it does not matter, without pauses.
OFTEN = {"max": 1000, "backoff_ms": 0}


def pipeline_of(*steps, **settings):
    pipeline = Pipeline(
        "test", registry=make_registry(), settings=dataclasses.replace(SETTINGS, **settings)
    )
    for step in steps:
        pipeline |= step
    return pipeline


def restarting(operator, rule=None, **more):
    return operator.named("r").on("process", restart=OFTEN if rule is None else rule, **more)


def told(packets):
    """What packets say of themselves, in order."""
    return [(packet.sequence, packet.index, packet.payload.value) for packet in packets]


def expected_of(count, times=3):
    """What `Count` gives for so many numbers."""
    of_numbers = [
        (number, place, [number, place]) for number in range(count) for place in range(times)
    ]
    return [*of_numbers, *((count - 1, times + place, ["end", place]) for place in range(2))]


async def run(pipeline, inputs, on_progress=None):
    """Outputs and statistics of a pipeline that is fed with inputs."""
    async with asyncio.timeout(PATIENCE_S), pipeline.session(on_progress) as session:
        outputs = [packet async for packet in session.stream(inputs)]
        return outputs, session.statistics()


def numbers(count):
    return [Json(number) for number in range(count)]


# --------------------------------------------------------------------------------- without failures


async def test_without_failures_it_gives_what_it_gives_anywhere():
    expected = told((await run(pipeline_of(Count().named("r")), numbers(50)))[0])
    outputs, statistics = await run(pipeline_of(restarting(Count())), numbers(50))
    assert told(outputs) == expected == expected_of(50)
    stage = statistics.stages["r"]
    assert (stage.restarts, stage.dropped) == (0, 0)
    assert (stage.nodes["r"].received, stage.nodes["r"].emitted) == (50, 152)


@pytest.mark.parametrize("before", ["local", "process"])
@pytest.mark.parametrize("after", ["local", "process"])
async def test_it_stands_between_nodes_of_any_place(before, after):
    steps = Pass().named("a").on(before), restarting(Count()), Pass().named("b").on(after)
    outputs, _ = await run(pipeline_of(*steps), numbers(60))
    assert [packet.payload.value for packet in outputs] == [
        value for _, _, value in expected_of(60)
    ]


async def test_without_input_it_ends():
    outputs, _ = await run(pipeline_of(restarting(Count())), [])
    assert [packet.payload.value for packet in outputs] == [["end", 0], ["end", 1]]


# ------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize("operator", [Fail, FailAsync])
@pytest.mark.parametrize("how", ["kill", "raise", "exit"])
async def test_a_turn_that_failed_is_repeated_and_comes_out_once(tmp_path, operator, how):
    node = operator(folder=str(tmp_path), at={"3": 1, "7": 1, "8": 1}, how=how, before=2)
    outputs, statistics = await run(pipeline_of(restarting(node)), numbers(20))
    assert told(outputs) == expected_of(20)
    assert (statistics.stages["r"].restarts, statistics.stages["r"].dropped) == (3, 0)


@pytest.mark.parametrize("how", ["spin", "stop"])
async def test_a_process_that_hangs_is_replaced(tmp_path, how):
    node = Fail(folder=str(tmp_path), at={"3": 1}, how=how)
    timeout_ms = 300 if how == "spin" else None
    pipeline = pipeline_of(restarting(node, timeout_ms=timeout_ms), hang_timeout_s=0.9)
    outputs, statistics = await run(pipeline, numbers(10))
    assert told(outputs) == expected_of(10)
    assert statistics.stages["r"].restarts == 1


async def test_a_failure_at_the_end_of_the_stream_repeats_the_end_alone(tmp_path):
    node = Fail(folder=str(tmp_path), ends=2)
    outputs, statistics = await run(pipeline_of(restarting(node)), numbers(5))
    assert told(outputs) == expected_of(5)
    assert statistics.stages["r"].restarts == 2


async def test_outputs_of_one_sequence_are_counted_on(tmp_path):
    # Three packets of each sequence reach the node, and a process dies with the second one.
    at = {f"[{number}, 1]": 1 for number in range(4)}
    first = Count().named("a")
    disturbed = pipeline_of(first, restarting(Fail(folder=str(tmp_path), at=at)))
    outputs, statistics = await run(disturbed, numbers(4))
    undisturbed, _ = await run(pipeline_of(first, Count().named("r")), numbers(4))
    assert told(outputs) == told(undisturbed)
    assert statistics.stages["r"].restarts == 4


async def test_a_packet_that_two_processes_failed_with_is_dropped(tmp_path, caplog):
    node = Fail(folder=str(tmp_path), at={"3": 2, "5": 1}, before=0)
    steps = []
    with caplog.at_level(logging.WARNING, "remotemedia.session"):
        outputs, statistics = await run(pipeline_of(restarting(node)), numbers(10), steps.append)
    kept = [packet for packet in expected_of(10) if packet[0] != 3]
    assert told(outputs) == kept
    stage = statistics.stages["r"]
    assert (stage.restarts, stage.dropped) == (3, 1)
    (record,) = [r for r in caplog.records if r.getMessage().startswith("packet_dropped")]
    assert "packet 3 is dropped" in record.getMessage()
    words = [step.status for step in steps if step.status in {"restarting", "dropped"}]
    assert words == ["restarting", "restarting", "dropped", "restarting"]


async def test_what_comes_behind_a_dropped_packet_says_so(tmp_path):
    # Of packet 3 one output has gone on when it is dropped, of packet 5 none.
    node = Fail(folder=str(tmp_path), at={"3": 2, "5": 1, "8": 2}, before=1, times=2)
    outputs, statistics = await run(pipeline_of(restarting(node)), numbers(10))
    assert statistics.stages["r"].dropped == 2
    lost = [(number, 1, [number, 1]) for number in (3, 8)]
    assert told(outputs) == [each for each in expected_of(10, times=2) if each not in lost]
    marked = [(packet.sequence, packet.index) for packet in outputs if packet.flags & FLAG_GAP]
    assert marked == [(4, 0), (9, 0)]


async def test_each_out_edge_says_that_a_packet_was_dropped(tmp_path):
    left = Pass().named("left").on("local")
    right = Pass().named("right").on("process")
    node = Fail(folder=str(tmp_path), at={"1": 2}, before=0, times=1)
    # `before=0` is the only output: it fails before anything has gone on.
    outputs, _ = await run(pipeline_of(restarting(node), left & right), numbers(3))
    marked = [
        (packet.source.node, packet.sequence) for packet in outputs if packet.flags & FLAG_GAP
    ]
    assert sorted(marked) == [("left", 2), ("right", 2)]


async def test_more_failures_than_allowed_end_the_session_with_the_last_one(tmp_path):
    node = Fail(folder=str(tmp_path), at={"2": 1, "4": 1, "6": 1}, how="raise", before=1)
    pipeline = pipeline_of(restarting(node, {"max": 2, "backoff_ms": 1}))
    received = []

    async def receive():
        async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
            for number in range(20):
                await session.send(Json(number))
            async for packet in session.outputs():
                received.append(packet)  # noqa: PERF401 - those before the error are wanted, too

    with pytest.raises(NodeError, match="on purpose") as caught:
        await receive()
    assert caught.value.node_id == "r"
    assert str(caught.value).endswith("on purpose, after 2 restarts (restart.max)")
    assert caught.value.context["sequence"] == 6
    assert told(received) == [item for item in expected_of(20) if item[0] < 6] + [(6, 0, [6, 0])]


async def test_a_start_that_fails_at_first_fails_as_ever(tmp_path):
    node = Fail(folder=str(tmp_path), starts=[0])
    with pytest.raises(NodeError, match="cannot start"):
        await run(pipeline_of(restarting(node)), numbers(1))
    assert len(list(tmp_path.glob("start.*"))) == 1


async def test_a_start_that_fails_later_counts_as_a_restart(tmp_path):
    node = Fail(folder=str(tmp_path), at={"3": 1}, starts=[1, 2])
    outputs, statistics = await run(pipeline_of(restarting(node)), numbers(10))
    assert told(outputs) == expected_of(10)
    assert statistics.stages["r"].restarts == 3


@pytest.mark.parametrize(
    ("failures", "dropped", "expected"),
    [(1, 0, ["3", "3", "3", "3"]), (2, 2, ["3", "6", "12", "24"])],
    ids=["each packet succeeds at last", "none does"],
)
async def test_the_pauses_double_while_nothing_succeeds(tmp_path, failures, dropped, expected):
    failing = 4 // failures
    node = Fail(folder=str(tmp_path), at={str(number): failures for number in range(failing)})
    steps = []
    rule = {"max": 10, "backoff_ms": 3}
    outputs, _ = await run(pipeline_of(restarting(node, rule)), numbers(6), steps.append)
    whole = [each for each in told(outputs) if each[0] >= dropped]
    assert whole == [each for each in expected_of(6) if each[0] >= dropped]
    pauses = [
        step.message.split(" in ")[1].split(" ms")[0]
        for step in steps
        if step.status == "restarting"
    ]
    assert pauses == expected


async def test_what_a_failed_process_gave_goes_on_before_the_pause(tmp_path):
    node = FailAsync(folder=str(tmp_path), at={"1": 1}, before=2)
    rule = {"max": 3, "backoff_ms": 20_000}
    pipeline = pipeline_of(restarting(node, rule), Pass().named("b").on("process"))
    steps = []
    async with asyncio.timeout(PATIENCE_S), pipeline.session(steps.append) as session:
        stage = next(stage for stage in session.stages if stage.plan.id == "r")
        await session.send(Json(1))
        while stage._turn is None:  # noqa: ASYNC110 - nothing else tells of it
            await asyncio.sleep(0)
        # Blocks the loop, so that it finds the outputs and the failure at one time.
        assert stage._worker.stage._worker.wait_exited(PATIENCE_S)
        received = [await session.receive() for _ in range(2)]
        assert steps[-1].status == "restarting"
    assert told(received) == [(0, 0, [1, 0]), (0, 1, [1, 1])]


async def test_what_breaks_in_the_relay_fails_the_session(monkeypatch):
    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(RestartingStage, "_next_turn", broken)
    with pytest.raises(NodeError, match=r"'r' broke in the relay .*ZeroDivisionError") as caught:
        await run(pipeline_of(restarting(Count())), numbers(1))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


async def test_a_relay_that_cannot_be_made_leaves_nothing(monkeypatch):
    made = []

    class Refused(Wiring):
        def receivers_of(self, _):
            made.append(self)
            raise EdgeError("cannot map shared memory")

    monkeypatch.setattr(relayed_worker, "Wiring", Refused)
    with pytest.raises(EdgeError, match="cannot map"):
        await run(pipeline_of(restarting(Count())), numbers(1))
    (wiring,) = made
    assert not wiring._arenas
    assert not wiring._doorbells


# ------------------------------------------------------------------------------- kills from outside


@pytest.mark.parametrize("seed", range(4))
async def test_kills_at_any_moment_lose_nothing(seed):
    rnd = random.Random(seed)
    last = Pass().named("b").on(rnd.choice(["local", "process"]))
    capacity = rnd.choice([1, 3, 100])
    pipeline = pipeline_of(Pass().named("a"), restarting(Count()), last, channel_capacity=capacity)
    received, kills, turns = [], 0, 0
    async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
        stage = next(stage for stage in session.stages if stage.plan.id == "r")
        async for packet in session.stream(numbers(200)):
            received.append(packet)
            # While there is more to come; and no packet meets two kills, or it would be dropped.
            ended = stage.statistics()["r"].nodes["r"].received
            if len(received) < 300 and rnd.random() < 0.05 and ended >= turns and stage.pid:
                os.kill(stage.pid, signal.SIGKILL)
                kills, turns = kills + 1, ended + 2
        statistics = session.statistics()
    of_count = expected_of(200)
    assert [packet.payload.value for packet in received] == [value for *_, value in of_count]
    assert [packet.sequence for packet in received] == [sequence for sequence, *_ in of_count]
    assert statistics.stages["r"].dropped == 0
    assert 2 <= statistics.stages["r"].restarts <= kills


async def test_large_payloads_survive_the_process_they_came_from():
    inputs = [Audio(np.full(100_000, number, np.float32), 16_000) for number in range(40)]
    pipeline = pipeline_of(restarting(Pass()), shm_segment_bytes=4 * 1024**2)
    received = []
    async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
        (stage,) = session.stages
        async for packet in session.stream(inputs):
            received.append(packet)
            if len(received) in {3, 20}:
                os.kill(stage.pid, signal.SIGKILL)
    assert [digest(packet.payload) for packet in received] == [digest(each) for each in inputs]


async def test_a_slow_consumer_stops_it_and_loses_nothing(tmp_path):
    node = Fail(
        folder=str(tmp_path), at={str(number): 1 for number in (5, 20)}, times=20, before=10
    )
    pipeline = pipeline_of(restarting(node), channel_capacity=2)
    async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
        received, sent = [], 0

        async def send():
            nonlocal sent
            for payload in numbers(40):
                await session.send(payload)
                sent += 1
            await session.end_input()

        sending = asyncio.create_task(send())
        while (packet := await session.receive()) is not None:
            received.append(packet)
            await asyncio.sleep(0)
            # Two on the way in, one with the worker, and what is on the way out.
            assert sent <= packet.sequence + 5
        await sending
        assert session.statistics().stages["r"].restarts == 2
    assert told(received) == expected_of(40, times=20)


async def test_several_inputs_and_outputs_around_it():
    nodes = {"x": "Pass", "y": "Pass", "r": "Fanned", "n": "Pass", "f": "Pass"}
    manifest = {
        "version": "v1",
        "metadata": {"name": "fan"},
        "nodes": [{"id": node, "node_type": kind} for node, kind in nodes.items()],
        "connections": [
            {"from": "x", "to": "r", "to_port": "left"},
            {"from": "y", "to": "r", "to_port": "right"},
            {"from": "r", "from_port": "near", "to": "n"},
            {"from": "r", "from_port": "far", "to": "f"},
            {"from": "r", "from_port": "far", "to": "n"},
        ],
    }
    manifest["nodes"][2] |= {"executor": "process", "restart": OFTEN}
    pipeline = Pipeline.from_manifest(manifest, registry=make_registry(), settings=SETTINGS)
    inputs = [("xy"[number % 2], Json(number)) for number in range(200)]
    received, killed = [], 0
    async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
        stage = next(stage for stage in session.stages if stage.plan.id == "r")
        async for packet in session.stream(inputs):
            received.append(packet)
            if len(received) in {20, 120} and stage.pid:
                os.kill(stage.pid, signal.SIGKILL)
                killed += 1
    assert killed
    even, odd = [list(range(start, 200, 2)) for start in (0, 1)]
    of_f = [packet.payload.value for packet in received if packet.source.node == "f"]
    assert of_f == odd
    of_n = [packet.payload.value for packet in received if packet.source.node == "n"]
    assert [value for value in of_n if value % 2 == 0] == even
    assert [value for value in of_n if value % 2] == odd


# ------------------------------------------------------------------------------------ ending early


@pytest.mark.parametrize("how", ["close", "cancel", "kill"])
async def test_an_end_during_the_pause_leaves_nothing(tmp_path, how):
    paused = asyncio.Event()

    def on_progress(step):
        if step.status == "restarting":
            paused.set()

    node = Fail(folder=str(tmp_path), at={"1": 1})
    pipeline = pipeline_of(restarting(node, {"max": 3, "backoff_ms": 30_000}))
    async with asyncio.timeout(PATIENCE_S), pipeline.session(on_progress) as session:
        await session.send(Json(1))
        await paused.wait()
        if how != "close":
            getattr(session, how)()
    assert session.phase == "closed"


@pytest.mark.parametrize("seed", range(6))
async def test_an_end_at_any_moment_leaves_nothing(tmp_path, seed):
    rnd = random.Random(seed)
    at = {str(number): 1 for number in range(0, 40, 3)}
    pipeline = pipeline_of(restarting(Fail(folder=str(tmp_path), at=at)))
    steps = rnd.randint(1, 400)
    async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
        for number in range(40):
            await session.send(Json(number))
        while steps and session.receive_nowait() is None:
            await asyncio.sleep(0)
            steps -= 1
        rnd.choice([lambda: None, session.cancel, session.kill])()
    assert session.phase == "closed"


# ---------------------------------------------------------------------------------------- the plan


def problem_of(step):
    with pytest.raises(ManifestError) as caught:
        pipeline_of(step).plan()
    (problem,) = caught.value.problems
    assert problem.path == "nodes[0].restart"
    return problem.message


def test_only_a_stateless_node_in_a_process_of_its_own_is_started_again():
    rule = {"max": 2, "backoff_ms": 5}
    assert "only a process" in problem_of(Count().on("local", restart=rule))
    assert "keeps state" in problem_of(Keep().on("process", restart=rule))
    pair = Count().on("process", group="g", restart=rule) | Count().on("process", group="g")
    assert "shares the process 'g'" in problem_of(pair)
    alone = pipeline_of(Count().on("process", group="g", restart=rule)).plan()
    assert alone.stages[0].restart is not None
    assert "started again at most 2 times" in alone.describe()


def test_the_rule_goes_to_a_manifest_and_back():
    pipeline = pipeline_of(restarting(Count(), {"max": 2, "backoff_ms": 5}))
    manifest = pipeline.to_manifest()
    assert manifest["nodes"][0]["restart"] == {"max": 2, "backoff_ms": 5}
    read = Pipeline.from_manifest(manifest, registry=make_registry())
    assert read.plan().stages == pipeline.plan().stages
