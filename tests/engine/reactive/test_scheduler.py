"""engine.reactive.scheduler: reactivex's clock is the stage's."""

from datetime import timedelta

import pytest
from reactivex.internal.constants import UTC_ZERO

from engine.payloads import Text
from engine.reactive.scheduler import StageScheduler
from engine.testing import StageBench
from tests.engine.stage_helpers import operator


@pytest.fixture
def bench():
    return StageBench({"a": operator()}, capacity={"a": 1})


@pytest.fixture
def scheduler(bench):
    return StageScheduler(bench.stage, bench.stage.adapters[0])


def recorder(scheduler, bench):
    log = []

    def action(by, state=None):
        assert by is scheduler
        log.append((state, bench.clock.now_ns() / 1e9))

    return action, log


def test_now_is_the_stages_clock(bench, scheduler):
    assert scheduler.now == UTC_ZERO
    bench.advance(90)
    assert scheduler.now == UTC_ZERO + timedelta(seconds=90)


def test_immediate_work_runs_at_once_and_depth_last(bench, scheduler):
    log = []

    def outer(by, state=None):
        scheduler.schedule(lambda by, state=None: log.append("inner"))
        log.append(state)

    scheduler.schedule(outer, "outer")
    assert log == ["outer", "inner"]


def test_immediate_work_can_be_cancelled_before_its_turn(scheduler):
    log = []

    def outer(by, state=None):
        scheduler.schedule(lambda by, state=None: log.append("inner")).dispose()

    scheduler.schedule(outer)
    assert log == []


@pytest.mark.parametrize("due", [1.5, timedelta(seconds=1.5)])
def test_timed_work_runs_when_it_is_due(bench, scheduler, due):
    action, log = recorder(scheduler, bench)
    scheduler.schedule_relative(due, action, "x")
    bench.advance(1.4)
    assert log == []
    bench.advance(10)
    assert log == [("x", 1.5)]


def test_work_at_a_time_of_the_clock(bench, scheduler):
    action, log = recorder(scheduler, bench)
    bench.advance(1)
    scheduler.schedule_absolute(scheduler.now + timedelta(seconds=2), action, "x")
    scheduler.schedule_absolute(UTC_ZERO, action, "past")
    bench.advance(10)
    assert log == [("past", 1), ("x", 3)]


@pytest.mark.parametrize("due", [0, -1])
def test_work_that_is_due_at_once_is_a_turn_of_its_own(bench, scheduler, due):
    action, log = recorder(scheduler, bench)
    scheduler.schedule_relative(due, action, "x")
    assert log == []
    bench.run()
    assert log == [("x", 0)]


def test_timed_work_can_be_cancelled(bench, scheduler):
    action, log = recorder(scheduler, bench)
    scheduler.schedule_relative(1, action).dispose()
    bench.advance(2)
    assert log == []


def test_disposing_also_disposes_what_the_work_returned(bench, scheduler):
    log = []

    def action(by, state=None):
        return scheduler.schedule_relative(1, lambda by, state=None: log.append("inner"))

    disposable = scheduler.schedule_relative(1, action)
    bench.advance(1)
    disposable.dispose()
    bench.advance(5)
    assert log == []


def test_periodic_work_does_not_drift(bench, scheduler):
    log = []

    def action(state):
        log.append((state, bench.clock.now_ns() / 1e9))
        bench.clock.spend(0.25)
        return state + 1

    disposable = scheduler.schedule_periodic(1, action, 0)
    bench.advance(4.5)
    disposable.dispose()
    bench.advance(5)
    assert log == [(0, 1), (1, 2), (2, 3), (3, 4)]


def test_time_stands_still_while_the_stage_waits_for_credits(bench, scheduler):
    action, log = recorder(scheduler, bench)
    sink = bench.sinks["a"]
    sink.withholding = True
    bench.feed(Text("x"), Text("y"))
    bench.run()
    scheduler.schedule_relative(1, action, "x")
    bench.advance(10)
    assert log == []
    assert scheduler.now == UTC_ZERO
    sink.release()
    bench.run()
    bench.advance(1)
    assert log == [("x", 11)]


def test_an_error_in_timed_work_is_its_nodes(bench, scheduler):
    def action(by, state=None):
        raise ValueError("boom")

    scheduler.schedule_relative(1, action)
    bench.advance(1)
    assert bench.stage.error.node_id == "a"
