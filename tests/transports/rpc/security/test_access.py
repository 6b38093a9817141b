"""What a client's manifest may reach."""

import os
import sys

import pytest

from engine.errors import UsageError
from engine.registry import Registry
from operators.catalog import declare_all
from transports.rpc.security.access import Access

REGISTRY = Registry()
declare_all(REGISTRY)


def document(node_type, params, **fields):
    return {"nodes": [{"id": "n", "node_type": node_type, "params": params, **fields}]}


def refused(access, *arguments, **fields):
    problems = access.problems(document(*arguments, **fields), REGISTRY)
    assert all(problem.severity == "error" and problem.node_id == "n" for problem in problems)
    return [problem.path for problem in problems]


def reads(access, path):
    return refused(access, "MediaReaderNode", {"path": str(path)}) == []


def imports(access, name):
    return refused(access, "ScanNode", {"accumulator": name}) == []


def test_nothing_is_reached_unless_it_is_allowed():
    access = Access()
    assert refused(access, "MediaReaderNode", {"path": "/etc/passwd"}) == ["nodes[0].params.path"]
    assert refused(access, "MediaReaderNode", {}) == ["nodes[0].params.root"]
    assert refused(access, "MediaWriterNode", {"outputPath": "x.wav"}) == [
        "nodes[0].params.output_path"
    ]
    assert refused(access, "ReactivexNode", {"operators": [{"name": "os:system"}]}) == [
        "nodes[0].params.operators[0].name"
    ]
    assert refused(access, "PassThrough", {}, host="other:50051") == ["nodes[0].host"]


def test_what_reaches_nothing_is_let_through():
    access = Access()
    assert refused(access, "PassThrough", {"path": "/etc/passwd"}) == []
    assert refused(access, "ScanNode", {"accumulator": "sum"}) == []
    assert (
        refused(access, "ReactivexNode", {"operators": [{"name": "debounce", "args": [1]}]}) == []
    )
    assert refused(access, "NoSuchNode", {}) == []
    assert refused(access, "ScanNode", "no object") == []


def test_nothing_is_imported_to_find_out():
    assert not imports(Access(), "this:that")
    assert "this" not in sys.modules


def test_files_lie_in_allowed_directories(tmp_path):
    allowed = tmp_path / "media"
    allowed.mkdir()
    access = Access(files=(str(allowed),))
    assert reads(access, allowed / "a.wav")
    assert reads(access, allowed / "deep" / "a.wav")
    assert not reads(access, tmp_path / "a.wav")
    assert not reads(access, allowed / ".." / "a.wav")
    assert not reads(access, f"{allowed}-other/a.wav")
    assert not reads(access, "/")
    assert not reads(access, f"{allowed}/a\0b")


def test_links_count_by_where_they_lead(tmp_path):
    allowed = tmp_path / "media"
    allowed.mkdir()
    (allowed / "out").symlink_to("/etc")
    (tmp_path / "in").symlink_to(allowed)
    access = Access(files=(str(tmp_path / "in"),))
    assert reads(access, tmp_path / "in" / "a.wav")
    assert reads(access, allowed / "a.wav")
    assert not reads(access, allowed / "out" / "passwd")


def test_relative_paths_count_from_where_the_service_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert reads(Access(files=(str(tmp_path),)), "a.wav")
    assert not reads(Access(files=(str(tmp_path),)), "../a.wav")


def test_a_root_bounds_what_packets_name(tmp_path):
    access = Access(files=(str(tmp_path),))
    assert refused(access, "MediaReaderNode", {"root": str(tmp_path)}) == []
    assert refused(access, "MediaReaderNode", {"root": os.fspath(tmp_path.parent)}) != []
    assert refused(access, "MediaReaderNode", {"root": ""}) != []


def test_functions_are_allowed_by_their_names():
    access = Access(imports=("mine:one", "open:*"))
    assert imports(access, "mine:one")
    assert not imports(access, "mine:two")
    assert not imports(access, "mine.deeper:one")
    assert imports(access, "open:anything")
    assert not imports(access, "open:os.system")
    assert not imports(access, "open:_private")
    assert not imports(access, "open.deeper:anything")


def test_hosts_are_allowed_by_name_and_port():
    access = Access(hosts=("a:1", "b:*"))
    for host, expected in {"a:1": [], "b:7": [], "a:2": ["nodes[0].host"]}.items():
        assert refused(access, "PassThrough", {}, host=host) == expected


def test_deep_params_are_refused_and_break_nothing():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    operators = [{"name": "map", "args": deep}]
    (problem,) = Access().problems(document("ReactivexNode", {"operators": operators}), REGISTRY)
    assert "too deep" in problem.message
    while deep:  # else its own destruction recurses
        deep = deep[0]


def test_not_every_problem_of_a_hostile_manifest_is_told():
    nodes = [
        {"id": f"n{i}", "node_type": "MediaReaderNode", "params": {}, "host": "h:1"}
        for i in range(500)
    ]
    assert len(Access().problems({"nodes": nodes}, REGISTRY)) == 100


@pytest.mark.parametrize(
    ("field", "entry"),
    [
        ("hosts", "nocolon"),
        ("hosts", "a:b"),
        ("files", "relative/path"),
        ("imports", "module"),
        ("imports", ":x"),
    ],
)
def test_an_entry_of_another_form_is_refused(field, entry):
    with pytest.raises(UsageError, match=f"allowed_{field}"):
        Access(**{field: (entry,)})
