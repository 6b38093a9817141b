import pytest

from engine.errors import NodeError
from engine.payloads import Json, Text
from operators.flow.combine_latest import CombineLatest
from tests.operators.flow.flow_helpers import CONTROL, HERE, bench_of, block, fan_in_bench


def feed(bench, port, *payloads, **header):
    payloads = [Text(one) if isinstance(one, str) else one for one in payloads]
    bench.feed(*payloads, at=f"node.{port}", **header)
    bench.run()


def combined(bench):
    return ["".join(value.values()) for value in bench.values]


def test_each_packet_gives_the_latest_of_all():
    bench = fan_in_bench(CombineLatest())
    feed(bench, "a", "1", "2")
    assert bench.values == []
    feed(bench, "b", "x")
    assert bench.values == [{"a": "2", "b": "x"}]
    feed(bench, "b", "y")
    feed(bench, "a", "3", "4")
    assert combined(bench) == ["2x", "2y", "3y", "4y"]


def test_the_order_of_the_ports_is_that_of_the_params():
    bench = fan_in_bench(CombineLatest(inputs=["x", "y", "z"]))
    for port in "zyx":
        feed(bench, port, Json(port.upper()))
    assert [list(value.items()) for value in bench.values] == [[("x", "X"), ("y", "Y"), ("z", "Z")]]


def test_a_group_gives_one_output():
    bench = bench_of(CombineLatest())
    bench.feed_group("node", a=Text("1"), b=Text("x"))
    bench.feed_group("node", a=Text("2"), b=Text("y"))
    bench.feed(Text("3"), port="a")
    bench.run()
    assert combined(bench) == ["1x", "2y", "3y"]


@pytest.mark.parametrize(("ended", "other"), [("a", "b"), ("b", "a")])
def test_a_port_that_has_ended_keeps_its_latest(ended, other):
    bench = fan_in_bench(CombineLatest())
    feed(bench, ended, "1", "2")
    bench.finish(f"node.{ended}")
    feed(bench, other, "x", "y")
    assert [value[ended] + value[other] for value in bench.values] == ["2x", "2y"]
    assert not bench.stage.done
    bench.finish(f"node.{other}")
    bench.run()
    assert bench.stage.done
    assert bench.sink().ended


def test_a_port_that_never_brought_anything_keeps_all_silent_and_nothing_grows():
    bench = fan_in_bench(CombineLatest(), capacity=1)
    feed(bench, "a", *(str(number) for number in range(100)))
    assert bench.values == []
    assert bench.settled
    bench.finish()
    bench.run()
    assert bench.values == []
    assert bench.sink().ended


def test_a_much_quicker_port_gives_all_its_packets():
    bench = fan_in_bench(CombineLatest(), capacity=2)
    feed(bench, "b", "x")
    feed(bench, "a", *(str(number) for number in range(100)))
    feed(bench, "b", "y")
    assert combined(bench) == [*(f"{number}x" for number in range(100)), "99y"]


def test_an_interrupt_forgets_the_latest():
    bench = fan_in_bench(CombineLatest())
    feed(bench, "a", "1")
    bench.interrupt()
    bench.run()
    feed(bench, "b", "x")
    assert bench.values == []
    feed(bench, "a", "2")
    assert combined(bench) == ["2x"]


def test_a_slow_reader_loses_nothing():
    bench = fan_in_bench(CombineLatest(), capacity=1)
    sink = bench.sink()
    sink.withholding = True
    feed(bench, "b", "x")
    feed(bench, "a", *"12345")
    assert combined(bench) == ["1x"]
    sink.withholding = False
    sink.release()
    bench.finish()
    bench.run()
    assert combined(bench) == ["1x", "2x", "3x", "4x", "5x"]
    assert bench.settled


def test_an_output_descends_from_the_packet_that_caused_it():
    bench = fan_in_bench(CombineLatest())
    feed(bench, "a", "1", sequence=4, timestamp_ns=40, metadata={"of": "a"})
    feed(bench, "b", "x", sequence=9, timestamp_ns=90, metadata={"of": "b"})
    (packet,) = bench.sink().packets
    assert (packet.sequence, packet.timestamp_ns, packet.metadata) == (9, 90, {"of": "b"})


def test_a_function_makes_the_output_or_none():
    bench = fan_in_bench(CombineLatest(combine=f"{HERE}:only_louder"))
    feed(bench, "a", Json(5))
    feed(bench, "b", Json(2), Json(9), Json(1))
    assert bench.values == [3, 4]


def test_control_messages_pass_on():
    bench = fan_in_bench(CombineLatest())
    feed(bench, "a", "1", CONTROL)
    feed(bench, "b", CONTROL, "x")
    assert bench.sink().payloads == [CONTROL, CONTROL, Json({"a": "1", "b": "x"})]


def test_a_payload_without_a_json_value_is_explained():
    bench = fan_in_bench(CombineLatest())
    feed(bench, "a", block(1))
    feed(bench, "b", "x")
    with pytest.raises(NodeError, match=r"port 'a' brought audio.*param combine"):
        raise bench.stage.error


def test_it_ends_when_a_port_has_ended_that_brought_nothing():
    bench = fan_in_bench(CombineLatest())
    bench.feed(Text("a"), at="node.a")
    bench.finish("node.b")
    bench.run()
    assert bench.sink().ended
    bench.feed(Text("a"), at="node.a")
    bench.run()
    assert (bench.values, bench.settled) == ([], True)


def test_an_interrupt_that_takes_an_ended_ports_packet_ends_it():
    bench = fan_in_bench(CombineLatest())
    bench.feed(Text("b"), at="node.b")
    bench.finish("node.b")
    bench.run()
    assert not bench.sink().ended
    bench.interrupt()
    bench.run()
    assert bench.sink().ended
