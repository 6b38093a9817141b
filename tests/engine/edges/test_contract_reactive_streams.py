"""The rules of Reactive Streams 1.0.4, as far as credits express demand.

Source: the Reactive Streams specification, 1.0.4: §1 publisher, §2 subscriber, §3 subscription.

What its words are here:

    Publisher      the sending end, and the stage before it
    Subscriber     the stage behind the receiving end
    Subscription   the edge; demand is its credits: `capacity` from the start, more by `release`
    request(n)     release(n)             cancel()       close()
    onNext         try_receive gives an item, which on_readable announces
    onComplete     `ended`                onError        `error`

Rules without a test, and why:

    1.09  subscribe calls onSubscribe first   there is no subscribe: the plan makes both ends of an
                                              edge, with its credits, before anything runs
    1.10  subscribe many times                an edge has one consumer; another has another edge
    1.11  several subscribers                 a fan-out is one edge each, over one arena
    2.03  completion calls nothing            `ended` and `error` are properties, not calls
    2.05  cancel a second subscription        as 1.09: nobody can come a second time
    2.11  happens-before                      an item and its processing are on one thread; between
                                              processes a system call lies between write and read
    2.12  onSubscribe once                    as 1.09
    3.01  request in the subscriber only      only the receiving end has release and close
    3.10  request may call onNext             a permission; ours never do, see 3.03
    3.11  request may call onComplete         a permission, as 3.10
    3.14  cancel may shut a publisher down    a permission; what a stage does that nobody reads is
                                              the session's business
"""

from __future__ import annotations

import gc
import sys
import threading
import weakref

import numpy as np
import pytest

from engine.edges.descriptor import PACKETS
from engine.errors import EdgeClosedError, EdgeError, PeerDiedError
from engine.payloads import Audio
from engine.testing.edges import LocalPair, SharedMemoryPair
from engine.testing.edges.traffic import Traffic, audio, packet

LARGE = 40_000


@pytest.fixture(params=[LocalPair, SharedMemoryPair])
async def make(request):
    pairs = []

    def make(capacity=4, **options):
        pairs.append(request.param(capacity, **options))
        return Traffic(pairs[-1])

    yield make
    for pair in pairs:
        pair.dispose()


@pytest.fixture
async def make_shared():
    pairs = []

    def make(capacity=4, **options):
        pairs.append(SharedMemoryPair(capacity, **options))
        return Traffic(pairs[-1])

    yield make
    for pair in pairs:
        pair.dispose()


def fail(traffic, message="failed"):
    traffic.open = False
    traffic.pair.sender.fail(EdgeClosedError(message))


def close(traffic):
    traffic.open = False
    traffic.pair.receiver.close()


# ------------------------------------------------------------------------------- §1 publisher


async def test_1_01_no_more_items_than_the_demand(make):
    """At no time more items have come out than the capacity and all releases make."""
    traffic = make(3)
    released = 0
    for step in range(200):
        traffic.fill()
        await traffic.settle()
        while traffic.take() is not None:
            pass
        assert len(traffic.received) <= 3 + released
        count = min(step % 4, traffic.held)
        traffic.release(count)
        released += count
    assert released >= 200


@pytest.mark.parametrize("end", ["finish", "fail"])
async def test_1_02_fewer_items_than_the_demand_and_then_an_end(make, end):
    """A producer may end, well or badly, with credits left."""
    traffic = make(10)
    traffic.send_numbers(2)
    await traffic.drain()
    if end == "finish":
        traffic.pair.sender.finish()
    else:
        fail(traffic)
    await traffic.drain()
    assert traffic.numbers() == [0, 1]
    assert traffic.pair.receiver.ended == (end == "finish")
    assert (traffic.pair.receiver.error is None) == (end == "finish")


async def test_1_03_signals_come_one_after_the_other(make):
    """Callbacks of an edge never overlap, on one thread, also where they take and send."""
    traffic = make(2)
    pair, running, threads = traffic.pair, [], set()

    def serial(work):
        def callback():
            threads.add(threading.get_ident())
            assert not running, "a callback inside a callback"
            running.append(1)
            work()
            running.pop()

        return callback

    pair.receiver.on_readable = serial(traffic.take)
    pair.sender.on_credit = serial(lambda: None)
    for number in range(100):
        traffic.send(packet(number))
        await traffic.settle()
        while traffic.held or traffic.take() is not None:
            traffic.release()
    assert len(traffic.received) == len(traffic.sent) > 30
    assert traffic.numbers() == traffic.sent
    assert threads == {threading.get_ident()}


async def test_1_04_a_producer_that_fails_is_an_error(make):
    """`fail` is seen as `error`, and so is a death without a word."""
    traffic = make()
    fail(traffic, "stage 'a' failed")
    await traffic.settle()
    assert isinstance(traffic.pair.receiver.error, EdgeClosedError)
    assert traffic.pair.receiver.error.message == "stage 'a' failed"


async def test_1_04_a_producer_that_dies_is_an_error(make_shared):
    """The system says that nobody is there any more, and that is no end of stream."""
    traffic = make_shared()
    traffic.open = False
    traffic.pair.kill_producer()
    await traffic.settle()
    assert isinstance(traffic.pair.receiver.error, PeerDiedError)
    assert traffic.pair.receiver.error.context["edge"] == "edge"
    assert not traffic.pair.receiver.ended


async def test_1_05_a_stream_that_ends_says_so(make):
    """`finish` is seen as `ended`, once, and the consumer is woken for it."""
    traffic = make()
    traffic.pair.sender.finish()
    await traffic.settle()
    assert traffic.pair.receiver.ended
    assert traffic.readable_calls == 1
    assert traffic.pair.receiver.error is None


@pytest.mark.parametrize("end", ["finish", "fail"])
async def test_1_06_behind_its_end_an_edge_is_as_one_that_was_closed(make, end):
    """What is sent goes nowhere, needs no credit, and whoever still holds items may return them."""
    traffic = make(2)
    traffic.fill()
    await traffic.settle()
    traffic.take()
    traffic.open = False
    if end == "finish":
        traffic.pair.sender.finish()
    else:
        fail(traffic)
    assert traffic.pair.sender.ready
    assert traffic.pair.sender.try_send(packet(99))
    await traffic.settle()
    traffic.take()
    assert traffic.numbers() == [0, 1]
    traffic.release(2)
    close(traffic)
    await traffic.settle()


@pytest.mark.parametrize("end", ["finish", "fail"])
async def test_1_07_nothing_is_signalled_behind_an_end(make, end):
    """No item, no other end, no call follows `ended` or `error`."""
    traffic = make(3)
    traffic.send_numbers(1)
    traffic.open = False
    pair = traffic.pair
    pair.sender.finish() if end == "finish" else fail(traffic)
    await traffic.drain()
    state, calls = (pair.receiver.ended, pair.receiver.error), traffic.readable_calls
    for _ in range(3):
        pair.sender.try_send(packet(9))
        pair.sender.finish()
        pair.sender.fail(EdgeClosedError("late"))
        await traffic.settle()
        assert traffic.take() is None
        assert (pair.receiver.ended, pair.receiver.error) == state
        assert traffic.readable_calls == calls


async def test_1_08_a_consumer_that_closed_is_soon_left_alone(make):
    """Behind close no item comes; what was under way may wake it a last time."""
    traffic = make(3)
    traffic.send_numbers(2)
    close(traffic)
    await traffic.settle()
    calls = traffic.readable_calls
    for number in range(20):
        assert traffic.pair.sender.try_send(packet(number))
        await traffic.settle()
        assert traffic.take() is None
    assert traffic.readable_calls == calls


# ------------------------------------------------------------------------------- §2 subscriber


async def test_2_01_demand_is_what_lets_items_come(make):
    """Without a release nothing follows the first `capacity` items; with one, one does."""
    traffic = make(2)
    traffic.fill()
    await traffic.settle()
    while traffic.take() is not None:
        pass
    assert not traffic.send(packet(2))
    traffic.release()
    await traffic.settle()
    assert traffic.send(packet(2))
    assert not traffic.send(packet(3))
    await traffic.settle()
    assert traffic.take() is not None
    assert traffic.take() is None


async def test_2_02_a_producer_never_runs_its_consumer(make):
    """try_send returns with the item still there: on_readable is a hint, to be acted on later."""
    traffic = make(3)
    seen = []
    traffic.pair.receiver.on_readable = lambda: seen.append(len(traffic.received))
    for number in range(3):
        traffic.send(packet(number))
        assert traffic.received == []
        assert traffic.away == number + 1
    await traffic.settle()
    assert set(seen) == {0}


@pytest.mark.parametrize("end", ["finish", "fail"])
async def test_2_04_behind_an_end_the_credits_a_consumer_holds_mean_nothing(make, end):
    """Releasing and closing after `ended` or `error` is allowed, and wakes nobody."""
    traffic = make(2)
    traffic.send_numbers(2)
    await traffic.settle()
    traffic.take()
    traffic.take()
    traffic.open = False
    traffic.pair.sender.finish() if end == "finish" else fail(traffic)
    await traffic.settle()
    traffic.release(2)
    close(traffic)
    await traffic.settle()
    assert traffic.credit_calls == 0
    assert traffic.away == 0


async def test_2_06_a_consumer_that_needs_no_more_closes_and_all_is_given_back(make):
    """close returns the credits of what is queued, and what it lies in."""
    traffic = make(6)
    for number in range(6):
        traffic.send(packet(number, audio(number, LARGE)))
    await traffic.settle()
    close(traffic)
    await traffic.settle()
    assert traffic.away == 0
    assert traffic.dropped == 6
    if isinstance(traffic.pair, SharedMemoryPair):
        assert traffic.pair.writer._arena.is_empty


async def test_2_07_views_that_die_on_other_threads_return_their_room_on_the_loops(make_shared):
    """Only the edge's own thread returns anything: a finalizer elsewhere just leaves word."""
    traffic = make_shared(1)
    for _ in range(10):
        assert traffic.send(packet(0, audio(1, LARGE)))
        await traffic.settle()
        held = [traffic.take()]
        traffic.received.clear()
        traffic.sent.clear()
        traffic.held = 0
        thread = threading.Thread(target=held.clear)
        thread.start()
        thread.join()
        assert traffic.pair.writer._arena.used_slots == 1
        traffic.pair.receiver.release()
        await traffic.pair.settle()
        assert traffic.pair.writer._arena.is_empty


async def test_2_08_items_may_still_be_under_way_to_a_consumer_that_closed(make):
    """They are dropped and counted, and neither a credit nor a slot stays away for them."""
    traffic = make(4)
    traffic.send_numbers(4)
    traffic.pair.sender.flush()  # in the socket, where there is one
    close(traffic)
    await traffic.settle()
    assert traffic.take() is None
    assert traffic.dropped == 4
    assert traffic.away == 0


async def test_2_09_an_end_comes_without_demand(make):
    """With every credit held by the consumer the end of the stream still arrives."""
    traffic = make(1)
    traffic.send_numbers(1)
    await traffic.settle()
    traffic.take()
    traffic.pair.sender.finish()
    await traffic.settle()
    assert traffic.pair.receiver.ended


async def test_2_10_an_error_comes_without_demand(make):
    """So does a failure."""
    traffic = make(1)
    traffic.send_numbers(1)
    await traffic.settle()
    traffic.take()
    fail(traffic)
    await traffic.settle()
    assert traffic.pair.receiver.error is not None


@pytest.mark.parametrize("end", ["finish", "fail", "close"])
async def test_2_13_receiving_returns_normally_whatever_came(make, end):
    """An end is a state, never an exception out of try_receive."""
    traffic = make()
    traffic.open = False
    pair = traffic.pair
    {"finish": pair.sender.finish, "close": pair.receiver.close}.get(end, lambda: fail(traffic))()
    await traffic.settle()
    assert pair.receiver.try_receive() is None
    assert pair.receiver.readable is False


async def test_2_13_receiving_returns_normally_what_is_damaged(make_shared):
    """Damage is the edge's `error`."""
    traffic = make_shared()
    traffic.pair.near.send(bytes([PACKETS, 1, 2, 3]))
    await traffic.settle()
    assert traffic.pair.receiver.try_receive() is None
    assert isinstance(traffic.pair.receiver.error, EdgeError)


# ----------------------------------------------------------------------------- §3 subscription


async def test_3_02_a_credit_may_be_released_as_soon_as_its_item_is_there(make):
    """Also inside on_readable, right behind try_receive."""
    traffic = make(1)

    def consume():
        while traffic.take() is not None:
            traffic.release()

    traffic.pair.receiver.on_readable = consume
    for number in range(50):
        traffic.send(packet(number))
        await traffic.settle()
        await traffic.settle()
    assert traffic.numbers() == traffic.sent
    assert len(traffic.sent) > 20


async def test_3_03_releasing_and_sending_do_not_climb_on_each_other(make):
    """The stack is as deep at the last of thousands of items as at the first."""
    traffic = make(1)
    pair, depths = traffic.pair, set()

    def depth():
        frame, count = sys._getframe(), 0
        while frame is not None:
            frame, count = frame.f_back, count + 1
        return count

    pair.receiver.on_readable = lambda: depths.add(("readable", depth()))
    pair.sender.on_credit = lambda: depths.add(("credit", depth()))
    for number in range(1000):
        traffic.send(packet(number))
        traffic.send(packet(number))
        await pair.settle()
        while pair.receiver.try_receive() is not None:
            pair.receiver.release()
        traffic.sent.clear()
        await pair.settle()
    assert 0 < len(depths) <= 4


async def test_3_04_releasing_only_counts(make):
    """It takes no item, sends none, and does not run the producer: at most it calls once."""
    traffic = make(3)
    traffic.fill()
    await traffic.settle()
    for _ in range(3):
        traffic.take()
    sent = list(traffic.sent)
    for _ in range(3):
        traffic.release()
    assert traffic.credit_calls <= 1
    assert traffic.sent == sent
    assert traffic.readable_calls <= 3


async def test_3_05_closing_twice_is_once(make):
    """And neither needs an answer of the producer."""
    traffic = make(2)
    traffic.send_numbers(2)
    await traffic.settle()
    close(traffic)
    close(traffic)
    await traffic.settle()
    assert traffic.dropped == 2
    assert traffic.away == 0


async def test_3_06_releasing_behind_close_is_no_demand(make):
    """Nothing comes for it, and nobody is called."""
    traffic = make(2)
    traffic.send_numbers(2)
    await traffic.settle()
    traffic.take()
    close(traffic)
    await traffic.settle()
    traffic.release()
    traffic.pair.sender.try_send(packet(5))
    await traffic.settle()
    assert traffic.take() is None
    assert traffic.credit_calls == 0


async def test_3_07_closing_behind_close_changes_nothing(make):
    """Not the counts, not the state."""
    traffic = make(2)
    traffic.send_numbers(1)
    await traffic.settle()
    close(traffic)
    await traffic.settle()
    before = traffic.pair.receiver.statistics(), traffic.pair.sender.statistics()
    close(traffic)
    await traffic.settle()
    assert (traffic.pair.receiver.statistics(), traffic.pair.sender.statistics()) == before


async def test_3_08_releases_add_up(make):
    """Two and one let three more come."""
    traffic = make(5)
    traffic.fill()
    await traffic.settle()
    for _ in range(5):
        traffic.take()
    traffic.release(2)
    traffic.release(1)
    await traffic.settle()
    assert traffic.fill() == 3


@pytest.mark.parametrize("count", [-1, -(2**40), 2, 2**62])
async def test_3_09_less_than_nothing_or_more_than_is_held_cannot_be_released(make, count):
    """It is the consumer's own mistake, told to it at once; nothing has changed. 0 is nothing."""
    traffic = make(3)
    traffic.send_numbers(2)
    await traffic.settle()
    traffic.take()
    with pytest.raises(ValueError, match=f"cannot release {count}"):
        traffic.pair.receiver.release(count)
    traffic.pair.receiver.release(0)
    await traffic.settle()
    assert traffic.away == 2
    assert len(await traffic.drain()) == 1


async def test_3_12_a_close_reaches_the_producer(make):
    """From then on what it sends goes nowhere and is counted; a refused one is called."""
    traffic = make(1)
    traffic.fill()
    await traffic.settle()
    close(traffic)
    await traffic.settle()
    assert traffic.credit_calls == 1
    dropped = traffic.dropped
    for number in range(5):
        assert traffic.pair.sender.try_send(packet(number))
    assert traffic.dropped == dropped + 5


async def test_3_13_a_closed_edge_keeps_no_item(make):
    """Neither what was queued nor what came later is held by it."""
    traffic = make(3)
    alive = []
    for number in range(3):
        payload = Audio(np.full(LARGE, number, np.float32), 16_000)
        alive.append(weakref.ref(payload.samples))
        traffic.send(packet(number, payload))
        del payload
    await traffic.settle()
    close(traffic)
    await traffic.settle()
    traffic.pair.sender.flush()
    assert [each() for each in alive] == [None] * 3


async def test_3_13_a_closed_end_keeps_no_consumer(make_shared):
    """Once the consumer drops its end, the producer's does not keep it."""

    class Consumer:
        def wake(self):
            pass

    traffic = make_shared()
    consumer = Consumer()
    traffic.pair.receiver.on_readable = consumer.wake
    dead = weakref.ref(consumer)
    close(traffic)
    await traffic.settle()
    traffic.pair.kill_consumer()
    traffic.pair.receiver.on_readable = None
    del consumer
    gc.collect()
    assert dead() is None
    assert traffic.pair.sender.try_send(packet(0))


STATES = {
    "open": lambda traffic: None,
    "finished": lambda traffic: traffic.pair.sender.finish(),
    "failed": fail,
    "closed": close,
}


@pytest.mark.parametrize("state", STATES)
async def test_3_15_closing_returns_normally_in_every_state(make, state):
    """Whatever came before."""
    traffic = make(3)
    traffic.send_numbers(3)
    await traffic.settle()
    traffic.take()
    STATES[state](traffic)
    await traffic.settle()
    close(traffic)
    await traffic.settle()
    assert traffic.pair.receiver.try_receive() is None


@pytest.mark.parametrize("state", STATES)
async def test_3_16_releasing_what_is_held_returns_normally_in_every_state(make, state):
    """Whatever came since."""
    traffic = make(3)
    traffic.send_numbers(3)
    await traffic.settle()
    traffic.take()
    traffic.take()
    traffic.open = False
    STATES[state](traffic)
    await traffic.settle()
    traffic.release()
    traffic.release()
    await traffic.settle()


async def test_3_15_and_3_16_also_when_the_producer_has_died(make_shared):
    """Nobody is there to hear of it, and that is no error of the consumer."""
    traffic = make_shared(3)
    traffic.send_numbers(3)
    await traffic.settle()
    traffic.take()
    traffic.open = False
    traffic.pair.kill_producer()
    await traffic.settle()
    traffic.release()
    await traffic.settle()
    close(traffic)
    await traffic.settle()


async def test_3_17_demand_may_be_as_large_as_a_number(make):
    """A capacity of 2**63 − 1 is one like others, and releases are not counted out."""
    traffic = make(2**63 - 1)
    for _ in range(5):
        traffic.send_numbers(100)
        received = await traffic.drain()
        while received and len(traffic.received) < len(traffic.sent):
            received = await traffic.drain()
    assert traffic.numbers() == list(range(500))
