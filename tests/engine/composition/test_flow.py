"""What `|`, `&` and the words beside them build, and what they refuse."""

from __future__ import annotations

import pytest

from engine.composition.document import sections_of
from engine.composition.flow import Flow, flow_of
from engine.errors import UsageError
from engine.operator import Operator, Params, Ports
from engine.payloads import Json
from engine.pipeline import Pipeline


class A(Operator):
    def process(self, packet, ctx):
        return packet


class B(A):
    pass


class Split(Operator):
    outputs = ("left", "right")


class Join(Operator):
    inputs = ("audio", "video")


class Sink(Operator):
    outputs = ()


class Source(Operator):
    inputs = ()


class Many(Operator):
    class Params(Params):
        names: tuple[str, ...] = ("a", "b")

    @classmethod
    def ports(cls, params):
        return Ports(params.names, ("out",))


def _links(flow):
    return [
        (
            link["from"] + "." + link.get("from_port", ""),
            link["to"] + "." + link.get("to_port", ""),
        )
        for link in sections_of(flow, portable=True)["connections"]
    ]


def _ids(flow):
    return [node["id"] for node in sections_of(flow, portable=True)["nodes"]]


def test_a_sequence_links_each_to_the_next():
    assert _links(A() | B() | A()) == [("a.", "b."), ("b.", "a_2.")]


def test_branches_get_the_same_input_and_come_together():
    flow = A() | B().named("x") & B().named("y") | A().named("end")
    assert _links(flow) == [("a.", "x."), ("a.", "y."), ("x.", "end."), ("y.", "end.")]


def test_a_branch_may_be_a_sequence():
    flow = A() | (B() | B()) & A() | Sink()
    assert _links(flow) == [
        ("a.", "b."),
        ("a.", "a_2."),
        ("b.", "b_2."),
        ("b_2.", "sink."),
        ("a_2.", "sink."),
    ]


def test_ports_are_named_from_either_side():
    assert _links(Split().out("left") | A()) == [("split.left", "a.")]
    flow = Split() | A().taking("left") & B().taking("right")
    assert _links(flow) == [("split.left", "a."), ("split.right", "b.")]
    flow = A().into("audio") & B().into("video") | Join()
    assert _links(flow) == [("a.", "join.audio"), ("b.", "join.video")]


def test_two_sides_that_name_different_ports_are_refused():
    with pytest.raises(UsageError, match=r"goes on from the output port 'left', the other takes"):
        Split().out("left") | A().taking("right")
    assert _links(Split().out("left") | A().taking("left")) == [("split.left", "a.")]


def test_a_link_has_options():
    flow = A().into(capacity=3, overflow="block") | B()
    (connection,) = sections_of(flow, portable=True)["connections"]
    assert connection == {"from": "a", "to": "b", "capacity": 3, "overflow": "block"}


def test_into_keeps_what_an_earlier_into_said():
    flow = A().into("audio").into(capacity=3) | Join()
    (connection,) = sections_of(flow, portable=True)["connections"]
    assert connection == {"from": "a", "to": "join", "to_port": "audio", "capacity": 3}


def test_placing_a_flow_places_all_its_nodes():
    nodes = sections_of((A() | B()).on("process", timeout_ms=50), portable=True)["nodes"]
    assert [(node["executor"], node["process_timeout_ms"]) for node in nodes] == [
        ("process", 50),
        ("process", 50),
    ]


def test_placing_a_flow_in_a_group_lets_its_nodes_share_a_process():
    nodes = sections_of((A() | B()).on("process", group="g"), portable=True)["nodes"]
    assert [node["executor"] for node in nodes] == [{"process": "g"}, {"process": "g"}]


def test_a_group_is_one_of_processes():
    with pytest.raises(UsageError, match=r"say \.on\('process', group='g'\) instead"):
        A().on("local", group="g")


def test_a_rule_for_restarts_goes_into_the_manifest():
    rule = {"max": 2, "backoff_ms": 5}
    (node,) = sections_of(A().on("process", restart=rule), portable=True)["nodes"]
    assert (node["executor"], node["restart"]) == ("process", rule)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (3, r'takes \{"max": 3, "backoff_ms": 100\}.*got 3'),
        ([("max", 3)], "how often in all"),
        ({"maxx": 3}, "no field 'maxx'; did you mean 'max'"),
        ({"retries": 3}, "no field 'retries'; the fields are max, backoff_ms"),
    ],
)
def test_what_is_no_rule_for_restarts_is_refused_with_what_it_takes(rule, words):
    with pytest.raises(UsageError, match=words):
        A().on("process", restart=rule)


def test_only_the_ends_are_marked_as_outputs():
    nodes = sections_of((A() | B()).as_output() | A(), portable=True)["nodes"]
    assert [node.get("is_output_node") for node in nodes] == [None, True, None]


def test_one_flow_can_be_used_twice():
    gain = A() | B()
    assert _ids(gain & gain) == ["a", "b", "a_2", "b_2"]
    assert _ids(gain) == ["a", "b"]


def test_the_same_operator_makes_a_node_each_time():
    one = A()
    assert _ids(one | one) == ["a", "a_2"]


def test_connecting_by_id_says_what_the_operators_cannot():
    flow = A().named("mic") & B().named("vad") & Join().named("sync")
    flow = flow.connect("mic", "vad").connect("mic", "sync.audio").connect("vad", "sync.video")
    assert _links(flow) == [("mic.", "vad."), ("mic.", "sync.audio"), ("vad.", "sync.video")]
    assert [head.node for head in flow.heads] == [0]
    assert [tail.node for tail in flow.tails] == [2]


def test_connecting_what_is_not_there_names_the_nearest():
    flow = A().named("mic") & B().named("vad")
    with pytest.raises(UsageError, match="no node 'mik' to connect; did you mean 'mic'"):
        flow.connect("mik", "vad")


def test_a_flow_that_cannot_go_on_or_be_fed_is_refused():
    with pytest.raises(UsageError, match="Sink has no output that could go on to A"):
        Sink() | A()
    with pytest.raises(UsageError, match="Source takes no input, so it cannot follow A"):
        A() | Source()


def test_several_nodes_cannot_have_one_name():
    with pytest.raises(UsageError, match="A … B has 2 nodes; give each an id of its own"):
        (A() | B()).named("x")
    with pytest.raises(UsageError, match="two nodes are named 'x'"):
        _ids(A().named("x") | B().named("x"))


@pytest.mark.parametrize(
    ("step", "words"),
    [(A, r"an instance \(add parentheses\)"), (3, "an Operator"), (Json(1), "an Operator")],
)
def test_what_cannot_stand_in_a_pipeline_is_refused_on_either_side(step, words):
    for compose in (lambda: A() | step, lambda: A() & step, lambda: step | A()):
        with pytest.raises(UsageError, match=words):
            compose()


def test_an_empty_flow_is_nothing():
    assert _ids(Flow() | A()) == ["a"]
    assert _ids(A() | Flow()) == ["a"]
    assert Flow().label == "an empty flow"


def test_a_pipeline_in_a_pipeline_keeps_its_names_apart():
    inner = Pipeline("voice chat") | A() | B()
    flow = flow_of(A() | inner | inner)
    assert _ids(flow) == [
        "a",
        "voice_chat-a",
        "voice_chat-b",
        "voice_chat_2-a",
        "voice_chat_2-b",
    ]
    outer = Pipeline("outer") | (Pipeline("middle") | inner)
    assert [node["id"] for node in outer.to_manifest()["nodes"]] == [
        "middle-voice_chat-a",
        "middle-voice_chat-b",
    ]


def test_ports_may_depend_on_params():
    assert Many(names=("x",)).inputs == ("x",)
    assert Many().inputs == ("a", "b")
    assert Many.inputs == ("in",)


def test_a_flow_shows_its_nodes():
    assert repr(A() | B()) == "Flow(a, b)"


def test_a_flow_with_a_pipeline_in_it_may_be_used_twice():
    part = A() | (Pipeline("voice") | B().named("gain"))
    ids = [node["id"] for node in sections_of(part & part | part, portable=True)["nodes"]]
    assert ids == ["a", "voice-gain", "a_2", "voice_2-gain", "a_3", "voice_3-gain"]


def test_a_flow_with_two_nodes_of_one_name_still_has_a_repr():
    assert "two nodes are named 'x'" in repr(A().named("x") | B().named("x"))


def test_the_class_of_pipelines_is_no_step():
    with pytest.raises(UsageError, match="cannot be a step"):
        A() | Pipeline


@pytest.mark.parametrize(
    ("flow", "words"),
    [
        (lambda: A() | Join().into("audio"), r"nothing follows Join.into\('audio'\): .into stands"),
        (lambda: A() | B().into(capacity=3), r"nothing follows B.into\(…\)"),
        (lambda: A().taking("left") | B(), r"nothing comes before A.taking\('left'\): .taking"),
    ],
)
def test_what_is_said_of_an_open_end_is_about_nothing(flow, words):
    with pytest.raises(UsageError, match=words):
        (Pipeline("x") | flow()).plan()


def test_a_pipeline_places_all_its_nodes():
    inner = Pipeline("inner") | A() | B()
    outer = Pipeline("outer") | A() | inner.on("process")
    assert [node.get("executor") for node in outer.to_manifest()["nodes"]] == [
        None,
        "process",
        "process",
    ]


def test_two_pipelines_side_by_side_keep_their_names_if_that_is_said():
    inner = Pipeline("inner") | A()
    with pytest.raises(UsageError, match=r"write a.as_flow\(\) & b.as_flow\(\)"):
        inner & inner
    flow = A() | inner.as_flow() & inner.as_flow()
    assert _ids(flow) == ["a", "inner-a", "inner_2-a"]
    assert _ids((Pipeline("empty") & inner).as_flow()) == ["empty-inner-a"]


def test_a_pipeline_is_named():
    with pytest.raises(UsageError, match=r"a pipeline is named first: Pipeline\('name'\)"):
        Pipeline([A()])


def test_a_flow_is_no_pipeline_and_says_so():
    with pytest.raises(AttributeError, match=r"\(Pipeline\('name'\) \| flow\).run"):
        (A() | B()).run([])
    with pytest.raises(AttributeError, match="a flow has no 'rnu'"):
        (A() | B()).rnu([])


def test_a_pipeline_in_a_branch_says_where_its_outputs_enter():
    inner = Pipeline("inner") | A()
    flow = A() | (inner.into("audio") & B().into("video")) | Join()
    assert _links(flow)[2:] == [("inner-a.", "join.audio"), ("b.", "join.video")]
    branch = inner | B().into("audio")
    assert _links(A() | branch.as_flow() | Join())[-1] == ("inner-b.", "join.audio")
    assert _links(Split() | inner.taking("left")) == [("split.left", "inner-a.")]
