"""engine.adapters: what operators may take, return, raise and await."""

import asyncio
import logging
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.adapters import AsyncAdapter, SyncAdapter, make_adapter
from engine.errors import NodeError, UsageError
from engine.operator import Emission, Operator
from engine.packet import Packet
from engine.payloads import Audio, Json, Text
from engine.testing import StageBench, run_virtual
from tests.engine.stage_helpers import Join, operator, repeat, tagged, texts, virtual


def failed(bench, node, during):
    """The error of the stage, which must be this node's, in this method."""
    error = bench.stage.error
    assert isinstance(error, NodeError)
    assert (error.node_id, error.context["during"]) == (node, during)
    assert bench.settled
    return error


# -------------------------------------------------------------------------------- results


def sync_results():
    def generator(packet, ctx):
        yield packet
        yield Text("y")

    return {
        "None": (lambda packet, ctx: None, []),
        "the packet": (lambda packet, ctx: packet, ["x"]),
        "a payload": (lambda packet, ctx: Text("y"), ["y"]),
        "a packet": (lambda packet, ctx: packet.with_payload(Text("y")), ["y"]),
        "an emission": (lambda packet, ctx: ctx.to("out", Text("y")), ["y"]),
        "an emission of a packet": (lambda packet, ctx: ctx.to("out", packet), ["x"]),
        "an empty list": (lambda packet, ctx: [], []),
        "a list": (lambda packet, ctx: [packet, Text("y")], ["x", "y"]),
        "a tuple": (lambda packet, ctx: (packet, Text("y")), ["x", "y"]),
        "a generator": (generator, ["x", "y"]),
        "an iterator": (lambda packet, ctx: map(Text, "yz"), ["y", "z"]),
    }


@pytest.mark.parametrize("name", sync_results())
def test_process_may_return(name):
    process, expected = sync_results()[name]
    bench = StageBench({"a": operator(process)})
    bench.feed(Text("x"))
    bench.run()
    assert bench.values == expected
    assert bench.settled


@pytest.mark.parametrize("name", sync_results())
def test_flush_may_return(name):
    process, expected = sync_results()[name]
    held = []

    def flush(ctx):
        return process(held[0], ctx)

    node = operator(lambda packet, ctx: held.append(packet), flush=flush)
    bench = StageBench({"a": node})
    bench.feed(Text("x"))
    bench.finish()
    bench.run()
    assert bench.values == expected
    assert bench.sink().ended


@pytest.mark.parametrize("kind", ["list", "generator"])
def test_a_flush_of_many_waits_for_credits(kind):
    def flush(ctx):
        items = (Text(str(number)) for number in range(100))
        return list(items) if kind == "list" else items

    bench = StageBench({"a": operator(flush=flush), "b": operator()}, capacity=2)
    sink = bench.sink()
    sink.withholding = True
    bench.finish()
    for _ in range(60):
        bench.run()
        assert bench.stage.outbox <= (98 if kind == "list" else 0)
        sink.release(2)
    assert sink.values == [str(number) for number in range(100)]
    assert sink.ended


class Weird:
    def __init__(self, error):
        self.error = error

    def __iter__(self):
        raise self.error


WRONG = {
    "str": ("hello", r"str is not a payload: return Text"),
    "bytes": (b"hello", r"bytes is not a payload: return Binary"),
    "dict": ({"a": 1}, r"dict is not a payload: return Json"),
    "ndarray": (np.zeros(3), r"ndarray is not a payload: return Audio"),
    "int": (1, r"int is not a payload: return a payload"),
    "None in a list": ([None], r"NoneType is not a payload"),
    "str in a list": (["hello"], r"str is not a payload"),
    "list in a list": ([[Text("x")]], r"list is not a payload"),
    "None in a generator": ((item for item in [None]), r"NoneType is not a payload"),
    "unknown port": (Emission("nope", Text("x")), r"no output port 'nope'"),
    "unknown port in a list": ([Emission("nope", Text("x"))], r"no output port 'nope'"),
    "str for a port": (Emission("out", "hello"), r"str is not a payload"),
    "raising __iter__": (Weird(ValueError("no items")), r"ValueError: no items"),
    "TypeError in __iter__": (Weird(TypeError("no items")), r"TypeError: no items"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("method", ["process", "flush"])
def test_what_is_no_output_is_the_nodes_error(name, method):
    wrong, message = WRONG[name]
    if name == "None in a generator":
        wrong = iter([None])
    node = operator(lambda packet, ctx: wrong if method == "process" else None)
    if method == "flush":
        node = operator(flush=lambda ctx: wrong)
    bench = StageBench({"a": operator(), "b": node})
    if method == "process":
        bench.feed(Text("x"))
    bench.finish()
    bench.run()
    error = failed(bench, "b", method)
    assert error.message.startswith(f"node 'b' failed in {method}")
    with pytest.raises(NodeError, match=message):
        raise error


def test_packets_in_a_list_keep_the_metadata_they_were_given():
    def process(packet, ctx):
        return [packet, packet.with_payload(packet.payload, {"part": "2"})]

    bench = StageBench({"a": operator(process)})
    bench.feed(Text("x"), metadata={"part": "1"})
    bench.run()
    assert [packet.metadata["part"] for packet in bench.sink().packets] == ["1", "2"]
    assert bench.sink().lineage == [(0, 0), (0, 1)]


def test_a_packet_with_no_payload_in_it_is_the_nodes_error():
    def process(packet, ctx):
        return packet.with_payload("hello")

    bench = StageBench({"a": operator(process)})
    bench.feed(Text("x"))
    bench.run()
    assert "str is not a payload: return Text" in failed(bench, "a", "process").message
    assert bench.values == []


def test_an_awaitable_from_a_synchronous_process_is_the_nodes_error():
    async def coroutine():
        return None

    async def generator():
        yield None

    for awaitable in (coroutine, generator):
        bench = StageBench({"a": operator(lambda packet, ctx, make=awaitable: make())})
        bench.feed(Text("x"))
        bench.run()
        message = failed(bench, "a", "process").message
        assert "Made.process is not `async def` but returned an awaitable" in message


def test_a_wrong_emission_from_a_timer_is_the_nodes_error():
    def process(packet, ctx):
        ctx.call_later(1, lambda: ctx.emit("hello"))

    bench = StageBench({"a": operator(process)})
    bench.feed(Text("x"))
    bench.advance(1)
    failed(bench, "a", "process")


# --------------------------------------------------------------------------------- errors


def raising(method):
    def fail(*arguments):
        raise KeyError("lost")

    def fail_in_generator(*arguments):
        yield Text("one")
        raise KeyError("lost")

    def arm(packet, ctx):
        ctx.call_later(1, fail)

    return {
        "process": (operator(fail), "process"),
        "generator": (operator(fail_in_generator), "process"),
        "flush": (operator(flush=fail), "flush"),
        "generator in flush": (operator(flush=fail_in_generator), "flush"),
        "timer": (operator(arm), "a call_later callback"),
        "wants": (operator(wants=fail, chooses=True), "wants"),
    }[method]


@pytest.mark.parametrize(
    "method", ["process", "generator", "flush", "generator in flush", "timer", "wants"]
)
def test_an_error_names_its_node_and_method(method):
    node, during = raising(method)
    nodes = {"b": node, "c": operator()} if method == "wants" else {"a": operator(), "b": node}
    bench = StageBench(nodes)
    bench.feed(Text("x"))
    bench.advance(2)
    if "flush" in method:
        bench.finish()
        bench.run()
    error = failed(bench, "b", during)
    assert isinstance(error.__cause__, KeyError)
    assert error.context["exception"] == "KeyError"


def test_system_exit_is_an_error_like_any_other():
    def process(packet, ctx):
        raise SystemExit(3)

    bench = StageBench({"a": operator(process)})
    bench.feed(Text("x"))
    bench.run()
    assert isinstance(failed(bench, "a", "process").__cause__, SystemExit)


def test_an_error_of_a_node_within_an_operator_is_put_down_to_the_operator():
    def process(packet, ctx):
        raise NodeError("node 'inner' failed", node_id="inner")

    bench = StageBench({"a": operator(process)})
    bench.feed(Text("x"))
    bench.run()
    assert "NodeError: node 'inner' failed" in failed(bench, "a", "process").message


def test_a_node_may_raise_its_own_node_error():
    error = NodeError("that is all", node_id="a", during="process")

    def process(packet, ctx):
        raise error

    bench = StageBench({"a": operator(process)})
    bench.feed(Text("x"))
    bench.run()
    assert bench.stage.error is error


def test_arrays_are_read_only_for_whoever_gets_them():
    samples = np.zeros((4, 1), np.float32)

    def process(packet, ctx):
        packet.payload.samples[0] = 1

    bench = StageBench({"a": operator(process)})
    bench.feed(Audio(samples, 16_000))
    bench.run()
    assert isinstance(failed(bench, "a", "process").__cause__, ValueError)


# ----------------------------------------------------------------------- ports and groups


class Router(Operator):
    outputs = ("out", "odd", "even")

    def process(self, packet, ctx):
        number = int(packet.payload.text)
        yield packet
        yield ctx.to("odd" if number % 2 else "even", packet)


def test_an_output_port_is_selected_by_ctx_to():
    bench = StageBench({"a": Router(), "b": tagged("!")}, [("a.even", "b")], outputs=["b", "a.odd"])
    bench.feed(*texts(4))
    bench.run()
    assert bench.sink("b").values == ["0!", "2!"]
    assert bench.sink("a.odd").values == ["1", "3"]
    assert str(bench.sink("a.odd").packets[0].source) == "a.odd"
    # Each output of an input has its own index, whatever its port.
    assert bench.sink("a.odd").lineage == [(1, 1), (3, 1)]


def test_ctx_to_an_unknown_port_says_which_there_are():
    bench = StageBench({"a": operator(lambda packet, ctx: ctx.to("left", packet))})
    bench.feed(Text("x"))
    bench.run()
    error = failed(bench, "a", "process")
    assert isinstance(error.__cause__, UsageError)
    assert "node 'a' has no output port 'left'; it has: out" in error.message


def ports_seen(**attributes):
    seen = []

    def process(packet, ctx):
        seen.append((packet.port, packet.payload.text))
        return packet

    return operator(process, inputs=("left", "right"), **attributes), seen


def test_a_packet_says_which_port_it_came_in_by():
    node, seen = ports_seen()
    nodes = {"a": operator(), "b": node}
    bench = StageBench(nodes, [("a", "b.left"), ("a", "b.right")], outputs=["a", "b"])
    bench.feed(Text("x"))
    bench.run()
    assert seen == [("left", "x"), ("right", "x")]
    assert bench.sink("a").packets[0].port == ""
    assert bench.sink("b").lineage == [(0, 0), (0, 0)]  # each way counts its own


def test_an_ingress_feeds_any_port_of_its_node():
    node, seen = ports_seen()
    bench = StageBench({"a": node})
    bench.feed(Text("x"), port="right")
    bench.feed(Text("y"), port="left")
    bench.finish()
    bench.run()
    assert seen == [("right", "x"), ("left", "y")]
    assert bench.stage.done


def test_the_members_of_a_group_are_taken_in_the_order_of_the_ports():
    node, seen = ports_seen()
    bench = StageBench({"a": node})
    bench.feed_group(right=Text("r"), left=Text("l"))
    bench.run()
    assert seen == [("left", "l"), ("right", "r")]
    assert bench.sink().lineage == [(0, 0), (0, 1)]
    assert bench.settled


def test_a_group_of_one_credit_may_suspend_for_its_first_member():
    node = operator(
        lambda packet, ctx: (Text(f"{packet.payload.text}{number}") for number in range(3)),
        inputs=("left", "right"),
    )
    bench = StageBench({"a": node}, capacity=1)
    bench.sink().withholding = True
    bench.feed_group(left=Text("l"), right=Text("r"))
    for _ in range(6):
        bench.run()
        assert not bench.settled or bench.values[-1] == "r2"
        bench.sink().release()
    assert bench.values == ["l0", "l1", "l2", "r0", "r1", "r2"]


def test_a_node_that_joins_gets_the_whole_group():
    def process(group, ctx):
        return Text(",".join(f"{port}={packet.payload.text}" for port, packet in group.items()))

    bench = StageBench({"a": operator(process, inputs=("left", "right"), joins=True)})
    bench.feed_group(left=Text("l"), right=Text("r"))
    bench.feed(Text("alone"), port="right")
    bench.run()
    assert bench.values == ["left=l,right=r", "right=alone"]
    assert bench.sink().lineage == [(0, 0), (1, 0)]
    assert bench.stage.statistics().nodes["a"].received == 3


def test_a_node_that_joins_waits_behind_its_own_iterator():
    def process(group, ctx):
        text = "".join(packet.payload.text for packet in group.values())
        return (Text(f"{text}{number}") for number in range(2))

    nodes = {
        "s": repeat(2),
        "a": operator(process, inputs=("left", "right"), joins=True),
    }
    bench = StageBench(nodes, [("s", "a.left"), ("s", "a.right")], capacity=1)
    bench.sink().withholding = True
    bench.feed(Text("x"))
    for _ in range(9):
        bench.run()
        bench.sink().release()
    assert bench.values == ["x.00", "x.01"] * 2 + ["x.10", "x.11"] * 2
    assert bench.settled


def test_an_error_of_a_node_that_joins_is_its_own():
    def process(group, ctx):
        raise ValueError(str(sorted(group)))

    bench = StageBench({"a": operator(process, inputs=("left", "right"), joins=True)})
    bench.feed_group(left=Text("l"), right=Text("r"))
    bench.run()
    assert "['left', 'right']" in failed(bench, "a", "process").message


class Pair(Operator):
    """Zips its ports, taking from each only what it can use."""

    inputs = ("left", "right")
    chooses = True
    stateful = True

    def __init__(self):
        super().__init__()
        self.held = {}

    def wants(self, port):
        return port not in self.held

    def process(self, packet, ctx):
        self.held[packet.port] = packet
        if len(self.held) < 2:
            return None
        left, right = self.held["left"], self.held["right"]
        self.held.clear()
        return Text(left.payload.text + right.payload.text)

    def reset(self, ctx):
        self.held.clear()


def test_a_node_that_chooses_leaves_what_it_does_not_want_on_the_edge():
    bench = StageBench({"a": Pair()}, inputs=["a.left", "a.right"])
    bench.feed(*texts(3, "l"), at="a.left")
    bench.run()
    assert bench._feeder("a.left").edge.statistics().queued == 2
    bench.feed(*texts(3, "r"), at="a.right")
    bench.run()
    assert bench.values == ["l0r0", "l1r1", "l2r2"]


def test_the_end_of_a_port_is_seen_though_its_packets_are_not_wanted():
    bench = StageBench({"a": Pair()}, inputs=["a.left", "a.right"])
    bench.feed(Text("l"), at="a.left")
    bench.finish()
    bench.run()
    assert bench.stage.done
    assert bench.sink().ended


# -------------------------------------------------------------------------------- context


def test_ctx_emit_within_process_goes_out_at_once():
    def process(packet, ctx):
        ctx.emit(Text("first"))
        ctx.emit(ctx.to("out", Text("second")))
        return Text("third")

    bench = StageBench({"a": operator(process), "b": tagged("!")})
    bench.feed(Text("x"))
    bench.run()
    assert bench.values == ["first!", "second!", "third!"]
    assert bench.sink().lineage == [(0, 0), (0, 1), (0, 2)]


def test_ctx_emit_from_another_thread_is_a_turn_of_its_own():
    threads = []

    def process(packet, ctx):
        if packet.payload.text == "go":
            thread = threading.Thread(target=lambda: ctx.emit(Text("from the thread")))
            thread.start()
            thread.join(10)
        return packet

    def watch(packet, ctx):
        threads.append(threading.current_thread())
        return packet

    bench = StageBench({"a": operator(process), "b": operator(watch)})
    bench.feed(Text("go"), Text("on"))
    bench.run()
    assert bench.values == ["go", "from the thread", "on"]
    assert set(threads) == {threading.current_thread()}


def test_ctx_emit_between_turns_wakes_the_stage():
    contexts = []
    bench = StageBench({"a": operator(lambda packet, ctx: contexts.append(ctx))})
    bench.feed(Text("x"))
    bench.run()
    contexts[0].emit(Text("later"))
    assert bench.values == []
    bench.run()
    assert bench.values == ["later"]


def test_ctx_empty_gives_writable_memory_and_reserves_where_it_can():
    bench = StageBench({"a": operator()})
    ctx = bench.stage.adapters[0].context
    array = ctx.empty((3, 2), np.float32)
    array[:] = 1
    assert (array.shape, array.dtype) == ((3, 2), np.float32)
    arena = np.zeros(4)
    ctx.reserve = lambda shape, dtype: arena if shape == (4,) else None
    assert ctx.empty((4,), np.float64) is arena
    assert ctx.empty((5,), np.float64).shape == (5,)


def test_ctx_tells_who_it_is_and_reports_progress():
    bench = StageBench({"a": operator()})
    ctx = bench.stage.adapters[0].context
    reports = []
    ctx.progress(0.5)  # nobody listens
    ctx.on_progress = lambda *report: reports.append(report)
    ctx.progress(0.5, "half")
    ctx.progress(7)
    assert reports == [("a", 0.5, "half"), ("a", 1.0, "")]
    assert (ctx.node_id, ctx.session_id) == ("a", "session")
    assert ctx.logger is logging.getLogger("remotemedia.node.a")
    assert not ctx.cancelled
    bench.stage.cancel()
    assert ctx.cancelled


# ----------------------------------------------------------------------------- coroutines


def test_the_adapter_fits_the_class():
    async def coroutine(packet, ctx):
        return packet

    async def generator(packet, ctx):
        yield packet

    stage = StageBench({"a": operator()}).stage
    assert type(make_adapter("a", operator(), stage, {})) is SyncAdapter
    assert type(make_adapter("a", operator(coroutine), stage, {})) is AsyncAdapter
    assert type(make_adapter("a", operator(generator), stage, {})) is AsyncAdapter


@virtual
async def test_a_coroutine_may_return_whatever_process_may():
    results = sync_results()

    async def process(packet, ctx):
        await asyncio.sleep(1)
        return results[packet.payload.text][0](packet, ctx)

    bench = StageBench({"a": operator(process), "b": operator()})
    bench.feed(*(Text(name) for name in results))
    bench.finish()
    await bench.joined()
    expected = []
    for name, (_, values) in results.items():
        expected += [name if value == "x" else value for value in values]
    assert bench.values == expected
    assert asyncio.get_running_loop().time() == pytest.approx(len(results))


@virtual
async def test_a_coroutine_that_forgets_to_await_is_told_so():
    async def inner():
        return None

    async def process(packet, ctx):
        return inner()

    bench = StageBench({"a": operator(process)})
    bench.feed(Text("x"))
    await bench.joined()
    message = failed(bench, "a", "process").message
    assert "Made.process returned an awaitable: await it inside" in message


@virtual
async def test_results_leave_in_the_order_of_arrival():
    running = 0
    most = 0

    async def process(packet, ctx):
        nonlocal running, most
        running += 1
        most = max(most, running)
        number = int(packet.payload.text)
        await asyncio.sleep((7 * number) % 5)
        running -= 1
        return [Text(f"{number}a"), Text(f"{number}b")]

    bench = StageBench({"a": operator(process, concurrency=3)})
    bench.feed(*texts(10))
    bench.finish()
    await bench.joined()
    assert bench.values == [f"{number}{letter}" for number in range(10) for letter in "ab"]
    assert bench.sink().lineage == [(number, index) for number in range(10) for index in (0, 1)]
    assert most == 3
    assert bench.settled


@virtual
async def test_only_as_many_packets_are_taken_as_may_run():
    async def process(packet, ctx):
        await asyncio.sleep(10)

    bench = StageBench({"a": operator(process, concurrency=2)})
    bench.feed(*texts(5))
    await asyncio.sleep(1)
    statistics = bench._feeder(None).edge.statistics()
    assert (statistics.in_flight, statistics.queued) == (2, 3)
    bench.finish()
    await bench.joined()
    assert bench.settled
    # Five calls of ten seconds.
    assert bench.stage.statistics().nodes["a"].waited_ns == pytest.approx(50e9)


@virtual
async def test_a_group_for_a_coroutine_runs_no_more_calls_than_allowed():
    running = most = 0

    async def process(packet, ctx):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(1)
        running -= 1
        return packet

    bench = StageBench({"a": operator(process, inputs=("left", "right"))})
    bench.feed_group(left=Text("l0"), right=Text("r0"))
    bench.feed_group(left=Text("l1"), right=Text("r1"))
    bench.finish()
    await bench.joined()
    assert bench.values == ["l0", "r0", "l1", "r1"]
    assert bench.sink().lineage == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert most == 1


@virtual
async def test_a_coroutine_may_join_groups():
    async def process(group, ctx):
        return Text("".join(packet.payload.text for packet in group.values()))

    bench = StageBench({"a": operator(process, inputs=("left", "right"), joins=True)})
    bench.feed_group(left=Text("l"), right=Text("r"))
    bench.finish()
    await bench.joined()
    assert bench.values == ["lr"]
    assert bench.sink().lineage == [(0, 0)]


@virtual
async def test_a_generator_is_one_item_ahead_of_what_the_out_edges_accepted():
    made = 0

    async def process(packet, ctx):
        nonlocal made
        for number in range(100):
            made += 1
            yield Text(str(number))

    bench = StageBench({"a": operator(process), "b": operator()}, capacity=2)
    sink = bench.sink()
    sink.withholding = True
    bench.feed(Text("go"))
    while len(sink.packets) < 100:
        await asyncio.sleep(1)
        assert made == min(100, len(sink.packets) + 1)
        assert bench.stage.outbox == 0
        sink.release(1)
    assert sink.values == [str(number) for number in range(100)]
    bench.finish()
    await bench.joined()
    assert bench.settled


@virtual
async def test_the_clock_stands_still_while_a_generator_waits_for_credits():
    async def process(packet, ctx):
        ctx.call_later(5, lambda: ctx.emit(Text("timer")))
        for number in range(3):
            await asyncio.sleep(1)
            yield Text(str(number))

    bench = StageBench({"a": operator(process)}, capacity={"a": 1})
    sink = bench.sink()
    sink.withholding = True
    bench.feed(Text("go"))
    await asyncio.sleep(60)
    assert sink.values == ["0"]
    sink.withholding = False
    sink.release()
    await asyncio.sleep(1.5)
    assert sink.values == ["0", "1", "2"]
    await asyncio.sleep(60)
    assert sink.values == ["0", "1", "2", "timer"]
    bench.stage.cancel()
    await bench.joined()


@virtual
async def test_what_an_asynchronous_generator_yields_may_be_expanded_behind_it():
    async def process(packet, ctx):
        for number in range(3):
            await asyncio.sleep(1)
            yield Text(f"{packet.payload.text}{number}")

    nodes = {"a": operator(process), "b": repeat(2, "generator"), "c": repeat(2)}
    bench = StageBench(nodes, capacity=1)
    bench.feed(*texts(2))
    bench.finish()
    await bench.joined()
    assert bench.values == [
        f"{packet}{number}.{b}.{c}"
        for packet in range(2)
        for number in range(3)
        for b in range(2)
        for c in range(2)
    ]
    assert bench.sink().lineage == [(s, i) for s in range(2) for i in range(12)]


@pytest.mark.parametrize("kind", ["coroutine", "generator"])
@virtual
async def test_an_error_of_a_call_is_its_nodes_behind_what_came_before(kind):
    async def coroutine(packet, ctx):
        await asyncio.sleep(1 if packet.payload.text == "1" else 5)
        if packet.payload.text == "1":
            raise ValueError("one")
        return packet

    async def generator(packet, ctx):
        yield await coroutine(packet, ctx)

    process = coroutine if kind == "coroutine" else generator
    bench = StageBench({"a": operator(process, concurrency=3)})
    bench.feed(*texts(4))
    bench.finish()
    await bench.joined()
    assert bench.values == ["0"]
    assert failed(bench, "a", "process").context["sequence"] == 1


@virtual
async def test_a_cancellation_that_was_not_ours_is_the_nodes_error():
    async def process(packet, ctx):
        inner = asyncio.ensure_future(asyncio.sleep(60))
        asyncio.get_running_loop().call_later(1, inner.cancel)
        await inner

    bench = StageBench({"a": operator(process)})
    bench.feed(Text("x"))
    await bench.joined()
    assert isinstance(failed(bench, "a", "process").__cause__, asyncio.CancelledError)


@virtual
async def test_a_system_exit_in_a_coroutine_is_the_nodes_error():
    async def process(packet, ctx):
        raise SystemExit(3)

    bench = StageBench({"a": operator(process)})
    bench.feed(Text("x"))
    await bench.joined()
    failed(bench, "a", "process")


@virtual
async def test_a_process_that_cannot_even_be_called_is_the_nodes_error():
    async def process(packet):
        return packet

    bench = StageBench({"a": operator(process)})
    bench.feed(Text("x"))
    await bench.joined()
    assert isinstance(failed(bench, "a", "process").__cause__, TypeError)


@pytest.mark.parametrize("after", [None, 0, 1, 3.5, 20])
@pytest.mark.parametrize("kind", ["coroutine", "generator"])
@virtual
async def test_a_cancel_at_any_time_returns_all_credits_and_ends_the_calls(kind, after):
    open_calls = set()

    async def coroutine(packet, ctx):
        open_calls.add(packet)
        try:
            await asyncio.sleep(3)
        finally:
            open_calls.remove(packet)
        return packet

    async def generator(packet, ctx):
        open_calls.add(packet)
        try:
            for number in range(3):
                await asyncio.sleep(1)
                yield Text(str(number))
        finally:
            open_calls.remove(packet)

    process = coroutine if kind == "coroutine" else generator
    bench = StageBench({"a": operator(process, concurrency=2), "b": operator()}, capacity=3)
    bench.sink().withholding = True
    bench.feed(*texts(8))
    if after is None:
        bench.stage.run()  # the calls have been made and have not begun
    else:
        await asyncio.sleep(after)
    bench.stage.cancel()
    await bench.joined()
    assert not open_calls
    edge = bench._feeder(None).edge
    assert edge._credits == edge.capacity
    bench.sink().release()
    assert bench.sink().edge._credits == 3
    assert bench.stage.error is None


@pytest.mark.parametrize("kind", ["coroutine", "generator"])
@pytest.mark.parametrize("after", [None, 0.5, 1.5])
@virtual
async def test_an_interrupt_cancels_the_calls_and_the_stream_goes_on(kind, after):
    cancelled = []

    async def coroutine(packet, ctx):
        try:
            await asyncio.sleep(2)
        except asyncio.CancelledError:
            cancelled.append(packet.payload.text)
            raise
        return packet

    async def generator(packet, ctx):
        yield await coroutine(packet, ctx)

    process = coroutine if kind == "coroutine" else generator
    bench = StageBench({"a": operator(process, concurrency=2)})
    bench.feed(*texts(3, "old"))
    bench.finish()
    if after is None:
        bench.stage.run()
    else:
        await asyncio.sleep(after)
    bench.stage.words[0] = 1
    bench.host.wake()
    await bench.joined()
    assert bench.values == []
    assert cancelled == ([] if after is None else ["old0", "old1"])
    assert bench.sink().ended
    assert bench.settled


@virtual
async def test_a_generator_that_raises_when_it_is_cancelled_is_only_reported(caplog):
    async def process(packet, ctx):
        try:
            yield Text("1")
            yield Text("2")
        finally:
            raise ValueError("in finally")

    bench = StageBench({"a": operator(process)}, capacity=1)
    bench.sink().withholding = True
    bench.feed(Text("x"))
    await asyncio.sleep(1)
    bench.stage.cancel()
    await bench.joined()
    assert "in finally" in caplog.text
    assert bench.stage.error is None


@pytest.mark.parametrize("kind", ["coroutine", "generator"])
@virtual
async def test_an_asynchronous_flush_is_waited_for(kind):
    async def coroutine(ctx):
        await asyncio.sleep(1)
        return [Text("y"), Text("z")]

    async def generator(ctx):
        for text in ("y", "z"):
            await asyncio.sleep(1)
            yield Text(text)

    flush = coroutine if kind == "coroutine" else generator
    nodes = {"a": operator(flush=flush), "b": Join(2)}
    bench = StageBench(nodes, capacity=1)
    bench.feed(Text("x"), sequence=4)
    bench.finish()
    await bench.joined()
    assert bench.values == ["x+y", "z"]
    assert bench.sink().lineage == [(4, 0), (4, 1)]


@pytest.mark.parametrize("kind", ["coroutine", "generator"])
@virtual
async def test_an_error_in_an_asynchronous_flush_says_so(kind):
    async def coroutine(ctx):
        raise ValueError("no")

    async def generator(ctx):
        yield Text("x")
        raise ValueError("no")

    async def wrong(ctx):
        return "text"

    flushes = (coroutine, wrong) if kind == "coroutine" else (generator,)
    for flush in flushes:
        bench = StageBench({"a": operator(flush=flush)})
        bench.finish()
        await bench.joined()
        failed(bench, "a", "flush")


@pytest.mark.parametrize("when", [None, 0.5])
@virtual
async def test_an_interrupt_during_an_asynchronous_flush_completes_the_node(when):
    async def flush(ctx):
        await asyncio.sleep(1)
        return Text("late")

    bench = StageBench({"a": operator(flush=flush)})
    bench.finish()
    if when is None:
        bench.stage.run()
    else:
        await asyncio.sleep(when)
    bench.stage.words[0] = 1
    bench.host.wake()
    await bench.joined()
    assert bench.values == []
    assert bench.sink().ended


@virtual
async def test_the_end_waits_for_open_calls():
    async def process(packet, ctx):
        await asyncio.sleep(1)
        return (Text(f"{packet.payload.text}.{number}") for number in range(2))

    flushed = []
    node = operator(process, flush=lambda ctx: flushed.append(len(bench.values)), concurrency=4)
    bench = StageBench({"a": node}, capacity=2)
    bench.feed(*texts(3))
    bench.finish()
    await bench.joined()
    assert len(bench.values) == 6
    assert flushed
    assert bench.stage.done


@virtual
async def test_what_is_emitted_beside_a_call_descends_from_its_packet():
    async def process(packet, ctx):
        ctx.call_later(0.5, lambda: ctx.emit(Text(f"timer {packet.payload.text}")))
        await asyncio.sleep(1)
        ctx.emit(Text(f"beside {packet.payload.text}"))
        await asyncio.sleep(1)
        return packet

    bench = StageBench({"a": operator(process)})
    bench.feed(*texts(2))
    bench.finish()
    await bench.joined()
    assert bench.values == ["timer 0", "beside 0", "0", "timer 1", "beside 1", "1"]
    assert bench.sink().lineage == [(s, i) for s in range(2) for i in range(3)]


@virtual
async def test_a_call_that_begins_does_not_change_what_a_suspended_result_descends_from():
    async def process(packet, ctx):
        return (Text(f"{packet.payload.text}.{number}") for number in range(3))

    bench = StageBench({"a": operator(), "b": operator(process)}, capacity={"b": 1})
    bench.feed(*texts(3))
    bench.finish()
    await bench.joined()
    assert bench.sink().lineage == [(s, i) for s in range(3) for i in range(3)]


@virtual
async def test_a_timer_of_an_asynchronous_operator_that_raises_names_it():
    def boom():
        raise ValueError("boom")

    async def process(packet, ctx):
        ctx.call_later(1, boom)
        await asyncio.sleep(5)

    bench = StageBench({"a": operator(process)})
    bench.feed(Text("x"))
    await bench.joined()
    failed(bench, "a", "a call_later callback")


@virtual
async def test_a_task_group_inside_a_coroutine_is_the_operators_own():
    async def process(packet, ctx):
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(1))
        return packet

    bench = StageBench({"a": operator(process)})
    bench.feed(*texts(2))
    bench.finish()
    await bench.joined()
    assert bench.values == ["0", "1"]


def waiting(kind, concurrency, delays):
    """Hands a text out twice, after waiting for each as long as `delays` says."""

    async def coroutine(packet, ctx):
        number = packet.sequence
        await asyncio.sleep(delays[number % len(delays)])
        items = [Text(f"{packet.payload.text}.{copy}") for copy in range(2)]
        return items if number % 2 else iter(items)

    async def generator(packet, ctx):
        for copy in range(2):
            await asyncio.sleep(delays[(packet.sequence + copy) % len(delays)])
            yield Text(f"{packet.payload.text}.{copy}")

    return operator(coroutine if kind == "coroutine" else generator, concurrency=concurrency)


@given(
    kind=st.sampled_from(["coroutine", "generator"]),
    behind=st.lists(st.sampled_from(["list", "generator", "join"]), max_size=2),
    concurrency=st.integers(1, 4),
    capacity=st.integers(1, 4),
    delays=st.lists(st.sampled_from([0, 0.5, 1, 3]), min_size=1, max_size=4),
    pause=st.sampled_from([0, 0.4, 5]),
    cancelled_at=st.none() | st.sampled_from([0, 0.3, 2, 7]),
)
def test_what_waits_gives_the_same_as_what_does_not(
    kind, behind, concurrency, capacity, delays, pause, cancelled_at
):
    def chain(head):
        rest = [Join(3) if one == "join" else repeat(2, one) for one in behind]
        return {f"n{position}": node for position, node in enumerate([head, *rest])}

    expected = StageBench(chain(repeat(2)), capacity=100_000)
    expected.feed(*texts(6))
    expected.finish()
    expected.run()

    async def scenario():
        bench = StageBench(chain(waiting(kind, concurrency, delays)), capacity=capacity)
        sink = bench.sink()
        sink.withholding = bool(pause)
        bench.feed(*texts(6))
        bench.finish()
        loop = asyncio.get_running_loop()
        if cancelled_at is not None:
            loop.call_later(cancelled_at, bench.stage.cancel)
        while not bench.stage.done:
            await asyncio.sleep(pause or 1)
            statistics = bench._feeder(None).edge.statistics()
            assert 0 <= statistics.in_flight <= max(concurrency, capacity)
            sink.release(1)
        await bench.joined()
        edge = bench._feeder(None).edge
        assert edge._credits == edge.capacity
        outcome = list(zip(sink.values, sink.lineage, strict=True))
        whole = list(zip(expected.values, expected.sink().lineage, strict=True))
        if cancelled_at is None:
            assert outcome == whole
            assert sink.ended
        else:
            assert outcome == whole[: len(outcome)]

    run_virtual(scenario())


def test_a_packet_is_made_anew_by_each_node():
    seen = []
    node = operator(lambda packet, ctx: seen.append(packet) or packet)
    bench = StageBench({"a": node})
    bench.feed(Json({"a": 1}))
    bench.run()
    (out,) = bench.sink().packets
    assert isinstance(out, Packet)
    assert out is not seen[0]
    assert out.payload is seen[0].payload
    assert out.origin is seen[0].origin
