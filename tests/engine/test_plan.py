"""From a graph to a plan: placement, stages, edges, limits."""

import sys
from dataclasses import FrozenInstanceError, replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import Settings
from engine.errors import Problem, ResourceLimitError
from engine.graph import build_graph, topological_order
from engine.manifest.load import load_manifest
from engine.operator import Operator
from engine.plan import STAGE_DEPTH_MAX, Link, RestartRule, make_plan
from engine.registry import Registry


class Sync(Operator):
    def process(self, packet, ctx):
        return packet.payload


class Wait(Operator):
    async def process(self, packet, ctx):
        return packet.payload


class Tokens(Operator):
    async def process(self, packet, ctx):
        yield packet.payload


class Choose(Sync):
    chooses = True


class Model(Sync):
    default_executor = "process"


class Old(Sync):
    node_type = "OldNode"


class OldHelper(Sync):
    pass


class Local(Sync):
    node_type = "LocalNode"
    default_executor = "local"


class Odd(Sync):
    default_executor = "elsewhere"


class Greedy(Model):
    process_only = True


class Two(Sync):
    outputs = ("left", "right")


class Sink(Sync):
    outputs = ()


class Held(Sync):
    stateful = True

    def reset(self, ctx):
        pass


def inner_class():
    class Inner(Sync):
        pass

    return Inner


class Script(Sync):
    pass


REGISTRY = Registry()
for operator in (Sync, Wait, Tokens, Choose, Model, Greedy, Odd, Two, Sink, Held, inner_class()):
    REGISTRY.register(operator)
for operator in (Old, OldHelper, Local):
    REGISTRY.register(operator, pattern=True)
REGISTRY.declare("Script", "__main__:Script")
#: One word per kind of node in the graphs below.
KINDS = {"S": "Sync", "W": "Wait", "P": "Model"}


def graph_of(nodes, connections=()):
    """Nodes are types by id, or whole nodes; connections are pairs, or whole connections."""
    if isinstance(nodes, dict):
        nodes = [{"id": name, "node_type": kind} for name, kind in nodes.items()]
    links = [
        {"from": item[0], "to": item[1]} if isinstance(item, tuple) else item
        for item in connections
    ]
    document = {"version": "v1", "metadata": {"name": "x"}, "nodes": nodes, "connections": links}
    graph, problems = build_graph(load_manifest(document), REGISTRY)
    assert problems == ()
    return graph


def plan_of(nodes, connections=(), settings=Settings(), known=()):  # noqa: B008 - frozen
    plan, _ = make_plan(graph_of(nodes, connections), settings, "x", known)
    assert plan is not None
    return plan


def problems_of(nodes, connections=(), settings=Settings()):  # noqa: B008 - frozen
    plan, problems = make_plan(graph_of(nodes, connections), settings, "x")
    assert (plan is None) == any(problem.severity == "error" for problem in problems)
    return [(problem.severity, str(problem)) for problem in problems]


def stages_of(kinds, links):
    """The stages of a graph, written as "a:S b:W" and "a-b b-c", as sets of ids."""
    nodes = {item[0]: KINDS[item[2]] for item in kinds.split()}
    plan = plan_of(nodes, [(item[0], item[2]) for item in links.split()])
    return {"".join(sorted(node.id for node in stage.nodes)) for stage in plan.stages}


class TestPlacement:
    @pytest.mark.parametrize(
        ("node", "executor", "rule"),
        [
            ({"node_type": "Sync"}, "local", "default"),
            ({"node_type": "Sync", "executor": "process"}, "process", "manifest"),
            ({"node_type": "Model"}, "process", "operator"),
            ({"node_type": "Model", "executor": "local"}, "local", "manifest"),
            ({"node_type": "OldNode"}, "process", "pattern"),
            ({"node_type": "OldNode", "executor": "local"}, "local", "manifest"),
            ({"node_type": "OldHelper"}, "local", "default"),
            ({"node_type": "LocalNode"}, "local", "operator"),
        ],
    )
    def test_the_first_rule_that_applies_places_a_node(self, node, executor, rule):
        plan = plan_of([{"id": "a", **node}])
        ((placed,),) = (stage.nodes for stage in plan.stages)
        assert (placed.executor, placed.rule) == (executor, rule)
        assert plan.stages[0].executor == executor

    def test_without_processes_nodes_run_local_and_only_an_explicit_wish_is_told(self):
        settings = Settings(enabled=False)
        nodes = [
            {"id": "a", "node_type": "Model"},
            {"id": "b", "node_type": "Sync", "executor": "process"},
            {"id": "c", "node_type": "Sync"},
        ]
        plan = plan_of(nodes, settings=settings)
        assert [stage.nodes[0].rule for stage in plan.stages] == ["disabled", "disabled", "default"]
        assert {stage.executor for stage in plan.stages} == {"local"}
        assert [warning.path for warning in plan.warnings] == ["nodes[1].executor"]

    def test_a_class_for_processes_only_cannot_run_local(self):
        assert plan_of({"a": "Greedy"}).stages[0].executor == "process"
        ((severity, text),) = problems_of([{"id": "a", "node_type": "Greedy", "executor": "local"}])
        assert severity == "error"
        assert text.startswith("nodes[0].executor: Greedy runs in a process of its own only")
        for wish in ({}, {"executor": "process"}):
            ((severity, text),) = problems_of(
                [{"id": "a", "node_type": "Greedy", **wish}], settings=Settings(enabled=False)
            )
            assert severity == "error"
            assert "processes are disabled here" in text

    def test_an_operator_with_an_unknown_default_is_blamed_itself(self):
        ((_, text),) = problems_of({"a": "Odd"})
        assert text.startswith("nodes[0].node_type: Odd asks for the executor 'elsewhere'")

    def test_a_class_inside_a_function_cannot_be_found_by_a_process(self):
        ((severity, text),) = problems_of(
            [{"id": "a", "node_type": "Inner", "executor": "process"}]
        )
        assert severity == "error"
        assert "move the class to a module" in text
        assert problems_of({"a": "Inner"}) == []

    def test_a_class_of_a_notebook_cannot_be_found_by_a_process(self, monkeypatch):
        main = sys.modules["__main__"]
        monkeypatch.setattr(main, "Script", Script, raising=False)
        node = {"id": "a", "node_type": "Script", "executor": "process"}
        for file in ("<stdin>", None):
            monkeypatch.setattr(main, "__file__", file, raising=False)
            ((severity, text),) = problems_of([node])
            assert severity == "error"
            assert "notebook" in text
            assert "move the class to a module" in text
        monkeypatch.setattr(main, "__file__", "/home/me/script.py", raising=False)
        assert problems_of([node]) == []

    def test_a_node_carries_what_its_stage_needs(self):
        plan = plan_of([{"id": "a", "node_type": "Wait", "process_timeout_ms": 5}])
        (node,) = plan.stages[0].nodes
        assert node.target == f"{__name__}:Wait"
        assert (node.begins_stage, node.process_timeout_ms, node.params) == (True, 5, {})


TWO_PROCESSES = {"a": "Model", "b": "Model", "c": "Sync"}


class TestLimits:
    def test_the_limit_of_processes_is_an_error_of_its_own(self):
        assert plan_of(TWO_PROCESSES, settings=Settings(max_processes_per_session=2))
        with pytest.raises(ResourceLimitError, match="max_processes_per_session") as caught:
            plan_of(TWO_PROCESSES, settings=Settings(max_processes_per_session=1))
        assert caught.value.context == {"limit": 1, "requested": 2}

    def test_the_global_cap_counts_too(self):
        settings = Settings(max_processes_per_session=None, max_processes_total=1)
        with pytest.raises(ResourceLimitError, match="max_processes_total"):
            plan_of(TWO_PROCESSES, settings=settings)

    def test_a_faulty_manifest_is_told_before_the_limit(self):
        settings = Settings(max_processes_per_session=1)
        assert len(problems_of({**TWO_PROCESSES, "d": "Odd"}, settings=settings)) == 1


class TestStages:
    def test_local_nodes_fuse(self):
        assert stages_of("a:S b:S c:S", "a-b b-c") == {"abc"}

    def test_what_is_not_linked_stays_apart(self):
        assert stages_of("a:S b:S", "") == {"a", "b"}

    def test_process_nodes_stand_alone(self):
        assert stages_of("a:P b:P c:S", "a-b b-c") == {"a", "b", "c"}

    def test_a_detour_through_a_process_keeps_two_nodes_apart(self):
        assert stages_of("a:S p:P b:S", "a-p p-b a-b") == {"a", "p", "b"}

    def test_a_detour_through_a_waiting_node_keeps_two_nodes_apart(self):
        assert stages_of("a:S w:W b:S", "a-w w-b a-b") == {"a", "w", "b"}

    def test_a_long_detour_counts(self):
        assert stages_of("a:S p:P x:S q:P b:S", "a-p p-x x-q q-b a-b") == {"a", "p", "x", "q", "b"}

    def test_a_detour_through_the_stage_itself_is_none(self):
        assert stages_of("a:S b:S c:S d:S", "a-b a-c b-d c-d a-d") == {"abcd"}

    def test_a_waiting_node_begins_a_stage_and_synchronous_ones_fuse_behind_it(self):
        assert stages_of("a:S w:W b:S c:S", "a-w w-b b-c") == {"a", "bcw"}

    def test_two_waiting_nodes_never_share_a_stage(self):
        assert stages_of("v:W w:W b:S", "v-w w-b") == {"v", "bw"}
        assert stages_of("v:W w:W b:S", "v-b w-b") == {"v", "w", "b"}

    def test_nothing_stands_in_line_behind_a_waiting_node_that_it_does_not_feed(self):
        assert stages_of("s:S w:W b:S", "s-b w-b") == {"bs", "w"}
        assert stages_of("p:P w:W b:S", "p-b w-b") == {"p", "w", "b"}

    def test_synchronous_stages_meet_in_a_common_successor(self):
        assert stages_of("a:S b:S c:S", "a-c b-c") == {"abc"}

    def test_they_do_not_meet_where_that_would_close_a_cycle(self):
        assert stages_of("a:S p:P b:S c:S", "a-p p-b a-c b-c") == {"a", "p", "bc"}

    def test_what_follows_a_branch_of_a_waiting_stage_stays_in_it(self):
        assert stages_of("w:W a:S b:S c:S", "w-a w-b a-c b-c") == {"abcw"}

    def test_an_operator_that_chooses_begins_a_stage(self):
        plan = plan_of({"a": "Sync", "z": "Choose", "b": "Sync"}, [("a", "z"), ("z", "b")])
        assert [stage.id for stage in plan.stages] == ["a", "z"]

    def test_an_asynchronous_generator_begins_a_stage(self):
        plan = plan_of({"a": "Sync", "t": "Tokens"}, [("a", "t")])
        assert [stage.id for stage in plan.stages] == ["a", "t"]

    def test_a_stage_has_the_id_of_its_first_node_and_its_links(self):
        plan = plan_of({"c": "Sync", "b": "Sync", "a": "Sync"}, [("a", "b"), ("b", "c")])
        (stage,) = plan.stages
        assert stage.id == "a"
        assert [node.id for node in stage.nodes] == ["a", "b", "c"]
        assert stage.links == (Link("a", "out", "b", "in"), Link("b", "out", "c", "in"))


def grouped(spec, links=""):
    """A plan of nodes written as "a:S@g b:W c:P", of which those behind an @ share a process."""
    nodes = []
    for item in spec.split():
        kind, _, group = item[2:].partition("@")
        node = {"id": item[0], "node_type": KINDS[kind]}
        nodes.append(node | ({"executor": {"process": group}} if group else {}))
    return plan_of(nodes, [(item[0], item[2]) for item in links.split()])


def workers_of(plan):
    """The stages of each worker, as sets of their nodes' ids, in a set for each worker."""
    return {
        frozenset("".join(sorted(node.id for node in stage.nodes)) for stage in stages)
        for stages in plan.workers.values()
    }


class TestGroups:
    def test_the_nodes_of_a_group_share_a_worker_and_fuse_there(self):
        plan = grouped("a:S@g b:S@g c:S", "a-b b-c")
        assert workers_of(plan) == {frozenset({"ab"})}
        assert [edge.kind for edge in plan.edges] == ["shared_memory", "shared_memory", "local"]

    def test_each_group_has_a_worker(self):
        plan = grouped("a:S@g b:S@h c:S@g d:P", "")
        assert workers_of(plan) == {frozenset({"a", "c"}), frozenset({"b"}), frozenset({"d"})}

    def test_a_waiting_node_begins_a_stage_within_its_worker(self):
        plan = grouped("a:S@g w:W@g b:S@g", "a-w w-b")
        assert workers_of(plan) == {frozenset({"a", "bw"})}
        assert {edge.id: edge.kind for edge in plan.edges} == {
            "→a": "shared_memory",
            "a.out→w.in": "local",
            "b.out→": "shared_memory",
        }

    @pytest.mark.parametrize("between", ["b:S", "b:P", "b:S@h"])
    def test_a_worker_stands_on_both_sides_of_another_node_with_two_stages(self, between):
        plan = grouped(f"a:S@g {between} c:S@g", "a-b b-c a-c")
        assert frozenset({"a", "c"}) in workers_of(plan)
        edges = {edge.id: edge.kind for edge in plan.edges}
        assert edges["a.out→c.in"] == "local"
        assert edges["a.out→b.in"] == edges["b.out→c.in"] == "shared_memory"

    def test_a_group_and_a_node_of_one_name_have_nothing_to_do_with_each_other(self):
        assert workers_of(grouped("a:P b:S@a", "a-b")) == {frozenset({"a"}), frozenset({"b"})}

    def test_the_limit_counts_workers(self):
        nodes = [{"id": name, "node_type": "Sync", "executor": {"process": "g"}} for name in "abcd"]
        assert len(plan_of(nodes, settings=Settings(max_processes_per_session=1)).workers) == 1

    def test_without_processes_a_group_runs_local(self):
        nodes = [{"id": "a", "node_type": "Sync", "executor": {"process": "g"}}]
        plan = plan_of(nodes, settings=Settings(enabled=False))
        assert (plan.workers, plan.stages[0].group) == ({}, None)

    def test_the_plan_as_text_names_the_group(self):
        assert "stage a (process g)" in grouped("a:S@g b:W@g", "a-b").describe()


RESTART = {"max": 3, "backoff_ms": 100}


class TestRestart:
    def test_a_node_that_is_started_again_ends_its_edges_on_the_sessions_loop(self):
        nodes = [
            {"id": "a", "node_type": "Sync"},
            {"id": "r", "node_type": "Model", "restart": RESTART},
            {"id": "p", "node_type": "Model"},
        ]
        plan = plan_of(nodes, [("a", "r"), ("r", "p")])
        assert plan.stages[1].restart == RestartRule(3, 100)
        assert [edge.kind for edge in plan.edges] == [
            "local",
            "local",
            "shared_memory",
            "shared_memory",
        ]

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"node_type": "Sync"}, "only a process is started again"),
            ({"node_type": "Held", "executor": "process"}, "Held keeps state between packets"),
            (
                {"node_type": "Sync", "executor": {"process": "g"}},
                "shares the process 'g' with 'b'",
            ),
        ],
    )
    def test_only_a_stateless_node_alone_in_a_process_is_started_again(self, fields, words):
        nodes = [
            {"id": "a", "restart": RESTART, **fields},
            {"id": "b", "node_type": "Sync", "executor": {"process": "g"}},
        ]
        ((severity, text),) = problems_of(nodes)
        assert severity == "error"
        assert text.startswith("nodes[0].restart: ")
        assert words in text

    @pytest.mark.parametrize(
        ("field", "severity", "words"),
        [
            ("maxx", "error", "did you mean 'max'?"),
            ("backoff", "error", "did you mean 'backoff_ms'?"),
            ("colour", "warning", "the fields are max, backoff_ms"),
        ],
    )
    def test_fields_of_restart_that_nobody_knows_are_told(self, field, severity, words):
        nodes = [{"id": "a", "node_type": "Model", "restart": {**RESTART, field: 3}}]
        ((found, text),) = problems_of(nodes)
        assert found == severity
        assert text.startswith(f"nodes[0].restart.{field}: is no field of restart; ")
        assert words in text

    def test_every_field_of_restart_that_nobody_knows_is_told(self):
        nodes = [{"id": "a", "node_type": "Model", "restart": {"colour": 1, "maxx": 2}}]
        assert [severity for severity, _ in problems_of(nodes)] == ["warning", "error"]

    def test_fields_of_restart_have_two_spellings_as_all_have(self):
        nodes = [{"id": "a", "node_type": "Model", "restart": {"backoffMs": 7}}]
        assert plan_of(nodes).stages[0].restart == RestartRule(3, 7)

    def test_a_bound_on_turns_that_has_no_effect_is_told(self):
        node = {"id": "a", "node_type": "Sync", "process_timeout_ms": 5}
        ((severity, text),) = problems_of([node])
        assert severity == "warning"
        assert text.startswith("nodes[0].process_timeout_ms: has no effect")
        assert problems_of([{**node, "executor": "process"}]) == []

    def test_without_processes_there_is_nothing_to_start_again(self):
        nodes = [{"id": "a", "node_type": "Model", "restart": RESTART}]
        assert plan_of(nodes, settings=Settings(enabled=False)).stages[0].restart is None


class TestEdges:
    def test_edges_of_a_mixed_pipeline(self):
        plan = plan_of(
            {"mic": "Sync", "asr": "Model", "llm": "Wait", "tts": "Model"},
            [("mic", "asr"), ("asr", "llm"), ("llm", "tts")],
            Settings(channel_capacity=7),
        )
        assert [(edge.id, edge.kind) for edge in plan.edges] == [
            ("→mic", "local"),
            ("mic.out→asr.in", "shared_memory"),
            ("asr.out→llm.in", "shared_memory"),
            ("llm.out→tts.in", "shared_memory"),
            ("tts.out→", "shared_memory"),
        ]
        assert {(edge.capacity, edge.overflow) for edge in plan.edges} == {(7, "block")}
        ingress, between, *_, egress = plan.edges
        assert (ingress.source_stage, ingress.target_stage) == (None, "mic")
        assert (ingress.source_port, ingress.target_node, ingress.target_port) == ("", "mic", "")
        assert (between.source_stage, between.target_stage) == ("mic", "asr")
        assert (egress.source_stage, egress.target_stage) == ("tts", None)
        assert (egress.source_port, egress.target_node, egress.target_port) == ("out", "tts", "")
        assert (plan.ingress, plan.sinks) == (("mic",), ("tts",))

    def test_a_connection_may_have_its_own_capacity(self):
        link = {"from": "a", "to": "b", "capacity": 3, "overflow": "block"}
        plan = plan_of({"a": "Sync", "b": "Model"}, [link])
        assert [edge.capacity for edge in plan.edges] == [100, 3, 100]

    def test_a_capacity_above_the_limit_is_lowered_with_a_warning(self):
        link = {"from": "a", "to": "b", "capacity": 30_000}
        plan = plan_of({"a": "Sync", "b": "Model"}, [link])
        assert plan.edges[1].capacity == 10_000
        assert [warning.path for warning in plan.warnings] == ["connections[0].capacity"]

    def test_every_output_port_of_a_sink_leaves_the_session(self):
        plan = plan_of({"a": "Two"})
        assert [edge.id for edge in plan.edges] == ["→a", "a.left→", "a.right→"]

    def test_a_node_without_outputs_is_no_sink(self):
        plan = plan_of({"a": "Sync", "b": "Sink"}, [("a", "b")])
        assert plan.sinks == ()
        assert [edge.id for edge in plan.edges] == ["→a"]

    def test_an_output_node_in_the_middle_is_a_sink_too(self):
        nodes = [
            {"id": "a", "node_type": "Sync", "is_output_node": True},
            {"id": "b", "node_type": "Sync"},
        ]
        plan = plan_of(nodes, [("a", "b")])
        assert plan.sinks == ("a", "b")
        assert [edge.id for edge in plan.edges] == ["→a", "a.out→", "b.out→"]

    def test_without_back_pressure_links_drop_what_waited_longest(self):
        plan = plan_of(
            {"a": "Sync", "b": "Wait", "c": "Wait"},
            [("a", "b"), {"from": "b", "to": "c", "overflow": "block"}],
            Settings(enable_backpressure=False),
        )
        assert [(edge.id, edge.overflow) for edge in plan.edges] == [
            ("→a", "block"),
            ("a.out→b.in", "drop_oldest"),
            ("b.out→c.in", "block"),
            ("c.out→", "block"),
        ]

    @pytest.mark.parametrize(
        "policy", [{"overflow": "latest"}, {"overflow": "error"}, {"max_age_ms": 100}]
    )
    def test_a_link_that_may_drop_has_an_edge(self, policy):
        plan = plan_of({"a": "Sync", "b": "Sync"}, [{"from": "a", "to": "b", **policy}])
        assert [len(stage.nodes) for stage in plan.stages] == [1, 1]
        (edge,) = [edge for edge in plan.edges if edge.id == "a.out→b.in"]
        assert (edge.overflow, edge.max_age_ms, edge.window) == (
            policy.get("overflow", "block"),
            policy.get("max_age_ms"),
            2,
        )

    def test_no_way_round_brings_the_ends_of_such_a_link_together(self):
        plan = plan_of(
            {"a": "Sync", "b": "Sync", "c": "Sync", "d": "Sync"},
            [
                ("a", "b"),
                {"from": "a", "to": "c", "overflow": "latest"},
                ("b", "c"),
                ("c", "d"),
                ("b", "d"),
            ],
        )
        assert [[node.id for node in stage.nodes] for stage in plan.stages] == [
            ["a", "b"],
            ["c", "d"],
        ]
        assert [edge.id for edge in plan.edges if edge.source_stage and edge.target_stage] == [
            "a.out→c.in",
            "b.out→c.in",
            "b.out→d.in",
        ]

    def test_an_edge_that_only_blocks_has_its_capacity_as_window(self):
        plan = plan_of({"a": "Sync", "b": "Wait"}, [{"from": "a", "to": "b", "capacity": 7}])
        assert [edge.window for edge in plan.edges if edge.id == "a.out→b.in"] == [7]


def test_a_plan_describes_itself():
    plan = plan_of(
        [
            {"id": "mic", "node_type": "Sync"},
            {"id": "vad", "node_type": "Sync"},
            {"id": "asr", "node_type": "OldNode"},
            {"id": "llm", "node_type": "Wait"},
            {"id": "tts", "node_type": "Sync", "executor": "process"},
        ],
        [
            ("mic", "vad"),
            ("vad", "asr"),
            ("asr", "llm"),
            {"from": "llm", "to": "tts", "capacity": 1, "overflow": "latest", "max_age_ms": 80},
        ],
        known=[Problem("nodes[0]", "is odd", "warning")],
    )
    assert plan.describe() == (
        "x: 5 nodes in 4 stages, 2 processes\n"
        "\n"
        "stage mic (local)\n"
        "  mic  Sync: local, by default\n"
        "  vad  Sync: local, by default\n"
        "  mic.out→vad.in\n"
        "stage asr (process)\n"
        "  asr  OldNode: process, a Python node by its name\n"
        "stage llm (local)\n"
        "  llm  Wait: local, by default, begins a stage\n"
        "stage tts (process)\n"
        "  tts  Sync: process, the manifest says so\n"
        "\n"
        "edges\n"
        "  →mic            local, 100 packets, block\n"
        "  vad.out→asr.in  shared_memory, 100 packets, block\n"
        "  asr.out→llm.in  shared_memory, 100 packets, block\n"
        "  llm.out→tts.in  shared_memory, 2 packets, latest, at most 80 ms\n"
        "  tts.out→        shared_memory, 100 packets, block\n"
        "\n"
        "warnings\n"
        "  nodes[0]: is odd"
    )


def test_a_plan_does_not_change():
    with pytest.raises(FrozenInstanceError):
        plan_of({"a": "Sync"}).name = "y"


# --- laws -------------------------------------------------------------------------------------


@st.composite
def graphs(draw):
    """Acyclic graphs of up to ten nodes of every kind, in any order of the manifest."""
    kinds = draw(st.lists(st.sampled_from(list(KINDS.values())), min_size=1, max_size=10))
    pairs = [(i, j) for j in range(len(kinds)) for i in range(j)]
    links = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=20)) if pairs else []
    order = draw(st.permutations(range(len(kinds))))
    nodes = {f"n{index}": kinds[index] for index in order}
    return nodes, [(f"n{source}", f"n{target}") for source, target in links]


def waiting(stage):
    return stage.executor == "local" and stage.nodes[0].begins_stage


def plain(stage):
    return stage.executor == "local" and not stage.nodes[0].begins_stage


def successors_of(plan):
    successors = {stage.id: set() for stage in plan.stages}
    for edge in plan.edges:
        if edge.source_stage is not None and edge.target_stage is not None:
            successors[edge.source_stage].add(edge.target_stage)
    return successors


@given(graphs())
def test_every_node_is_in_one_stage_and_every_link_in_one_place(shape):
    nodes, links = shape
    plan = plan_of(nodes, links)
    placed = [node.id for stage in plan.stages for node in stage.nodes]
    assert sorted(placed) == sorted(nodes)
    inside = [(link.source_node, link.target_node) for s in plan.stages for link in s.links]
    between = [
        (edge.source_node, edge.target_node)
        for edge in plan.edges
        if edge.source_stage is not None and edge.target_stage is not None
    ]
    assert sorted(inside + between) == sorted(links)
    assert len({edge.id for edge in plan.edges}) == len(plan.edges)
    home = {node.id: stage.id for stage in plan.stages for node in stage.nodes}
    assert all(home[source] == home[target] for source, target in inside)
    assert all(home[source] != home[target] for source, target in between)


@st.composite
def grouped_graphs(draw):
    """The same, with some of the nodes in two groups."""
    nodes, links = draw(graphs())
    place = st.sampled_from([None, None, {"process": "g"}, {"process": "h"}])
    described = []
    for name, kind in nodes.items():
        executor = draw(place)
        described.append(
            {"id": name, "node_type": kind} | ({"executor": executor} if executor else {})
        )
    return described, links


@given(grouped_graphs())
def test_in_groups_stages_form_no_cycle_either_and_each_group_has_one_worker(shape):
    nodes, links = shape
    plan = plan_of(nodes, links)
    assert len(topological_order(successors_of(plan))) == len(plan.stages)
    worker = {node.id: stage.worker for stage in plan.stages for node in stage.nodes}
    for group in "gh":
        members = [node["id"] for node in nodes if node.get("executor") == {"process": group}]
        assert len({worker[member] for member in members}) == (1 if members else 0)
        others = {worker[node["id"]] for node in nodes if node["id"] not in members}
        assert not {worker[member] for member in members} & others
    for stage in plan.stages:
        head, *others = stage.nodes
        assert stage.id == head.id
        assert not any(node.begins_stage for node in others)
        assert {node.group for node in stage.nodes} == {head.group}
    for edge in plan.edges:
        ends = [
            next((s.worker for s in plan.stages if s.id == end), "")
            for end in (edge.source_stage, edge.target_stage)
        ]
        assert edge.kind == ("local" if ends[0] == ends[1] else "shared_memory")


@given(graphs())
def test_stages_form_no_cycle_and_stand_in_order(shape):
    plan = plan_of(*shape)
    successors = successors_of(plan)
    assert len(topological_order(successors)) == len(plan.stages)
    rank = {stage.id: index for index, stage in enumerate(plan.stages)}
    for source, targets in successors.items():
        assert all(rank[source] < rank[target] for target in targets)


@given(graphs())
def test_what_waits_is_the_head_of_its_stage_and_its_only_entrance(shape):
    plan = plan_of(*shape)
    for stage in plan.stages:
        head, *others = stage.nodes
        assert stage.id == head.id
        if stage.executor == "process":
            assert not others
            continue
        assert not any(node.begins_stage for node in others)
        if head.begins_stage:
            entered = {e.target_node for e in plan.edges if e.target_stage == stage.id}
            assert entered == {head.id}


@given(graphs())
def test_nodes_of_a_stage_are_linked_and_in_order(shape):
    for stage in plan_of(*shape).stages:
        rank = {node.id: index for index, node in enumerate(stage.nodes)}
        assert all(rank[link.source_node] < rank[link.target_node] for link in stage.links)
        reached, pending = set(), [stage.id]
        while pending:
            node = pending.pop()
            if node not in reached:
                reached.add(node)
                pending += [link.target_node for link in stage.links if link.source_node == node]
                pending += [link.source_node for link in stage.links if link.target_node == node]
        assert reached == set(rank)


@given(graphs())
def test_no_two_stages_could_have_been_one(shape):
    plan = plan_of(*shape)
    successors = successors_of(plan)
    stages = {stage.id: stage for stage in plan.stages}
    for source, targets in successors.items():
        for target in targets:
            if plain(stages[source]) and plain(stages[target]):
                merged = {source if stage == target else stage: set() for stage in successors}
                for stage, following in successors.items():
                    for other in following:
                        ends = [source if item == target else item for item in (stage, other)]
                        if ends[0] != ends[1]:
                            merged[ends[0]].add(ends[1])
                assert len(topological_order(merged)) < len(merged)
    feeders = {stage: [s for s in successors if stage in successors[s]] for stage in successors}
    for stage, sources in feeders.items():
        alone = len(sources) == 1 and waiting(stages[sources[0]])
        assert not (alone and plain(stages[stage]) and len(stages[stage].nodes) == 1)


@given(graphs())
def test_what_enters_and_what_leaves(shape):
    nodes, links = shape
    plan = plan_of(nodes, links)
    assert plan.ingress == tuple(n for n in nodes if n not in {target for _, target in links})
    assert plan.sinks == tuple(n for n in nodes if n not in {source for source, _ in links})
    assert [e.target_node for e in plan.edges if e.source_stage is None] == list(plan.ingress)
    assert [e.source_node for e in plan.edges if e.target_stage is None] == list(plan.sinks)
    executor = {stage.id: stage.executor for stage in plan.stages}
    for edge in plan.edges:
        ends = {executor.get(edge.source_stage, "local"), executor.get(edge.target_stage, "local")}
        assert edge.kind == ("local" if ends == {"local"} else "shared_memory")


@given(graphs())
def test_the_same_document_gives_the_same_plan(shape):
    assert plan_of(*shape) == plan_of(*shape)


def test_a_long_chain_is_several_stages_that_the_interpreter_can_be_pushed_through():
    names = [f"n{index}" for index in range(1_000)]
    plan = plan_of(dict.fromkeys(names, "Sync"), list(pairwise(names)))
    assert [len(stage.nodes) for stage in plan.stages] == [*[STAGE_DEPTH_MAX] * 31, 8]


def test_no_stage_is_too_deep_whatever_joins_it():
    rows = {row: [f"{row}{index}" for index in range(STAGE_DEPTH_MAX)] for row in "ab"}
    links = [link for row in rows.values() for link in pairwise(row)]
    nodes = dict.fromkeys([*rows["a"], *rows["b"], "end"], "Sync")
    plan = plan_of(nodes, [*links, (rows["a"][-1], rows["b"][1]), (rows["b"][-1], "end")])
    assert max(map(depth, plan.stages)) <= STAGE_DEPTH_MAX
    stage_of = {node.id: stage.id for stage in plan.stages for node in stage.nodes}
    assert stage_of["end"] != stage_of["a0"]


def depth(stage):
    """How many nodes of a stage stand in a row."""
    rows = {node.id: 1 for node in stage.nodes}
    for node in stage.nodes:
        before = [link.source_node for link in stage.links if link.target_node == node.id]
        rows[node.id] += max((rows[source] for source in before), default=0)
    return max(rows.values())


def test_settings_are_those_of_the_session():
    settings = replace(Settings(), channel_capacity=3)
    assert plan_of({"a": "Sync"}, settings=settings).settings is settings
