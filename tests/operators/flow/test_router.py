import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ManifestError, UsageError
from engine.payloads import Json, Text
from operators.flow.router import Router
from remotemedia import Pipeline
from tests.operators.flow.flow_helpers import ANYTHING, HERE, bench_of, end, play

LOUD = {"port": "loud", "when": {"field": "level", "ge": -20}}
WORDS = {"port": "words", "when": {"kind": "text"}}


def came_out(bench):
    """Port → values."""
    return {name.partition(".")[2]: sink.values for name, sink in bench.sinks.items()}


def test_each_packet_leaves_by_the_first_route_that_is_true_of_it():
    bench = bench_of(Router(routes=[LOUD, WORDS]))
    play(bench, Json({"level": -10}), "hello", Json({"level": -30}), Json({}))
    end(bench)
    assert came_out(bench) == {
        "loud": [{"level": -10}],
        "words": ["hello"],
        "otherwise": [{"level": -30}, {}],
    }
    assert all(sink.ended for sink in bench.sinks.values())


def test_the_order_of_routes_decides():
    routes = [{"port": "any", "when": {"kind": ["text", "json"]}}, WORDS]
    bench = bench_of(Router(routes=routes))
    play(bench, "hello")
    assert came_out(bench) == {"any": ["hello"], "words": [], "otherwise": []}


def test_all_routes_that_are_true_take_it_each_once():
    routes = [
        WORDS,
        {"port": "long", "when": f"{HERE}:is_long"},
        {"port": "words", "when": {"text": "hello"}},
    ]
    bench = bench_of(Router(routes=routes, match="all"))
    play(bench, "hello", "a", Json(1))
    assert came_out(bench) == {"words": ["hello", "a"], "long": ["hello"], "otherwise": [1]}


def test_a_port_may_have_several_routes():
    routes = [{"port": "x", "when": {"text": "a"}}, {"port": "x", "when": {"text": "b"}}]
    router = Router(routes=routes, otherwise="y")
    assert router.outputs == ("x", "y")
    bench = bench_of(router)
    play(bench, *"abc")
    assert came_out(bench) == {"x": ["a", "b"], "y": ["c"]}


def test_drop_is_no_port():
    routes = [{"port": "drop", "when": {"text": "secret"}}, WORDS]
    router = Router(routes=routes, otherwise="drop")
    assert router.outputs == ("words",)
    bench = bench_of(router)
    play(bench, "secret", "open", Json(1))
    assert bench.values == ["open"]
    assert bench.settled


def test_the_packet_keeps_its_lineage_and_metadata():
    bench = bench_of(Router(routes=[WORDS], otherwise="drop"))
    bench.feed(Json(1), Text("x"), metadata={"lang": "en"}, timestamp_ns=9)
    bench.run()
    (packet,) = bench.sink("node.words").packets
    assert (packet.sequence, packet.index, packet.timestamp_ns) == (1, 0, 9)
    assert packet.metadata == {"lang": "en"}
    assert packet.source.port == "words"


def test_a_slow_reader_of_one_port_holds_the_producer_back_and_nothing_is_lost():
    bench = bench_of(Router(routes=[WORDS]), capacity=1)
    slow = bench.sink("node.words")
    slow.withholding = True
    bench.feed(*[Text("x"), Json(1)] * 10)
    bench.run()
    assert len(slow.values) == 1
    assert bench.feeders["node"].waiting
    slow.withholding = False
    slow.release()
    end(bench)
    assert came_out(bench) == {"words": ["x"] * 10, "otherwise": [1] * 10}


def test_any_payload_is_routed():
    kinds = ["audio", "text", "json", "binary", "control"]
    bench = bench_of(Router(routes=[{"port": kind, "when": {"kind": kind}} for kind in kinds]))
    play(bench, *ANYTHING)
    assert [bench.sink(f"node.{kind}").payloads for kind in kinds] == [[one] for one in ANYTHING]


ROUTES = st.lists(
    st.fixed_dictionaries(
        {
            "port": st.sampled_from(["a", "b", "drop"]),
            "when": st.builds(
                lambda test, number: {"field": "", test: number},
                st.sampled_from(["lt", "ge", "equals"]),
                st.integers(0, 4),
            ),
        }
    ),
    min_size=1,
    max_size=4,
)
COMPARE = {
    "lt": lambda value, operand: value < operand,
    "ge": lambda value, operand: value >= operand,
    "equals": lambda value, operand: value == operand,
}


def is_true_of(route, value):
    when = dict(route["when"])
    del when["field"]
    ((test, operand),) = when.items()
    return COMPARE[test](value, operand)


@given(
    routes=ROUTES,
    match=st.sampled_from(["first", "all"]),
    values=st.lists(st.integers(0, 4), max_size=12),
)
def test_against_a_plain_reference(routes, match, values):
    expected = {}
    for value in values:
        ports = [route["port"] for route in routes if is_true_of(route, value)]
        ports = (ports[:1] if match == "first" else dict.fromkeys(ports)) or ["rest"]
        for port in ports:
            expected.setdefault(port, []).append(value)
    expected.pop("drop", None)
    bench = bench_of(Router(routes=routes, match=match, otherwise="rest"))
    play(bench, *map(Json, values))
    end(bench)
    assert {port: values for port, values in came_out(bench).items() if values} == expected


# --------------------------------------------------------------------------------- params


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "routes: "),
        ({"routes": []}, "routes: .*at least 1"),
        ({"routes": [{"port": "a"}]}, r"routes\.0\.when: "),
        ({"routes": [{"port": "a.b", "when": {"kind": "text"}}]}, r"routes\.0\.port: "),
        ({"routes": [WORDS], "otherwise": ""}, "otherwise: "),
        ({"routes": [WORDS], "match": "last"}, "match: "),
        (
            {"routes": [{"port": "drop", "when": {"kind": "text"}}], "otherwise": "drop"},
            "name a port",
        ),
        ({"routes": [WORDS, {"port": "a", "when": {"kid": 1}}]}, r"routes\.1\.when\.kid: "),
    ],
)
def test_bad_params_are_explained(params, message):
    with pytest.raises(UsageError, match=message):
        Router(**params)


def manifest(params, *connections):
    return {
        "version": "v1",
        "metadata": {"name": "routes"},
        "nodes": [
            {"id": "route", "node_type": "RouterNode", "params": params},
            {"id": "next", "node_type": "PassThrough"},
        ],
        "connections": [{"from": source, "to": "next"} for source in connections],
    }


def test_a_manifest_that_is_wrong_says_where():
    routes = [WORDS, {"port": "a", "when": {"all": [{"kind": "x"}, {"field": "a..b", "gt": 1}]}}]
    with pytest.raises(ManifestError) as caught:
        Pipeline.from_manifest(manifest({"routes": routes}, "route.words")).plan()
    problems = {problem.path: problem.message for problem in caught.value.problems}
    assert list(problems) == [
        "nodes[0].params.routes[1].when.all[0].kind",
        "nodes[0].params.routes[1].when.all[1].field",
    ]
    assert "must be a payload kind" in problems["nodes[0].params.routes[1].when.all[0].kind"]


def test_the_ports_of_the_routes_are_the_ports_of_the_node():
    params = {"routes": [WORDS], "otherwise": "rest"}
    plan = Pipeline.from_manifest(manifest(params, "route.words", "route.rest")).plan()
    assert plan.stages[0].nodes[0].outputs == ("words", "rest")
    with pytest.raises(ManifestError, match=r"no output port 'word'.*did you mean 'words'"):
        Pipeline.from_manifest(manifest(params, "route.word")).plan()
