"""engine.registry: node types and the classes behind them."""

import sys

import pytest

from engine.errors import UsageError
from engine.operator import Operator
from engine.registry import Registry, resolve, target_of


class Gain(Operator):
    class Inner(Operator):
        pass

    async def process(self, packet, ctx):
        return packet


HERE = f"{Gain.__module__}:Gain"


@pytest.fixture(autouse=True)
def this_module_can_be_imported(monkeypatch):
    # pytest's import mode leaves test modules out of reach of import statements.
    monkeypatch.setitem(sys.modules, Gain.__module__, sys.modules[Gain.__module__])


@pytest.fixture
def registry():
    return Registry()


def test_a_class_is_registered_under_its_node_type(registry):
    registry.register(Gain)
    spec = registry.get("Gain")
    assert (spec.cls, spec.node_type, spec.target, spec.pattern) == (Gain, "Gain", HERE, False)
    assert spec.begins_stage
    assert "Gain" in registry


def test_a_class_may_be_registered_under_another_name(registry):
    registry.register(Gain, "GainNode", pattern=True)
    assert registry.get("GainNode").pattern
    assert registry.get("Gain") is None


def test_a_declared_class_is_imported_when_it_is_asked_for(registry):
    registry.declare("Colours", "colorsys:Colours")
    loaded = "colorsys" in sys.modules
    assert "Colours" in registry
    assert ("colorsys" in sys.modules) is loaded
    registry.declare("Gain", HERE, pattern=True)
    spec = registry.get("Gain")
    assert spec.cls is Gain
    assert spec.pattern
    assert registry.get("Gain") is spec


def test_the_last_declaration_counts(registry):
    registry.register(Gain)
    registry.declare("Gain", f"{HERE}.Inner")
    assert registry.get("Gain").cls is Gain.Inner
    registry.register(Gain)
    assert registry.get("Gain").cls is Gain


def test_an_unknown_type_is_none(registry):
    assert registry.get("GianNode") is None
    assert "GianNode" not in registry


def test_the_types_are_listed_in_order(registry):
    for name in "cab":
        registry.declare(name, HERE)
    assert list(registry) == ["a", "b", "c"]


def test_a_copy_can_be_added_to_on_its_own(registry):
    registry.register(Gain)
    other = registry.copy()
    other.declare("Other", HERE)
    registry.declare("Third", HERE)
    assert list(other) == ["Gain", "Other"]
    assert list(registry) == ["Gain", "Third"]
    assert other.get("Gain") is registry.get("Gain")


def test_a_target_finds_its_class_again():
    assert target_of(Gain.Inner) == f"{HERE}.Inner"
    assert resolve(target_of(Gain.Inner)) is Gain.Inner
    assert resolve(HERE) is Gain


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            "no_such_module_at_all:X",
            r"cannot import 'no_such_module_at_all:X'.*install the package",
        ),
        ("json:NoSuchClass", r"cannot find 'NoSuchClass' in module 'json'"),
        ("json:loads", r"'json:loads' is not an Operator class"),
        ("json:JSONDecoder", r"'json:JSONDecoder' is not an Operator class"),
        ("json", r"cannot find '' in module 'json'"),
    ],
)
def test_a_target_that_is_no_operator_says_why(target, message):
    with pytest.raises(UsageError, match=message) as caught:
        resolve(target)
    assert caught.value.context == {"target": target}


def test_a_module_that_raises_says_what(tmp_path, monkeypatch):
    (tmp_path / "raises_at_once.py").write_text("raise ValueError('no luck')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="importing 'raises_at_once' raised ValueError: no luck"):
        resolve("raises_at_once:X")


def test_a_missing_dependency_is_named(tmp_path, monkeypatch):
    (tmp_path / "needs_something.py").write_text("import something_nobody_has\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="provides 'something_nobody_has'"):
        resolve("needs_something:X")
