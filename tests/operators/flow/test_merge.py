import pytest

from engine.errors import UsageError
from engine.payloads import Text
from operators.flow.merge import Merge
from tests.operators.flow.flow_helpers import ANYTHING, fan_in_bench


def feed(bench, port, *texts, **header):
    bench.feed(*map(Text, texts), at=f"node.{port}", **header)
    bench.run()


def test_packets_come_out_as_they_come_in():
    bench = fan_in_bench(Merge())
    feed(bench, "a", "1")
    feed(bench, "b", "x", "y")
    feed(bench, "a", "2")
    assert bench.values == ["1", "x", "y", "2"]


def test_it_ends_when_all_ports_have():
    bench = fan_in_bench(Merge(inputs=["x", "y", "z"]))
    feed(bench, "x", "1")
    bench.finish("node.x", "node.z")
    feed(bench, "y", "2", "3")
    assert not bench.stage.done
    bench.finish("node.y")
    bench.run()
    assert bench.values == ["1", "2", "3"]
    assert bench.sink().ended


def test_no_port_starves_beside_a_quicker_one():
    bench = fan_in_bench(Merge(), capacity={"node.a": 64, "node.b": 64, "node": 1})
    feed(bench, "a", *["a"] * 50)
    feed(bench, "b", *["b"] * 5)
    assert bench.values.count("b") == 5
    sink = bench.sink()
    sink.withholding = True
    feed(bench, "a", *["A"] * 50)
    feed(bench, "b", *["B"] * 5)
    for _ in range(14):
        sink.release(1)
        bench.run()
    assert bench.values.count("B") == 5


def test_the_port_may_be_noted_in_the_metadata():
    bench = fan_in_bench(Merge(port_key="by"))
    feed(bench, "a", "1", metadata={"lang": "en"})
    feed(bench, "b", "x")
    assert [dict(packet.metadata) for packet in bench.sink().packets] == [
        {"lang": "en", "by": "a"},
        {"by": "b"},
    ]


def test_it_takes_any_payload():
    bench = fan_in_bench(Merge())
    bench.feed(*ANYTHING, at="node.b")
    bench.run()
    assert bench.sink().payloads == ANYTHING


def test_after_an_interrupt_it_goes_on():
    bench = fan_in_bench(Merge())
    feed(bench, "a", "1")
    bench.interrupt()
    bench.run()
    feed(bench, "b", "2")
    assert bench.values == ["1", "2"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"inputs": []}, "inputs: "),
        ({"inputs": ["a", "a"]}, "twice"),
        ({"port_key": 1}, "port_key"),
    ],
)
def test_bad_params_are_explained(params, message):
    with pytest.raises(UsageError, match=message):
        Merge(**params)
