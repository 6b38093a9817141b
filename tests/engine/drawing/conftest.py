"""Plans to draw."""

import pytest

from engine.config import Settings
from engine.operator import Operator
from engine.prepare import check
from engine.registry import Registry


class Gain(Operator):
    def process(self, packet, ctx):
        return packet


class Wait(Operator):
    async def process(self, packet, ctx):
        return packet


class TwoPorts(Gain):
    inputs = ("audio_input", "video_input")
    outputs = ("left", "right")


class Sink(Gain):
    outputs = ()


@pytest.fixture(scope="session")
def make_plan():
    registry = Registry()
    for cls in (Gain, Wait, TwoPorts, Sink):
        registry.register(cls)

    def make(nodes, connections=(), name="drawn"):
        """Nodes are "id:Type" or "id:Type@executor", connections "a b" or "a.port b.port"."""
        items = []
        for node in nodes:
            place, _, executor = node.partition("@")
            node_id, _, node_type = place.partition(":")
            items.append({"id": node_id, "node_type": node_type, "executor": executor or None})
        document = {
            "version": "v1",
            "metadata": {"name": name},
            "nodes": items,
            "connections": [
                link
                if isinstance(link, dict)
                else dict(zip(("from", "to"), link.split(), strict=True))
                for link in connections
            ],
        }
        plan, problems = check(document, registry, Settings(max_processes_per_session=None))
        assert plan is not None, problems
        return plan

    return make
