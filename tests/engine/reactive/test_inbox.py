"""engine.reactive.inbox: what waits is bounded, by a named policy."""

import threading

import pytest

from engine.errors import EdgeOverflowError, UsageError
from engine.reactive.inbox import NOTHING, OVERFLOWS, Inbox


class Woken:
    def __init__(self):
        self.count = 0

    def __call__(self):
        self.count += 1


def inbox(overflow="error", capacity=3, wake=lambda: None):
    return Inbox("pipeline 'x'", capacity, overflow, wake)


def taken(box):
    return list(iter(box.take, NOTHING))


@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_what_finds_room_comes_out_in_its_order(overflow):
    box = inbox(overflow)
    for item in "abc":
        box.put(item)
        assert box.take() == item
    assert box.take() is NOTHING
    assert (box.received, box.dropped) == (3, 0)


@pytest.mark.parametrize(
    ("overflow", "left", "dropped"),
    [("drop_oldest", "cde", 2), ("drop_newest", "abc", 2), ("latest", "e", 4)],
)
def test_a_full_one_drops_as_its_policy_says(overflow, left, dropped):
    box = inbox(overflow)
    for item in "abcde":
        box.put(item)
    assert (box.received, box.dropped, len(box)) == (5, dropped, len(left))
    assert taken(box) == list(left)


def test_a_full_one_may_be_an_error():
    box = inbox()
    for item in "abc":
        box.put(item)
    with pytest.raises(EdgeOverflowError, match="the input of pipeline 'x' is full: 3 wait") as e:
        box.put("d")
    assert "drop_oldest, drop_newest, latest, or block" in e.value.message
    assert e.value.context["capacity"] == 3
    assert (box.received, box.dropped) == (4, 1)
    assert taken(box) == ["a", "b", "c"]


class Putter:
    """Puts items one after the other on a thread of its own."""

    def __init__(self, box, items):
        self._box = box
        self._items = items
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        for item in self._items:
            self._box.put(item)

    def join(self):
        self.thread.join(timeout=10)
        assert not self.thread.is_alive()


def test_a_put_may_wait_for_room():
    arrived = threading.Semaphore(0)
    box = inbox("block", capacity=2, wake=arrived.release)
    putter = Putter(box, range(1000))
    got = []
    while len(got) < 1000:
        assert len(box) <= 2
        item = box.take()
        if item is NOTHING:
            assert arrived.acquire(timeout=10)
        else:
            got.append(item)
    putter.join()
    assert got == list(range(1000))
    assert box.dropped == 0


@pytest.mark.parametrize("end", ["close", "finish"])
def test_a_put_that_waits_returns_at_the_end(end):
    arrived = threading.Event()
    box = inbox("block", capacity=1, wake=arrived.set)
    putter = Putter(box, "abc")
    assert arrived.wait(timeout=10)
    getattr(box, end)()
    putter.join()
    assert taken(box) == ([] if end == "close" else ["a"])


def test_it_wakes_when_there_is_something_to_take_and_at_the_end():
    woken = Woken()
    box = inbox(wake=woken)
    box.put("a")
    box.put("b")
    assert woken.count == 1
    taken(box)
    box.put("c")
    assert woken.count == 2
    box.finish()
    assert woken.count == 3
    assert box.finished


def test_what_comes_behind_the_end_is_not_taken():
    box = inbox()
    box.put("a")
    box.finish()
    box.put("b")
    assert taken(box) == ["a"]
    assert box.received == 1
    box = inbox()
    box.put("a")
    box.close()
    box.close()
    box.put("b")
    assert taken(box) == []


@pytest.mark.parametrize(
    ("overflow", "capacity", "sentence"),
    [
        ("drop_oldst", 1, "there is no overflow policy 'drop_oldst'; did you mean 'drop_oldest'"),
        ("nothing", 1, "the policies are error, drop_oldest, drop_newest, latest, block"),
        ("error", 0, "capacity must be at least 1, got 0"),
    ],
)
def test_a_policy_must_be_one(overflow, capacity, sentence):
    with pytest.raises(UsageError) as caught:
        inbox(overflow, capacity)
    assert sentence in caught.value.message
