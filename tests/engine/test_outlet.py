"""engine.outlet: a hot output, connected before anything flows."""

import pytest
import reactivex
from reactivex import operators as ops

from engine.outlet import Outlet
from engine.packet import Source


class Inlet:
    def __init__(self, name="", log=None):
        self.name = name
        self.log = [] if log is None else log

    def on_next(self, packet):
        self.log.append(self.name + packet)

    def on_completed(self):
        self.log.append(self.name + "end")


@pytest.fixture
def outlet():
    return Outlet(Source("a"), "in")


def test_what_is_pushed_while_nobody_is_connected_goes_nowhere(outlet):
    outlet.push("x")
    outlet.complete()
    assert outlet.completed


def test_one_consumer_is_pushed_to_directly(outlet):
    inlet = Inlet()
    outlet.connect(inlet)
    assert outlet.push == inlet.on_next
    outlet.push("x")
    assert inlet.log == ["x"]


def test_consumers_are_pushed_to_in_the_order_of_their_connection(outlet):
    log = []
    for name in "cab":
        outlet.connect(Inlet(name, log))
    outlet.push("1")
    outlet.push("2")
    outlet.complete()
    assert log == ["c1", "a1", "b1", "c2", "a2", "b2", "cend", "aend", "bend"]


def test_completion_is_told_once(outlet):
    inlet = Inlet()
    outlet.connect(inlet)
    outlet.complete()
    outlet.complete()
    assert inlet.log == ["end"]


def test_a_consumer_can_be_disconnected(outlet):
    first, second = Inlet("1"), Inlet("2")
    outlet.connect(first)
    outlet.connect(second)
    outlet.disconnect(first)
    outlet.disconnect(first)
    outlet.push("x")
    outlet.disconnect(second)
    outlet.push("y")
    assert (first.log, second.log) == ([], ["2x"])


def test_a_consumer_that_leaves_during_a_push_does_not_disturb_the_others(outlet):
    log = []

    class Leaving(Inlet):
        def on_next(self, packet):
            super().on_next(packet)
            outlet.disconnect(self)

    outlet.connect(Leaving("a", log))
    outlet.connect(Inlet("b", log))
    outlet.push("1")
    outlet.push("2")
    assert log == ["a1", "b1", "b2"]


def test_it_is_an_observable(outlet):
    seen = []
    subscription = outlet.pipe(ops.map(str.upper)).subscribe(
        on_next=seen.append, on_completed=lambda: seen.append("end")
    )
    direct = Inlet()
    outlet.connect(direct)
    outlet.push("x")
    outlet.complete()
    assert seen == ["X", "end"]
    assert direct.log == ["x", "end"]
    subscription.dispose()


def test_a_disposed_subscription_gets_nothing_more(outlet):
    seen = []
    outlet.subscribe(seen.append).dispose()
    outlet.push("x")
    assert seen == []


def test_it_says_whether_anybody_takes_what_is_pushed(outlet):
    assert not outlet.connected
    subscription = outlet.subscribe(lambda _: None)
    assert outlet.connected
    subscription.dispose()
    assert not outlet.connected


def test_who_subscribes_after_the_end_is_told_so(outlet):
    outlet.complete()
    seen = []
    outlet.subscribe(on_completed=lambda: seen.append("end"))
    assert seen == ["end"]


def test_outlets_merge_without_losing_what_is_pushed_at_once():
    left, right = Outlet(Source("l"), "in"), Outlet(Source("r"), "in")
    seen = []
    reactivex.merge(left, right).subscribe(
        on_next=seen.append, on_completed=lambda: seen.append("end")
    )
    left.push("1")
    right.push("2")
    left.complete()
    right.push("3")
    right.complete()
    assert seen == ["1", "2", "3", "end"]
