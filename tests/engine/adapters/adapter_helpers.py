"""What several tests of adapters need."""

from engine.errors import NodeError
from engine.payloads import Text


def failed(bench, node, during):
    """The error of the stage, which must be this node's, in this method."""
    error = bench.stage.error
    assert isinstance(error, NodeError)
    assert (error.node_id, error.context["during"]) == (node, during)
    assert bench.settled
    return error


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
