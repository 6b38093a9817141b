"""What params name outside of the pipeline is said before anything of it is opened or imported."""

import sys
import typing

import pytest

from engine.operator import Operator
from engine.reach import Reach
from engine.registry import Registry
from operators.catalog import NODE_TYPES, declare_all
from operators.flow.accumulate import _accumulator
from operators.flow.importable import check_target
from operators.flow.predicate import _checked

REGISTRY = Registry()
declare_all(REGISTRY)
#: Validators of what may name a function.
NAMING = {check_target, _accumulator, _checked}
#: Words in the names of params that stand for a path.
PATHS = {"path", "root", "file", "folder", "directory", "dir"}
FUNCTION = "secret_module:function"


def reaches(node_type, params):
    spec = REGISTRY.get(node_type)
    return [(reach.param, reach.kind, reach.name) for reach in spec.cls.reaches(params)]


@pytest.mark.parametrize(
    ("node_type", "param"),
    [
        ("BufferNode", "combine"),
        ("CombineLatestNode", "combine"),
        ("DistinctNode", "key"),
        ("ScanNode", "accumulator"),
        ("TimeJoinNode", "combine"),
        ("WindowNode", "accumulator"),
        ("WithLatestFromNode", "combine"),
        ("ZipNode", "combine"),
    ],
)
def test_a_function_is_said(node_type, param):
    assert reaches(node_type, {param: FUNCTION}) == [(param, "import", FUNCTION)]
    assert reaches(node_type, {}) == []
    assert reaches(node_type, {param: 7}) == []
    assert "secret_module" not in sys.modules


def test_a_named_running_value_is_no_function():
    assert reaches("ScanNode", {"accumulator": "sum"}) == []


def test_the_functions_inside_a_predicate_are_said():
    document = {"all": [{"not": FUNCTION}, {"any": ["a:b", {"kind": "audio"}]}, {"nonsense": 1}]}
    assert reaches("SelectNode", {"when": document}) == [
        ("when", "import", FUNCTION),
        ("when", "import", "a:b"),
    ]
    assert reaches("RouterNode", {"routes": [{"port": "x", "when": FUNCTION}, 3]}) == [
        ("routes[0].when", "import", FUNCTION)
    ]


def test_what_only_looks_like_a_function_is_not_said():
    assert reaches("SelectNode", {"when": {"metadata": {"who": "a:b"}}}) == []
    assert reaches("SelectNode", {"when": {"field": "x", "equals": "a:b"}}) == []


def test_what_reactivex_operators_import_is_said():
    operators = [
        {"name": "map", "args": [{"import": "a:b"}, [{"x": {"import": "c:d"}}]]},
        {"name": "builtins:exec", "kwargs": {"f": {"import": "e:f"}}},
        {"name": "debounce", "args": [0.5]},
        "nonsense",
    ]
    assert reaches("ReactivexNode", {"operators": operators}) == [
        ("operators[0].args", "import", "a:b"),
        ("operators[0].args", "import", "c:d"),
        ("operators[1].name", "import", "builtins:exec"),
        ("operators[1].kwargs", "import", "e:f"),
    ]
    assert reaches("ReactivexNode", {"operators": 3}) == []


def test_files_are_said():
    assert reaches("MediaReaderNode", {"path": "/a/b.wav"}) == [("path", "file", "/a/b.wav")]
    assert reaches("MediaWriterNode", {"output_path": "b.wav"}) == [
        ("output_path", "file", "b.wav")
    ]


def test_a_reader_whose_packets_name_files_reaches_its_root_or_everything():
    assert reaches("MediaReaderNode", {"root": "/media"}) == [("root", "file", "/media")]
    assert reaches("MediaReaderNode", {}) == [("root", "file", "/")]
    assert reaches("MediaReaderNode", {"path": ""}) == [("root", "file", "/")]


def test_an_operator_reaches_nothing_unless_it_says_so():
    assert list(Operator.reaches({"path": "/etc/passwd"})) == []
    assert Reach("p", "file", "x").param == "p"


def classes():
    for node_type in NODE_TYPES:
        yield REGISTRY.get(node_type).cls


def names_something(cls):
    for name, field in cls.Params.model_fields.items():
        if set(name.split("_")) & PATHS:
            yield name
        if any(part in NAMING for part in _validators(field.annotation, field.metadata)):
            yield name


def _validators(annotation, metadata):
    for item in metadata:
        yield getattr(item, "func", None)
    for part in typing.get_args(annotation):
        if isinstance(part, type) and hasattr(part, "model_fields"):
            for field in part.model_fields.values():
                yield from _validators(field.annotation, field.metadata)
        else:
            yield getattr(part, "func", None)
            yield from _validators(part, ())


def test_every_operator_whose_params_name_something_says_so():
    naming = {cls for cls in classes() if list(names_something(cls))}
    assert len(naming) >= 12  # the search finds what there is
    silent = {cls for cls in naming if cls.reaches.__func__ is Operator.reaches.__func__}
    assert silent == set()


def test_which_params_that_name_something_may_change_while_it_runs():
    hot = {name for cls in classes() for name in names_something(cls) if name in cls.hot}
    # Where clients change these, the service looks at them first (`PlanCache.check_params`).
    assert hot == {"routes", "when"}
