"""engine.adapters.synchronous: one packet in, its result out, or waiting behind an iterator."""

from engine.packet import Packet
from engine.payloads import Json, Text
from engine.testing import StageBench
from tests.engine.stage_helpers import operator, repeat


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
