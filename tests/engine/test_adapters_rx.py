"""engine.adapters_rx: chains of reactivex operators as nodes."""

import threading

import pytest
import reactivex
from reactivex import operators as ops
from reactivex.scheduler import NewThreadScheduler

from engine.adapters_rx import RxOperator
from engine.errors import NodeError
from engine.payloads import Text
from engine.stage import Stage
from engine.testing import StageBench
from tests.engine.stage_helpers import operator, repeat, tagged, texts, virtual


def rx(*operators, first=None):
    """A node that pipes its packets through these."""

    class Chain(RxOperator):
        def chain(self, packets):
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
    posts = threading.Semaphore(0)
    post = Stage.post

    def counting(stage, adapter, output):
        post(stage, adapter, output)
        posts.release()

    monkeypatch.setattr(Stage, "post", counting)
    bench.feed(*texts(3))
    bench.finish()
    bench.run()
    for _ in range(4):  # three packets and the end
        assert posts.acquire(timeout=10)
    bench.run()
    assert bench.values == ["0", "1", "2"]
    assert set(threads) == {threading.current_thread()}
    assert bench.stage.done


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


def test_a_chain_that_cannot_be_built_is_its_nodes_error():
    class NoChain(RxOperator):
        pass

    bench = StageBench({"a": NoChain()})
    bench.run()
    assert bench.stage.error.node_id == "a"
    assert "NoChain does not define chain" in bench.stage.error.message


# ------------------------------------------------------------------- interrupt and cancel


def interrupt(bench):
    bench.stage.words[0] += 1
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
