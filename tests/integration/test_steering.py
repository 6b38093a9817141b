"""A running session is steered, wherever nodes run: hands, orders, and what goes wrong."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import os
import random
import signal

import pytest

from engine.errors import (
    EdgeClosedError,
    NodeError,
    RemoteMediaError,
    ResourceLimitError,
    UsageError,
)
from engine.flags import FLAG_GAP
from engine.payloads import BatchHint, CancelSpeculation, Control, Json, Text
from engine.pipeline import Pipeline
from engine.session.orders import UNANSWERED_MAX
from tests.integration.conftest import PATIENCE_S, SETTINGS, graph
from tests.integration.graph_operators import MakeTensor, Measure, Pass
from tests.integration.interrupt_operators import Awaiting, Busy
from tests.integration.restart_operators import Fanned
from tests.integration.steering_operators import Hear, Say, SayOn, SaySoon, Speak, SpeakEarly
from tests.integration.test_interrupt import RESTARTING, graph_of
from tests.integration.test_restart import OFTEN

pytestmark = pytest.mark.process

#: Long enough that nothing in a test waits for it.
NEVER_MS = 10 * PATIENCE_S * 1e3
PLACES = ["local", "process", "group", "restarting"]
#: Where outputs can be intercepted.
FIRM_PLACES = PLACES[:3]


def placed(operator, name, place):
    node = operator.named(name)
    if place == "group":
        return node.on("process", group="g")
    if place == "restarting":
        return node.on("process", restart=OFTEN)
    return node.on(place)


def pipeline_of(*steps, **settings):
    pipeline = Pipeline("steered", settings=dataclasses.replace(SETTINGS, **settings))
    for step in steps:
        pipeline = pipeline | step
    return pipeline


@contextlib.asynccontextmanager
async def running(*steps, **settings):
    async with asyncio.timeout(PATIENCE_S), pipeline_of(*steps, **settings).session() as session:
        yield session


def chain(place, node=None, **settings):
    """A session of a → n → b, all in one kind of place; n is the node that matters."""
    node = Say() if node is None else node
    steps = placed(Pass(), "a", place), placed(node, "n", place), placed(Pass(), "b", place)
    return running(*steps, **settings)


async def until(condition):
    """Wait for what no event tells."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.002)


async def rest(session):
    """What comes out when nothing more is sent."""
    await session.end_input()
    return [packet.payload.value async for packet in session.outputs()]


async def some(session, count):
    """The next outputs."""
    return [(await session.receive()).payload.value for _ in range(count)]


async def taken_by_n(session, count):
    """Wait until the node n has taken so many packets."""
    while count not in (await session.set_params("n", {})).edge_seq.values():  # noqa: ASYNC110
        await asyncio.sleep(0.002)


def pid_of(session, node="n"):
    return next(stage.pid for stage in session.stages if node in stage.node_ids)


# --------------------------------------------------------------------------------- params


@pytest.mark.parametrize("place", PLACES)
async def test_params_change_and_say_from_where_on(place):
    async with chain(place) as session:
        await session.send(Json(0))
        assert await some(session, 1) == [[0, "a"]]
        taken = await session.set_params("n", {"word": "b"})
        assert (taken.params["word"], list(taken.edge_seq.values())) == ("b", [1])
        await session.send(Json(1))
        assert await some(session, 1) == [[1, "b"]]
        for params, said in (
            ({"ballast": "x"}, "'ballast' of node 'n' .*may not change"),
            ({"wort": "x"}, "did you mean 'word'"),
            ({"word": 7}, "were not changed: word"),
        ):
            with pytest.raises(UsageError, match=said):
                await session.set_params("n", params)
        with pytest.raises(NodeError, match="not that word"):
            await session.set_params("n", {"word": "refused"})
        with pytest.raises(UsageError, match="no node 'm'"):
            await session.set_params("m", {})
        await session.send(Json(2))
        assert await rest(session) == [[2, "b"]]


async def thousand_changes(node, place, count=1000):
    """Change a param again and again under load; outputs, and the boundaries as they were told."""
    async with running(placed(node, "n", place), channel_capacity=8) as session:
        boundaries, outputs = [], []

        async def change():
            for number in range(count):
                taken = await session.set_params("n", {"word": str(number)})
                assert taken.params["word"] == str(number)
                (boundary,) = taken.edge_seq.values()
                boundaries.append(boundary)

        async def send(changing):
            while not changing.done():
                await session.send(Json(0))
            await session.send(Json(0))
            await session.end_input()

        async with asyncio.TaskGroup() as group:
            changing = group.create_task(change())
            group.create_task(send(changing))
            outputs = [packet async for packet in session.outputs()]
    return outputs, boundaries


@pytest.mark.parametrize("place", ["local", "process"])
@pytest.mark.parametrize("cls", [Say, SaySoon, SayOn])
async def test_each_of_a_thousand_changes_says_exactly_where_it_took_effect(cls, place):
    outputs, boundaries = await thousand_changes(cls(), place)
    assert len(boundaries) == 1000
    assert boundaries == sorted(boundaries)
    assert len(set(boundaries)) > 1  # there were packets between them
    sequences = [packet.sequence for packet in outputs]
    times = 2 if cls is SayOn else 1
    assert sequences == [number for number in range(len(outputs) // times) for _ in range(times)]
    met = 0
    for packet in outputs:
        while met < len(boundaries) and boundaries[met] <= packet.sequence:
            met += 1
        word = str(met - 1) if met else "a"
        assert set(packet.payload.value[1:]) == {word}, packet
    assert met == 1000


async def test_a_change_says_where_it_took_effect_beside_what_is_published(tmp_path):
    async with running(placed(Say(), "n", "restarting")) as session:
        for number in range(3):
            await session.send(Json(number))
            await session.publish("n", Json("p"))
        await some(session, 6)
        taken = await session.set_params("n", {"word": "b"})
        assert taken.edge_seq[next(edge for edge in taken.edge_seq if "publish" not in edge)] == 3
        await session.send(Json(3))
        assert await rest(session) == [[3, "b"]]


async def test_the_next_process_of_a_node_that_restarts_has_its_params_and_state():
    async with running(placed(Say(), "n", "restarting"), Pass().named("b")) as session:
        await session.set_params("n", {"word": "b"})
        await session.send(Json(0))
        assert await some(session, 1) == [[0, "b"]]
        first = pid_of(session)
        os.kill(first, signal.SIGKILL)
        taken = await session.set_params("n", {"word": "c"})  # of whichever process
        assert taken.params["word"] == "c"
        await session.send(Json(1))
        assert await some(session, 1) == [[1, "c"]]
        await until(lambda: pid_of(session) not in {0, first})
        os.kill(pid_of(session), signal.SIGKILL)
        await session.send(Json(2))
        assert await some(session, 1) == [[2, "c"]]
        await session.set_node_state("n", "bypass")
        os.kill(pid_of(session), signal.SIGKILL)
        await session.send(Json(3))
        assert await rest(session) == [3]


async def test_the_next_process_has_the_value_that_was_said_last_however_it_was_spelled():
    async with running(placed(Say(), "n", "restarting")) as session:
        for name, word in (("last_word", "b"), ("lastWord", "c"), ("last_word", "d")):
            await session.set_params("n", {name: word})
        os.kill(pid_of(session), signal.SIGKILL)
        await session.send(Json(0))
        assert await rest(session) == [[0, "ad"]]


@pytest.mark.parametrize("place", PLACES[1:])
async def test_a_value_that_cannot_cross_to_a_process_is_refused(place):
    async with chain(place) as session:
        with pytest.raises(UsageError, match="cannot be told"):
            await session.set_params("n", {"word": object()})
        with pytest.raises(UsageError, match="cannot be told"):
            await session.set_params("n", {"word": "x" * 200_000})
        await session.send(Json(0))
        assert await rest(session) == [[0, "a"]]


async def test_params_that_are_too_large_to_be_told_break_nothing():
    async with chain("process", Say(ballast="x" * 200_000)) as session:
        with pytest.raises(RemoteMediaError, match="too large"):
            await session.set_params("n", {"word": "b"})
        await session.send(Json(0))
        assert await rest(session) == [[0, "b"]]


# --------------------------------------------------------------------------------- states


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("cls", [Say, SaySoon])
async def test_a_node_is_bypassed_disabled_and_enabled_again(cls, place):
    async with chain(place, cls()) as session:
        values = []
        for number, state in enumerate(("enabled", "bypass", "disabled", "enabled")):
            await session.set_node_state("n", state)
            await session.send(Json(number))
            await taken_by_n(session, number + 1)
            if state != "disabled":
                values += await some(session, 1)
        said = ["a"] * (2 if cls is SaySoon else 1)
        assert values == [[0, *said], 1, [3, *said]]
        with pytest.raises(UsageError, match="a node's state is one of"):
            await session.set_node_state("n", "asleep")
        assert await rest(session) == []


# ----------------------------------------------------------------------------------- taps


@pytest.mark.parametrize("place", PLACES)
async def test_a_tap_shows_all_that_leaves_a_node(place):
    async with chain(place) as session:
        async with await session.tap("n") as tap:
            await session.send(Json(0), metadata={"user": "eva"})
            packet = await tap.receive()
            assert packet.payload.value == [0, "a"]
            assert (str(packet.source), packet.metadata) == ("n.out", {"user": "eva"})
            for number in range(1, 40):
                await session.send(Json(number))
                shown = await tap.receive()
                assert (shown.payload.value, shown.sequence) == ([number, "a"], number)
            assert tap.dropped == 0
        assert await tap.receive() is None
        await tap.aclose()
        assert len(await rest(session)) == 40


@pytest.mark.parametrize("place", PLACES)
async def test_a_tap_ends_with_its_node(place):
    async with chain(place) as session:
        tap = await session.tap("n")
        for number in range(3):
            await session.send(Json(number))
        assert len(await rest(session)) == 3
        assert [packet.payload.value[0] async for packet in tap] == [0, 1, 2]
        assert tap.ended


@pytest.mark.parametrize("place", PLACES)
async def test_a_tap_whose_reader_sleeps_loses_for_itself_only(place):
    async with chain(place) as session:
        sleeping, awake = await session.tap("n"), await session.tap("n")
        seen = []
        for number in range(150):
            await session.send(Json(number))
            seen += await some(session, 1)
            assert (await awake.receive()).payload.value == seen[-1]
        assert seen == [[number, "a"] for number in range(150)]
        assert sleeping.dropped > 0
        shown = [sleeping.receive_nowait() for _ in range(150 - sleeping.dropped)]
        while shown[-1] is None:
            shown.pop()
        assert [packet.sequence for packet in shown] == list(range(len(shown)))
        behind = None
        while behind is None:  # until its process knows that there is room again
            await session.send(Json("next"))
            await some(session, 1)
            await asyncio.sleep(0.002)
            behind = sleeping.receive_nowait()
        assert (behind.payload.value, behind.flags & FLAG_GAP) == (["next", "a"], FLAG_GAP)
        await session.send(Json("last"))
        assert not (await session.receive()).flags & FLAG_GAP
        assert await rest(session) == []


@pytest.mark.parametrize("kind", ["tap", "intercept"])
async def test_a_hand_whose_reader_sleeps_keeps_no_shared_memory(kind):
    """What a local node is shown of lies in the memory of a process before it."""
    maker, local = MakeTensor().named("m").on("process"), Pass().named("n").on("local")
    async with running(maker, local, Measure(), shm_segment_bytes=4 << 20) as session:
        if kind == "tap":
            hand = await session.tap("n")
        else:
            hand = await session.intercept("n", deadline_ms=1)
        inputs = (Json(500_000) for _ in range(100))
        outputs = [packet.payload.value async for packet in session.stream(inputs)]
        assert outputs == [[500_000, 7, 7]] * 100
        assert hand.node == "n"


# -------------------------------------------------------------------------- interceptions


@pytest.mark.parametrize("place", FIRM_PLACES)
async def test_outputs_are_replaced_dropped_and_let_pass(place):
    async with chain(place) as session:
        async with await session.intercept("n", deadline_ms=NEVER_MS) as interception:

            async def decide():
                async for request in interception:
                    number = request.packet.payload.value[0]
                    if number % 3 == 1:
                        request.replace(Text(str(number)))
                    elif number % 3 == 2:
                        request.drop()
                    else:
                        request.let_pass()

            deciding = asyncio.create_task(decide())
            inputs = (Json(number) for number in range(90))
            outputs = [packet async for packet in session.stream(inputs)]
            await deciding
        assert [packet.sequence for packet in outputs] == [n for n in range(90) if n % 3 != 2]
        for packet in outputs:
            if packet.sequence % 3 == 1:
                assert packet.payload.text == str(packet.sequence)
            else:
                assert packet.payload.value == [packet.sequence, "a"]
        await interception.aclose()
        assert await interception.receive() is None


@pytest.mark.parametrize("place", ["local", "process"])
@pytest.mark.parametrize("how", ["closed", "silent", "cancelled", "some"])
async def test_a_client_that_vanishes_loses_nothing_and_changes_no_order(how, place):
    count = 200
    async with chain(place) as session:
        interception = await session.intercept("n", deadline_ms=5)
        seen = asyncio.Event()

        async def decide():
            async for request in interception:
                if request.packet.sequence == 5:
                    seen.set()
                    await asyncio.Event().wait()
                if how != "silent":
                    request.let_pass()

        deciding = asyncio.create_task(decide())

        async def vanish():
            await seen.wait()
            if how == "closed":
                await interception.aclose()
            elif how == "cancelled":
                deciding.cancel()

        vanishing = asyncio.create_task(vanish())
        inputs = (Json(number) for number in range(count))
        outputs = [packet async for packet in session.stream(inputs)]
        assert [packet.payload.value for packet in outputs] == [[n, "a"] for n in range(count)]
        await vanishing
        deciding.cancel()
        await asyncio.wait([deciding])


@pytest.mark.parametrize("place", FIRM_PLACES)
async def test_what_is_held_passes_when_the_interception_is_closed_and_another_may_follow(place):
    async with chain(place) as session:
        for number in range(3):
            interception = await session.intercept("n", deadline_ms=NEVER_MS)
            with pytest.raises(UsageError, match="intercepted already"):
                await session.intercept("n")
            await session.send(Json(number))
            request = await interception.receive()
            await interception.aclose()
            request.drop()  # too late
            await interception.aclose()
            assert await some(session, 1) == [[number, "a"]]
        assert await rest(session) == []


@pytest.mark.parametrize("place", FIRM_PLACES)
async def test_an_interrupt_drops_what_is_held_and_hides_its_requests(place):
    async with chain(place) as session:
        tap = await session.tap("n")
        interception = await session.intercept("n", deadline_ms=NEVER_MS)
        await session.send(Json("old"))
        assert (await interception.receive()).packet.payload.value == ["old", "a"]
        await session.send(Json("older"))
        await session.send(Json("oldest"))
        ack = await session.interrupt(deadline_s=PATIENCE_S)
        assert not (await ack.settled()).late
        await session.send(Json("new"))
        request = await interception.receive()
        assert request.packet.payload.value == ["new", "a"]
        assert (await tap.receive()).payload.value == ["new", "a"]
        request.let_pass()
        assert await rest(session) == [["new", "a"]]


async def test_outputs_of_a_node_that_may_restart_cannot_be_intercepted():
    async with chain("restarting") as session:
        with pytest.raises(UsageError, match="may be started again"):
            await session.intercept("n")
        await session.send(Json(0))
        assert await rest(session) == [[0, "a"]]


async def test_a_deadline_is_some_time():
    async with chain("local") as session:
        for deadline_ms in (0, -1, float("inf"), float("nan")):
            with pytest.raises(UsageError, match="deadline"):
                await session.intercept("n", deadline_ms=deadline_ms)


# ------------------------------------------------------------------------------- fan-outs


@pytest.mark.parametrize("place", ["local", "process"])
async def test_hands_on_a_node_whose_outputs_go_several_ways(place):
    nodes = {"a": "Pass", "b": "Pass", "c": "Pass", "d": "Pass"}
    links = ["a->b", "a->c", "b->d"]
    async with asyncio.timeout(PATIENCE_S), graph(nodes, links, placed=place).session() as session:
        tap = await session.tap("a")
        interception = await session.intercept("a", deadline_ms=NEVER_MS)
        await session.send(Json(1))
        assert (await tap.receive()).payload.value == 1
        (await interception.receive()).replace(Json(2))
        await session.publish("b", Json("b"))
        await session.publish("d", Json("d"))
        await session.end_input()
        outputs = [(p.source.node, p.payload.value) async for p in session.outputs()]
        assert sorted(outputs, key=repr) == [("c", 2), ("d", "b"), ("d", "d"), ("d", 2)]


# ---------------------------------------------------------------------------------- feeds


@pytest.mark.parametrize("place", PLACES)
async def test_what_is_published_is_processed_beside_the_rest(place):
    async with chain(place) as session:
        assert await session.publish("n", Json("first")) == 0
        assert await some(session, 1) == [["first", "a"]]
        for number in range(50):
            await session.send(Json(number))
            assert await session.publish("n", Json("p")) == number + 1
        values = await rest(session)
        assert [value for value in values if value[0] != "p"] == [[n, "a"] for n in range(50)]
        assert len(values) == 100
        with pytest.raises(RemoteMediaError, match="has ended"):
            await session.publish("n", Json("late"))


async def test_what_cannot_be_published_is_refused():
    async with chain("local") as session:
        with pytest.raises(UsageError, match="no input port 'left'"):
            await session.publish("n", Json(1), port="left")
        with pytest.raises(UsageError):
            await session.publish("n", 1)
        with pytest.raises(UsageError, match="no node 'm'"):
            await session.publish("m", Json(1))
        assert await rest(session) == []


async def test_nothing_is_published_to_a_port_that_nothing_leads_to_of_a_node_that_may_restart():
    async with running(Pass().into("left"), placed(Fanned(), "n", "restarting")) as session:
        with pytest.raises(UsageError, match="right"):
            await session.publish("n", Json(1), port="right")
        await session.publish("n", Json(2), port="left")
        await session.send(Json(3))
        assert sorted(await rest(session)) == [2, 3]


@pytest.mark.parametrize("place", ["local", "process", "restarting"])
async def test_publishing_is_bounded_and_waits_for_a_slow_consumer(place, tmp_path):
    node = placed(Awaiting(folder=str(tmp_path)), "n", place)
    async with running(node, channel_capacity=4) as session:
        await session.publish("n", Json("hold"))
        await until((tmp_path / "holds").exists)
        published = []

        async def publish():
            for number in range(300):
                sequence = await session.publish("n", Json(number))
                published.append(sequence)

        publishing = asyncio.create_task(publish())
        await session.send(Json("sent"))
        stuck = -1
        while stuck != len(published):  # until a hundred turns of the loop bring it no further
            stuck = len(published)
            for _ in range(100):
                await asyncio.sleep(0)
        assert 0 < len(published) < 150
        (tmp_path / "go on").touch()
        values = await some(session, 302)
        await publishing
        assert published == list(range(1, 301))
        assert [value for value in values if value != "sent"] == ["hold", *range(300)]
        assert await rest(session) == []


@pytest.mark.parametrize("place", ["local", "process", "restarting"])
async def test_a_publish_that_is_cancelled_has_sent_nothing(place, tmp_path):
    node = placed(Awaiting(folder=str(tmp_path)), "n", place)
    async with running(node, channel_capacity=1) as session:
        await session.publish("n", Json("hold"))
        await until((tmp_path / "holds").exists)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while True:
                await asyncio.wait_for(session.publish("n", Json(sent)), 0.2)
                sent += 1
        (tmp_path / "go on").touch()
        assert await some(session, sent + 1) == ["hold", *range(sent)]
        assert await rest(session) == []


# ------------------------------------------------------------------------- control messages


@pytest.mark.parametrize("place", PLACES)
async def test_what_a_node_says_reaches_all_behind_it_and_nobody_else(place):
    nodes = {"a": Hear, "s": Speak, "b": Hear, "c": Hear}
    steps = [placed(cls(), name, place) for name, cls in nodes.items()]
    async with running(*steps) as session:
        taps = {name: await session.tap(name) for name in nodes}
        await session.send(Json({"hint": 5}))
        heard = [value for value in await some(session, 3) if isinstance(value, list)]
        assert sorted(heard) == [["b", 5], ["c", 5]]
        assert await rest(session) == []
        for name in ("a", "s"):
            shown = [packet.payload.value async for packet in taps[name]]
            assert not [value for value in shown if isinstance(value, list)], name


@pytest.mark.parametrize("place", PLACES)
async def test_a_session_tells_a_node_and_all_behind_it(place):
    steps = [placed(Hear(), name, place) for name in "abc"]
    async with running(*steps) as session:
        settlement = await session.control(
            Control(BatchHint(3), metadata={"why": 1}), "b", deadline_s=PATIENCE_S
        )
        assert (settlement.dropped, settlement.late) == ({}, ())
        assert sorted(await some(session, 2)) == [["b", 3], ["c", 3]]
        await session.control(Control(BatchHint(4)), deadline_s=PATIENCE_S)
        assert sorted(await some(session, 3)) == [["a", 4], ["b", 4], ["c", 4]]
        with pytest.raises(UsageError, match="no node 'x'"):
            await session.control(Control(BatchHint(4)), "x")
        with pytest.raises(UsageError, match="a Control is needed"):
            await session.control(BatchHint(4))
        assert await rest(session) == []


@pytest.mark.parametrize("place", ["local", "process"])
async def test_what_a_node_says_before_the_session_runs_is_not_heard(place, caplog):
    async with running(placed(SpeakEarly(), "s", place), Hear().named("b")) as session:
        await session.send(Json(1))
        values = await rest(session)
        assert [value for value in values if value == 1] == [1]
    assert "never retrieved" not in caplog.text


async def test_metadata_that_cannot_cross_to_a_process_is_refused():
    async with chain("process") as session:
        with pytest.raises(UsageError, match="JSON"):
            await session.control(Control(BatchHint(3), metadata=object()))
        assert await rest(session) == []


# ----------------------------------------------------------------------- taking a span back


def some_graph(rnd):
    kinds = ["Pass", "Mark", "SlowMark", "Twice", "StreamTwice", "RxTwice", "SlowText", "SlowText"]
    nodes, links = {}, []
    for position in range(rnd.randint(1, 5)):
        before = rnd.sample(sorted(nodes), min(position, rnd.choice([1, 1, 2])))
        nodes[f"n{position}"] = rnd.choice(kinds)
        links += [(node, f"n{position}") for node in before]
    choices = rnd.choice(
        [
            ["local", "process"],
            ["local", {"process": "g"}],
            ["process"],
            ["local", "process", RESTARTING],
        ]
    )
    return nodes, links, {node: rnd.choice(choices) for node in nodes}


@pytest.mark.parametrize("seed", range(8))
async def test_taking_a_span_back_removes_it_and_nothing_else(seed):
    rnd = random.Random(seed)
    nodes, links, places = some_graph(rnd)
    pipeline = graph_of(nodes, links, places, channel_capacity=rnd.choice([1, 2, 5, 100]))
    times = {"Twice": 2, "StreamTwice": 2, "RxTwice": 2}
    ways = {}
    for node, kind in nodes.items():
        before = [source for source, target in links if target == node]
        ways[node] = times.get(kind, 1) * (sum(ways[each] for each in before) if before else 1)
    sinks = {node for node in nodes if node not in {source for source, _ in links}}

    #: sequence → media time, and whether it cannot be taken back.
    sent, outputs, forbidden = {}, [], set()

    async def read(session):
        async for packet in session.outputs():
            assert packet.sequence not in forbidden, packet
            outputs.append(packet)

    taken_back = set()
    async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
        async with asyncio.TaskGroup() as group:
            group.create_task(read(session))
            moments = {rnd.randrange(60) for _ in range(rnd.randint(1, 6))}
            for number in range(60):
                if number in moments:
                    begin = rnd.randrange(900)
                    end = begin + rnd.choice([50, 200, 1000])
                    settlement = await session.control(
                        Control(CancelSpeculation(begin, end)), deadline_s=PATIENCE_S
                    )
                    assert not settlement.late
                    meant = {s for s, (at, kept) in sent.items() if begin <= at < end and not kept}
                    forbidden |= meant
                    taken_back |= meant
                at, kept = rnd.randrange(1000), rnd.random() < 0.1
                sequence = await session.send(
                    Text(str(number)), timestamp_ns=at, uninterruptible=kept
                )
                sent[sequence] = (at, kept)
                if rnd.random() < 0.3:
                    await asyncio.sleep(rnd.choice([0, 0.002]))
            await session.end_input()
        assert session.phase == "finished"
    came = collections.Counter((packet.source.node, packet.sequence) for packet in outputs)
    for sequence in sent:
        for sink in sinks:
            if sequence in taken_back:
                assert came[sink, sequence] <= ways[sink]
            else:
                assert came[sink, sequence] == ways[sink]
    single = {node for node in sinks if _one_way(node, links)}
    for node in single:
        sequences = [packet.sequence for packet in outputs if packet.source.node == node]
        assert sequences == sorted(sequences)


def _one_way(node, links):
    before = [source for source, target in links if target == node]
    return not before or (len(before) == 1 and _one_way(before[0], links))


async def test_what_a_busy_process_has_taken_in_of_a_span_does_not_come_out(tmp_path):
    node = Busy(folder=str(tmp_path)).named("busy").on("process")
    async with running(node, Pass().named("b").on("process")) as session:
        await session.send(Json("hold"), timestamp_ns=5)
        await until((tmp_path / "holds").exists)
        span = Control(CancelSpeculation(0, 10))
        settlement = await session.control(span, deadline_s=0.3)
        assert "busy" in settlement.late
        await session.send(Json("new"), timestamp_ns=5)
        (tmp_path / "go on").touch()
        assert await rest(session) == ["new"]


# --------------------------------------------------------------------- what goes wrong


def everything(session):
    """Each call that waits for a stage."""
    return {
        "set_params": lambda: session.set_params("n", {"word": "b"}),
        "set_node_state": lambda: session.set_node_state("n", "bypass"),
        "tap": lambda: session.tap("n"),
        "intercept": lambda: session.intercept("n"),
        "publish": lambda: session.publish("n", Json(1)),
    }


async def test_a_worker_that_is_killed_ends_every_wait_with_a_reason():
    async with chain("process") as session:
        tap = await session.tap("n")
        interception = await session.intercept("n", deadline_ms=NEVER_MS)
        await session.send(Json(0))
        await session.publish("n", Json(1))
        request = await interception.receive()
        assert (await tap.receive()).payload.value == request.packet.payload.value
        os.kill(pid_of(session), signal.SIGSTOP)  # so that it answers nothing more
        calls = [asyncio.ensure_future(call()) for call in everything(session).values()]
        telling = asyncio.ensure_future(session.control(Control(BatchHint(2)), deadline_s=1000))
        await asyncio.sleep(0)
        os.kill(pid_of(session), signal.SIGKILL)
        done = await asyncio.gather(*calls, return_exceptions=True)
        failures = [each for each in done if not isinstance(each, int)]  # one may have been sent
        assert all(isinstance(each, RemoteMediaError) for each in failures), done
        assert len(failures) >= 4
        assert not (await telling).late
        async for _ in tap:
            pass
        while await interception.receive() is not None:
            pass
        request.let_pass()
        with pytest.raises(NodeError) as caught:
            await rest(session)
        assert caught.value.node_id == "n"
        for call in everything(session).values():
            with pytest.raises(RemoteMediaError):
                await call()


async def test_a_frozen_worker_is_given_so_many_orders_and_the_session_closes():
    async with chain("process") as session:
        tap = await session.tap("n")
        interception = await session.intercept("n")
        os.kill(pid_of(session), signal.SIGSTOP)
        waiting = [
            asyncio.ensure_future(session.set_node_state("n", "bypass"))
            for _ in range(UNANSWERED_MAX)
        ]
        await asyncio.sleep(0)
        with pytest.raises(ResourceLimitError, match=f"'n' has not answered {UNANSWERED_MAX}"):
            await session.set_node_state("n", "bypass")
        waiting[0].cancel()
        await asyncio.wait([waiting[0]])
        with pytest.raises(ResourceLimitError, match="wait for their answers"):
            await session.tap("n")  # a cancelled wait does not call the order back
        await session.set_node_state("b", "bypass")  # others go on
        settlement = await session.control(Control(BatchHint(2)), deadline_s=0.3)
        assert "n" in settlement.late
        closing = [asyncio.ensure_future(hand.aclose()) for hand in (tap, interception)]
        await asyncio.sleep(0)
        assert tap.ended
    results = await asyncio.gather(*waiting, *closing, return_exceptions=True)
    assert isinstance(results.pop(0), asyncio.CancelledError)
    assert all(isinstance(each, EdgeClosedError) or each is None for each in results), results


@pytest.mark.parametrize("place", ["local", "process"])
@pytest.mark.parametrize("name", ["set_params", "set_node_state", "tap", "intercept", "publish"])
async def test_a_call_that_is_cancelled_leaves_nothing_in_the_way(name, place):
    async with chain(place) as session:
        for turns in range(3):
            calling = asyncio.ensure_future(everything(session)[name]())
            for _ in range(turns):
                await asyncio.sleep(0)
            calling.cancel()
            await asyncio.wait([calling])
            if not calling.cancelled() and name in {"tap", "intercept"}:
                await calling.result().aclose()
        await session.set_node_state("n", "enabled")
        await (await session.tap("n")).aclose()
        await (await session.intercept("n")).aclose()
        await session.set_params("n", {"word": "z"})
        await session.send(Json("last"))
        values = await rest(session)
        assert values[-1] == ["last", "z"]
        assert all(value[0] == 1 for value in values[:-1])


async def test_control_that_is_cancelled_leaves_nothing_to_be_waited_for(caplog):
    async with chain("process") as session:
        os.kill(pid_of(session), signal.SIGSTOP)
        before = asyncio.all_tasks()
        telling = asyncio.ensure_future(session.control(Control(BatchHint(2)), deadline_s=1000))
        await asyncio.sleep(0.01)
        telling.cancel()
        await asyncio.wait([telling])
        await until(lambda: asyncio.all_tasks() <= before)
        os.kill(pid_of(session), signal.SIGCONT)
        await session.send(Json(1))
        assert await rest(session) == [[1, "a"]]
    assert "never retrieved" not in caplog.text


@pytest.mark.parametrize("place", PLACES)
async def test_a_session_that_is_closed_ends_its_hands_and_says_so(place):
    async with chain(place) as session:
        tap = await session.tap("n")
        hands = [tap]
        if place in FIRM_PLACES:
            hands.append(await session.intercept("n", deadline_ms=NEVER_MS))
        await session.publish("n", Json(1))
        waits = [asyncio.ensure_future(hand.receive()) for hand in hands]
        await asyncio.wait(waits)
        waits = [asyncio.ensure_future(hand.receive()) for hand in hands]
    assert await asyncio.gather(*waits) == [None] * len(hands)
    for hand in hands:
        assert hand.ended
        assert hand.dropped == 0
        await hand.aclose()
        await hand.aclose()
    for call in everything(session).values():
        with pytest.raises(EdgeClosedError):
            await asyncio.wait_for(call(), PATIENCE_S)
    with pytest.raises(EdgeClosedError):
        await session.control(Control(BatchHint(2)))


@pytest.mark.parametrize("place", PLACES)
async def test_hands_of_a_node_that_has_ended_are_refused(place):
    async with chain(place) as session:
        await session.send(Json(1))
        assert await rest(session) == [[1, "a"]]
        for name in ("set_params", "tap", "intercept", "publish"):
            with pytest.raises(RemoteMediaError, match=r"ended|cannot be intercepted"):
                await asyncio.wait_for(everything(session)[name](), PATIENCE_S)


async def test_a_session_that_was_not_started_cannot_be_steered():
    session = pipeline_of(Say().named("n")).session()
    for call in everything(session).values():
        with pytest.raises(UsageError, match="start the session first"):
            await call()
    with pytest.raises(UsageError, match="start the session first"):
        await session.control(Control(BatchHint(2)))


async def test_many_spans_are_remembered_while_one_node_is_busy(tmp_path):
    node = Busy(folder=str(tmp_path)).named("busy").on("process")
    async with running(node, Pass().named("b").on("process")) as session:
        await session.send(Json("hold"), timestamp_ns=5)
        await until((tmp_path / "holds").exists)
        for begin in range(0, 2_000, 100):
            span = CancelSpeculation(begin, begin + 10)
            await session.control(Control(span), deadline_s=0.02)
        (tmp_path / "go on").touch()
        assert await rest(session) == []
