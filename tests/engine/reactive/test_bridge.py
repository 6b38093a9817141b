"""engine.reactive.bridge: a pipeline inside somebody's own reactivex chain, on real loops."""

import asyncio
import threading

import pytest
import reactivex
from reactivex import operators as ops
from reactivex.subject import Subject

from engine.config import Settings
from engine.errors import EdgeClosedError, EdgeOverflowError, ManifestError, NodeError, UsageError
from engine.payloads import Json, Text
from engine.pipeline import Pipeline
from engine.reactive.bridge import as_operator
from engine.reactive.function import rx
from tests.engine.reactive import bridge_operators
from tests.engine.reactive.bridge_operators import (
    Broken,
    Held,
    HeldThread,
    Numbered,
    Pair,
    Shout,
)
from tests.engine.stage_helpers import texts


@pytest.fixture(autouse=True)
def fresh_gates():
    bridge_operators.gate = asyncio.Event()
    bridge_operators.thread_gate = threading.Event()
    bridge_operators.CLEANED.clear()


def pipeline(*steps, **settings):
    made = Pipeline("voice", settings=Settings(**settings))
    for step in steps:
        made = made | step
    return made


class Heard:
    """An observer that notes what it is told, and on which thread."""

    def __init__(self):
        self.values = []
        self.packets = []
        self.error = None
        self.completed = False
        self.threads = set()
        self.over = threading.Event()
        self._loop = None
        try:
            self._loop = asyncio.get_running_loop()
            self._changed = asyncio.Event()
        except RuntimeError:
            pass

    def on_next(self, packet):
        payload = packet.payload
        self.packets.append(packet)
        self.values.append(payload.text if isinstance(payload, Text) else payload.value)
        self._note()

    def on_error(self, error):
        assert not self.over.is_set()
        self.error = error
        self.over.set()
        self._note()

    def on_completed(self):
        assert not self.over.is_set()
        self.completed = True
        self.over.set()
        self._note()

    def subscribe(self, observable):
        return observable.subscribe(self.on_next, self.on_error, self.on_completed)

    async def until(self, condition):
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def ended(self):
        await self.until(self.over.is_set)

    def wait_ended(self):
        assert self.over.wait(timeout=20)

    def _note(self):
        self.threads.add(threading.current_thread())
        if self._loop is not None:
            self._changed.set()


async def until(condition):
    """Let the loop go on until something is so."""
    while not condition():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0)


# ---------------------------------------------------------------------------------- on a loop


async def test_outputs_come_on_the_loop_and_the_end_behind_them():
    heard = Heard()
    operator = as_operator(pipeline(Shout(), Numbered()))
    heard.subscribe(reactivex.from_iterable(texts(5, "t")).pipe(operator))
    await heard.ended()
    assert heard.values == [[number, f"T{number}"] for number in range(5)]
    assert heard.completed
    assert heard.threads == {threading.current_thread()}
    # When the end is told, nothing is left.
    assert len(bridge_operators.CLEANED) == 1
    counts = operator.statistics()
    assert (counts.subscriptions, counts.running, counts.received) == (1, 0, 5)
    assert (counts.dropped, counts.emitted, counts.queued) == (0, 5, 0)


async def test_it_stands_between_other_operators():
    heard = Heard()
    chain = reactivex.from_iterable("abc").pipe(
        ops.map(Text), as_operator(pipeline(Shout())), ops.skip(1)
    )
    heard.subscribe(chain)
    await heard.ended()
    assert heard.values == ["B", "C"]


async def test_a_source_may_emit_for_a_while():
    heard = Heard()
    source = Subject()
    heard.subscribe(source.pipe(as_operator(pipeline(Shout()))))
    for number in range(100):
        source.on_next(Text(f"t{number}"))
        await heard.until(lambda number=number: len(heard.values) == number + 1)
    source.on_completed()
    await heard.ended()
    assert heard.values == [f"T{number}" for number in range(100)]


async def test_each_subscription_has_a_session_of_its_own():
    operator = as_operator(pipeline(Numbered()))
    source = Subject()
    first, second = Heard(), Heard()
    outputs = source.pipe(operator)
    first.subscribe(outputs)
    source.on_next(Text("a"))
    await first.until(lambda: first.values)
    second.subscribe(outputs)
    assert operator.statistics().running == 2
    source.on_next(Text("b"))
    source.on_completed()
    await first.ended()
    await second.ended()
    assert first.values == [[0, "a"], [1, "b"]]
    assert second.values == [[0, "b"]]
    assert len(set(bridge_operators.CLEANED)) == 2
    assert operator.statistics().subscriptions == 2


async def test_a_second_subscription_after_the_end_begins_anew():
    operator = as_operator(pipeline(Numbered()))
    outputs = reactivex.from_iterable(texts(2)).pipe(operator)
    for _ in range(2):
        heard = Heard()
        heard.subscribe(outputs)
        await heard.ended()
        assert heard.values == [[0, "0"], [1, "1"]]


async def test_pairs_groups_and_packets_are_inputs():
    heard = Heard()
    inputs = [
        {"left": Text("l"), "right": Text("r")},
        ("pair", {"left": Text("L"), "right": Text("R")}),
    ]
    heard.subscribe(reactivex.from_iterable(inputs).pipe(as_operator(pipeline(Pair()))))
    await heard.ended()
    assert heard.values == ["l+r", "L+R"]


async def test_packets_of_one_pipeline_enter_another_with_their_time_and_metadata():
    first, second = Heard(), Heard()
    source = Subject()
    outputs = source.pipe(as_operator(pipeline(Shout())), ops.share())
    first.subscribe(outputs)
    second.subscribe(
        outputs.pipe(
            ops.map(lambda packet: packet.with_payload(packet.payload, {"by": "first"})),
            as_operator(pipeline(Numbered())),
        )
    )
    source.on_next(Text("a"))
    source.on_completed()
    await second.ended()
    assert second.values == [[0, "A"]]
    assert second.packets[0].metadata == {"by": "first"}
    assert second.packets[0].timestamp_ns == first.packets[0].timestamp_ns


async def test_a_pipeline_that_takes_only_so_much_leaves_the_source():
    heard = Heard()
    source = Subject()
    heard.subscribe(source.pipe(as_operator(pipeline(rx(ops.take(2)), Shout()))))
    for text in ("a", "b", "c"):
        source.on_next(Text(text))
    await heard.ended()
    assert heard.values == ["A", "B"]
    assert heard.completed
    assert not source.observers


# ----------------------------------------------------------------------------------- overflow


@pytest.mark.parametrize(
    ("overflow", "out", "dropped"),
    [
        ("drop_oldest", ["T7", "T8", "T9"], 7),
        ("drop_newest", ["T0", "T1", "T2"], 7),
        ("latest", ["T9"], 9),
    ],
)
async def test_what_finds_no_room_is_dropped_and_counted(overflow, out, dropped, caplog):
    heard = Heard()
    operator = as_operator(pipeline(Shout()), overflow=overflow, capacity=3)
    # All ten come before the session has taken one.
    heard.subscribe(reactivex.from_iterable(texts(10, "t")).pipe(operator))
    await heard.ended()
    assert heard.values == out
    assert heard.completed
    counts = operator.statistics()
    assert (counts.received, counts.dropped) == (10, dropped)
    assert [record.getMessage() for record in caplog.records].count(
        "inputs_dropped: the source of pipeline 'voice' is quicker than the pipeline"
    ) == 1


async def test_by_default_a_source_that_is_too_quick_is_an_error():
    heard = Heard()
    source = Subject()
    operator = as_operator(pipeline(Held(), channel_capacity=1), capacity=2)
    heard.subscribe(source.pipe(operator))
    sent = 0
    while source.observers:
        source.on_next(Text(f"t{sent}"))
        sent += 1
        await asyncio.sleep(0)
    await heard.ended()
    assert isinstance(heard.error, EdgeOverflowError)
    assert "the input of pipeline 'voice' is full: 2 wait" in heard.error.message
    assert heard.values == []
    counts = operator.statistics()
    assert (counts.dropped, counts.running) == (1, 0)
    # Those in the inbox, one in hand, one with the operator, one too many.
    assert sent <= 2 + 1 + 1 + 1


async def test_a_slow_pipeline_gets_the_newest_when_it_goes_on():
    heard = Heard()
    source = Subject()
    operator = as_operator(pipeline(Held(), channel_capacity=1), overflow="latest")
    heard.subscribe(source.pipe(operator))
    for number in range(2):  # one with the operator, which holds the only credit, and one in hand
        source.on_next(Text(f"t{number}"))
        await until(lambda: not operator.statistics().queued)
    for number in range(2, 50):
        source.on_next(Text(f"t{number}"))
        await asyncio.sleep(0)
    assert operator.statistics().queued == 1
    bridge_operators.gate.set()
    source.on_completed()
    await heard.ended()
    assert heard.values == ["t0", "t1", "t49"]
    assert operator.statistics().dropped == 47


async def test_a_source_on_a_thread_may_wait_for_room():
    heard = Heard()
    operator = as_operator(pipeline(Shout(), channel_capacity=1), overflow="block", capacity=2)
    source = Subject()
    most = []

    def produce():
        for number in range(300):
            source.on_next(Text(f"t{number}"))
            most.append(operator.statistics().queued)
        source.on_completed()

    heard.subscribe(source.pipe(operator))
    thread = threading.Thread(target=produce)
    thread.start()
    await heard.ended()
    await asyncio.to_thread(thread.join)
    assert heard.values == [f"T{number}" for number in range(300)]
    assert heard.threads == {threading.current_thread()}
    assert max(most) <= 2
    assert operator.statistics().dropped == 0


async def test_a_source_on_the_loop_cannot_wait():
    heard = Heard()
    heard.subscribe(
        reactivex.just(Text("a")).pipe(as_operator(pipeline(Shout()), overflow="block"))
    )
    await heard.ended()
    assert isinstance(heard.error, UsageError)
    assert "'block' cannot make the source of pipeline 'voice' wait" in heard.error.message
    assert "let the source emit on another thread" in heard.error.message


async def test_disposing_frees_a_source_that_waits():
    heard = Heard()
    operator = as_operator(pipeline(Held(), channel_capacity=1), overflow="block", capacity=1)
    source = Subject()
    full = threading.Event()

    def produce():
        for number in range(10):
            if number == 3:  # one is with the operator, one in hand, one in the inbox
                full.set()
            source.on_next(Text(f"t{number}"))

    subscription = heard.subscribe(source.pipe(operator))
    thread = threading.Thread(target=produce)
    thread.start()
    assert await asyncio.to_thread(full.wait, 10)
    subscription.dispose()
    await asyncio.to_thread(thread.join, 10)
    assert not thread.is_alive()
    await operator.aclose()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"overflow": "drop_oldst"}, "did you mean 'drop_oldest'?"),
        ({"capacity": 0}, "capacity must be at least 1"),
        ({"on_error": "drian"}, "on_error cannot be 'drian'; did you mean 'drain'?"),
    ],
)
def test_a_policy_must_be_one(options, sentence):
    with pytest.raises(UsageError) as caught:
        as_operator(pipeline(Shout()), **options)
    assert sentence in caught.value.message


# ------------------------------------------------------------------------------------ dispose


async def test_disposing_in_mid_flow_ends_the_session_and_tells_nothing():
    heard = Heard()
    source = Subject()
    operator = as_operator(pipeline(Numbered(), Held()))
    subscription = heard.subscribe(source.pipe(operator))
    for text in texts(5):
        source.on_next(text)
    await until(lambda: operator.statistics().queued == 0)
    subscription.dispose()
    subscription.dispose()
    assert not source.observers
    await operator.aclose()
    bridge_operators.gate.set()
    assert len(bridge_operators.CLEANED) == 1
    assert operator.statistics().running == 0
    assert heard.values == []
    assert not heard.over.is_set()


async def test_disposing_before_the_session_has_started_is_enough():
    heard = Heard()
    operator = as_operator(pipeline(Numbered()))
    heard.subscribe(reactivex.never().pipe(operator)).dispose()
    await operator.aclose()
    assert operator.statistics().running == 0
    assert bridge_operators.CLEANED == []


async def test_disposing_inside_on_next_lets_nothing_through_any_more():
    heard = Heard()
    operator = as_operator(pipeline(Shout()))
    heard.subscribe(reactivex.from_iterable(texts(50)).pipe(operator, ops.take(2)))
    await heard.ended()
    assert heard.values == ["0", "1"]
    await operator.aclose()
    assert operator.statistics().emitted == 2


async def test_disposing_from_another_thread():
    heard = Heard()
    source = Subject()
    operator = as_operator(pipeline(Numbered()))
    subscription = heard.subscribe(source.pipe(operator))
    source.on_next(Text("a"))
    await heard.until(lambda: heard.values)
    await asyncio.to_thread(subscription.dispose)
    await until(lambda: not operator.statistics().running)
    assert len(bridge_operators.CLEANED) == 1
    assert not heard.over.is_set()


async def test_aclose_ends_all_subscriptions():
    operator = as_operator(pipeline(Numbered()))
    source = Subject()
    heards = [Heard() for _ in range(3)]
    for heard in heards:
        heard.subscribe(source.pipe(operator))
    source.on_next(Text("a"))
    for heard in heards:
        await heard.until(lambda heard=heard: heard.values)
    await operator.aclose()
    await operator.aclose()
    assert len(bridge_operators.CLEANED) == 3
    assert not source.observers


async def test_close_would_wait_for_its_own_loop():
    operator = as_operator(pipeline(Shout()))
    Heard().subscribe(reactivex.never().pipe(operator))
    with pytest.raises(UsageError, match="await aclose\\(\\) there"):
        operator.close()
    await operator.aclose()
    operator.close()


# ------------------------------------------------------------------------------------- errors


async def test_an_error_of_a_node_comes_behind_what_was_before_it():
    heard = Heard()
    source = Subject()
    operator = as_operator(pipeline(Shout(), Numbered()))
    heard.subscribe(source.pipe(operator))
    source.on_next(Text("a"))
    await heard.until(lambda: heard.values)
    source.on_next(Text("bad"))
    await heard.ended()
    assert isinstance(heard.error, NodeError)
    assert heard.error.node_id == "shout"
    assert heard.values == [[0, "A"]]
    assert not source.observers
    assert len(bridge_operators.CLEANED) == 1
    assert operator.statistics().running == 0


async def test_retry_begins_another_session():
    heard = Heard()
    source = Subject()
    operator = as_operator(pipeline(Shout(), Numbered()))
    heard.subscribe(source.pipe(operator, ops.retry(2)))
    source.on_next(Text("bad"))
    await until(lambda: operator.statistics().subscriptions == 2)
    source.on_next(Text("a"))
    source.on_completed()
    await heard.ended()
    assert heard.values == [[0, "A"]]
    assert heard.completed


async def test_a_session_that_cannot_start_is_an_error():
    heard = Heard()
    heard.subscribe(reactivex.just(Text("a")).pipe(as_operator(pipeline(Broken()))))
    await heard.ended()
    assert isinstance(heard.error, NodeError)
    assert "no model" in heard.error.message


async def test_a_plan_that_cannot_run_is_an_error():
    heard = Heard()
    wrong = Pipeline.from_manifest(
        {
            "version": "v1",
            "metadata": {"name": "voice"},
            "nodes": [{"id": "a", "node_type": "NoSuchNode"}],
            "connections": [],
        },
        settings=Settings(),
    )
    heard.subscribe(reactivex.just(Text("a")).pipe(as_operator(wrong)))
    await heard.ended()
    assert isinstance(heard.error, ManifestError)


@pytest.mark.parametrize("item", ["a", ("shout", "a", 3)])
async def test_what_is_no_input_is_an_error(item):
    heard = Heard()
    heard.subscribe(reactivex.just(item).pipe(as_operator(pipeline(Shout()))))
    await heard.ended()
    assert isinstance(heard.error, UsageError)
    assert "payload" in heard.error.message


def failing_source():
    return reactivex.concat(
        reactivex.from_iterable(texts(3)), reactivex.throw(ValueError("no more"))
    )


async def test_an_error_of_the_source_ends_the_session_at_once():
    heard = Heard()
    heard.subscribe(failing_source().pipe(as_operator(pipeline(Held(), Shout()))))
    await heard.ended()
    assert isinstance(heard.error, ValueError)
    assert heard.values == []


async def test_an_error_of_the_source_may_come_behind_what_was_taken():
    heard = Heard()
    heard.subscribe(failing_source().pipe(as_operator(pipeline(Shout()), on_error="drain")))
    await heard.ended()
    assert isinstance(heard.error, ValueError)
    assert heard.values == ["0", "1", "2"]


async def test_an_observer_that_raises_ends_the_session_and_is_heard_of():
    reports = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: reports.append(context))
    operator = as_operator(pipeline(Numbered()))

    def boom(packet):
        raise KeyError("observer")

    reactivex.from_iterable(texts(3)).pipe(operator).subscribe(boom)
    await until(lambda: reports)
    assert isinstance(reports[0]["exception"], KeyError)
    assert operator.statistics().running == 0
    assert len(bridge_operators.CLEANED) == 1


def test_a_loop_that_ends_tells_the_observer():
    heard = []

    async def main():
        outputs = reactivex.never().pipe(as_operator(pipeline(Numbered())))
        outputs.subscribe(lambda _: None, on_error=heard.append)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(main())
    assert isinstance(heard[0], EdgeClosedError)
    assert "the loop that ran pipeline 'voice' was ended" in heard[0].message


# ------------------------------------------------------------------------------ without a loop


def test_without_a_loop_it_runs_on_a_thread_of_its_own():
    before = set(threading.enumerate())
    heard = Heard()
    operator = as_operator(pipeline(Shout()), capacity=300)
    heard.subscribe(reactivex.from_iterable(texts(200, "t")).pipe(operator))
    heard.wait_ended()
    assert heard.values == [f"T{number}" for number in range(200)]
    assert len(heard.threads) == 1
    (thread,) = heard.threads
    assert thread not in before
    assert thread.name == "remotemedia-operator-voice"
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert operator.statistics().running == 0


def test_run_waits_for_the_last():
    outputs = reactivex.from_iterable(texts(100)).pipe(
        as_operator(pipeline(Shout()), overflow="block", capacity=1), ops.map(lambda p: p.payload)
    )
    assert outputs.run() == Text("99")


def test_close_ends_the_thread():
    before = set(threading.enumerate())
    heard = Heard()
    operator = as_operator(pipeline(Numbered(), HeldThread()))
    source = Subject()
    heard.subscribe(source.pipe(operator))
    (thread,) = set(threading.enumerate()) - before
    source.on_next(Text("a"))
    bridge_operators.thread_gate.set()
    operator.close(timeout_s=20)
    assert operator.statistics().running == 0
    assert not thread.is_alive()
    assert not heard.over.is_set()


def test_an_error_comes_without_a_loop_too():
    heard = Heard()
    operator = as_operator(pipeline(Shout()))
    heard.subscribe(reactivex.just(Text("bad")).pipe(operator))
    heard.wait_ended()
    assert heard.error.node_id == "shout"
    operator.close(timeout_s=20)


def no_source(observer, scheduler=None):
    raise ValueError("no source")


@pytest.mark.parametrize(
    ("source", "error"),
    [(reactivex.create(no_source), ValueError), (3, AttributeError)],
    ids=["raises", "no observable"],
)
def test_a_source_that_cannot_be_subscribed_to_leaves_no_session(source, error):
    heard = Heard()
    operator = as_operator(pipeline(Numbered()))
    heard.subscribe(operator(source))
    heard.wait_ended()
    assert isinstance(heard.error, error)
    operator.close(timeout_s=20)
    assert operator.statistics().running == 0


# ------------------------------------------------------------------------------- with a worker


@pytest.mark.process
async def test_a_process_node_is_gone_when_the_end_is_told():
    heard = Heard()
    operator = as_operator(pipeline(Shout().on("process")))
    heard.subscribe(reactivex.from_iterable(texts(5, "t")).pipe(operator))
    await heard.ended()
    assert heard.values == [f"T{number}" for number in range(5)]


@pytest.mark.process
async def test_disposing_ends_a_process_node():
    heard = Heard()
    source = Subject()
    operator = as_operator(pipeline(Shout().on("process")))
    subscription = heard.subscribe(source.pipe(operator))
    source.on_next(Text("a"))
    await heard.until(lambda: heard.values)
    subscription.dispose()
    await operator.aclose()
    assert heard.values == ["A"]


@pytest.mark.process
def test_rx_by_name_runs_in_a_process():
    node = rx("map", bridge_operators_shout).then("pairwise").then("map", bridge_operators_joined)
    outputs = pipeline(node.on("process")).run(texts(3, "t"))
    assert [packet.payload for packet in outputs] == [Json(["T0", "T1"]), Json(["T1", "T2"])]


def bridge_operators_shout(packet):
    return Text(packet.payload.text.upper())


def bridge_operators_joined(pair):
    return Json([item.text for item in pair])
