"""From a document to a plan in one call."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from engine.config import Settings
from engine.errors import ManifestError, RemoteMediaError, ResourceLimitError, UsageError
from engine.manifest.load import load_manifest
from engine.operator import Operator
from engine.prepare import check, prepare
from engine.registry import Registry


class Gain(Operator):
    class Params(BaseModel):
        gain_db: float = Field(0.0, ge=-60, le=60)

    def process(self, packet, ctx):
        return packet.payload


class Model(Gain):
    default_executor = "process"


REGISTRY = Registry()
REGISTRY.register(Gain)
REGISTRY.register(Model)


def document(nodes, connections=(), **metadata):
    return {
        "version": "v1",
        "metadata": {"name": "voice", **metadata},
        "nodes": list(nodes),
        "connections": list(connections),
    }


def gain(name, **fields):
    return {"id": name, "node_type": "Gain", **fields}


def errors_in(source):
    plan, problems = check(source, REGISTRY, Settings())
    assert (plan is None) == any(problem.severity == "error" for problem in problems)
    return [problem for problem in problems if problem.severity == "error"]


SOUND = document(
    [gain("a", params={"gainDb": 3}), {"id": "b", "node_type": "Model"}],
    [{"from": "a", "to": "b"}],
    multiprocess={"channel_capacity": 5},
)


def test_every_source_gives_the_same_plan(tmp_path):
    path = tmp_path / "voice.json"
    path.write_text(json.dumps(SOUND))
    plan = prepare(SOUND, REGISTRY, Settings())
    assert (plan.name, plan.settings.channel_capacity, plan.warnings) == ("voice", 5, ())
    assert {edge.capacity for edge in plan.edges} == {5}
    for source in (path, path.read_text(), path.read_bytes(), load_manifest(SOUND)):
        assert prepare(source, REGISTRY, Settings()) == plan


def test_warnings_are_in_the_plan():
    plan, problems = check(document([gain("a", params={"gian": 3})]), REGISTRY, Settings())
    assert plan.warnings == problems
    assert [problem.path for problem in problems] == ["nodes[0].params.gian"]


def test_ten_faults_of_every_kind_are_ten_problems_in_one_answer():
    source = document(
        [
            gain("in put"),  # 1: the id
            {"id": "b", "node_type": "Gian"},  # 2: no such type
            gain("c", params=[]),  # 3: params are no object
            gain("d", params={"gainDb": 99}),  # 4: out of range
            gain("d"),  # 5: the id again
            gain("e", executor="moon"),  # 6: no such executor
            {"node_type": "Gain", "id": "f", "host": 3},  # 7: the host
            gain("g"),
            gain("h"),
        ],
        [
            {"from": "in put", "to": "b"},
            {"from": "zebra", "to": "c"},  # 8: no such node
            {"from": "d", "to": "e", "to_port": "side"},  # 9: no such port
            {"from": "g", "to": "h"},
            {"from": "h", "to": "g"},  # 10: a cycle
            {"from": "g", "to": "e", "capacity": -1},  # 11: capacity
            {"from": "c", "to": "d", "overflow": "lates"},  # 12: a policy
            {"from": "f", "to": "f"},  # 13: itself
            3,  # 14: no connection at all
        ],
        multiprocess={"channel_capacity": 0},  # 15: a setting
    )
    source["version"] = "v9"  # 16: the version
    with pytest.raises(ManifestError) as caught:
        prepare(source, REGISTRY, Settings())
    assert [problem.path for problem in caught.value.problems] == [
        "version",
        "metadata.multiprocess.channel_capacity",
        "nodes[0].id",
        "nodes[1].node_type",
        "nodes[2].params",
        "nodes[3].params.gainDb",
        "nodes[4].id",
        "nodes[5].executor",
        "nodes[6].host",
        "connections[1].from",
        "connections[2].to_port",
        "connections[4]",
        "connections[5].capacity",
        "connections[6].overflow",
        "connections[7]",
        "connections[8]",
    ]
    assert caught.value.message.startswith("16 problems in the manifest:")


#: Faults of one field each, by the field's name.
NODE_FAULTS = {
    "node_type": ["Gian", 3, None],
    "params": ["loud", [], {"gain_db": "loud"}, {"gainDb": -61}],
    "executor": ["moon", 3, ""],
    "process_timeout_ms": [0, "soon"],
    "host": ["nowhere", ""],
    "capabilities": [{"memory_gb": -1}, 3],
    "is_output_node": ["yes"],
}
LINK_FAULTS = {
    "from": ["nobody", "", None],
    "to": ["nobody.in", 3],
    "from_port": ["side", "", 3],
    "to_port": ["side"],
    "overflow": ["blok", "oldest", "", 3],
    "max_age_ms": [0, "soon", 1.5],
    "capacity": [0, "many"],
}


def faults(kinds):
    """Some fields of one object, each with a wrong value."""
    return st.fixed_dictionaries(
        {}, optional={name: st.sampled_from(values) for name, values in kinds.items()}
    )


def told_in_node(fields):
    """How many of a node's faults can be told: without a type nobody knows its params."""
    unknowable = "node_type" in fields and isinstance(fields.get("params"), dict)
    return len(fields) - unknowable


def told_in_link(fields):
    """How many of a link's faults can be told: without both nodes nobody asks for its ports."""
    ends = "from" in fields or "to" in fields
    unknowable = [name for name in ("from_port", "to_port") if fields.get(name) == "side"]
    return len(fields) - (len(unknowable) if ends else 0)


@given(
    st.lists(faults(NODE_FAULTS), max_size=6),
    st.lists(faults(LINK_FAULTS), max_size=6),
)
def test_as_many_problems_as_faults_whatever_they_are(node_faults, link_faults):
    nodes = [gain(f"n{index}") | fields for index, fields in enumerate(node_faults)]
    links = [{"from": "first", "to": "second"} | fields for fields in link_faults]
    # Every faulty node is linked, so that its faults could hide others or be told twice.
    links += [{"from": node["id"], "to": "first"} for node in nodes]
    problems = errors_in(document([*nodes, gain("first"), gain("second")], links))
    in_nodes = [problem for problem in problems if problem.path.startswith("nodes")]
    assert len(in_nodes) == sum(map(told_in_node, node_faults))
    assert all(problem.node_id for problem in in_nodes)
    assert len(problems) - len(in_nodes) == sum(map(told_in_link, link_faults))


def test_what_cannot_be_read_at_all_is_one_problem(tmp_path):
    assert len(errors_in("{")) == 1
    assert len(errors_in({"nodes": 3, "connections": [{"from": "a", "to": "b"}]})) == 3
    with pytest.raises(UsageError):
        check(tmp_path / "none.json", REGISTRY, Settings())


def test_too_many_processes_are_a_limit_and_no_fault():
    nodes = [{"id": f"n{index}", "node_type": "Model"} for index in range(3)]
    source = document(nodes, multiprocess={"max_processes_per_session": 2})
    with pytest.raises(ResourceLimitError) as caught:
        prepare(source, REGISTRY, Settings())
    assert caught.value.context == {"limit": 2, "requested": 3}
    assert prepare(document(nodes), REGISTRY, Settings())


def test_the_error_crosses_processes_with_all_its_problems():
    with pytest.raises(ManifestError) as caught:
        prepare(document([gain("a b"), gain("c", executor="moon")]), REGISTRY, Settings())
    again = RemoteMediaError.from_dict(json.loads(json.dumps(caught.value.to_dict())))
    assert isinstance(again, ManifestError)
    assert again.problems == caught.value.problems
    assert again.message == caught.value.message
