"""Who is told how far each node's start is, when, and of what."""

from __future__ import annotations

import asyncio
import threading

import pytest

from engine.config import Settings
from engine.errors import InitTimeoutError, NodeError, UsageError
from engine.executors.contract import Progress
from engine.operator import Operator
from engine.pipeline import Pipeline
from engine.session.progress import ProgressReports
from engine.testing import run_virtual

HALF = Progress("a", "loading", 0.5, "weights")
DONE = Progress("a", "ready", 1.0, "")
OTHER = Progress("b", "initializing", 0.0, "")


class Loads(Operator):
    """Reports half of its start, waits as long as it is told to, and goes on."""

    class Params(Operator.Params):
        seconds: float = 0.0
        fails: bool = False

    async def initialize(self, ctx):
        ctx.progress(0.5, "weights", status="loading")
        await asyncio.sleep(self.params.seconds)
        if self.params.fails:
            raise OSError("the disk is gone")

    def process(self, packet, ctx):
        return packet


def loading(**params):
    return Pipeline("x", settings=Settings(init_timeout_s=20)) | Loads(**params).on("local")


def steps(seen):
    return [(progress.status, progress.fraction, progress.message) for progress in seen]


STEPS = [("initializing", 0.0, ""), ("loading", 0.5, "weights"), ("ready", 1.0, "")]


def test_each_subscriber_is_told_each_report_in_order():
    reports, first, second = ProgressReports(), [], []
    reports.subscribe(first.append)
    reports.subscribe(second.append)
    for progress in (HALF, OTHER, DONE):
        reports.report(progress)
    assert first == second == [HALF, OTHER, DONE]


def test_a_late_subscriber_is_told_each_nodes_latest_at_once_and_then_the_rest():
    reports, seen = ProgressReports(), []
    reports.report(HALF)
    reports.report(OTHER)
    reports.report(DONE)
    reports.subscribe(seen.append)
    assert seen == [DONE, OTHER]
    reports.report(HALF)
    assert seen == [DONE, OTHER, HALF]


def test_who_has_unsubscribed_is_told_nothing_more():
    reports, gone, stays = ProgressReports(), [], []
    unsubscribe = reports.subscribe(gone.append)
    reports.subscribe(stays.append)
    reports.report(HALF)
    unsubscribe()
    unsubscribe()
    reports.report(DONE)
    assert (gone, stays) == ([HALF], [HALF, DONE])


def test_one_callback_may_subscribe_twice_and_each_ends_by_itself():
    reports, seen = ProgressReports(), []
    unsubscribe = reports.subscribe(seen.append)
    reports.subscribe(seen.append)
    reports.report(HALF)
    unsubscribe()
    reports.report(DONE)
    assert seen == [HALF, HALF, DONE]


def test_a_subscriber_that_raises_is_logged_and_the_others_are_told(caplog):
    reports, seen = ProgressReports(), []
    reports.subscribe(lambda progress: progress.no_such_field)
    reports.subscribe(seen.append)
    reports.report(HALF)
    assert seen == [HALF]
    (record,) = caplog.records
    assert (record.message, record.node_id) == ("on_progress_raised", "a")


def test_subscribing_and_unsubscribing_from_within_a_callback():
    reports, added, dropped = ProgressReports(), [], []

    def change(progress):
        if progress is HALF:
            reports.subscribe(added.append)
            unsubscribe()

    reports.subscribe(change)
    unsubscribe = reports.subscribe(dropped.append)
    reports.report(HALF)
    reports.report(DONE)
    assert (added, dropped) == ([HALF, DONE], [])


def test_an_error_is_told_with_how_far_its_nodes_had_come():
    reports, seen = ProgressReports(), []
    reports.report(HALF)
    reports.subscribe(seen.append)
    reports.report_failed(NodeError("x", node_id="a", node_ids=["a", "b"]))
    reports.report_failed(UsageError("of no node"))
    assert seen == [
        HALF,
        Progress("a", "error", 0.5, "weights"),
        Progress("b", "error", 0.0, ""),
    ]


@pytest.mark.parametrize(
    ("callback", "words"),
    [
        ("show", "on_progress takes a function of one argument, a Progress, not 'show'"),
        (asyncio.sleep, "on_progress takes a plain function: nobody would await"),
    ],
)
def test_what_cannot_be_told_is_refused(callback, words):
    with pytest.raises(UsageError, match=words):
        loading().session(callback)
    with pytest.raises(UsageError, match=words):
        loading().session().on_progress(callback)


async def test_a_session_tells_its_argument_and_all_who_subscribe():
    first, second, late = [], [], []
    session = loading().session(on_progress=first.append)
    session.on_progress(second.append)
    async with session:
        session.on_progress(late.append)
    assert steps(first) == steps(second) == STEPS
    assert steps(late) == STEPS[-1:]


def test_who_subscribes_during_the_start_sees_where_it_stands_and_how_it_goes_on():
    async def scenario():
        session, seen = loading(seconds=10).session(), []
        starting = asyncio.create_task(session.start())
        await asyncio.sleep(5)
        session.on_progress(seen.append)
        before = list(seen)
        await starting
        await session.aclose()
        return before, seen

    before, seen = run_virtual(scenario())
    assert steps(before) == STEPS[1:2]
    assert steps(seen) == STEPS[1:]


@pytest.mark.parametrize(
    ("params", "kind"), [({"fails": True}, NodeError), ({"seconds": 60}, InitTimeoutError)]
)
def test_a_start_that_fails_ends_with_the_status_error(params, kind):
    async def scenario():
        seen, late = [], []
        session = loading(**params).session(seen.append)
        with pytest.raises(kind):
            await session.start()
        session.on_progress(late.append)
        return seen, late

    seen, late = run_virtual(scenario())
    assert steps(seen) == [*STEPS[:2], ("error", 0.5, "weights")]
    assert steps(late) == [("error", 0.5, "weights")]


def test_a_start_that_takes_too_long_names_the_node_and_its_step():
    async def scenario():
        with pytest.raises(InitTimeoutError) as caught:
            await loading(seconds=60).session().start()
        return caught.value

    error = run_virtual(scenario())
    assert "in node 'loads' (in step 'loading', last progress of 'loads': 50% weights)" in str(
        error
    )
    assert (error.context["node_id"], error.context["step"]) == ("loads", "loading")


def test_a_blocking_session_tells_on_its_own_thread_and_late_ones_too():
    seen, late, threads = [], [], set()

    def note(progress):
        seen.append(progress)
        threads.add(threading.current_thread())

    session = loading().blocking_session()
    session.on_progress(note)
    with session:
        unsubscribe = session.on_progress(late.append)
        unsubscribe()
    assert steps(seen) == STEPS
    assert steps(late) == STEPS[-1:]
    assert len(threads) == 1
    assert threading.current_thread() not in threads
