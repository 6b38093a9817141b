"""engine.reactive.adapter: chains of reactivex operators as nodes."""

import asyncio
import mmap
import threading

import numpy as np
import pytest
import reactivex
from reactivex import operators as ops
from reactivex.operators._do import do_after_next
from reactivex.scheduler import NewThreadScheduler, TimeoutScheduler

from engine.errors import NodeError
from engine.operator import Emission, Params, Ports
from engine.payloads import Audio, Text
from engine.reactive.adapter import RxOperator
from engine.stage import Stage
from engine.testing import StageBench
from tests.engine.stage_helpers import operator, repeat, tagged, texts, virtual


def rx(*operators, first=None):
    """A node that pipes its packets through these."""

    class Chain(RxOperator):
        def chain(self, *inlets):
            (packets,) = inlets
            return (first(packets) if first else packets).pipe(*operators)

    return Chain()


def joined(packets):
    return Text("+".join(packet.payload.text for packet in packets))


def fed(bench, *steps):
    """Feed texts ("x") and let time pass (1.5), in turn."""
    for step in steps:
        if isinstance(step, str):
            bench.feed(Text(step))
            bench.run()
        else:
            bench.advance(step)


@pytest.fixture(autouse=True)
def no_thread_appears(request, monkeypatch):
    if "thread" not in request.function.__name__:

        def start(self):
            raise AssertionError(f"{self} appeared")

        monkeypatch.setattr(threading.Thread, "start", start)


# ----------------------------------------------------------------------------- operators


def test_a_chain_maps_and_filters():
    node = rx(
        ops.filter(lambda packet: packet.payload.text != "1"),
        ops.map(lambda packet: Text(packet.payload.text * 2)),
    )
    bench = StageBench({"a": tagged(""), "b": node, "c": tagged("!")})
    bench.feed(*texts(3))
    bench.finish()
    bench.run()
    assert bench.values == ["00!", "22!"]
    assert bench.sink().lineage == [(0, 0), (2, 0)]
    assert bench.sink().ended
    assert bench.settled


def test_debounce_gives_the_last_after_a_pause():
    bench = StageBench({"a": rx(ops.debounce(1.0))})
    fed(bench, "a", 0.5, "b", 0.5, "c", 0.75)
    assert bench.values == []
    fed(bench, 0.25)
    assert bench.values == ["c"]
    fed(bench, "d", 5)
    assert bench.values == ["c", "d"]
    assert bench.sink().lineage == [(2, 0), (3, 0)]
    # At the end, what is pending comes at once.
    fed(bench, "e")
    bench.finish()
    bench.run()
    assert bench.values == ["c", "d", "e"]
    assert bench.stage.done


def test_delay_completes_only_when_the_last_has_come():
    bench = StageBench({"a": rx(ops.delay(2.0)), "b": operator()})
    fed(bench, "a", 1, "b", 0.5)
    bench.finish()
    bench.run()
    assert bench.values == []
    fed(bench, 0.5)
    assert bench.values == ["a"]
    assert not bench.stage.done
    fed(bench, 1.5)
    assert bench.values == ["a", "b"]
    assert bench.stage.done
    assert bench.sink().ended


def test_buffer_with_time_collects_windows():
    node = rx(ops.buffer_with_time(1.0), ops.filter(bool), ops.map(joined))
    bench = StageBench({"a": node})
    fed(bench, 0.25, "a", "b", 0.5, "c", 1, "d", 5)
    assert bench.values == ["a+b+c", "d"]
    assert bench.sink().lineage == [(2, 0), (3, 0)]
    fed(bench, "e")
    bench.finish()
    bench.run()
    assert bench.values == ["a+b+c", "d", "e"]
    assert bench.stage.done


def test_sample_takes_the_latest_at_each_tick():
    bench = StageBench({"a": rx(ops.sample(1.0))})
    fed(bench, 0.25, "a", 0.25, "b", 1, "c", 1, 3)
    assert bench.values == ["b", "c"]
    bench.finish()
    bench.run()
    assert not bench.stage.done  # it ends with its next tick
    fed(bench, 1)
    assert bench.stage.done


@pytest.mark.parametrize("count", [1, 2])
def test_an_early_end_closes_the_inputs_and_the_producer_never_hangs(count):
    nodes = {"a": operator(), "b": rx(ops.take(count)), "c": tagged("!")}
    bench = StageBench(nodes, capacity=2)
    bench.feed(*texts(100))
    bench.run()
    assert bench.values == [f"{number}!" for number in range(count)]
    assert bench.sink().ended
    assert bench.stage.done
    assert bench.stage.error is None
    assert not bench.feeders["a"].waiting
    assert bench.settled


def test_an_early_end_does_not_wait_for_the_producer_to_pause():
    bench = StageBench({"a": rx(ops.take(2))})
    bench.feed(*texts(60))
    bench.stage.run(turns_max=10)
    assert bench.stage.done
    assert bench.feeders["a"].edge.statistics().dropped >= 50


def test_an_early_end_of_one_branch_leaves_the_other_alone():
    nodes = {"a": operator(), "b": rx(ops.take(1)), "c": operator()}
    bench = StageBench(nodes, [("a", "b"), ("a", "c")])
    bench.feed(*texts(5))
    bench.run()
    assert bench.sink("b").values == ["0"]
    assert bench.sink("b").ended
    assert len(bench.sink("c").values) == 5
    assert not bench.stage.done
    bench.finish()
    bench.run()
    assert bench.stage.done


def test_an_early_end_leaves_an_edge_of_a_node_above_it_alone():
    bench = StageBench({"a": operator(), "b": rx(ops.take(1))}, outputs=["a", "b"])
    bench.feed(*texts(5))
    bench.finish()
    bench.run()
    assert bench.sink("b").values == ["0"]
    assert len(bench.sink("a").values) == 5
    assert bench.sink("a").ended
    assert bench.stage.done


def test_take_0_ends_at_its_subscription():
    bench = StageBench({"a": rx(ops.take(0)), "b": operator()})
    bench.feed(*texts(3))
    bench.run()
    assert bench.values == []
    assert bench.stage.done
    assert bench.settled


def test_flat_map_expands_and_keeps_the_lineage():
    def expand(packet):
        return reactivex.from_iterable(texts(3, packet.payload.text))

    bench = StageBench({"a": rx(ops.flat_map(expand)), "b": tagged("!")}, capacity=2)
    bench.sink().withholding = True
    bench.feed(*texts(2))
    bench.finish()
    for _ in range(10):
        bench.run()
        bench.sink().release(1)
    assert bench.values == [f"{s}{i}!" for s in range(2) for i in range(3)]
    assert bench.sink().lineage == [(s, i) for s in range(2) for i in range(3)]
    assert bench.stage.done
    assert bench.settled


def test_flat_map_of_timers_needs_time_to_complete():
    node = rx(
        ops.flat_map(
            lambda packet: reactivex.timer(float(packet.payload.text)).pipe(
                ops.map(lambda _: packet)
            )
        )
    )
    bench = StageBench({"a": node})
    bench.feed(Text("3"), Text("1"), Text("2"))
    bench.finish()
    bench.run()
    assert bench.values == []
    bench.advance(2.5)
    assert bench.values == ["1", "2"]
    assert not bench.stage.done
    bench.advance(0.5)
    assert bench.values == ["1", "2", "3"]
    assert bench.stage.done


def test_start_with_is_not_lost():
    bench = StageBench({"a": rx(ops.start_with(Text("hello"))), "b": tagged("!")})
    bench.feed(*texts(2))
    bench.run()
    assert bench.values == ["hello!", "0!", "1!"]


def test_what_is_emitted_at_subscription_reaches_chains_further_down():
    nodes = {"a": rx(ops.start_with(Text("hello"))), "b": rx(ops.start_with(Text("first")))}
    bench = StageBench(nodes)
    bench.run()
    assert bench.values == ["first", "hello"]


def test_a_chain_may_subscribe_to_its_packets_more_than_once():
    node = rx(first=lambda packets: reactivex.merge(packets, packets))
    bench = StageBench({"a": node})
    bench.feed(*texts(2))
    bench.finish()
    bench.run()
    assert bench.values == ["0", "0", "1", "1"]
    assert bench.stage.done


def test_a_source_that_ignores_its_packets_goes_on_by_itself():
    node = rx(
        first=lambda packets: reactivex.interval(1.0).pipe(
            ops.map(lambda number: Text(f"tick {number}")), ops.take_until(packets.pipe(ops.last()))
        )
    )
    bench = StageBench({"a": node})
    bench.advance(2.5)
    assert bench.values == ["tick 0", "tick 1"]
    bench.feed(Text("x"))
    bench.finish()
    bench.run()
    assert bench.stage.done


# ----------------------------------------------------------------------------- several ports


def ports_chain(*inputs, build):
    """A node of these input ports, whose chain a function of its inlets builds."""

    class Chain(RxOperator):
        def chain(self, *inlets):
            return build(*inlets)

    Chain.inputs = inputs
    return Chain()


def zipped():
    return ports_chain(
        "left", "right", build=lambda *inlets: reactivex.zip(*inlets).pipe(ops.map(joined))
    )


def two_edges(node, **options):
    return StageBench({"a": node}, [], inputs=["a.left", "a.right"], **options)


def feed(bench, port, *values):
    bench.feed(*map(Text, values), at=f"a.{port}")
    bench.run()


def test_each_port_has_an_inlet():
    bench = two_edges(zipped())
    feed(bench, "left", "l0", "l1")
    assert bench.values == []
    feed(bench, "right", "r0")
    assert bench.values == ["l0+r0"]
    feed(bench, "right", "r1", "r2")
    assert bench.values == ["l0+r0", "l1+r1"]
    bench.finish()
    bench.run()
    assert bench.stage.done
    assert bench.sink().ended


def test_inlets_come_in_the_order_of_the_ports():
    node = ports_chain(
        "b", "a", build=lambda b, a: reactivex.concat(b, a.pipe(ops.start_with(Text("then"))))
    )
    bench = StageBench({"n": node}, [], inputs=["n.a", "n.b"])
    bench.feed(Text("b0"), at="n.b")
    bench.finish("n.b")
    bench.run()
    bench.feed(Text("a0"), at="n.a")
    bench.finish("n.a")
    bench.run()
    assert bench.values == ["b0", "then", "a0"]
    assert bench.stage.done


@pytest.mark.parametrize("ending", ["left", "right"])
def test_a_zip_completes_when_one_side_has_ended_and_is_used_up(ending):
    other = {"left": "right", "right": "left"}[ending]
    bench = two_edges(zipped(), capacity=2)
    feed(bench, ending, "x", "y")
    bench.finish(f"a.{ending}")
    bench.run()
    feed(bench, other, "0")
    assert not bench.stage.done
    feed(bench, other, "1", *"23456789")
    assert len(bench.values) == 2
    assert bench.stage.done
    assert bench.settled
    assert not bench.feeders[f"a.{other}"].waiting


def test_an_ended_port_leaves_the_other_open():
    node = ports_chain("left", "right", build=reactivex.merge)
    bench = two_edges(node)
    feed(bench, "left", "l0")
    bench.finish("a.left")
    bench.run()
    feed(bench, "right", "r0")
    assert bench.values == ["l0", "r0"]
    assert not bench.stage.done
    bench.finish("a.right")
    bench.run()
    assert bench.stage.done


def test_a_port_ends_when_the_last_of_its_sources_has():
    ends = []
    node = ports_chain(
        "left",
        "right",
        build=lambda left, right: reactivex.merge(
            left.pipe(ops.do_action(on_completed=lambda: ends.append("left"))),
            right.pipe(ops.do_action(on_completed=lambda: ends.append("right"))),
        ),
    )
    bench = StageBench(
        {"x": operator(), "y": operator(), "a": node},
        [("x", "a.left"), ("y", "a.left")],
        inputs=["x", "y", "a.right"],
    )
    bench.finish("x")
    bench.run()
    assert ends == []
    bench.finish("a.right", "y")
    bench.run()
    assert sorted(ends) == ["left", "right"]
    assert bench.stage.done


def test_what_a_node_above_flushes_comes_before_the_end_of_the_port():
    node = ports_chain(
        "left", "right", build=lambda left, right: left.pipe(ops.to_list(), ops.map(joined))
    )
    bench = StageBench(
        {"x": operator(flush=lambda ctx: [Text("f0"), Text("f1")]), "a": node},
        [("x", "a.left")],
        inputs=["x", "a.right"],
    )
    bench.feed(Text("p"), at="x")
    bench.finish("x")
    bench.run()
    assert bench.values == ["p+f0+f1"]
    assert bench.stage.done


def test_ends_reach_the_chain_in_the_order_in_which_they_came_each_in_its_turn():
    log = []

    def ended(name):
        return ops.do_action(on_completed=lambda: log.append((name, bench.stage.turns)))

    node = ports_chain(
        "left",
        "right",
        build=lambda left, right: reactivex.merge(left.pipe(ended("left")), right.pipe(ended("r"))),
    )
    # One source that ends both ports at once: an ingress of the node.
    bench = StageBench({"a": node})
    bench.finish()
    bench.run()
    assert [name for name, _ in log] == ["left", "r"]
    assert log[0][1] < log[1][1]


def test_what_one_end_emits_leaves_before_the_other_is_told():
    node = ports_chain(
        "left",
        "right",
        build=lambda left, right: reactivex.merge(
            left.pipe(ops.to_list(), ops.map(lambda _: Text("left ended"))),
            right.pipe(ops.to_list(), ops.map(lambda _: Text("right ended"))),
        ),
    )
    bench = StageBench({"a": node, "b": operator()}, capacity={"b": 1})
    bench.sink().withholding = True
    bench.finish()
    bench.run()
    assert bench.values == ["left ended"]
    assert bench.stage.outbox == 1
    bench.sink().release()
    bench.run()
    assert bench.values == ["left ended", "right ended"]
    assert bench.stage.outbox == 0
    assert bench.stage.done


def test_a_port_that_nothing_leads_to_has_ended_from_the_start():
    node = ports_chain("left", "right", build=reactivex.merge)
    bench = StageBench({"a": node}, [], inputs=["a.left"])
    feed(bench, "left", "x")
    assert bench.values == ["x"]
    bench.finish()
    bench.run()
    assert bench.stage.done


def test_a_group_reaches_its_ports_in_their_order():
    node = ports_chain("left", "right", build=reactivex.merge)
    bench = StageBench({"a": node})
    bench.feed_group(right=Text("r"), left=Text("l"))
    bench.run()
    assert bench.values == ["l", "r"]


def test_ports_may_depend_on_params():
    class Numbered(RxOperator):
        class Params(Params):
            count: int

        @classmethod
        def ports(cls, params):
            return Ports(tuple(f"in{number}" for number in range(params.count)), ("out",))

        def chain(self, *inlets):
            return reactivex.zip(*inlets).pipe(ops.map(joined))

    bench = StageBench({"a": Numbered(count=3)})
    for port in ("in2", "in0", "in1"):
        bench.feed(Text(port), port=port)
    bench.run()
    assert bench.values == ["in0+in1+in2"]


def test_a_node_without_inputs_goes_on_by_itself():
    node = ports_chain(
        build=lambda: reactivex.interval(1.0).pipe(ops.take(2), ops.map(lambda n: Text(str(n))))
    )
    bench = StageBench({"a": node})
    bench.finish()
    bench.advance(1)
    assert not bench.stage.done
    bench.advance(1)
    assert bench.values == ["0", "1"]
    assert bench.stage.done


def test_a_chain_may_emit_to_named_outputs():
    def build(packets):
        return packets.pipe(
            ops.map(lambda p: Emission("even" if int(p.payload.text) % 2 == 0 else "odd", p))
        )

    node = ports_chain("in", build=build)
    type(node).outputs = ("even", "odd")
    bench = StageBench({"a": node})
    bench.feed(*texts(4))
    bench.run()
    assert bench.sink("a.even").values == ["0", "2"]
    assert bench.sink("a.odd").values == ["1", "3"]


def test_an_interrupt_ends_anew_only_the_ports_that_had_ended():
    bench = two_edges(zipped())
    feed(bench, "left", "old")
    bench.finish("a.left")
    bench.run()
    interrupt(bench)
    # The left side is forgotten and has ended, so that the zip completes at once.
    assert bench.stage.done
    bench = two_edges(ports_chain("left", "right", build=reactivex.merge))
    bench.finish("a.left")
    bench.run()
    interrupt(bench)
    assert not bench.stage.done
    bench.feed(Text("new"), at="a.right", generation=1)
    bench.run()
    assert bench.values == ["new"]
    bench.finish("a.right")
    bench.run()
    assert bench.stage.done


# ------------------------------------------------------------------------ what a chain holds


def lent_audio():
    memory = memoryview(mmap.mmap(-1, 64)).toreadonly()
    return Audio(np.frombuffer(memory, np.float32), 8_000)


def test_a_held_packet_is_copied_out_of_shared_memory():
    seen = []
    payload = lent_audio()
    bench = StageBench({"a": rx(ops.do_action(seen.append), ops.delay(1.0))})
    bench.feed(payload)
    bench.run()
    assert bench.settled
    bench.advance(1)
    assert bench.values == [payload]
    for held in (seen[0].payload, bench.values[0]):
        assert not np.shares_memory(held.samples, payload.samples)


def test_a_chain_that_holds_nothing_gets_the_packet_as_it_is():
    seen = []
    node = rx(ops.do_action(seen.append))
    type(node).holds_nothing = True
    payload = lent_audio()
    bench = StageBench({"a": node})
    bench.feed(payload)
    bench.run()
    assert seen[0].payload is payload


# --------------------------------------------------------------------- credits and time


def test_a_timer_of_a_chain_waits_for_credits_and_so_does_its_clock():
    bench = StageBench({"a": rx(ops.delay(1.0)), "b": repeat(2)}, capacity={"b": 1})
    sink = bench.sink()
    sink.withholding = True
    fed(bench, "x", 0.5, "y", 0.5)
    assert sink.values == ["x.0"]
    fed(bench, 10)
    assert sink.values == ["x.0"]
    assert bench.stage.outbox == 1
    sink.withholding = False
    sink.release()
    bench.run()
    assert sink.values == ["x.0", "x.1"]
    fed(bench, 0.5)
    assert sink.values == ["x.0", "x.1", "y.0", "y.1"]


def test_a_packet_that_a_chain_holds_is_consumed():
    bench = StageBench({"a": rx(ops.delay(60.0))}, capacity=1)
    bench.feed(*texts(5))
    bench.run()
    assert bench.settled
    bench.advance(60)
    assert bench.values == ["0", "1", "2", "3", "4"]


def test_what_a_chain_emits_from_another_thread_is_posted(monkeypatch):
    threads = []

    def watch(packet, ctx):
        threads.append(threading.current_thread())
        return packet

    bench = StageBench({"a": rx(ops.observe_on(NewThreadScheduler())), "b": operator(watch)})
    posts = Posts(monkeypatch)
    bench.feed(*texts(3))
    bench.finish()
    bench.run()
    posts.wait(4)  # three packets and the end
    bench.run()
    assert bench.values == ["0", "1", "2"]
    assert set(threads) == {threading.current_thread()}
    assert bench.stage.done


class Posts:
    """Counts what is posted to stages, so that a test can wait for what a thread emits."""

    def __init__(self, monkeypatch):
        self._arrived = threading.Semaphore(0)
        post = Stage.post

        def counting(stage, adapter, output):
            post(stage, adapter, output)
            self._arrived.release()

        monkeypatch.setattr(Stage, "post", counting)

    def wait(self, count=1):
        for _ in range(count):
            assert self._arrived.acquire(timeout=10)


@pytest.mark.parametrize("operators", [[], [ops.ignore_elements()]], ids=["item", "end"])
def test_a_chain_that_lost_the_clock_on_a_timer_thread_is_found(monkeypatch, operators):
    node = rx(ops.debounce(0.0, scheduler=TimeoutScheduler.singleton()), ops.take(1), *operators)
    bench = StageBench({"a": node, "b": operator()})
    posts = Posts(monkeypatch)
    bench.run()
    bench.feed(Text("x"))
    bench.run()
    posts.wait()
    bench.run()
    assert bench.values == []
    assert bench.stage.error.node_id == "a"
    assert "lost the session's clock" in bench.stage.error.message


def test_an_operator_that_drops_the_scheduler_is_found_by_its_thread(monkeypatch):
    node = rx(ops.delay(0.0), lambda source: do_after_next(source, lambda packet: None))
    bench = StageBench({"a": node})
    posts = Posts(monkeypatch)
    bench.run()
    bench.feed(Text("x"))
    bench.run()
    posts.wait()
    bench.run()
    assert "do_after_next and auto_connect drop it" in bench.stage.error.message


def test_no_chain_of_time_operators_starts_a_thread():
    before = set(threading.enumerate())
    node = rx(ops.debounce(1.0), ops.delay(1.0), ops.timeout(100.0), ops.throttle_first(0.5))
    bench = StageBench({"a": node})
    fed(bench, "x", 1, "y", 5)
    bench.finish()
    bench.advance(100)
    assert bench.values == ["x", "y"]
    assert set(threading.enumerate()) <= before


@virtual
async def test_a_chain_runs_on_a_loop_as_well():
    import asyncio

    bench = StageBench({"a": rx(ops.debounce(1.0))})
    bench.feed(*texts(3))
    await asyncio.sleep(2)
    assert bench.values == ["2"]
    bench.finish()
    await bench.joined()
    assert bench.stage.done


def test_a_chain_is_not_charged_for_those_behind_it():
    def slow(packet, ctx):
        bench.clock.spend(0.5)

    def quick(packet):
        bench.clock.spend(0.1)
        return packet

    bench = StageBench({"a": rx(ops.map(quick), ops.delay(1.0)), "b": operator(slow)})
    fed(bench, "x", 1, "y", 1)
    nodes = bench.stage.statistics().nodes
    assert (nodes["a"].received, nodes["a"].emitted) == (2, 2)
    assert (nodes["a"].busy_ns, nodes["b"].busy_ns) == (200_000_000, 1_000_000_000)


# --------------------------------------------------------------------------------- errors


def boom(*arguments):
    raise ValueError("boom")


@pytest.mark.parametrize(
    "operators",
    [
        [ops.map(boom)],
        [ops.flat_map(lambda packet: reactivex.throw(ValueError("boom")))],
        [ops.delay(1.0), ops.map(boom)],
        [ops.buffer_with_time(1.0), ops.map(boom)],
        [ops.flat_map(lambda packet: reactivex.from_iterable([1])), ops.map(boom)],
        [ops.do_action(on_completed=boom)],
    ],
    ids=["map", "flat_map", "after a delay", "at a timer", "behind flat_map", "at the end"],
)
def test_an_error_of_a_chain_is_its_nodes(operators):
    bench = StageBench({"a": operator(), "b": rx(*operators), "c": operator()})
    bench.feed(Text("x"))
    bench.advance(2)
    bench.finish()
    bench.run()
    assert isinstance(bench.stage.error, NodeError)
    assert bench.stage.error.node_id == "b"
    assert "boom" in bench.stage.error.message
    assert bench.settled


@pytest.mark.parametrize("how", ["push", "after a delay", "at the end"])
def test_a_cancellation_in_a_chain_is_its_nodes_error(how):
    def cancel(*arguments):
        raise asyncio.CancelledError

    operators = {
        "push": [ops.map(cancel)],
        "after a delay": [ops.delay(1.0), ops.map(cancel)],
        "at the end": [ops.do_action(on_completed=cancel)],
    }[how]
    bench = StageBench({"a": operator(), "b": rx(*operators)})
    bench.feed(Text("x"))
    bench.advance(2)
    bench.finish()
    bench.run()
    assert isinstance(bench.stage.error, NodeError)
    assert bench.stage.error.node_id == "b"
    assert isinstance(bench.stage.error.__cause__, asyncio.CancelledError)
    assert bench.settled


@pytest.mark.parametrize(
    "operators",
    [
        [],
        [ops.flat_map(lambda packet: reactivex.from_iterable(texts(3)))],
        [ops.delay(1.0)],
    ],
    ids=["push", "behind flat_map", "after a delay"],
)
def test_an_error_behind_a_chain_is_not_the_chains(operators):
    bench = StageBench({"a": rx(*operators), "b": operator(boom)})
    bench.feed(Text("x"))
    bench.advance(2)
    assert bench.stage.error.node_id == "b"


def test_what_is_no_output_is_the_chains_error():
    bench = StageBench({"a": rx(ops.map(lambda packet: packet.payload.text))})
    bench.feed(Text("x"))
    bench.run()
    assert bench.stage.error.node_id == "a"
    assert "str is not a payload: return Text" in bench.stage.error.message


@pytest.mark.parametrize(
    ("operators", "sentence"),
    [
        ([ops.buffer_with_count(1)], "a list is not a payload: behind what collects"),
        ([ops.pairwise()], "a tuple is not a payload: behind what collects"),
        ([ops.window_with_count(1)], "is not a payload: behind what makes observables"),
        ([ops.materialize()], "a OnNext is not a payload: map it to one"),
        ([ops.count()], "int is not a payload: return Json"),
    ],
    ids=["buffer", "pairwise", "window", "materialize", "count"],
)
def test_what_an_operator_makes_of_packets_is_refused_with_what_to_do(operators, sentence):
    bench = StageBench({"a": rx(*operators)})
    bench.feed(*texts(2))
    bench.finish()
    bench.run()
    assert bench.stage.error.node_id == "a"
    assert sentence in bench.stage.error.message


def test_a_chain_that_is_no_observable_is_its_nodes_error():
    bench = StageBench({"a": ports_chain("in", build=lambda packets: [packets])})
    bench.run()
    assert bench.stage.error.node_id == "a"
    assert "Chain.chain must return an observable, not list" in bench.stage.error.message


def test_a_chain_that_cannot_be_built_is_its_nodes_error():
    class NoChain(RxOperator):
        pass

    bench = StageBench({"a": NoChain()})
    bench.run()
    assert bench.stage.error.node_id == "a"
    assert "NoChain does not define chain" in bench.stage.error.message


# ------------------------------------------------------------------- interrupt and cancel


def interrupt(bench):
    bench.stage.interrupt_all(bench.stage.generation + 1)
    bench.host.wake()
    bench.run()


def test_an_interrupt_subscribes_anew_and_forgets_what_was_held():
    bench = StageBench({"a": rx(ops.debounce(1.0))})
    fed(bench, "old", 0.5)
    interrupt(bench)
    fed(bench, 5)
    assert bench.values == []
    bench.feed(Text("new"), generation=1)
    fed(bench, 5)
    assert bench.values == ["new"]
    assert bench.sink().packets[0].generation == 1


def test_what_is_emitted_at_the_new_subscription_is_of_the_new_generation():
    bench = StageBench({"a": rx(ops.start_with(Text("hello"))), "b": operator()})
    fed(bench, "x")
    interrupt(bench)
    assert bench.values == ["hello", "x", "hello"]
    assert [packet.generation for packet in bench.sink().packets] == [0, 0, 1]


def test_an_interrupt_before_the_start_subscribes_once():
    bench = StageBench({"a": rx(ops.start_with(Text("hello")))})
    interrupt(bench)
    bench.feed(Text("x"), generation=1)
    bench.run()
    assert bench.values == ["hello", "x"]


def test_the_end_survives_an_interrupt():
    bench = StageBench({"a": rx(ops.delay(60.0))})
    fed(bench, "x")
    bench.finish()
    bench.run()
    assert not bench.stage.done
    interrupt(bench)
    bench.advance(60)
    assert bench.values == []
    assert bench.stage.done
    assert bench.sink().ended


def test_a_chain_that_has_completed_stays_so():
    bench = StageBench({"a": rx(ops.take(1)), "b": operator()}, links=[])
    bench.feed(*texts(2), at="a")
    bench.run()
    interrupt(bench)
    bench.feed(Text("x"), at="a", generation=1)
    bench.run()
    assert bench.sink("a").values == ["0"]
    assert not bench.stage.done


def test_a_cancel_disposes_the_chain():
    disposed = []
    bench = StageBench({"a": rx(ops.finally_action(lambda: disposed.append("disposed")))})
    fed(bench, "x")
    bench.stage.cancel()
    bench.stage.cancel()
    assert disposed == ["disposed"]
    bench.advance(60)
