"""engine.adapters.base: input ports and groups, and a node that chooses between them."""

from engine.operator import Operator
from engine.payloads import Text
from engine.reactive.adapter import RxOperator
from engine.testing import StageBench
from tests.engine.adapters.adapter_helpers import failed
from tests.engine.stage_helpers import operator, texts


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


def test_a_chain_that_joins_is_told_that_it_cannot():
    class Chain(RxOperator):
        joins = True

        def chain(self, *inlets):
            return inlets[0]

    bench = StageBench({"a": Chain()})
    bench.feed_group(**{"in": Text("x")})
    bench.run()
    assert "Chain cannot join" in failed(bench, "a", "process").message
