"""Python to manifest and back loses nothing, over random graphs."""

from __future__ import annotations

import itertools
import json
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.composition.document import flow_of_manifest, sections_of
from engine.config import Settings
from engine.errors import UsageError
from engine.operator import Operator, Params
from engine.pipeline import Pipeline
from engine.registry import Registry


class Handing(Operator):
    def process(self, packet, ctx):
        return packet


class Relay(Handing):
    class Params(Params):
        level: int = 0
        label: str = ""


class Fan(Handing):
    inputs = ("in", "side")
    outputs = ("out", "extra")


class Closed(Handing):
    portable = False

    class Params(Params):
        function: object = None


TYPES = {"Relay": Relay, "Fan": Fan}
EXTRA = st.dictionaries(
    st.sampled_from(["comment", "x-author", "placement"]),
    st.one_of(st.text(max_size=5), st.integers(), st.lists(st.booleans(), max_size=2), st.none()),
    max_size=2,
)


def _registry():
    registry = Registry()
    for name, cls in TYPES.items():
        registry.register(cls, name)
    return registry


@st.composite
def manifests(draw):
    count = draw(st.integers(1, 6))
    ids = draw(
        st.lists(
            st.from_regex(r"[a-zA-Z0-9_-]{1,6}", fullmatch=True),
            min_size=count,
            max_size=count,
            unique=True,
        )
    )
    nodes = []
    for node_id in ids:
        node = {"id": node_id, "node_type": draw(st.sampled_from(sorted(TYPES))), **draw(EXTRA)}
        if node["node_type"] == "Relay" and draw(st.booleans()):
            node["params"] = draw(st.fixed_dictionaries({"level": st.integers(0, 9)}))
        if draw(st.booleans()):
            node["executor"] = "local"
        if draw(st.booleans()):
            node["is_output_node"] = draw(st.booleans())
        nodes.append(node)
    connections = []
    for source, target in itertools.combinations(range(count), 2):
        if not draw(st.booleans()):
            continue
        link = {"from": ids[source], "to": ids[target], **draw(EXTRA)}
        if nodes[source]["node_type"] == "Fan":
            link["from_port"] = draw(st.sampled_from(Fan.outputs))
        if nodes[target]["node_type"] == "Fan":
            link["to_port"] = draw(st.sampled_from(Fan.inputs))
        if draw(st.booleans()):
            link["capacity"] = draw(st.integers(1, 50))
        connections.append(link)
    return {
        "version": "v1",
        "metadata": {"name": draw(st.text(min_size=1, max_size=5)), **draw(EXTRA)},
        "nodes": nodes,
        "connections": connections,
        **draw(EXTRA),
    }


@given(manifests())
def test_a_manifest_comes_back_as_it_was(document):
    pipeline = Pipeline.from_manifest(document, registry=_registry(), settings=Settings())
    assert pipeline.to_manifest() == document
    assert sections_of(flow_of_manifest(document), portable=True) == {
        "nodes": document["nodes"],
        "connections": document["connections"],
    }
    assert Pipeline.from_manifest(json.dumps(pipeline.to_manifest())).to_manifest() == document


@settings(max_examples=50)
@given(manifests())
def test_a_graph_composed_in_python_gives_the_same_plan(document):
    """Each node as an operator, the links by `connect`: the manifest and the plan are the same."""
    composed = _compose(document)
    plain = {
        **document,
        "nodes": [
            {"params": {}, **{key: node[key] for key in node if key in _SAID}}
            for node in document["nodes"]
        ],
        "connections": [
            {key: link[key] for key in link if key in _LINKED} for link in document["connections"]
        ],
    }
    written = composed.to_manifest()
    assert (written["nodes"], written["connections"]) == (plain["nodes"], plain["connections"])
    read = Pipeline.from_manifest(plain, registry=_registry(), settings=Settings())
    assert _placed(read.plan()) == _placed(composed.plan())
    again = Pipeline.from_manifest(written, registry=_registry(), settings=Settings())
    assert _placed(again.plan()) == _placed(composed.plan())


@given(manifests())
def test_what_is_added_to_a_manifest_leaves_the_rest_as_it_was(document):
    pipeline = Pipeline.from_manifest(document, registry=_registry(), settings=Settings())
    written = (pipeline & Relay().named("one-more")).to_manifest()
    assert written["nodes"][:-1] == document["nodes"]
    assert written["connections"] == document["connections"]
    head = {key: part for key, part in document.items() if key not in {"nodes", "connections"}}
    assert {key: written[key] for key in head} == head


_SAID = {"id", "node_type", "params", "executor", "is_output_node"}
_LINKED = {"from", "to", "from_port", "to_port", "capacity"}


def _compose(document):
    flows = []
    for node in document["nodes"]:
        flow = TYPES[node["node_type"]](**node.get("params", {})).named(node["id"])
        fields = {key: node[key] for key in ("executor", "is_output_node") if key in node}
        flows.append(flow.with_fields(fields))
    pipeline = Pipeline(document["metadata"]["name"], settings=Settings())
    pipeline = reduce(lambda done, flow: done & flow, flows, pipeline)
    for link in document["connections"]:
        source = f"{link['from']}.{link['from_port']}" if "from_port" in link else link["from"]
        target = f"{link['to']}.{link['to_port']}" if "to_port" in link else link["to"]
        pipeline = pipeline.connect(source, target, capacity=link.get("capacity"))
    return pipeline


def _placed(plan):
    return (plan.stages, plan.edges, plan.ingress, plan.sinks)


def test_ports_written_into_the_ends_are_taken_apart_when_something_is_added():
    document = {
        "version": "v1",
        "metadata": {"name": "x"},
        "nodes": [{"id": "a", "node_type": "Fan"}, {"id": "b", "node_type": "Fan"}],
        "connections": [{"from": "a.extra", "to": "b.side"}],
    }
    pipeline = Pipeline.from_manifest(document, registry=_registry(), settings=Settings())
    assert pipeline.to_manifest() == document
    (link,) = (pipeline | Relay()).to_manifest()["connections"][:1]
    assert link == {"from": "a", "to": "b", "from_port": "extra", "to_port": "side"}


def test_a_link_to_nowhere_is_told_before_something_is_added():
    document = {
        "version": "v1",
        "metadata": {"name": "x"},
        "nodes": [{"id": "a", "node_type": "Relay"}],
        "connections": [{"from": "a", "to": "c"}],
    }
    pipeline = Pipeline.from_manifest(document, registry=_registry())
    with pytest.raises(UsageError, match="goes to 'c', which is no node; the nodes are a"):
        pipeline | Relay()


def test_what_holds_a_function_runs_but_has_no_manifest():
    pipeline = Pipeline("x", settings=Settings()) | Closed(function=print)
    assert pipeline.plan().stages[0].nodes[0].params == {"function": print}
    with pytest.raises(UsageError, match=r"node 'closed' cannot be written to a manifest.*module"):
        pipeline.to_manifest()
