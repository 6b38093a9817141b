"""engine.rates: branches that do not keep step."""

import itertools
import random

import pytest

from engine.config import Settings
from engine.operator import Operator
from engine.prepare import check
from engine.registry import Registry


class Handing(Operator):
    def process(self, packet, ctx):
        return packet


class Even(Handing):
    rate = "one_to_one"


class Uneven(Handing):
    pass


class Forked(Even):
    outputs = ("near", "far")


class Pair(Handing):
    inputs = ("a", "b")
    chooses = True

    class Params(Operator.Params):
        waits: bool = True

    @classmethod
    def in_step(cls, params):
        return params is not None and params.waits


def problems_of(nodes, *links, restarted=(), settings=Settings(), **params):  # noqa: B008 - frozen
    """The errors of a plan of nodes (id → class) and links "a>b", "a>pair.port", "a>b latest"."""
    registry = Registry()
    for cls in (Even, Uneven, Forked, Pair):
        registry.register(cls)
    connections = []
    for link in links:
        source, target = link.split(">")
        target, _, overflow = target.partition(" ")
        connections.append({"from": source, "to": target})
        if overflow:
            connections[-1]["overflow"] = overflow
    described = [
        {"id": node, "node_type": cls.__name__, "params": params if cls is Pair else {}}
        for node, cls in nodes.items()
    ]
    for node in described:
        if node["id"] in restarted:
            node |= {"executor": "process", "restart": {}}
    manifest = {
        "version": "v1",
        "metadata": {"name": "rates"},
        "nodes": described,
        "connections": connections,
    }
    _, problems = check(manifest, registry, settings)
    return [problem for problem in problems if problem.severity == "error"]


def test_an_uneven_branch_beside_another_of_the_same_source_is_refused():
    nodes = {"source": Even, "detect": Uneven, "pair": Pair}
    links = ("source>detect", "detect>pair.a", "source>pair.b")
    (problem,) = problems_of(nodes, *links)
    assert problem.path == "nodes[2].params"
    assert "would wait for ever: 'detect', on the way to 'a'" in problem.message
    assert "'b' gets them all; choose another policy" in problem.message
    assert problems_of(nodes, *links, waits=False) == []


@pytest.mark.parametrize("where", ["source>even", "even>pair.a"])
def test_a_link_that_may_drop_breaks_the_step_too(where):
    nodes = {"source": Even, "even": Even, "pair": Pair}
    links = ["source>even", "even>pair.a", "source>pair.b"]
    assert problems_of(nodes, *links) == []
    links = [f"{link} latest" if link == where else link for link in links]
    (problem,) = problems_of(nodes, *links)
    assert "may drop packets" in problem.message


@pytest.mark.parametrize(
    ("nodes", "links"),
    [
        # one for one on both branches
        (
            {"source": Uneven, "x": Even, "y": Even, "pair": Pair},
            ("source>x", "source>y", "x>pair.a", "y>pair.b"),
        ),
        # uneven, but before the branches part
        (
            {"source": Even, "x": Uneven, "pair": Pair},
            ("source>x", "x>pair.a", "x>pair.b"),
        ),
        # two sources: nothing that one branch waits for comes from the other's source
        (
            {"s": Even, "t": Even, "x": Uneven, "pair": Pair},
            ("s>x", "x>pair.a", "t>pair.b"),
        ),
        # only one input is fed
        ({"source": Even, "x": Uneven, "pair": Pair}, ("source>x", "x>pair.a")),
    ],
)
def test_what_keeps_step_or_need_not_is_planned(nodes, links):
    assert problems_of(nodes, *links) == []


@pytest.mark.parametrize(
    ("nodes", "links"),
    [
        # in one of two branches
        (
            {"s": Even, "r": Even, "pair": Pair},
            ("s>r", "r>pair.a", "s>pair.b"),
        ),
        # of two sources: here, too, all behind a dropped packet gets a wrong partner
        (
            {"s": Even, "r": Even, "x": Even, "pair": Pair},
            ("r>x", "x>pair.a", "s>pair.b"),
        ),
        # where the branches part: one may have got what the other one will not
        (
            {"r": Even, "x": Even, "pair": Pair},
            ("r>x", "x>pair.a", "r>pair.b"),
        ),
        (
            {"r": Forked, "pair": Pair},
            ("r.near>pair.a", "r.far>pair.b"),
        ),
    ],
)
def test_a_node_that_is_started_again_breaks_the_step(nodes, links):
    (problem,) = problems_of(nodes, *links, restarted={"r"})
    assert problem.node_id == "pair"
    assert "'r', on the way to 'a', has restart: a packet that it fails" in problem.message
    assert "leave restart out of 'r', or join by time (TimeJoin)" in problem.message
    assert problems_of(nodes, *links) == []
    assert problems_of(nodes, *links, restarted={"r"}, waits=False) == []
    assert problems_of(nodes, *links, restarted={"r"}, settings=Settings(enabled=False)) == []


@pytest.mark.parametrize(
    ("nodes", "links"),
    [
        # before the branches part
        (
            {"s": Even, "r": Even, "x": Even, "pair": Pair},
            ("s>r", "r>x", "x>pair.a", "x>pair.b"),
        ),
        # behind the pair
        ({"s": Even, "pair": Pair, "r": Even}, ("s>pair.a", "s>pair.b", "pair>r")),
        # before the only input that is fed
        ({"s": Even, "r": Even, "pair": Pair}, ("s>r", "r>pair.a")),
        # in a branch that leads elsewhere
        (
            {"s": Even, "r": Even, "pair": Pair},
            ("s>r", "s>pair.a", "s>pair.b"),
        ),
    ],
)
def test_a_node_that_is_started_again_and_breaks_no_step_is_planned(nodes, links):
    assert problems_of(nodes, *links, restarted={"r"}) == []


def test_an_uneven_node_deep_in_a_branch_is_found():
    nodes = {"s": Even, "x": Even, "y": Uneven, "z": Even, "pair": Pair}
    links = ("s>x", "x>y", "y>z", "z>pair.b", "x>pair.a")
    (problem,) = problems_of(nodes, *links)
    assert "'y', on the way to 'b'" in problem.message


def test_wrong_params_of_the_node_are_told_once():
    nodes = {"s": Even, "x": Uneven, "pair": Pair}
    links = ("s>x", "x>pair.a", "s>pair.b")
    (problem,) = problems_of(nodes, *links, waits="perhaps")
    assert problem.path == "nodes[2].params.waits"


def test_a_cycle_is_told_and_hides_nothing():
    nodes = {"s": Even, "x": Uneven, "pair": Pair, "y": Even, "z": Even}
    links = ("s>x", "x>pair.a", "s>pair.b", "y>z", "z>y", "s>y")
    assert {problem.path for problem in problems_of(nodes, *links)} == {
        "connections[4]",
        "nodes[2].params",
    }


def breaks_step(kinds, edges):
    """Plain search: an uneven w on a way to one port, and a way past it to the other."""
    following = {node: [b for a, b in edges if a == node] for node in (*kinds, "a", "b")}

    def reachable(start, without=None):
        found, pending = set(), [start]
        while pending:
            node = pending.pop()
            if node != without and node not in found:
                found.add(node)
                pending += following[node]
        return found

    for w, before in itertools.permutations(kinds, 2):
        if kinds[w] is Uneven and w in reachable(before):
            for port, other in (("a", "b"), ("b", "a")):
                if port in reachable(w) and other in reachable(before, without=w):
                    return True
    return False


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs_against_a_plain_search(seed):
    rng = random.Random(seed)
    names = [f"n{number}" for number in range(rng.randint(2, 7))]
    kinds = {name: rng.choice([Even, Even, Uneven]) for name in names}
    edges = [pair for pair in itertools.combinations(names, 2) if rng.random() < 0.35]
    edges += [(rng.choice(names), port) for port in ("a", "b") for _ in range(rng.randint(1, 2))]
    edges = list(dict.fromkeys(edges))
    links = [f"{a}>pair.{b}" if b in ("a", "b") else f"{a}>{b}" for a, b in edges]
    found = bool(problems_of({**kinds, "pair": Pair}, *links))
    assert found is breaks_step(kinds, edges)


def test_the_random_graphs_are_of_both_kinds():
    answers = set()
    for seed in range(60):
        rng = random.Random(seed)
        names = [f"n{number}" for number in range(rng.randint(2, 7))]
        kinds = {name: rng.choice([Even, Even, Uneven]) for name in names}
        edges = [pair for pair in itertools.combinations(names, 2) if rng.random() < 0.35]
        edges += [(rng.choice(names), p) for p in ("a", "b") for _ in range(rng.randint(1, 2))]
        answers.add(breaks_step(kinds, edges))
    assert answers == {True, False}
