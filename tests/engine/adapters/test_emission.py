"""engine.adapters.emission: what process and flush may return, and what is no output."""

import asyncio

import numpy as np
import pytest

from engine.errors import NodeError, UsageError
from engine.operator import Emission, Operator
from engine.payloads import Audio, Text
from engine.testing import StageBench
from tests.engine.adapters.adapter_helpers import failed, sync_results
from tests.engine.stage_helpers import operator, tagged, texts


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
    "int": (1, r"int is not a payload: return Json"),
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


# ---------------------------------------------------------------------- ports and times


def test_an_emission_may_have_a_media_time_of_its_own():
    def process(packet, ctx):
        yield ctx.to("out", Text("y"), timestamp_ns=7)
        yield packet

    bench = StageBench({"a": operator(process)})
    bench.feed(Text("x"))
    bench.run()
    first, second = bench.sink().packets
    assert first.timestamp_ns == 7
    assert second.timestamp_ns != 7
    assert first.sequence == second.sequence


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
    assert "node 'a' has no output port 'left'; the output ports are out" in error.message


# ------------------------------------------------------------------------------- errors


class Halt(BaseException):
    """As libraries make them to get past every `except Exception`."""


def raising(method, error):
    def fail(*arguments):
        raise error

    def fail_in_generator(*arguments):
        yield Text("one")
        raise error

    def arm(packet, ctx):
        ctx.call_later(1, fail)

    return {
        "process": (operator(fail), "process"),
        "generator": (operator(fail_in_generator), "process"),
        "flush": (operator(flush=fail), "flush"),
        "generator in flush": (operator(flush=fail_in_generator), "flush"),
        "timer": (operator(arm), "a call_later callback"),
        "wants": (operator(wants=fail, chooses=True), "wants"),
        "iterable": (operator(lambda packet, ctx: Weird(error)), "process"),
        "group": (operator(fail, joins=True), "process"),
        "end of an input": (operator(input_ended=fail), "input_ended"),
        "reset": (operator(reset=fail), "reset"),
    }[method]


METHODS = [
    "process",
    "generator",
    "flush",
    "generator in flush",
    "timer",
    "wants",
    "iterable",
    "group",
    "end of an input",
    "reset",
]


def drive(method, node):
    """A bench on which everything that could raise has been done."""
    nodes = {"b": node, "c": operator()} if method == "wants" else {"a": operator(), "b": node}
    bench = StageBench(nodes)
    if method == "group":
        bench.feed_group(**{"in": Text("x")})
    else:
        bench.feed(Text("x"))
    bench.advance(2)
    if method == "reset":
        bench.interrupt()
        bench.run()
    bench.finish()
    bench.run()
    return bench


@pytest.mark.parametrize("error", [KeyError, SystemExit, asyncio.CancelledError, Halt])
@pytest.mark.parametrize("method", METHODS)
def test_an_error_names_its_node_and_method(method, error):
    node, during = raising(method, error("lost"))
    failure = failed(drive(method, node), "b", during)
    assert isinstance(failure.__cause__, error)
    assert failure.context["exception"] == error.__name__


@pytest.mark.parametrize("method", METHODS)
def test_a_keyboard_interrupt_is_no_nodes_error(method):
    node, _ = raising(method, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        drive(method, node)


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError, Halt])
def test_what_closing_a_generator_raises_is_only_reported(error, caplog):
    def process(packet, ctx):
        try:
            yield Text("1")
            yield Text("2")
        finally:
            raise error("in finally")

    bench = StageBench({"a": operator(process)}, capacity=1)
    bench.sink().withholding = True
    bench.feed(Text("x"))
    bench.run()
    bench.stage.cancel()
    assert "in finally" in caplog.text
    assert bench.stage.error is None
    assert bench.settled


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


def test_system_exit_is_an_error_like_any_other():
    def process(packet, ctx):
        raise SystemExit(3)

    bench = StageBench({"a": operator(process)})
    bench.feed(Text("x"))
    bench.run()
    assert isinstance(failed(bench, "a", "process").__cause__, SystemExit)


def test_arrays_are_read_only_for_whoever_gets_them():
    samples = np.zeros((4, 1), np.float32)

    def process(packet, ctx):
        packet.payload.samples[0] = 1

    bench = StageBench({"a": operator(process)})
    bench.feed(Audio(samples, 16_000))
    bench.run()
    assert isinstance(failed(bench, "a", "process").__cause__, ValueError)
