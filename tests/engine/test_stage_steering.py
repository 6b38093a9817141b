"""engine.stage_steering: params, states and control messages of the nodes of a running stage."""

import asyncio
from collections.abc import Callable

import pytest
import reactivex.operators as rx

from engine.errors import NodeError, RemoteMediaError, UsageError
from engine.flags import FLAG_UNINTERRUPTIBLE
from engine.operator import Operator, Params
from engine.payloads import BatchHint, CancelSpeculation, Control, Text
from engine.reactive.adapter import RxOperator
from engine.steering import Attach, Detach, SetNodeState, SetParams, Tell
from tests.engine.stage_helpers import Join, operator, repeat, tagged, texts, virtual
from tests.engine.steering_helpers import Steered


class Say(Operator):
    """Says a word behind each text."""

    hot = frozenset({"word"})

    class Params(Params):
        word: str = "a"
        fixed: int = 0

    def process(self, packet, ctx):
        return Text(f"{packet.payload.text}{self.params.word}")


class SayMany(Say):
    """Several times, as a generator."""

    def process(self, packet, ctx):
        for _ in range(4):
            yield Text(f"{packet.payload.text}{self.params.word}")


class SaySlowly(Say):
    """Some milliseconds later, the word as it is by then."""

    concurrency = 4

    async def process(self, packet, ctx):
        before = self.params.word
        await asyncio.sleep(0.001 * (1 + packet.sequence % 3))
        return Text(f"{packet.payload.text}{before}{self.params.word}")


class SayInTime(Say):
    """Several times, as an asynchronous generator."""

    async def process(self, packet, ctx):
        for _ in range(3):
            yield Text(f"{packet.payload.text}{self.params.word}")
            await asyncio.sleep(0.001)


class SayInChain(RxOperator):
    """By a chain of reactivex operators."""

    hot = frozenset({"word"})

    class Params(Params):
        word: str = "a"

    def chain(self, inlet):
        return inlet.pipe(rx.map(lambda p: Text(f"{p.payload.text}{self.params.word}")))


def taken(answers):
    """What the only answer of a change says of the params and the boundary."""
    (answer,) = answers
    if isinstance(answer, RemoteMediaError):
        raise answer
    return answer["params"], answer["edge_seq"]


# --------------------------------------------------------------------------------- params


@pytest.mark.parametrize("cls", [Say, SayInChain])
def test_a_change_is_met_by_the_packet_it_names(cls):
    bench = Steered(cls())
    bench.feed(*texts(3))
    bench.run()
    answers = bench.set_params("node", word="b")
    bench.feed(*texts(2, "then "))
    bench.run()
    params, edge_seq = taken(answers)
    assert params["word"] == "b"
    assert edge_seq == {"node": 3}
    assert bench.values == ["0a", "1a", "2a", "then 0b", "then 1b"]


def test_what_waits_on_the_edge_meets_the_new_values():
    bench = Steered(Say())
    bench.feed(*texts(3))
    assert bench.stage.run(turns_max=1)
    answers = bench.set_params("node", word="b")
    bench.run()
    assert taken(answers)[1] == {"node": 1}
    assert bench.values == ["0a", "1b", "2b"]


def test_all_of_the_params_are_told():
    bench = Steered(Say(fixed=3))
    answers = bench.set_params("node", word="b")
    bench.run()
    assert taken(answers) == ({"word": "b", "fixed": 3}, {"node": 0})


def test_params_that_are_no_json_are_told_as_text():
    class Made(Operator):
        hot = frozenset({"word"})
        portable = False

        class Params(Params):
            word: str = "a"
            make: Callable[[str], str]

        def process(self, packet, ctx):
            return Text(self.params.make(packet.payload.text + self.params.word))

    bench = Steered(Made(make=str.upper))
    answers = bench.set_params("node", word="b")
    bench.feed(Text("x"))
    bench.run()
    assert not bench.stage.done
    assert taken(answers)[0]["word"] == "b"
    assert "upper" in taken(answers)[0]["make"]
    assert bench.values == ["XB"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fixed": 1}, "may not change while it runs"),
        ({"word": 1}, "were not changed: word"),
        ({"wort": "b"}, "did you mean 'word'"),
        ({"word": "b", "fixed": 1}, "may not change"),
    ],
)
def test_a_change_that_is_refused_leaves_everything_as_it_was(changes, said):
    bench = Steered(Say())
    params = bench.stage.adapters[0].operator.params
    answers = bench.set_params("node", **changes)
    bench.feed(Text("x"))
    bench.run()
    assert isinstance(answers[0], UsageError)
    assert said in answers[0].message
    assert bench.stage.adapters[0].operator.params is params
    assert bench.values == ["xa"]


def test_a_refusal_of_the_operators_own_leaves_everything_as_it_was():
    class Picky(Say):
        def params_changed(self, before, ctx):
            seen.append((before.word, self.params.word))
            if self.params.word == "ugly":
                raise ValueError("not that word")

    seen = []
    bench = Steered(Picky())
    refused, accepted = bench.set_params("node", word="ugly"), bench.set_params("node", word="b")
    bench.feed(Text("x"))
    bench.run()
    assert isinstance(refused[0], NodeError)
    assert "the params were not changed" in refused[0].message
    assert "not that word" in refused[0].message
    assert refused[0].node_id == "node"
    assert taken(accepted)[0]["word"] == "b"
    assert seen == [("a", "ugly"), ("a", "b")]
    assert bench.values == ["xb"]
    assert not bench.stage.done


def test_params_changed_may_emit_and_arm_timers():
    class Announcing(Say):
        def params_changed(self, before, ctx):
            ctx.emit(Text("changed"))
            ctx.call_later(1, lambda: ctx.emit(Text("later")))

    bench = Steered(Announcing())
    bench.feed(Text("x"))
    bench.run()
    bench.set_params("node", word="b")
    bench.feed(Text("y"))
    bench.advance(2)
    assert sorted(bench.values) == ["changed", "later", "xa", "yb"]


def test_a_change_waits_behind_a_suspended_generator():
    bench = Steered(SayMany(), capacity=2)
    bench.sink().withholding = True
    bench.feed(*texts(2))
    bench.run()
    answers = bench.set_params("node", word="b")
    bench.run()
    assert answers == []
    bench.sink().withholding = False
    bench.sink().release()
    bench.run()
    assert taken(answers)[1] == {"node": 1}
    assert bench.values == ["0a"] * 4 + ["1b"] * 4


@pytest.mark.parametrize("end", ["end", "cancel", "fail"])
def test_a_change_of_a_node_that_has_ended_is_refused(end):
    bench = Steered({"a": SayMany(), "b": operator()}, capacity=1)
    bench.sink().withholding = True
    bench.feed(Text("x"))
    bench.run()
    under_way = bench.set_params("a", word="b")
    bench.run()
    assert under_way == []
    if end == "end":
        bench.sink().withholding = False
        bench.sink().release()
        bench.finish()
        bench.run()
        assert taken(under_way)[0]["word"] == "b"
    elif end == "cancel":
        bench.stage.cancel()
    else:
        bench.stage.fail(NodeError("on purpose"))
    if end != "end":
        assert "has ended" in under_way[0].message
    (error,) = bench.set_params("a", word="c")
    assert isinstance(error, UsageError)
    assert "node 'a' has ended" in error.message


def test_a_change_of_a_node_that_completed_before_the_others_is_refused():
    class Leaving(Say):
        def process(self, packet, ctx):
            ctx.complete()

    bench = Steered({"a": operator(), "b": Leaving(), "c": operator()}, [("a", "b"), ("a", "c")])
    bench.feed(Text("x"))
    bench.run()
    answers = bench.set_params("b", word="b")
    bench.run()
    assert not bench.stage.done
    assert "node 'b' has ended" in answers[0].message


def test_an_interrupt_drops_no_change():
    bench = Steered(SayMany(), capacity=2)
    bench.sink().withholding = True
    bench.feed(Text("x"))
    bench.run()
    answers = bench.set_params("node", word="b")
    bench.interrupt()
    bench.sink().withholding = False
    bench.sink().release()
    bench.feed(Text("y"))
    bench.run()
    assert taken(answers)[0]["word"] == "b"
    assert [value for value in bench.values if value.startswith("y")] == ["yb"] * 4


def test_an_order_for_a_node_that_is_not_there_is_refused():
    bench = Steered(Say())
    for order in (
        SetParams("x", {}),
        SetNodeState("x", "bypass"),
        Attach("tap-0", "tap", "x", "out"),
    ):
        with pytest.raises(UsageError, match="no node 'x'"):
            bench.obeyed(order)
    assert bench.obeyed(Detach("tap-0", "x")) == {}
    assert bench.obeyed(Tell(("x",), Control(BatchHint(2)).to_dict(), 0)) == {"dropped": {}}
    with pytest.raises(UsageError, match="no output port 'outt'; did you mean 'out'"):
        bench.hand("tap", "node", "outt")


# ------------------------------------------------------------------- params: open calls


@virtual
async def test_a_change_waits_until_no_call_is_open_and_starts_none_before():
    bench = Steered(SaySlowly(), capacity=64)
    bench.feed(*texts(20))
    await asyncio.sleep(0.0015)
    answers = bench.set_params("node", word="b")
    await asyncio.sleep(0)
    assert answers == []
    bench.finish()
    await bench.joined()
    _, edge_seq = taken(answers)
    boundary = edge_seq["node"]
    assert 4 <= boundary < 20
    assert bench.values == [f"{n}{'aa' if n < boundary else 'bb'}" for n in range(20)]


@virtual
async def test_changes_follow_each_other_in_order():
    bench = Steered(SaySlowly(), capacity=64)
    bench.feed(*texts(40))
    answers = []
    for number in range(8):
        answers.append(bench.set_params("node", word=f"<{number}>"))
        await asyncio.sleep(0.0007)
    bench.finish()
    await bench.joined()
    boundaries = [taken(each)[1]["node"] for each in answers]
    assert boundaries == sorted(boundaries)
    for sequence, value in enumerate(bench.values):
        met = sum(boundary <= sequence for boundary in boundaries)
        word = f"<{met - 1}>" if met else "a"
        assert value == f"{sequence}{word}{word}"


@virtual
async def test_a_generator_goes_on_with_the_values_it_began_with():
    bench = Steered(SayInTime())
    bench.feed(*texts(5))
    await asyncio.sleep(0.0015)
    answers = bench.set_params("node", word="b")
    bench.finish()
    await bench.joined()
    boundary = taken(answers)[1]["node"]
    assert 0 < boundary < 5
    words = [f"{n}{'a' if n < boundary else 'b'}" for n in range(5) for _ in range(3)]
    assert bench.values == words


@virtual
async def test_a_change_that_waits_for_a_call_is_made_when_an_interrupt_ends_it():
    class Forever(SaySlowly):
        async def process(self, packet, ctx):
            if packet.payload.text == "old":
                await asyncio.Event().wait()
            return await super().process(packet, ctx)

    bench = Steered(Forever())
    bench.feed(Text("old"))
    await asyncio.sleep(0.001)
    answers = bench.set_params("node", word="b")
    await asyncio.sleep(0.001)
    assert answers == []
    bench.interrupt()
    bench.feed(Text("new"))
    bench.finish()
    await bench.joined()
    assert taken(answers)[0]["word"] == "b"
    assert bench.values == ["newbb"]


@virtual
async def test_a_change_that_waits_for_a_call_is_refused_when_the_stage_ends():
    class Forever(Say):
        async def process(self, packet, ctx):
            await asyncio.Event().wait()

    bench = Steered(Forever())
    bench.feed(Text("x"))
    await asyncio.sleep(0.001)
    answers = bench.set_params("node", word="b")
    await asyncio.sleep(0.001)
    bench.stage.cancel()
    await bench.host.join()
    assert "has ended" in answers[0].message
    assert bench.settled


# ---------------------------------------------------------------------------------- states


def states(bench, node):
    """Feed a packet in each state, and one more once it is enabled again."""
    for number, state in enumerate(("enabled", "bypass", "disabled", "enabled")):
        bench.set_state(node, state)
        bench.feed(Text(str(number)))
        bench.run()
    return bench.values


@pytest.mark.parametrize("cls", [Say, SayInChain])
def test_a_node_is_bypassed_disabled_and_enabled_again(cls):
    bench = Steered({"a": operator(), "b": cls(), "c": operator()})
    assert states(bench, "b") == ["0a", "1", "3a"]
    assert bench.settled


def test_what_has_been_taken_in_goes_on():
    bench = Steered({"a": repeat(4, "generator"), "b": Join(100)}, capacity=1)
    bench.feed(Text("x"))
    bench.run()
    bench.set_state("b", "disabled")
    bench.feed(Text("y"))
    bench.finish()
    bench.run()
    assert bench.values == ["x.0+x.1+x.2+x.3"]


def test_a_generator_that_is_suspended_goes_on_in_a_disabled_node():
    bench = Steered(SayMany(), capacity=1)
    bench.sink().withholding = True
    bench.feed(*texts(2))
    bench.run()
    bench.set_state("node", "disabled")
    bench.sink().withholding = False
    bench.sink().release()
    bench.run()
    assert bench.values == ["0a"] * 4


def test_timers_of_a_disabled_node_go_on():
    def process(packet, ctx):
        ctx.call_later(1, lambda: ctx.emit(packet))

    bench = Steered(operator(process))
    bench.feed(Text("x"))
    bench.run()
    bench.set_state("node", "disabled")
    bench.feed(Text("y"))
    bench.advance(2)
    assert bench.values == ["x"]


def two_inputs(process, **members):
    return operator(process, inputs=("left", "right"), **members)


def test_a_group_passes_a_joining_node_member_by_member():
    def process(group, ctx):
        return Text("+".join(packet.payload.text for packet in group.values()))

    bench = Steered(two_inputs(process, joins=True))
    for state in ("enabled", "bypass", "disabled"):
        bench.set_state("node", state)
        bench.feed_group(left=Text("l"), right=Text("r"))
        bench.run()
    assert bench.values == ["l+r", "l", "r"]
    assert bench.settled


def test_a_group_passes_a_node_that_does_not_join():
    bench = Steered(two_inputs(lambda packet, ctx: Text(packet.payload.text + "!")))
    for state in ("enabled", "bypass", "disabled"):
        bench.set_state("node", state)
        bench.feed_group(left=Text("l"), right=Text("r"))
        bench.run()
    assert bench.values == ["l!", "r!", "l", "r"]


def test_a_node_that_chooses_is_not_asked_while_it_is_not_enabled():
    asked = []

    def wants(port):
        asked.append(port)
        return False

    bench = Steered(operator(chooses=True, wants=wants))
    bench.feed(Text("waits"))
    bench.run()
    assert (bench.values, bool(asked)) == ([], True)
    asked.clear()
    bench.set_state("node", "bypass")
    bench.host.wake()
    bench.run()
    assert (bench.values, asked) == (["waits"], [])


def test_what_is_bypassed_leaves_by_the_first_output():
    class Split(Say):
        outputs = ("even", "odd")

        def process(self, packet, ctx):
            return ctx.to("odd", packet)

    bench = Steered(Split())
    bench.set_state("node", "bypass")
    bench.feed(Text("x"), metadata={"user": "eva"})
    bench.run()
    (packet,) = bench.sink("node.even").packets
    assert (packet.payload.text, packet.metadata) == ("x", {"user": "eva"})
    assert str(packet.source) == "node.even"
    assert bench.sink("node.odd").values == []


def test_a_node_is_flushed_in_every_state():
    for state in ("bypass", "disabled"):
        bench = Steered(Join(100))
        bench.feed(Text("x"))
        bench.run()
        bench.set_state("node", state)
        bench.finish()
        bench.run()
        assert bench.values == ["x"]
        assert bench.stage.done


def test_a_node_that_has_left_stays_so():
    def process(packet, ctx):
        ctx.complete()

    bench = Steered(
        {"a": operator(), "b": operator(process), "c": operator()}, [("a", "b"), ("a", "c")]
    )
    bench.feed(Text("x"))
    bench.run()
    bench.set_state("b", "bypass")
    bench.feed(Text("y"))
    bench.run()
    assert bench.sink("b").values == []


@pytest.mark.parametrize("cls", [SaySlowly, SayInTime])
@virtual
async def test_asynchronous_nodes_have_states_too(cls):
    bench = Steered(cls())
    for number, state in enumerate(("enabled", "bypass", "disabled", "enabled")):
        bench.set_state("node", state)
        bench.feed(Text(str(number)))
        await asyncio.sleep(0.01)
    bench.finish()
    await bench.joined()
    said = ["0a"] * 3 + ["1"] + ["3a"] * 3 if cls is SayInTime else ["0aa", "1", "3aa"]
    assert bench.values == said


@virtual
async def test_what_is_bypassed_stays_behind_the_calls_before_it():
    bench = Steered(SaySlowly())
    bench.feed(*texts(3))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    bench.set_state("node", "bypass")
    bench.feed(*texts(3, "later "))
    bench.finish()
    await bench.joined()
    assert bench.values == ["0aa", "1aa", "2aa", "later 0", "later 1", "later 2"]


# -------------------------------------------------------------------------- control messages


def cancel(from_ms, to_ms):
    return Control(CancelSpeculation(from_ms * 1_000_000, to_ms * 1_000_000))


def test_nodes_are_told_with_the_whole_message_and_nobody_else():
    told = []

    def hear(node):
        return operator(control=lambda control, ctx: told.append((node, control, ctx.node_id)))

    bench = Steered({node: hear(node) for node in "abc"})
    message = Control(BatchHint(7), "segment", 5, {"why": ["x"]})
    assert bench.tell(message, "b", "c") == {}
    assert told == [("b", message, "b"), ("c", message, "c")]


def test_a_node_that_has_ended_is_not_told():
    told = []
    bench = Steered(operator(control=lambda control, ctx: told.append(control)))
    bench.finish()
    bench.run()
    bench.tell(Control(BatchHint(2)), "node")
    assert told == []


def test_what_a_node_emits_when_it_is_told_comes_out():
    bench = Steered(operator(control=lambda control, ctx: ctx.emit(Text("told"))))
    bench.feed(Text("x"))
    bench.run()
    bench.tell(Control(BatchHint(2)), "node")
    bench.run()
    assert bench.values == ["x", "told"]


def test_a_control_that_raises_is_the_nodes_error():
    def control(message, ctx):
        raise ValueError("on purpose")

    bench = Steered({"a": operator(), "b": operator(control=control), "c": operator()})
    bench.tell(Control(BatchHint(2)), "a", "b", "c")
    assert bench.stage.error.node_id == "b"
    assert bench.stage.error.context["during"] == "control"


def test_a_span_is_taken_back_wherever_it_waits():
    nodes = {"a": repeat(2, "generator"), "b": repeat(2, "generator")}
    bench = Steered(nodes, capacity=3)
    bench.sink().withholding = True
    bench.feed(*texts(3))
    bench.feed(Text("kept"), flags=FLAG_UNINTERRUPTIBLE)
    bench.run()
    before = list(bench.values)
    dropped = bench.tell(cancel(0, 10), "a", "b")
    assert sum(dropped.values()) >= 3
    bench.sink().withholding = False
    bench.sink().release()
    bench.feed(Text("behind"), timestamp_ns=10_000_000)
    bench.finish()
    bench.run()
    came = bench.values[len(before) :]
    assert not [value for value in came if value[0] in "012"]
    assert [v for v in came if v.startswith("kept")] == [
        f"kept.{i}.{j}" for i in range(2) for j in range(2)
    ]
    assert [v for v in came if v.startswith("behind")] == [
        f"behind.{i}.{j}" for i in range(2) for j in range(2)
    ]
    assert bench.stage.done
    assert bench.settled


def test_what_comes_later_of_a_span_is_taken_back_if_it_was_sent_before():
    bench = Steered(operator())
    bench.clock.spend(1)
    bench.tell(cancel(0, 10), "node", before_ns=1_000_000_000)
    bench.feed(Text("old"), timestamp_ns=0, ingress_ns=999_999_999)
    bench.feed(Text("new"), timestamp_ns=0, ingress_ns=1_000_000_000)
    bench.feed(Text("beside"), timestamp_ns=10_000_000, ingress_ns=0)
    bench.run()
    assert bench.values == ["new", "beside"]


def test_a_span_concerns_only_the_nodes_that_are_told():
    bench = Steered({"a": operator(), "b": operator()}, [])
    bench.feed(*texts(2), at="a")
    bench.feed(*texts(2), at="b")
    assert bench.tell(cancel(0, 10), "b") == {"b": 2}
    bench.run()
    assert (bench.sink("a").values, bench.sink("b").values) == (["0", "1"], [])


@virtual
async def test_calls_of_a_span_are_cancelled_and_what_waited_behind_them_goes_on():
    ended = []

    class Waiting(Say):
        concurrency = 2
        inputs = ("left", "right", "third")

        async def process(self, packet, ctx):
            try:
                await asyncio.sleep(1)
            finally:
                ended.append(packet.payload.text)
            return packet

    bench = Steered(Waiting())
    bench.feed(Text("old"), port="left", timestamp_ns=0)
    payloads = {port: Text(port) for port in ("left", "right", "third")}
    bench.feed_together(payloads, timestamp_ns=20_000_000)
    await asyncio.sleep(0.5)
    answers = bench.set_params("node", word="b")
    assert bench.tell(cancel(0, 10), "node") == {"node": 1}
    bench.finish()
    await bench.joined()
    assert bench.values == ["left", "right", "third"]
    assert ended[0] == "old"
    assert taken(answers)[0]["word"] == "b"


@virtual
async def test_a_change_and_the_end_that_wait_for_a_call_come_though_it_is_taken_back():
    class Waiting(Say):
        async def process(self, packet, ctx):
            await asyncio.Event().wait()

        def flush(self, ctx):
            return Text(f"flushed {self.params.word}")

    bench = Steered(Waiting())
    feed = bench.hand("publish", "node")
    bench.finish()
    feed.publish(Text("published"))
    await asyncio.sleep(0.001)
    answers = bench.set_params("node", word="b")
    await asyncio.sleep(0.001)
    assert answers == []
    assert bench.tell(cancel(0, 10), "node") == {"node": 1}
    await bench.joined()
    assert taken(answers)[0]["word"] == "b"
    assert bench.values == ["flushed b"]


@virtual
async def test_a_flush_is_not_taken_back():
    class Flushing(Say):
        async def flush(self, ctx):
            await asyncio.sleep(0.01)
            return Text("flushed")

    bench = Steered(Flushing())
    bench.feed(Text("x"))
    bench.finish()
    await asyncio.sleep(0.001)
    assert bench.tell(cancel(0, 10), "node") == {}
    await bench.joined()
    assert bench.values == ["xa", "flushed"]


@pytest.mark.parametrize("state", ["enabled", "bypass"])
def test_orders_beside_interrupts_lose_nothing_newer(state):
    bench = Steered({"a": tagged("!"), "b": Say()})
    for generation in range(5):
        bench.feed(*texts(3, f"{generation}:"))
        bench.interrupt()
        bench.set_state("b", state)
        bench.set_params("b", word=str(generation))
        bench.tell(cancel(500, 600), "a", "b")
    bench.feed(Text("new"))
    bench.finish()
    bench.run()
    assert bench.values == ["new!4" if state == "enabled" else "new!"]
    assert bench.stage.done
