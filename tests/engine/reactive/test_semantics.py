"""reactivex's operators in our chains against the same operators in reactivex alone.

Each case runs on reactivex's own TestScheduler, then in a node on a virtual clock, and again behind
an interrupt: values, times, completion and errors must be the same, and no thread may appear.
"""

import threading
from datetime import timedelta

import pytest
from reactivex import Notification, Observable
from reactivex import operators as ops
from reactivex.internal.constants import UTC_ZERO
from reactivex.observable.marbles import parse
from reactivex.operators._timeinterval import TimeInterval
from reactivex.operators._timestamp import Timestamp
from reactivex.testing import Recorded, TestScheduler

from engine.payloads import Json
from engine.reactive.adapter import RxOperator
from engine.reactive.values import value_of
from engine.testing import StageBench
from tests.engine.reactive.marble_cases import CASES

#: When the plain chain is subscribed, and for how long both are watched.
SUBSCRIBED_S = 200.0
WATCHED_S = 40.0
#: For how long, and by what, a chain is kept busy before an interrupt.
BEFORE_S = 2.45


def events_of(sources):
    """What sources emit: (time, source, notification), by time; a marble is a second."""
    events = [
        (time, number, notification)
        for number, marbles in enumerate(sources)
        for time, notification in parse(marbles, timespan=1.0)
    ]
    return sorted(events, key=lambda event: event[:2])


def plain(value, zero):
    """A value as it can be compared: dates as seconds since the subscription."""
    if isinstance(value, Timestamp):
        return ("timestamp", value.value, round((value.timestamp - zero).total_seconds(), 6))
    if isinstance(value, TimeInterval):
        return ("interval", value.value, round(value.interval.total_seconds(), 6))
    if isinstance(value, Notification | Observable):
        return repr(value).split(" at 0x")[0]
    return value


def in_reactivex(case, events, watched_s=WATCHED_S):
    """What the operator does in a chain of reactivex alone: (kind, time, value) each."""
    scheduler = TestScheduler()
    hot = [
        scheduler.create_hot_observable(
            [
                Recorded(SUBSCRIBED_S + time, notification)
                for time, source, notification in events
                if source == number
            ]
        )
        for number in range(len(case.sources))
    ]
    observer = scheduler.start(
        lambda: case.build(*hot),
        created=100.0,
        subscribed=SUBSCRIBED_S,
        disposed=SUBSCRIBED_S + watched_s,
    )
    zero = UTC_ZERO + timedelta(seconds=SUBSCRIBED_S)
    log = []
    for message in observer.messages:
        notification = message.value
        value = {"N": lambda n: plain(n.value, zero), "E": lambda n: repr(n.exception)}.get(
            notification.kind, lambda n: None
        )(notification)
        log.append((notification.kind, round(message.time - SUBSCRIBED_S, 6), value))
    return log


class Run:
    """A case in a node of ours, on a clock that moves when told to."""

    def __init__(self, case):
        self.log = []
        self._start_s = 0.0
        run = self

        class Chain(RxOperator):
            inputs = tuple(f"in{number}" for number in range(len(case.sources)))

            def chain(self, *inlets):
                values = [inlet.pipe(ops.map(value_of)) for inlet in inlets]
                return case.build(*values).pipe(
                    ops.map(lambda value: plain(value, run.zero)),
                    ops.do_action(
                        lambda value: run.note("N", value),
                        lambda error: run.note("E", repr(error)),
                        lambda: run.note("C", None),
                    ),
                    ops.map(Json),
                )

        ports = [f"node.{port}" for port in Chain.inputs]
        self.bench = StageBench({"node": Chain()}, [], inputs=ports)
        self._ports = ports
        self._generation = 0
        self.bench.run()

    @property
    def now_s(self):
        return self.bench.clock.now_ns() / 1e9

    @property
    def zero(self):
        return UTC_ZERO + timedelta(seconds=self._start_s)

    def note(self, kind, value):
        self.log.append((kind, round(self.now_s - self._start_s, 6), value))

    def play(self, events, watched_s=WATCHED_S):
        for time, source, notification in events:
            self._advance_to(time)
            if notification.kind == "N":
                self.bench.feed(
                    Json(notification.value),
                    at=self._ports[source],
                    generation=self._generation,
                )
            else:
                self.bench.finish(self._ports[source])
            self.bench.run()
        self._advance_to(watched_s)

    def interrupt(self):
        """From here on the clock counts anew, and what was noted is forgotten."""
        self._start_s = self.now_s
        self.log.clear()
        self.bench.sink().packets.clear()
        self._generation += 1
        self.bench.stage.interrupt_all(self._generation)
        self.bench.host.wake()
        self.bench.run()

    def _advance_to(self, time):
        self.bench.advance(self._start_s + time - self.now_s)

    def check(self, expected):
        assert self.log == expected
        assert self.bench.values == [value for kind, _, value in expected if kind == "N"]
        last = expected[-1] if expected else ("", 0, None)
        assert self.bench.sink().ended is (last[0] == "C")
        assert self.bench.stage.done is (last[0] in {"C", "E"})
        if last[0] == "E":
            assert self.bench.stage.error.node_id == "node"
        else:
            assert self.bench.stage.error is None


@pytest.fixture(autouse=True)
def no_thread_appears(monkeypatch):
    def start(self):
        raise AssertionError(f"{self} appeared")

    monkeypatch.setattr(threading.Thread, "start", start)
    before = threading.enumerate()
    yield
    assert threading.enumerate() == before


def test_the_cases_are_many_and_say_something():
    names = {case.name for case in CASES}
    assert len(names) >= 100
    assert all(hasattr(ops, name) for name in names)
    assert len({case.id for case in CASES}) == len(CASES)
    outcomes = [in_reactivex(case, events_of(case.sources)) for case in CASES]
    assert all(outcomes)
    assert sum(log[-1][0] == "E" for log in outcomes) >= 5
    assert sum(len(log) > 2 for log in outcomes) > len(outcomes) / 2


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_an_operator_does_in_a_node_what_it_does_in_reactivex(case):
    events = events_of(case.sources)
    run = Run(case)
    run.play(events)
    run.check(in_reactivex(case, events))


def may_be_interrupted(case):
    """Whether it is still going on after a while without an item."""
    return all(kind == "N" for kind, _, _ in in_reactivex(case, [], BEFORE_S))


INTERRUPTED = [case for case in CASES if may_be_interrupted(case)]


def test_nearly_all_can_be_interrupted():
    assert len(CASES) - len(INTERRUPTED) <= 3


@pytest.mark.parametrize("case", INTERRUPTED, ids=lambda case: case.id)
def test_behind_an_interrupt_it_begins_anew(case):
    events = events_of(case.sources)
    # What it holds when the interrupt comes: the first items, unless they already end it.
    before = [
        (0.5 + 0.1 * number, source, notification)
        for number, (_, source, notification) in enumerate(events[:2])
        if notification.kind == "N"
    ]
    if any(kind != "N" for kind, _, _ in in_reactivex(case, before, BEFORE_S)):
        before = []
    run = Run(case)
    run.play(before, BEFORE_S)
    run.interrupt()
    run.play(events)
    run.check(in_reactivex(case, events))
