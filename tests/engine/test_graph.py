"""From a manifest to a graph: what is resolved, and what is said about what cannot be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from engine.errors import Problem
from engine.graph import (
    ERRORS_MAX,
    WARNINGS_MAX,
    Link,
    build_graph,
    cycles,
    topological_order,
)
from engine.manifest.load import examine, load_manifest
from engine.operator import Operator, Ports
from engine.registry import Registry


class Pass(Operator):
    def process(self, packet, ctx):
        return packet.payload


class Gain(Pass):
    class Params(BaseModel):
        gain_db: float = Field(0.0, ge=-60, le=60)


class Speech(Pass):
    outputs = ("speech", "events")
    emits = frozenset({"audio", "json"})


class Align(Pass):
    inputs = ("audio_input", "video_input")


class Upper(Pass):
    accepts = frozenset({"text"})
    emits = frozenset({"text"})


class Strict(Pass):
    accepts = frozenset({"audio"})
    strict = True


class Reader(Pass):
    inputs = ()
    outputs = ("media",)
    emits = frozenset({"audio"})


class Writer(Pass):
    inputs = ("media",)
    outputs = ()


REGISTRY = Registry()
for operator in (Pass, Gain, Speech, Align, Upper, Strict, Reader, Writer):
    REGISTRY.register(operator)
REGISTRY.declare("Broken", "no_such_package.module:Thing")


def build(nodes, connections=(), known=()):
    """Nodes are types by id, or whole nodes; connections are pairs, or whole connections."""
    if isinstance(nodes, dict):
        nodes = [{"id": name, "node_type": kind} for name, kind in nodes.items()]
    links = [
        {"from": item[0], "to": item[1]} if isinstance(item, tuple) else item
        for item in connections
    ]
    manifest = load_manifest(
        {"version": "v1", "metadata": {"name": "x"}, "nodes": nodes, "connections": links}
    )
    return build_graph(manifest, REGISTRY, known)


def told(nodes, connections=()):
    """The problems as (severity, text)."""
    return [(item.severity, str(item)) for item in build(nodes, connections)[1]]


class TestNodes:
    def test_a_sound_graph(self):
        graph, problems = build(
            [
                {"id": "b", "node_type": "Gain", "params": {"gainDb": 3}, "is_output_node": True},
                {
                    "id": "a",
                    "node_type": "Pass",
                    "executor": "process",
                    "process_timeout_ms": 20,
                },
            ],
            [("a", "b")],
        )
        assert problems == ()
        assert [node.id for node in graph.nodes] == ["b", "a"]
        assert graph.order == ("a", "b")
        assert graph.links == (Link("a", "out", "b", "in"),)
        gain, other = graph.nodes
        assert (gain.params, gain.is_output, gain.executor, gain.index) == (
            {"gain_db": 3},
            True,
            None,
            0,
        )
        assert (other.executor, other.process_timeout_ms, other.spec.cls) == ("process", 20, Pass)

    def test_an_unknown_type_is_told_with_the_nearest(self):
        assert told({"a": "Gian"}) == [
            ("error", "nodes[0].node_type: there is no node type 'Gian'; did you mean 'Gain'?")
        ]

    def test_an_operator_that_cannot_be_imported_says_what_is_missing(self):
        ((severity, text),) = told({"a": "Broken"})
        assert severity == "error"
        assert "install the package that provides 'no_such_package'" in text

    def test_a_duplicate_id_is_told_and_its_node_is_still_looked_at(self):
        _, problems = build(
            [
                {"id": "a", "node_type": "Gain"},
                {"id": "a", "node_type": "Gain", "params": {"gain_db": "loud"}},
            ]
        )
        assert {problem.path for problem in problems} == {"nodes[1].id", "nodes[1].params.gain_db"}
        assert all(problem.node_id == "a" for problem in problems)

    def test_params_are_blamed_on_their_node(self):
        _, (problem,) = build([{"id": "a", "node_type": "Gain", "params": {"gainDb": 61}}])
        assert problem == Problem(
            "nodes[0].params.gainDb", "must be less than or equal to 60, got 61", "error", "a"
        )

    def test_an_unknown_param_is_a_warning(self):
        graph, (problem,) = build([{"id": "a", "node_type": "Gain", "params": {"gain": 1}}])
        assert problem.severity == "warning"
        assert "'gain_db'" in problem.message
        assert graph.nodes[0].params == {}

    def test_an_unknown_executor_is_told_with_those_there_are(self):
        nodes = [{"id": "a", "node_type": "Nothing", "executor": "ray"}]
        assert told(nodes)[1][1] == (
            "nodes[0].executor: there is no executor 'ray'; the executors of this version are"
            " local, process"
        )

    def test_a_host_is_a_warning(self):
        ((severity, text),) = told([{"id": "a", "node_type": "Pass", "host": "there:1"}])
        assert severity == "warning"
        assert text.startswith("nodes[0].host:")

    def test_a_node_without_an_id_is_looked_at_all_the_same(self):
        manifest, known = examine(
            {
                "version": "v1",
                "metadata": {"name": "x"},
                "nodes": [{"node_type": "Gian"}, {"node_type": "Gain"}],
                "connections": [],
            }
        )
        graph, problems = build_graph(manifest, REGISTRY, known)
        assert graph.nodes == ()
        assert [(problem.path, problem.node_id) for problem in problems] == [
            ("nodes[0].node_type", None)
        ]

    def test_what_is_known_is_not_told_again(self):
        nodes = [{"id": "a", "node_type": "Gain", "params": {"gain_db": "loud"}}]
        _, problems = build(nodes, known=[Problem("nodes[0].params", "must be an object")])
        assert problems == ()


def test_an_operator_without_process_is_told():
    registry = Registry()
    registry.register(type("Empty", (Operator,), {}))
    manifest = load_manifest(
        {
            "version": "v1",
            "metadata": {"name": "x"},
            "nodes": [{"id": "a", "node_type": "Empty"}],
            "connections": [],
        }
    )
    _, (problem,) = build_graph(manifest, registry)
    assert str(problem) == "nodes[0].node_type: Empty defines no process(packet, ctx)"


class TestConnections:
    def test_an_unknown_node_is_told_with_the_nearest(self):
        assert told({"reader": "Pass", "b": "Pass"}, [("raeder", "b"), ("reader", "q")]) == [
            ("error", "connections[0].from: there is no node 'raeder'; did you mean 'reader'?"),
            ("error", "connections[1].to: there is no node 'q'; the nodes are reader, b"),
        ]

    def test_ports_may_be_named_in_three_ways(self):
        nodes = {"s": "Speech", "a": "Align"}
        link = Link("s", "events", "a", "video_input")
        for connection in (
            {"from": "s", "to": "a", "from_port": "events", "to_port": "video_input"},
            {"from": "s", "to": "a", "fromPort": "events", "toPort": "video_input"},
            {"from": "s.events", "to": "a.video_input"},
            {"from": "s.events", "to": "a.video_input", "from_port": "events"},
        ):
            other = {"from": "s.speech", "to": "a.audio_input"}
            graph, problems = build(nodes, [connection, other])
            assert problems == ()
            assert graph.links[0] == link

    def test_a_port_that_nothing_feeds_beside_one_that_is_fed_is_a_warning(self):
        nodes = {"s": "Speech", "a": "Align", "b": "Align"}
        _, problems = build(nodes, [("s.speech", "a.video_input")])
        (problem,) = problems
        assert (problem.severity, str(problem)) == (
            "warning",
            "nodes[1]: nothing feeds the input 'audio_input' of 'a'; connect something to it",
        )

    def test_the_only_port_need_not_be_named(self):
        graph, problems = build({"r": "Reader", "w": "Writer"}, [("r", "w")])
        assert problems == ()
        assert graph.links == (Link("r", "media", "w", "media"),)

    def test_an_unknown_port_is_told_with_those_there_are(self):
        assert told({"s": "Speech", "b": "Pass"}, [("s.sound", "b")]) == [
            (
                "error",
                (
                    "connections[0].from_port: 's' has no output port 'sound';"
                    " its output ports are speech, events"
                ),
            )
        ]

    def test_an_almost_right_port_is_told_with_the_nearest(self):
        ((_, text),) = told({"s": "Speech", "b": "Pass"}, [("s.event", "b")])
        assert "'s' has no output port 'event'; did you mean 'events'?" in text

    def test_ports_that_depend_on_params_are_those_of_the_node(self):
        class Ported(Pass):
            class Params(BaseModel):
                names: tuple[str, ...] = ()

            @classmethod
            def ports(cls, params):
                if not params.names:
                    raise ValueError("name at least one")
                return Ports(params.names, ("out",))

        registry = Registry()
        registry.register(Ported)

        def nodes(names):
            return [
                {"id": "a", "node_type": "Ported", "params": {"names": ["x"]}},
                {"id": "b", "node_type": "Ported", "params": {"names": names}},
            ]

        def graph(names, port):
            document = {
                "version": "v1",
                "metadata": {"name": "m"},
                "nodes": nodes(names),
                "connections": [{"from": "a", "to": "b", "to_port": port}],
            }
            return build_graph(load_manifest(document), registry)

        built, (problem,) = graph(["left", "right"], "right")
        assert problem.message == "nothing feeds the input 'left' of 'b'; connect something to it"
        assert [node.ports.inputs for node in built.nodes] == [("x",), ("left", "right")]
        _, (problem,) = graph(["left", "right"], "rigth")
        assert "did you mean 'right'?" in problem.message
        _, (problem,) = graph([], "right")
        assert (problem.path, problem.message) == (
            "nodes[1].params",
            "its ports cannot be told: name at least one",
        )

    def test_one_of_several_ports_must_be_named(self):
        ((_, text),) = told({"a": "Pass", "b": "Align"}, [("a", "b")])
        assert "say which by to_port" in text
        assert "audio_input, video_input" in text

    def test_a_node_without_ports_cannot_be_connected(self):
        problems = told({"r": "Reader", "w": "Writer", "b": "Pass"}, [("w", "b"), ("b", "r")])
        assert [text.partition(": ")[2] for _, text in problems] == [
            "'w' cannot be connected here: it has no output ports",
            "'r' cannot be connected here: it has no input ports",
        ]

    def test_two_words_for_one_port_must_agree(self):
        link = {"from": "s.speech", "to": "b", "from_port": "events"}
        ((_, text),) = told({"s": "Speech", "b": "Pass"}, [link])
        assert "keep one" in text

    def test_both_ends_are_looked_at(self):
        assert len(told({"a": "Pass"}, [("x", "y")])) == 2
        assert len(told({"a": "Pass", "b": "Pass"}, [("a.x", "b.y")])) == 2

    def test_ports_of_a_node_without_operator_are_not_blamed(self):
        problems = told({"a": "Nothing", "b": "Pass"}, [("a.any", "b"), ("b", "a.thing")])
        assert [text.partition(":")[0] for _, text in problems] == [
            "nodes[0].node_type",
            "connections[1]",  # the cycle
        ]

    def test_a_node_does_not_feed_itself(self):
        assert told({"a": "Pass"}, [("a", "a")]) == [
            ("error", "connections[0]: connects 'a' to itself")
        ]

    def test_the_same_connection_twice_is_a_warning(self):
        graph, (problem,) = build({"a": "Pass", "b": "Pass"}, [("a", "b"), ("a.out", "b.in")])
        assert problem.severity == "warning"
        assert "connections[0] is the same" in problem.message
        assert len(graph.connections) == 1

    @pytest.mark.parametrize("word", ["drop_oldest", "drop_newest", "latest", "error"])
    def test_a_link_may_do_something_else_than_block(self, word):
        links = [{"from": "a", "to": "b", "overflow": word, "maxAgeMs": 5}]
        graph, problems = build({"a": "Pass", "b": "Pass"}, links)
        assert problems == ()
        (link,) = graph.connections
        assert (link.overflow, link.max_age_ms, link.may_drop) == (word, 5, True)

    def test_an_unknown_policy_is_told_with_the_nearest(self):
        link = {"from": "a", "to": "nowhere", "overflow": "blok"}
        assert told({"a": "Pass"}, [link])[0] == (
            "error",
            "connections[0].overflow: there is no overflow policy 'blok'; did you mean 'block'?",
        )

    def test_kinds_that_do_not_fit_are_a_warning(self):
        assert told({"s": "Speech", "u": "Upper"}, [("s.speech", "u")]) == [
            ("warning", "connections[0]: 's' emits audio and json, 'u' takes text")
        ]

    def test_kinds_that_do_not_fit_are_an_error_for_a_strict_operator(self):
        ((severity, _),) = told({"u": "Upper", "s": "Strict"}, [("u", "s")])
        assert severity == "error"

    def test_kinds_that_may_fit_are_a_warning_for_a_strict_operator(self):
        ((severity, _),) = told({"v": "Speech", "s": "Strict"}, [("v.speech", "s")])
        assert severity == "warning"

    def test_kinds_that_fit_or_are_not_known_are_fine(self):
        assert told({"r": "Reader", "s": "Strict", "p": "Pass"}, [("r", "s"), ("p", "s")]) == []


class TestCycles:
    def test_a_cycle_is_named_along_its_nodes(self):
        nodes = dict.fromkeys("abcd", "Pass")
        links = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "b")]
        assert told(nodes, links) == [
            (
                "error",
                "connections[3]: closes the cycle b → c → d → b; a graph has no cycles",
            )
        ]

    def test_every_cycle_is_told(self):
        nodes = dict.fromkeys("abcd", "Pass")
        problems = told(nodes, [("a", "b"), ("b", "a"), ("c", "d"), ("d", "c"), ("b", "c")])
        assert [text.split(": ")[0] for _, text in problems] == ["connections[1]", "connections[3]"]

    def test_a_wrong_port_hides_no_cycle(self):
        problems = told({"a": "Pass", "b": "Pass"}, [("a.x", "b"), ("b", "a")])
        assert len(problems) == 2

    def test_long_cycles_do_not_exhaust_the_stack(self):
        size = 900
        nodes = {f"n{index}": "Pass" for index in range(size)}
        links = [(f"n{index}", f"n{(index + 1) % size}") for index in range(size)]
        assert len(told(nodes, links)) == 1


class TestBounds:
    def test_errors_are_not_looked_for_without_end(self):
        nodes = {f"n{index}": "Nothing" for index in range(500)}
        problems = told(nodes)
        assert len(problems) == ERRORS_MAX + 1
        assert "more problems" in problems[-1][1]

    def test_cycles_are_not_told_without_end(self):
        nodes = {f"n{index}": "Pass" for index in range(20)}
        problems = told(nodes, [(a, b) for a in nodes for b in nodes if a != b])
        assert len(problems) == ERRORS_MAX + 1

    def test_warnings_are_bounded_and_hide_no_error(self):
        params = {f"p{index}": 1 for index in range(500)}
        problems = told(
            [{"id": "a", "node_type": "Gain", "params": params}, {"id": "b", "node_type": "Gian"}]
        )
        assert [severity for severity, _ in problems] == ["warning"] * WARNINGS_MAX + ["error"]


EDGES = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=24)


def successors_of(edges):
    return {
        str(node): [str(target) for source, target in edges if source == node] for node in range(8)
    }


@given(EDGES)
def test_the_order_respects_every_link_outside_cycles(edges):
    successors = successors_of(edges)
    order = topological_order(successors)
    place = {node: index for index, node in enumerate(order)}
    for source, target in edges:
        if str(target) in place:
            assert place[str(source)] < place[str(target)]
    assert (len(order) == 8) == (cycles(successors) == [])


@given(EDGES)
def test_cycles_are_real_and_breaking_them_leaves_none(edges):
    successors = successors_of(edges)
    for nodes in cycles(successors):
        for source, target in zip(nodes, [*nodes[1:], nodes[0]], strict=True):
            assert target in successors[source]
    for nodes in cycles(successors):
        successors[nodes[-1]] = [target for target in successors[nodes[-1]] if target != nodes[0]]
    assert cycles(successors) == []


@given(EDGES)
def test_a_graph_is_sound_or_a_problem_says_why(edges):
    nodes = {f"n{index}": "Pass" for index in range(8)}
    graph, problems = build(nodes, [(f"n{source}", f"n{target}") for source, target in edges])
    if any(problem.severity == "error" for problem in problems):
        return
    assert sorted(graph.order) == sorted(nodes)
    assert {(link.source_node, link.target_node) for link in graph.links} == {
        (f"n{source}", f"n{target}") for source, target in edges
    }
