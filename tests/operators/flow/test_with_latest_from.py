import pytest

from engine.errors import NodeError
from engine.payloads import Json, Text
from operators.flow.with_latest_from import WithLatestFrom
from tests.operators.flow.flow_helpers import CONTROL, HERE, bench_of, block, fan_in_bench


def feed(bench, port, *payloads, **header):
    payloads = [Text(one) if isinstance(one, str) else one for one in payloads]
    bench.feed(*payloads, at=f"node.{port}", **header)
    bench.run()


def combined(bench):
    return ["".join(value.values()) for value in bench.values]


def test_only_the_first_port_causes_outputs():
    bench = fan_in_bench(WithLatestFrom())
    feed(bench, "a", "0")
    feed(bench, "b", "x", "y")
    assert bench.values == []
    feed(bench, "a", "1", "2")
    feed(bench, "b", "z")
    feed(bench, "a", "3")
    assert combined(bench) == ["1y", "2y", "3z"]


def test_every_other_port_must_have_brought_one():
    bench = fan_in_bench(WithLatestFrom(inputs=["main", "x", "y"]))
    feed(bench, "x", "X")
    feed(bench, "main", "1")
    feed(bench, "y", "Y")
    feed(bench, "main", "2")
    assert bench.values == [{"main": "2", "x": "X", "y": "Y"}]


def test_in_a_group_the_other_ports_count_first():
    bench = bench_of(WithLatestFrom())
    bench.feed_group("node", a=Text("1"), b=Text("x"))
    bench.feed_group("node", a=Text("2"), b=Text("y"))
    bench.run()
    assert combined(bench) == ["1x", "2y"]


def test_a_port_that_has_ended_keeps_its_latest():
    bench = fan_in_bench(WithLatestFrom())
    feed(bench, "b", "x")
    bench.finish("node.b")
    feed(bench, "a", "1", "2")
    assert combined(bench) == ["1x", "2x"]
    bench.finish("node.a")
    bench.run()
    assert bench.stage.done


def test_behind_the_end_of_the_first_port_nothing_comes_and_nobody_waits():
    bench = fan_in_bench(WithLatestFrom(), capacity=1)
    bench.finish("node.a")
    feed(bench, "b", *"123456")
    assert bench.values == []
    assert bench.settled
    bench.finish("node.b")
    bench.run()
    assert bench.sink().ended


def test_a_much_quicker_other_port_gives_its_latest():
    bench = fan_in_bench(WithLatestFrom(), capacity=1)
    feed(bench, "b", *(str(number) for number in range(100)))
    feed(bench, "a", "x")
    assert combined(bench) == ["x99"]


def test_an_interrupt_forgets_the_latest():
    bench = fan_in_bench(WithLatestFrom())
    feed(bench, "b", "x")
    bench.interrupt()
    bench.run()
    feed(bench, "a", "1")
    feed(bench, "b", "y")
    feed(bench, "a", "2")
    assert combined(bench) == ["2y"]


def test_a_slow_reader_loses_nothing():
    bench = fan_in_bench(WithLatestFrom(), capacity=1)
    bench.sink().withholding = True
    feed(bench, "b", "x")
    feed(bench, "a", *"12345")
    assert combined(bench) == ["1x"]
    bench.sink().withholding = False
    bench.sink().release()
    bench.finish()
    bench.run()
    assert combined(bench) == ["1x", "2x", "3x", "4x", "5x"]


def test_an_output_descends_from_the_first_ports_packet():
    bench = fan_in_bench(WithLatestFrom())
    feed(bench, "b", "x", sequence=9, timestamp_ns=90)
    feed(bench, "a", "1", sequence=4, timestamp_ns=40, metadata={"of": "a"})
    (packet,) = bench.sink().packets
    assert (packet.sequence, packet.timestamp_ns, packet.metadata) == (4, 40, {"of": "a"})


def test_a_function_makes_the_output_or_none():
    bench = fan_in_bench(WithLatestFrom(combine=f"{HERE}:only_louder"))
    feed(bench, "b", Json(2))
    feed(bench, "a", Json(5), Json(1))
    assert bench.values == [3]


def test_control_messages_pass_on():
    bench = fan_in_bench(WithLatestFrom())
    feed(bench, "a", CONTROL)
    feed(bench, "b", "x", CONTROL)
    assert bench.sink().payloads == [CONTROL, CONTROL]


def test_a_payload_without_a_json_value_is_explained():
    bench = fan_in_bench(WithLatestFrom())
    feed(bench, "b", "x")
    feed(bench, "a", block(1))
    with pytest.raises(NodeError, match=r"port 'a' brought audio.*param combine"):
        raise bench.stage.error


@pytest.mark.parametrize("port", ["a", "b"])
def test_it_ends_when_nothing_can_come_any_more(port):
    bench = fan_in_bench(WithLatestFrom())
    bench.finish(f"node.{port}")
    bench.run()
    assert bench.sink().ended
    bench.feed(Text("x"), at=f"node.{'ab'.replace(port, '')}")
    bench.run()
    assert (bench.values, bench.settled) == ([], True)


def test_another_port_may_end_once_it_has_brought_something():
    bench = fan_in_bench(WithLatestFrom())
    bench.feed(Text("b"), at="node.b")
    bench.finish("node.b")
    bench.run()
    bench.feed(Text("a"), at="node.a")
    bench.run()
    assert bench.values == [{"a": "a", "b": "b"}]
