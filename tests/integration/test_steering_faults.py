"""What steering must not do when things go wrong: hang, lose a decision, keep what was given."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from engine.errors import (
    EdgeClosedError,
    NodeError,
    RemoteMediaError,
    ResourceLimitError,
    UsageError,
)
from engine.payloads import BatchHint, Control, Json
from engine.session.orders import UNANSWERED_MAX
from tests.integration.graph_operators import Pass
from tests.integration.interrupt_operators import Busy
from tests.integration.steering_fault_operators import (
    Either,
    FlushSlowly,
    PlaysMuch,
    SlowToStart,
    SpeakOften,
    Told,
    WithBytes,
)
from tests.integration.test_restart import OFTEN
from tests.integration.test_steering import (
    NEVER_MS,
    chain,
    pid_of,
    placed,
    rest,
    running,
    some,
    until,
)

pytestmark = pytest.mark.process


def calls_of(session):
    """Each call that waits for the stage of n to answer an order."""
    return [
        session.set_params("n", {}),
        session.set_node_state("n", "bypass"),
        session.tap("n"),
        session.intercept("n"),
        session.publish("n", Json(1)),
    ]


def descriptors(pid):
    """How many a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


# ------------------------------------------------------------------------------- restarts


async def test_a_change_is_made_though_it_comes_while_the_next_process_starts(tmp_path):
    (tmp_path / "go on").touch()
    node = SlowToStart(folder=str(tmp_path)).named("n").on("process", restart=OFTEN)
    async with running(node) as session:
        await session.send(Json(1))
        assert await some(session, 1) == [[1, "a", 0]]
        for name in ("go on", "starts"):
            (tmp_path / name).unlink()
        os.kill(pid_of(session), signal.SIGKILL)
        await until((tmp_path / "starts").exists)
        changing = asyncio.ensure_future(session.set_params("n", {"word": "b"}))
        await asyncio.sleep(0)
        (tmp_path / "go on").touch()
        assert (await changing).params["word"] == "b"
        await session.send(Json(2))
        assert await rest(session) == [[2, "b", 0]]


async def test_a_node_that_starts_again_is_told_nothing_before_it_is_initialized(tmp_path):
    (tmp_path / "go on").touch()
    node = SlowToStart(folder=str(tmp_path)).named("n").on("process", restart=OFTEN)
    async with running(node) as session:
        await session.send(Json("hold"))
        await until((tmp_path / "holds").exists)
        telling = asyncio.ensure_future(session.control(Control(BatchHint(2)), deadline_s=1000))
        await asyncio.sleep(0)
        os.kill(pid_of(session), signal.SIGKILL)
        assert not (await telling).late
        (stage,) = session.statistics().stages.values()
        assert stage.restarts == 1


async def test_what_cannot_be_published_to_a_node_that_may_restart_is_refused():
    node = Either().named("n").on("process", restart=OFTEN)
    async with running(Pass().named("a").into("a"), node) as session:
        with pytest.raises(UsageError, match="'b' of node 'n'"):
            await session.publish("n", Json(1), port="b")
        await session.publish("n", Json(2))
        await session.send(Json(3))
        assert sorted(await rest(session)) == [["a", 2], ["a", 3]]


# --------------------------------------------------------------------------------- ending


@pytest.mark.parametrize("how", ["cancel", "kill"])
async def test_orders_under_way_are_answered_when_the_session_is_cancelled(how, tmp_path):
    async with chain("process", Busy(folder=str(tmp_path))) as session:
        await session.send(Json("hold"))
        await until((tmp_path / "holds").exists)
        calls = [asyncio.ensure_future(call) for call in calls_of(session)]
        await asyncio.sleep(0)
        getattr(session, how)()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(each) for each in results] == [EdgeClosedError] * len(calls)
        for call in calls_of(session):
            with pytest.raises(EdgeClosedError):
                await call


async def test_orders_under_way_are_answered_when_another_node_fails(tmp_path):
    async with chain("process", Busy(folder=str(tmp_path))) as session:
        await session.send(Json("hold"))
        await until((tmp_path / "holds").exists)
        calls = [asyncio.ensure_future(call) for call in calls_of(session)]
        await asyncio.sleep(0)
        os.kill(pid_of(session, "a"), signal.SIGKILL)
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(each, RemoteMediaError) for each in results), results
        with pytest.raises(NodeError):
            await session.receive()


async def test_a_local_node_is_not_woken_when_its_session_has_closed(caplog):
    async with running(Pass().named("n"), Pass().named("b").on("process")) as session:
        await session.publish("n", Json(1))
        assert await some(session, 1) == [1]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert "turn_raised" not in caplog.text


@pytest.mark.parametrize("place", ["local", "process", "group"])
async def test_an_interception_ends_with_its_node(place, tmp_path):
    behind = placed(FlushSlowly(folder=str(tmp_path)), "b", place)
    async with running(placed(Pass(), "n", place), behind) as session:
        async with await session.intercept("n", deadline_ms=NEVER_MS) as interception:
            await session.send(Json(1))
            await session.end_input()
            async for request in interception:
                request.let_pass()
            await until((tmp_path / "flushes").exists)  # what is behind the node goes on
        (tmp_path / "go on").touch()
        assert [packet.payload.value async for packet in session.outputs()] == [1, "the end"]


@pytest.mark.parametrize("place", ["local", "process"])
async def test_nothing_is_published_to_a_node_that_is_being_flushed(place, tmp_path):
    async with running(placed(FlushSlowly(folder=str(tmp_path)), "n", place)) as session:
        await session.end_input()
        await until((tmp_path / "flushes").exists)
        with pytest.raises(UsageError, match="has ended"):
            await session.publish("n", Json(1))
        (tmp_path / "go on").touch()
        assert await rest(session) == ["the end"]


# ------------------------------------------------------------------------------ decisions


async def test_a_decision_in_time_counts_though_the_node_is_too_busy_to_see_it(tmp_path):
    async with chain("process", Busy(folder=str(tmp_path))) as session:
        interception = await session.intercept("n", deadline_ms=300)
        await session.send(Json(1))
        await session.send(Json("hold"))
        request = await interception.receive()
        await until((tmp_path / "holds").exists)
        request.replace(Json("instead"))
        await asyncio.sleep(0.4)  # now its time is over
        (tmp_path / "go on").touch()
        assert await some(session, 1) == ["instead"]


async def test_a_decision_counts_though_the_interception_is_closed_right_behind_it(tmp_path):
    async with chain("process", Busy(folder=str(tmp_path))) as session:
        async with await session.intercept("n", deadline_ms=NEVER_MS) as interception:
            await session.send(Json(1))
            await session.send(Json("hold"))
            request = await interception.receive()
            await until((tmp_path / "holds").exists)
            request.replace(Json("instead"))
            asyncio.get_running_loop().call_later(0.2, (tmp_path / "go on").touch)
        assert await some(session, 2) == ["instead", "hold"]


# ----------------------------------------------------------------------------- what is kept


async def answered(session):
    """Wait until a node takes orders again: all that it was given have been answered then."""
    async with asyncio.timeout(10):
        while True:
            try:
                await session.set_params("n", {})
            except ResourceLimitError:
                await asyncio.sleep(0.002)
            else:
                return


@pytest.mark.parametrize("place", ["local", "process"])
async def test_calls_that_are_cancelled_do_not_count_as_unanswered_for_ever(place):
    async with chain(place) as session:
        for turns in range(8):  # whenever it is cancelled
            for _ in range(UNANSWERED_MAX):
                calling = asyncio.ensure_future(session.set_params("n", {}))
                for _ in range(turns):
                    await asyncio.sleep(0)
                calling.cancel()
                await asyncio.wait([calling])
            await answered(session)
            await session.publish("n", Json(turns))
            assert await some(session, 1) == [[turns, "a"]]
        await session.set_params("n", {})


async def test_hands_leave_no_descriptors_and_no_memory_in_a_process():
    async with chain("process") as session:
        await session.send(Json(0))
        assert await some(session, 1) == [[0, "a"]]
        before = descriptors(pid_of(session))
        for _ in range(3):
            for number in range(10):
                tap, interception = await session.tap("n"), await session.intercept("n")
                await session.send(Json(number))
                (await interception.receive()).replace(Json("instead"))
                assert await some(session, 1) == ["instead"]
                assert (await tap.receive()).payload.value == [number, "a"]
                await interception.aclose()
                await tap.aclose()
            # The worker closes its ends once it has read that ours are closed.
            await until(lambda: descriptors(pid_of(session)) == before)


@pytest.mark.parametrize("place", ["local", "process", "restarting"])
async def test_of_very_much_that_a_node_tells_nothing_is_lost(place):
    steps = placed(SpeakOften(), "a", "local"), placed(Told(), "n", place)
    async with running(*steps) as session:
        await session.send(Json(3 * UNANSWERED_MAX))
        assert await some(session, 1) == [list(range(1, 3 * UNANSWERED_MAX + 1))]


@pytest.mark.parametrize("place", ["local", "process"])
async def test_params_that_no_json_can_carry_are_told_as_text(place):
    async with chain(place, WithBytes()) as session:
        taken = await session.set_params("n", {"word": "b"})
        assert taken.params == {"word": "b", "key": repr(b"\xff\xfe")}
        await session.send(Json(1))
        assert await rest(session) == [[1, "b"]]


async def test_of_very_much_that_was_played_a_process_says_the_newest():
    async with chain("process", PlaysMuch()) as session:
        settlement = await (await session.interrupt()).settled()
        sequences = [each.sequence for each in settlement.played["n"]]
        assert sequences == list(range(64))[-len(sequences) :]
        assert sequences
        await session.send(Json(1))
        assert await rest(session) == [1]
