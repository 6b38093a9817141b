"""engine.stage: the turn, the order of things, credits, time, the end, interrupts."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import EdgeError, NodeError
from engine.payloads import Text
from engine.testing import StageBench, run_virtual
from tests.engine.stage_helpers import Join, keep, operator, repeat, tagged, texts


def in_flight(bench, name=None):
    """Credits of an in edge that the stage holds."""
    return bench._feeder(name).edge.statistics().in_flight


# -------------------------------------------------------------------------------- lineage


def test_an_output_has_the_lineage_of_its_input():
    bench = StageBench({"a": operator(), "b": tagged("!")})
    bench.feed(
        Text("x"), sequence=7, timestamp_ns=70, ingress_ns=700, flags=2, metadata={"user": "eva"}
    )
    bench.run()
    (packet,) = bench.sink().packets
    assert str(packet.source) == "b.out"
    assert (packet.sequence, packet.index) == (7, 0)
    assert (packet.timestamp_ns, packet.ingress_ns, packet.flags) == (70, 700, 2)
    assert packet.metadata == {"user": "eva"}


def test_the_index_counts_the_outputs_of_one_sequence():
    bench = StageBench({"a": repeat(3)})
    bench.feed(*texts(2))
    bench.run()
    assert bench.sink().lineage == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]


@pytest.mark.parametrize("kind", ["list", "generator"])
def test_the_index_continues_behind_an_expander(kind):
    bench = StageBench({"a": repeat(2, kind), "b": operator(), "c": repeat(2, kind)})
    bench.feed(*texts(2))
    bench.run()
    assert bench.sink().lineage == [(s, i) for s in range(2) for i in range(4)]


def test_the_outputs_of_an_aggregator_descend_from_its_last_input():
    bench = StageBench({"a": Join(3)})
    bench.feed(*texts(4))
    bench.finish()
    bench.run()
    assert bench.values == ["0+1+2", "3"]
    assert bench.sink().lineage == [(2, 0), (3, 0)]


def test_what_a_flush_emits_descends_from_the_last_input():
    bench = StageBench({"a": operator(flush=lambda ctx: [Text("x"), Text("y")])})
    bench.feed(Text("last"), sequence=9, timestamp_ns=90, metadata={"k": "v"})
    bench.finish()
    bench.run()
    assert bench.values == ["last", "x", "y"]
    assert bench.sink().lineage == [(9, 0), (9, 1), (9, 2)]
    assert bench.sink().packets[-1].timestamp_ns == 90
    assert bench.sink().packets[-1].metadata == {"k": "v"}


def test_what_a_timer_emits_descends_from_the_last_input():
    def process(packet, ctx):
        ctx.call_later(1, lambda: ctx.emit(Text(f"late {packet.payload.text}")))

    bench = StageBench({"a": operator(process)})
    bench.feed(*texts(2))
    bench.advance(1)
    assert bench.values == ["late 0", "late 1"]
    assert bench.sink().lineage == [(1, 0), (1, 1)]


def test_what_comes_before_any_input_starts_at_sequence_0():
    bench = StageBench({"a": operator(flush=lambda ctx: Text("only"))})
    bench.finish()
    bench.run()
    (packet,) = bench.sink().packets
    assert (packet.session_id, packet.sequence, packet.index) == ("session", 0, 0)


def test_metadata_that_an_operator_sets_goes_with_its_output_only():
    def process(packet, ctx):
        return packet.with_payload(packet.payload, {"language": "de"})

    bench = StageBench({"a": operator(process), "b": operator()}, outputs=["a", "b"])
    bench.feed(Text("x"), metadata={"user": "eva"})
    bench.run()
    assert bench.sink("a").packets[0].metadata == {"language": "de"}
    assert bench.sink("b").packets[0].metadata == {"language": "de"}
    assert bench.sink("b").packets[0].sequence == 0


# ---------------------------------------------------------------------------------- order


def test_a_fan_out_pushes_in_the_order_of_the_links():
    log = []

    def logging(name):
        return operator(lambda packet, ctx: log.append((name, packet.payload.text)))

    nodes = {"a": operator(), "z": logging("z"), "b": logging("b"), "y": logging("y")}
    bench = StageBench(nodes, [("a", "y"), ("a", "b"), ("a", "z")])
    bench.feed(*texts(2))
    bench.run()
    assert log == list(itertools.product("ybz", "01"))[::2] + [(n, "1") for n in "ybz"]


def test_a_diamond_is_depth_first():
    nodes = {"a": repeat(2), "b": tagged("b"), "c": tagged("c"), "d": operator()}
    links = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]
    bench = StageBench(nodes, links)
    bench.feed(Text("x"))
    bench.run()
    assert bench.values == ["x.0b", "x.0c", "x.1b", "x.1c"]
    assert bench.sink().lineage == [(0, 0), (0, 0), (0, 1), (0, 1)]  # each branch counts its own


def test_a_merge_takes_its_inputs_in_turn():
    bench = StageBench({"a": operator()}, inputs=["a.in", "a"])
    bench.feed(*texts(3, "x"), at="a.in")
    bench.feed(*texts(3, "y"), at="a")
    bench.run()
    assert bench.values == ["x0", "y0", "x1", "y1", "x2", "y2"]


def test_an_input_that_ends_is_not_starved_by_one_that_never_pauses():
    flushed = []
    nodes = {"a": operator(), "b": operator(flush=lambda ctx: flushed.append("b"))}
    bench = StageBench(nodes, links=[])
    bench.feed(*texts(40), at="a")
    bench.finish("b")
    bench.stage.run(turns_max=5)
    assert flushed == ["b"]
    assert bench.sink("b").ended


# -------------------------------------------------------------------------------- credits


def test_a_credit_comes_home_once_its_turn_has_settled():
    bench = StageBench({"a": operator()}, capacity={"a": 4})
    sink = bench.sinks["a"]
    sink.withholding = True
    bench.feed(*texts(10))
    bench.run()
    # 4 lie beyond the out edge, one in the outbox holds a credit, 4 - 1 wait before the stage.
    assert len(sink.packets) == 4
    assert in_flight(bench) == 1
    sink.release()
    bench.run()
    assert len(sink.packets) == 8
    sink.withholding = False
    sink.release()
    bench.run()
    assert bench.values == [str(number) for number in range(10)]
    assert bench.settled


def test_an_aggregator_may_want_more_than_the_edge_holds():
    bench = StageBench({"a": Join(8)}, capacity=2)
    bench.feed(*texts(17))
    bench.finish()
    bench.run()
    assert bench.values == ["0+1+2+3+4+5+6+7", "8+9+10+11+12+13+14+15", "16"]
    assert bench.settled


def test_a_list_may_be_longer_than_the_edge_and_holds_one_credit_until_all_has_left():
    bench = StageBench({"a": repeat(10)}, capacity=2)
    sink = bench.sink()
    sink.withholding = True
    bench.feed(*texts(2))
    bench.run()
    assert bench.stage.outbox == 8
    for left in range(8, 0, -1):
        assert (bench.stage.outbox, in_flight(bench)) == (left, 1)
        sink.release(1)
        bench.run()
    # The first list has left; the second one follows, of which nothing can leave.
    assert in_flight(bench) == 1
    sink.withholding = False
    sink.release()
    bench.run()
    assert len(sink.packets) == 20
    assert bench.settled


def test_a_generator_is_pulled_only_while_there_is_credit():
    pulled = 0

    def process(packet, ctx):
        nonlocal pulled
        for number in range(10_000):
            pulled += 1
            yield Text(str(number))

    bench = StageBench({"a": operator(process), "b": operator()}, capacity=3)
    sink = bench.sink()
    sink.withholding = True
    bench.feed(Text("go"))
    highest_outbox = 0
    while len(sink.packets) < 10_000:
        bench.run()
        assert pulled == len(sink.packets)
        highest_outbox = max(highest_outbox, bench.stage.outbox)
        sink.release(2)
    bench.run()
    assert highest_outbox == 0
    assert sink.values == [str(number) for number in range(10_000)]
    assert bench.settled


def test_a_full_edge_does_not_hold_up_another():
    nodes = {"a": operator()}
    bench = StageBench(nodes, outputs=["a", "a.out"], capacity={"a": 1})
    slow, fast = bench.sinks["a"], bench.sinks["a.out"]
    slow.withholding = True
    bench.feed(*texts(2))
    bench.run()
    assert (slow.values, fast.values) == (["0"], ["0", "1"])
    assert in_flight(bench) == 1
    slow.release()
    bench.run()
    assert slow.values == ["0", "1"]
    assert bench.settled


def test_an_edge_that_has_ended_holds_up_no_generator():
    nodes = {"a": operator(), "b": operator(flush=lambda ctx: iter(texts(3)))}
    bench = StageBench(nodes, outputs=["a", "b"], capacity=1)
    bench.sink("a").withholding = True
    bench.feed(Text("x"))
    bench.finish()
    bench.run()
    assert bench.sink("a").ended
    assert bench.sink("a").held == 1
    assert bench.sink("b").values == ["x", "0", "1", "2"]


def test_nested_generators_go_depth_first_with_one_credit():
    nodes = {"a": repeat(2, "generator"), "b": repeat(2, "list"), "c": repeat(2, "generator")}
    bench = StageBench(nodes, capacity=1)
    sink = bench.sink()
    sink.withholding = True
    bench.feed(*texts(2))
    bench.finish()
    for _ in range(40):
        bench.run()
        sink.release(1)
    expected = [f"{a}.{b}.{c}.{d}" for a in "01" for b in "01" for c in "01" for d in "01"]
    assert sink.values == expected
    assert sink.lineage == [(s, i) for s in range(2) for i in range(8)]
    assert sink.ended


LINK = st.one_of(
    st.builds(lambda count: ("list", count), st.integers(0, 4)),
    st.builds(lambda count: ("generator", count), st.integers(0, 4)),
    st.builds(lambda size: ("join", size), st.integers(1, 5)),
    st.just(("keep", 0)),
    st.just(("pass", 0)),
)


def make(kind, number):
    if kind == "join":
        return Join(number)
    if kind == "keep":
        return keep(lambda text: hash(len(text)) % 3 != 0)
    if kind == "pass":
        return operator()
    return repeat(number, kind)


def outcome(bench):
    sink = bench.sink()
    return list(zip(sink.values, sink.lineage, strict=True))


def play(chain, count, capacity, releases):
    """What a chain makes of `count` packets when its consumer releases by this pattern."""
    nodes = {f"n{position}": make(*link) for position, link in enumerate(chain)}
    bench = StageBench(nodes, capacity=capacity)
    sink = bench.sink()
    sink.withholding = releases is not None
    bench.feed(*texts(count))
    bench.finish()
    bench.run()
    for release in itertools.cycle(releases or [0]):
        if not sink.held:
            break
        sink.release(release)
        bench.run()
        for edge in (sink.edge, bench._feeder(None).edge):
            statistics = edge.statistics()
            assert statistics.in_flight >= 0
            assert statistics.queued >= 0
            assert statistics.queued + statistics.in_flight <= edge.capacity
    assert sink.ended
    assert bench.settled
    assert bench.stage.done
    assert bench.stage.error is None
    return outcome(bench)


@given(
    chain=st.lists(LINK, min_size=1, max_size=5),
    count=st.integers(0, 8),
    capacity=st.integers(1, 4),
    releases=st.lists(st.integers(0, 3), min_size=1, max_size=6).filter(any),
)
def test_credits_never_change_what_comes_out_nor_in_what_order(chain, count, capacity, releases):
    assert play(chain, count, capacity, releases) == play(chain, count, 100_000, None)


@given(
    chain=st.lists(LINK, min_size=2, max_size=5),
    cut=st.integers(1, 4),
    count=st.integers(0, 6),
    capacity=st.integers(1, 4),
)
def test_a_chain_cut_into_two_stages_gives_the_same(chain, cut, count, capacity):
    cut = min(cut, len(chain) - 1)
    nodes = {f"n{position}": make(*link) for position, link in enumerate(chain)}
    first = StageBench(dict(list(nodes.items())[:cut]), capacity=capacity)
    second = StageBench(dict(list(nodes.items())[cut:]), capacity=capacity)
    first.feed(*texts(count))
    first.finish()
    first.run()
    second._feeder(None).waiting.extend(first.sink().packets)
    second.finish()
    second.run()
    assert outcome(second) == play(chain, count, 100_000, None)


@given(
    kinds=st.lists(st.sampled_from(["list", "generator", "pass"]), min_size=4, max_size=4),
    capacity=st.integers(1, 3),
    releases=st.lists(st.integers(0, 2), min_size=1, max_size=4).filter(any),
)
def test_a_diamond_loses_and_doubles_nothing_under_any_credits(kinds, capacity, releases):
    nodes = {f"n{position}": make(kind, 2) for position, kind in enumerate(kinds)}
    nodes["n1"], nodes["n2"] = repeat(2, "generator", "l"), repeat(2, "generator", "r")
    links = [("n0", "n1"), ("n0", "n2"), ("n1", "n3"), ("n2", "n3")]
    results = []
    for edge_capacity, withholding in ((capacity, True), (100_000, False)):
        bench = StageBench(nodes, links, capacity=edge_capacity)
        sink = bench.sink()
        sink.withholding = withholding
        bench.feed(*texts(3))
        bench.finish()
        bench.run()
        for release in itertools.cycle(releases):
            if not sink.held:
                break
            sink.release(release)
            bench.run()
        assert sink.ended
        assert bench.settled
        left = [value for value in sink.values if "l" in value]
        right = [value for value in sink.values if "r" in value]
        assert len(left) + len(right) == len(sink.values)
        assert sorted(sink.lineage) == sorted(
            (sequence, index)
            for branch in (left, right)
            for sequence in range(3)
            for index in range(len(branch) // 3)
        )
        results.append((left, right))
    assert results[0] == results[1]  # the order within each branch; between them there is none


# ----------------------------------------------------------------------------------- time


def test_the_clock_stands_still_while_the_stage_waits_for_credits():
    def process(packet, ctx):
        ctx.call_later(1, lambda: ctx.emit(Text(f"{packet.payload.text} + 1 s")))
        return packet

    bench = StageBench({"a": operator(process)}, capacity={"a": 1})
    sink = bench.sink()
    sink.withholding = True
    bench.feed(Text("x"))
    bench.run()
    bench.feed(Text("y"))
    bench.run()  # y fills the outbox: the clock stands
    assert bench.stage.next_due_ns() is None
    bench.advance(10)
    assert sink.values == ["x"]
    sink.release()
    sink.withholding = False
    bench.run()
    assert sink.values == ["x", "y"]
    assert bench.stage.statistics().paused_ns == 10_000_000_000
    bench.advance(0.999)
    assert sink.values == ["x", "y"]
    bench.advance(0.001)
    assert sink.values == ["x", "y", "x + 1 s", "y + 1 s"]


def test_due_timers_are_deferred_not_queued():
    def process(packet, ctx):
        for number in range(50):
            ctx.call_later(0.1, lambda number=number: ctx.emit(Text(str(number))))

    bench = StageBench({"a": operator(process)}, capacity=1)
    sink = bench.sink()
    sink.withholding = True
    bench.feed(Text("go"))
    bench.advance(1)
    for count in range(1, 51):
        assert len(sink.packets) == count
        assert bench.stage.outbox == (count < 50)
        sink.release()
        bench.run()
    assert sink.values == [str(number) for number in range(50)]


def test_timers_fire_in_the_order_of_their_times_then_of_their_making():
    fired = []

    def process(packet, ctx):
        for delay, name in ((2, "c"), (1, "a"), (2, "d"), (1, "b"), (-5, "now")):
            ctx.call_later(delay, lambda name=name: fired.append(name))

    bench = StageBench({"a": operator(process)})
    bench.feed(Text("go"))
    bench.run()
    assert fired == ["now"]
    bench.advance(3)
    assert fired == ["now", "a", "b", "c", "d"]


def test_a_cancelled_timer_does_not_fire_and_lets_go_of_what_it_held():
    fired = []

    def process(packet, ctx):
        ctx.call_later(1, lambda: fired.append("kept"))
        cancel = ctx.call_later(2, lambda: fired.append("cancelled"))
        cancel()
        cancel()

    bench = StageBench({"a": operator(process)})
    bench.feed(Text("go"))
    bench.run()
    assert bench.stage._timers[1].callback.__name__ == "_nothing"
    bench.advance(3)
    assert fired == ["kept"]


def test_timers_that_are_armed_anew_for_ever_do_not_pile_up():
    cancel = None

    def process(packet, ctx):
        nonlocal cancel
        if cancel is not None:
            cancel()
        cancel = ctx.call_later(60, lambda: None)

    bench = StageBench({"a": operator(process)})
    bench.feed(*texts(1_000))
    bench.run()
    assert len(bench.stage._timers) <= 2


def test_a_timer_holds_no_credit():
    bench = StageBench({"a": operator(lambda packet, ctx: ctx.call_later(60, list) and None)})
    bench.feed(Text("go"))
    bench.run()
    assert bench.settled


# ---------------------------------------------------------------------------------- slice


def test_a_long_list_does_not_outlast_its_slice():
    bench = StageBench({"a": repeat(10_000), "b": operator()}, capacity=100_000)
    tick(bench, 0.000_01)
    bench.feed(Text("go"))
    bench.run()
    assert len(bench.values) == 10_000
    assert bench.clock.longest_run_ns <= 1_000_000 + 10_000


def test_a_fast_generator_does_not_outlast_its_slice():
    bench = StageBench({"a": repeat(10_000, "generator"), "b": operator()}, capacity=100_000)
    tick(bench, 0.000_01)
    bench.feed(Text("go"))
    bench.run()
    assert len(bench.values) == 10_000
    assert bench.clock.longest_run_ns <= 1_000_000 + 10_000


def tick(bench, seconds):
    """Let the second operator take its time."""
    second = bench.stage.adapters[1]
    process = second._process

    def slow(packet, ctx):
        bench.clock.spend(seconds)
        return process(packet, ctx)

    second._process = slow


def test_a_run_ends_after_its_turns_or_its_slice():
    bench = StageBench({"a": operator(), "b": operator()})
    bench.feed(*texts(10))
    assert bench.stage.run(turns_max=4)
    assert bench.stage.turns == 4
    tick(bench, 0.000_6)
    assert bench.stage.run()
    assert bench.stage.turns == 6
    assert not bench.stage.run(turns_max=64, slice_ns=10_000_000)
    assert bench.stage.turns == 10


def test_doorbells_are_rung_after_each_turn_while_turns_are_slow():
    bench = StageBench({"a": operator(), "b": operator()})
    edge = bench.sink().edge
    rung = []
    edge.flush = lambda: rung.append(edge.statistics().sent)
    bench.stage._slow_turns = 0
    bench.feed(*texts(2))
    bench.stage.run()
    assert rung == []
    tick(bench, 0.000_2)
    bench.feed(*texts(2))
    bench.stage.run()
    assert rung == [3, 4]


# ------------------------------------------------------------------------------- the end


def test_the_end_of_the_stream_needs_no_credit():
    bench = StageBench({"a": operator()}, capacity=1)
    sink = bench.sink()
    sink.withholding = True
    bench.feed(Text("x"))
    bench.finish()
    bench.run()
    assert sink.held == 1
    assert sink.ended
    assert bench.stage.done
    assert bench.host.finished_count == 1


def test_the_end_goes_behind_what_waits_in_the_outbox():
    bench = StageBench({"a": repeat(3)}, capacity=1)
    sink = bench.sink()
    sink.withholding = True
    bench.feed(Text("x"))
    bench.finish()
    bench.run()
    assert not sink.ended
    for _ in range(2):
        sink.release()
        bench.run()
    assert sink.values == ["x.0", "x.1", "x.2"]
    assert sink.ended


def test_flush_runs_once_when_all_ports_have_ended():
    flushed = []

    class TwoPorts(type(operator())):
        inputs = ("left", "right")

        def flush(self, ctx):
            flushed.append("flush")

    node = TwoPorts()
    bench = StageBench({"a": node}, inputs=["a.left", "a.right"])
    bench.feed(Text("x"), at="a.left")
    bench.finish("a.left")
    bench.run()
    assert flushed == []
    assert not bench.stage.done
    bench.finish("a.right")
    bench.run()
    assert flushed == ["flush"]
    assert bench.stage.done


def test_a_port_ends_when_all_that_feeds_it_has():
    nodes = {"a": operator(), "b": operator(), "c": Join(100)}
    bench = StageBench(nodes, [("a", "c"), ("b", "c")])
    bench.feed(Text("x"), at="a")
    bench.finish("a")
    bench.run()
    bench.feed(Text("y"), at="b")
    bench.finish("b")
    bench.run()
    assert bench.values == ["x+y"]
    assert bench.stage.done


def test_nodes_are_flushed_from_the_source_down():
    log = []

    def logging(name):
        def flush(ctx):
            log.append(f"flush {name}")
            return Text(name)

        def process(packet, ctx):
            log.append(f"{name} takes {packet.payload.text}")
            return packet

        return operator(process, flush=flush)

    bench = StageBench({"a": logging("a"), "b": logging("b")})
    bench.finish()
    bench.run()
    assert log == ["flush a", "b takes a", "flush b"]
    assert bench.values == ["a", "b"]


@pytest.mark.parametrize("capacity", [1, 2, 100])
def test_a_node_is_flushed_only_behind_what_it_is_still_handing_out(capacity):
    # a's flush makes b's iterator suspend; b must not be flushed before it has come to its end.
    def process(packet, ctx):
        return (Text(f"{packet.payload.text}.{number}") for number in range(3))

    nodes = {
        "a": operator(flush=lambda ctx: Text("rest")),
        "b": operator(process, flush=lambda ctx: [Text("end 1"), Text("end 2")]),
    }
    bench = StageBench(nodes, capacity=capacity)
    sink = bench.sink()
    sink.withholding = True
    bench.finish()
    for _ in range(10):
        bench.run()
        sink.release(1)
    assert sink.values == ["rest.0", "rest.1", "rest.2", "end 1", "end 2"]
    assert sink.ended


def test_a_source_without_ports_is_flushed_when_its_ingress_ends():
    class Generator(type(operator())):
        inputs = ()

        def flush(self, ctx):
            return (Text(str(number)) for number in range(3))

    bench = StageBench({"a": Generator()})
    bench.run()
    bench.finish()
    bench.run()
    assert bench.values == ["0", "1", "2"]
    assert bench.stage.done


def test_a_node_with_consumers_on_both_sides_ends_both():
    bench = StageBench({"a": operator(), "b": operator()}, outputs=["a", "b"])
    bench.feed(Text("x"))
    bench.finish()
    bench.run()
    assert bench.sink("a").ended
    assert bench.sink("b").ended


def test_what_is_emitted_after_the_end_goes_nowhere():
    contexts = []
    taken = []

    def flush(ctx):
        contexts.append(ctx)

    nodes = {"a": operator(flush=flush), "b": operator(lambda packet, ctx: taken.append(packet))}
    nodes["c"] = operator()
    bench = StageBench(nodes, [("a", "b")], inputs=["a", "c"])
    bench.finish("a")
    bench.run()
    assert not bench.stage.done  # c goes on
    contexts[0].emit(Text("late"))
    bench.run()
    assert taken == []


# --------------------------------------------------------------------------------- errors


def test_the_first_error_wins_and_nothing_goes_out_behind_it():
    def fail(packet, ctx):
        raise ValueError(packet.payload.text)

    nodes = {"a": operator(), "b": operator(fail), "c": operator(fail), "d": operator()}
    bench = StageBench(nodes, [("a", "b"), ("a", "c"), ("a", "d")])
    bench.feed(*texts(3))
    bench.run()
    assert isinstance(bench.stage.error, NodeError)
    assert bench.stage.error.node_id == "b"
    assert bench.stage.error.context["sequence"] == 0
    assert str(bench.stage.error.__cause__) == "0"
    assert bench.sink("d").packets == []
    assert isinstance(bench.sink("d").edge.error, EdgeError)
    assert bench.host.finished_count == 1
    assert bench.settled


def test_a_failed_edge_fails_the_stage():
    bench = StageBench({"a": operator()})
    bench.feed(Text("x"))
    error = EdgeError("broken", edge="e")
    bench._feeder(None).edge.fail(error)
    bench.run()
    assert bench.values == ["x"]
    assert bench.stage.error is error


@pytest.mark.parametrize("refused_before", [0, 2])
def test_a_packet_that_can_never_cross_is_its_nodes_error(refused_before):
    bench = StageBench({"a": operator(), "b": repeat(2)}, capacity={"b": 1})
    sink = bench.sinks["b"]
    sink.withholding = True
    edge = sink.edge
    accept = edge.try_send
    offered = []

    def try_send(packet):
        offered.append(packet)
        if len(offered) > refused_before:
            raise EdgeError("too large", edge="b→")
        return len(offered) == 1 and accept(packet)

    edge.try_send = try_send
    bench.feed(*texts(4))
    bench.run()
    sink.release()
    bench.run()
    assert bench.stage.error is not None
    assert bench.stage.error.node_id == "b"
    assert bench.stage.outbox == 0
    assert bench.settled


def test_a_stage_that_has_failed_ignores_what_comes_later():
    def fail(packet, ctx):
        raise ValueError("first")

    contexts = []

    def initialized(packet, ctx):
        contexts.append(ctx)
        return packet

    bench = StageBench({"a": operator(initialized), "b": operator(fail)})
    bench.feed(Text("x"))
    bench.run()
    error = bench.stage.error
    bench.stage.fail(NodeError("second"))
    bench.stage.cancel()
    contexts[0].emit(Text("late"))
    cancel = contexts[0].call_later(0, lambda: contexts[0].emit(Text("late")))
    bench.feed(*texts(3))
    bench.finish()
    bench.advance(10)
    cancel()
    assert bench.stage.error is error
    assert bench.values == []
    assert bench.host.finished_count == 1
    assert not bench.stage.run()
    assert bench.stage.next_due_ns() is None
    assert not bench.stage._posted
    assert not bench.stage._timers


@pytest.mark.parametrize("sibling", ["list", "generator"])
def test_an_error_beside_a_suspended_iterator_returns_each_credit_once(sibling):
    def fail(packet, ctx):
        raise ValueError("beside it")

    nodes = {"a": operator(), "b": repeat(5, sibling), "c": operator(fail)}
    bench = StageBench(nodes, [("a", "b"), ("a", "c")], capacity={"b": 1})
    bench.sinks["b"].withholding = True
    bench.feed(*texts(3))
    bench.run()
    assert bench.stage.error.node_id == "c"
    edge = bench._feeder(None).edge
    assert edge.statistics().in_flight == 0
    assert edge._credits == edge.capacity


# ------------------------------------------------------------------------------ interrupt


def interrupt(bench, generation=1):
    bench.stage.interrupt_all(generation)


def test_an_interrupt_purges_the_outbox_and_the_inputs():
    bench = StageBench({"a": repeat(4)}, capacity={"a": 8})
    sink = bench.sinks["a"]
    sink.withholding = True
    bench.feed(*texts(8))
    bench.run()
    assert bench.stage.outbox == 4
    interrupt(bench)
    bench.run()
    assert bench.stage.outbox == 0
    assert bench.stage.generation == 1
    assert bench.settled
    taken = len(sink.packets)
    sink.withholding = False
    sink.release()
    bench.feed(Text("new"), generation=1)
    bench.run()
    assert sink.values[taken:] == ["new.0", "new.1", "new.2", "new.3"]


def test_the_first_packet_of_a_newer_generation_interrupts():
    node = Join(2)
    bench = StageBench({"a": node})
    bench.feed(Text("old"))
    bench.feed(Text("new"), generation=3)
    bench.feed(Text("stale"), generation=2)
    bench.run()
    assert node.held == ["new"]
    assert bench.stage.generation == 3
    assert bench.stage.words[0] == 3
    bench.feed(Text("er"), generation=3)
    bench.run()
    assert bench.values == ["new+er"]
    assert bench.sink().packets[0].generation == 3
    assert bench.settled


@pytest.mark.parametrize("kind", ["list", "generator"])
def test_an_interrupt_closes_suspended_iterators_at_every_depth(kind):
    closed = []

    def process(name):
        def items(packet, ctx):
            try:
                for number in range(10):
                    yield Text(f"{name}{number}")
            finally:
                closed.append(name)

        return items

    nodes = {
        "a": operator(process("a")),
        "b": repeat(3, kind),
        "c": operator(process("c")),
        "d": operator(),
    }
    bench = StageBench(nodes, capacity=1)
    sink = bench.sink()
    sink.withholding = True
    bench.feed(*texts(3))
    bench.run()
    interrupt(bench)
    bench.run()
    assert sorted(closed) == ["a", "c"]
    assert bench.settled
    assert not bench.stage.has_suspended
    sink.release()
    sink.withholding = False
    bench.feed(Text("new"), generation=1)
    bench.run()
    assert [packet.generation for packet in sink.packets] == [0] + [1] * 300


def test_a_result_of_a_turn_that_was_interrupted_dies_at_the_exit():
    def process(packet, ctx):
        assert not ctx.cancelled
        bench.stage.interrupt_all(1)
        assert ctx.cancelled
        return packet

    bench = StageBench({"a": operator(process)})
    bench.feed(Text("x"))
    bench.run()
    assert bench.values == []
    assert bench.stage.generation == 1
    assert bench.settled


def test_the_end_of_the_stream_survives_an_interrupt():
    bench = StageBench({"a": repeat(3, "generator"), "b": Join(100)}, capacity=1)
    bench.sink().withholding = True
    bench.feed(*texts(3))
    bench.finish()
    bench.stage.run(turns_max=2)
    interrupt(bench)
    bench.run()
    assert bench.values == []
    assert bench.sink().ended
    assert bench.stage.done
    assert bench.settled


def test_an_interrupt_between_the_end_and_the_flush_does_not_flush_twice():
    flushed = []
    nodes = {"a": operator(flush=lambda ctx: flushed.append("a"))}
    nodes["b"] = operator(flush=lambda ctx: flushed.append("b"))
    bench = StageBench(nodes)
    bench.finish()
    assert bench.stage.run(turns_max=1)  # the end is taken, the flush is requested
    interrupt(bench)
    bench.run()
    assert flushed == ["a", "b"]
    assert bench.stage.done


def test_an_interrupt_during_a_flush_completes_the_node():
    nodes = {"a": operator(flush=lambda ctx: (Text(str(number)) for number in range(10)))}
    nodes["b"] = operator(flush=lambda ctx: Text("b"))
    bench = StageBench(nodes, capacity=1)
    sink = bench.sink()
    sink.withholding = True
    bench.finish()
    bench.run()
    assert sink.values == ["0"]
    interrupt(bench)
    sink.withholding = False
    sink.release()
    bench.run()
    assert sink.values == ["0", "b"]
    assert sink.ended


def test_an_interrupt_cancels_timers_and_posted_emissions():
    contexts = []

    def process(packet, ctx):
        contexts.append(ctx)
        ctx.call_later(1, lambda: ctx.emit(Text("timer")))

    bench = StageBench({"a": operator(process)})
    bench.feed(Text("x"))
    bench.run()
    contexts[0].emit(Text("posted"))
    interrupt(bench)
    bench.advance(5)
    assert bench.values == []


def test_what_a_node_does_after_an_interrupt_belongs_to_the_new_generation():
    def reset(ctx):
        ctx.emit(Text("reset"))
        ctx.call_later(1, lambda: ctx.emit(Text("timer")))

    nodes = {"a": operator(reset=reset, flush=lambda ctx: Text("flush"))}
    bench = StageBench(nodes)
    bench.feed(Text("old"), sequence=5)
    bench.run()
    interrupt(bench)
    bench.advance(2)
    bench.finish()
    bench.run()
    assert bench.values == ["old", "reset", "timer", "flush"]
    assert [packet.generation for packet in bench.sink().packets] == [0, 1, 1, 1]
    assert {packet.sequence for packet in bench.sink().packets} == {5}
    assert bench.settled


def test_what_reset_emits_is_not_forgotten_by_the_reset_of_those_behind():
    bench = StageBench({"a": operator(reset=lambda ctx: ctx.emit(Text("new"))), "b": Join(2)})
    bench.feed(Text("old"))
    bench.run()
    interrupt(bench)
    bench.finish()
    bench.run()
    assert bench.values == ["new"]


def test_what_reset_emits_against_a_full_edge_takes_no_credit_with_it():
    bench = StageBench({"a": operator(reset=lambda ctx: ctx.emit(Text("reset")))}, capacity=1)
    sink = bench.sink()
    sink.withholding = True
    bench.feed(Text("x"))
    bench.run()
    assert bench.settled
    interrupt(bench)
    bench.run()
    edge = bench._feeder(None).edge
    assert bench.stage.outbox == 1
    sink.release()
    bench.run()
    assert edge._credits == edge.capacity
    bench.feed(Text("y"), generation=1)
    bench.run()
    sink.release()
    bench.run()
    assert sink.values == ["x", "reset", "y"]
    assert edge._credits == edge.capacity


def test_a_reset_that_raises_fails_the_stage_and_the_packet_goes_nowhere():
    taken = []

    def reset(ctx):
        raise ValueError("no")

    bench = StageBench({"a": operator(lambda packet, ctx: taken.append(packet), reset=reset)})
    bench.feed(Text("x"), generation=1)
    bench.run()
    assert bench.stage.error.node_id == "a"
    assert bench.stage.error.context["during"] == "reset"
    assert taken == []
    assert bench.settled


@given(
    chain=st.lists(LINK, min_size=1, max_size=4),
    capacity=st.integers(1, 3),
    phases=st.lists(
        st.tuples(st.integers(1, 5), st.integers(0, 12), st.integers(0, 3), st.booleans()),
        min_size=2,
        max_size=4,
    ),
)
def test_an_interrupt_loses_nothing_newer_and_lets_nothing_older_out(chain, capacity, phases):
    nodes = {f"n{position}": make(*link) for position, link in enumerate(chain)}
    bench = StageBench(nodes, capacity=capacity)
    sink = bench.sink()
    sink.withholding = True
    for generation, (count, turns, releases, in_band) in enumerate(phases):
        sink.take()
        before = len(sink.packets)
        if not in_band:
            interrupt(bench, generation)
        bench.feed(*texts(count, f"{generation}:"), generation=generation)
        bench.stage.run(turns_max=turns)
        sink.release(releases)
        sink.take()
        if not in_band and turns:
            assert all(packet.generation == generation for packet in sink.packets[before:])
    bench.finish()
    bench.run()
    while sink.held:
        sink.release(1)
        bench.run()
    assert sink.ended
    assert bench.settled
    assert bench.stage.done
    generations = [packet.generation for packet in sink.packets]
    assert generations == sorted(generations)
    for generation, (count, *_) in enumerate(phases):
        undisturbed = StageBench(
            {f"n{position}": make(*link) for position, link in enumerate(chain)}, capacity=100_000
        )
        undisturbed.feed(*texts(count, f"{generation}:"))
        if generation == len(phases) - 1:
            undisturbed.finish()
        undisturbed.run()
        values = [p.payload.text for p in sink.packets if p.generation == generation]
        if generation == len(phases) - 1:
            assert values == undisturbed.values
        else:
            assert values == undisturbed.values[: len(values)]


# --------------------------------------------------------------------------------- cancel


@pytest.mark.parametrize("kind", ["list", "generator"])
@pytest.mark.parametrize("turns", range(12))
@pytest.mark.parametrize("capacity", [1, 3])
def test_a_cancel_at_any_point_returns_all_credits_and_closes_all(kind, turns, capacity):
    nodes = {"a": repeat(3, kind), "b": repeat(3, "generator"), "c": repeat(2, kind)}
    bench = StageBench(nodes, capacity=capacity)
    bench.sink().withholding = True
    bench.feed(*texts(4))
    bench.finish()
    bench.stage.run(turns_max=turns)
    bench.sink().take()
    bench.sink().release(1)
    bench.stage.cancel()
    bench.stage.cancel()
    edge = bench._feeder(None).edge
    bench.sink().take()
    bench.sink().release()
    assert edge.statistics().in_flight == 0
    assert edge._credits == edge.capacity
    assert bench.sink().edge._credits == capacity
    assert bench.stage.outbox == 0
    assert not bench.stage.has_suspended
    assert bench.host.finished_count == 1
    assert bench.stage.words[1] == 1
    assert bench.stage.error is None


@pytest.mark.parametrize("stop", ["cancel", "interrupt"])
def test_what_waits_behind_a_suspended_iterator_gives_its_credit_back(stop):
    nodes = {"a": operator(), "b": tagged("b"), "c": tagged("c"), "d": repeat(9, "generator")}
    links = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]
    bench = StageBench(nodes, links, capacity=1)
    bench.sink().withholding = True
    bench.feed(Text("x"))
    bench.run()
    assert in_flight(bench) == 1
    if stop == "cancel":
        bench.stage.cancel()
    else:
        interrupt(bench)
        bench.run()
    edge = bench._feeder(None).edge
    assert edge._credits == edge.capacity


def test_a_cancel_from_within_an_operator_closes_its_generator():
    closed = []

    def process(packet, ctx):
        try:
            yield Text("1")
            bench.stage.cancel()
            assert ctx.cancelled
            yield Text("2")
            yield Text("3")
        finally:
            closed.append("closed")

    bench = StageBench({"a": operator(process), "b": operator()})
    bench.feed(Text("x"))
    bench.run()
    assert closed == ["closed"]
    assert bench.values == ["1"]
    assert bench.settled


def test_a_generator_that_raises_when_it_is_closed_stops_nothing(caplog):
    def process(packet, ctx):
        try:
            yield Text("1")
            yield Text("2")
        finally:
            raise ValueError("in finally")

    bench = StageBench({"a": operator(process)}, capacity=1)
    bench.sink().withholding = True
    bench.feed(Text("x"))
    bench.run()
    bench.stage.cancel()
    assert bench.settled
    assert "in finally" in caplog.text


def test_a_consumer_that_leaves_ends_what_only_feeds_it():
    bench = StageBench({"a": repeat(100, "generator")}, capacity=2)
    sink = bench.sink()
    sink.withholding = True
    bench.feed(*texts(30))  # and no end
    bench.run()
    assert len(sink.packets) == 2
    sink.edge.close()
    bench.run()
    assert bench.stage.done
    assert bench.stage.error is None
    assert bench.settled
    assert sink.edge.statistics().dropped < 3_000


def test_a_consumer_that_leaves_ends_nothing_that_others_take():
    bench = StageBench(
        {"a": operator(), "b": operator(), "c": operator()}, links=[("a", "b"), ("a", "c")]
    )
    bench.sink("b").edge.close()
    bench.feed(*texts(3))
    bench.run()
    bench.feed(*texts(2))
    bench.finish()
    bench.run()
    assert len(bench.sink("c").packets) == 5
    assert bench.stage.done
    assert bench.settled


# ----------------------------------------------------------------------------- statistics


def test_statistics_count_turns_packets_and_time():
    bench = StageBench({"a": repeat(3), "b": operator()})
    tick(bench, 0.5)
    bench.feed(*texts(2))
    bench.run()
    statistics = bench.stage.statistics()
    assert statistics.nodes["a"].received == 2
    assert statistics.nodes["a"].emitted == 6
    assert statistics.nodes["b"].received == 6
    assert statistics.nodes["b"].busy_ns == 3_000_000_000
    assert statistics.turns >= 2


def test_the_oldest_call_is_one_that_computes():
    async def scenario():
        import asyncio

        async def process(packet, ctx):
            for number in range(3):
                await asyncio.sleep(10)
                yield Text(str(number))

        bench = StageBench({"a": operator(process)}, capacity={"a": 1})
        bench.sink().withholding = True
        assert bench.stage.oldest_call_ns() is None
        bench.feed(Text("go"))
        await asyncio.sleep(1)
        assert bench.stage.oldest_call_ns() == 0
        await asyncio.sleep(10)  # the first item was taken at 10 s: a sign of life
        assert bench.values == ["0"]
        assert bench.stage.oldest_call_ns() == 10_000_000_000
        await asyncio.sleep(100)  # the second waits for a credit: it does not compute
        assert bench.stage.oldest_call_ns() is None
        bench.stage.cancel()
        await bench.joined()

    run_virtual(scenario())
