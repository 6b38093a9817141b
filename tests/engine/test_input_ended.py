"""An operator learns that one of its inputs has ended, before all have."""

from engine.errors import NodeError
from engine.operator import Operator
from engine.payloads import Text
from engine.testing import StageBench


class Listener(Operator):
    inputs = ("a", "b")

    def process(self, packet, ctx):
        return packet

    def input_ended(self, port, ctx):
        ctx.emit(Text(f"{port} has ended"))

    def flush(self, ctx):
        return Text("flushed")


class Stumbler(Listener):
    def input_ended(self, port, ctx):
        raise RuntimeError("stumbled")


def test_it_is_told_once_per_port_behind_its_packets_and_before_flush():
    bench = StageBench({"node": Listener()}, inputs=["node.a", "node.b"])
    bench.feed(Text("one"), at="node.a")
    bench.finish("node.a")
    bench.run()
    assert bench.values == ["one", "a has ended"]
    bench.feed(Text("two"), at="node.b")
    bench.finish("node.b")
    bench.run()
    assert bench.values[2:] == ["two", "b has ended", "flushed"]
    assert bench.sink().ended


def test_it_is_told_when_the_last_of_several_sources_has_ended():
    bench = StageBench(
        {"x": Pass(), "y": Pass(), "node": Listener()},
        [("x", "node.a"), ("y", "node.a")],
    )
    bench.finish("x")
    bench.run()
    assert bench.values == []
    bench.finish("y")
    bench.run()
    assert bench.values == ["a has ended", "flushed"]


def test_what_it_raises_is_the_nodes_error():
    bench = StageBench({"node": Stumbler()}, inputs=["node.a", "node.b"])
    bench.finish("node.a")
    bench.run()
    assert isinstance(bench.stage.error, NodeError)
    assert bench.stage.error.node_id == "node"


class Pass(Operator):
    def process(self, packet, ctx):
        return packet


class Log(Operator):
    """Hands out three texts for each packet, one by one, and notes what it is told."""

    inputs = ("a", "b")

    told: list[str]

    def process(self, packet, ctx):
        self.told.append(packet.port)
        for number in range(3):
            yield Text(f"{packet.port}{number}")
        self.told.append(f"{packet.port} done")

    def input_ended(self, port, ctx):
        self.told.append(f"{port} ended")

    def flush(self, ctx):
        return Text(", ".join(self.told))


class Last(Operator):
    def process(self, packet, ctx):
        return None

    def flush(self, ctx):
        return Text("last")


def test_it_is_told_behind_packets_that_wait_for_a_generator():
    log = Log()
    log.told = []
    bench = StageBench(
        {"last": Last(), "log": log}, [("last", "log.a"), ("last", "log.b")], capacity=1
    )
    bench.sink().withholding = True
    bench.finish()
    for _ in range(9):
        bench.run()
        bench.sink().release()
    assert bench.values[-1] == "a, a done, b, b done, a ended, b ended"
    assert bench.sink().ended
