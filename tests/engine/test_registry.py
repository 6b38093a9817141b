"""engine.registry: node types and the classes behind them."""

import sys

import pytest

from engine.errors import UsageError
from engine.operator import Operator
from engine.registry import STANDS_FOR, Declaration, Registry, resolve, target_of


class Gain(Operator):
    class Inner(Operator):
        pass

    async def process(self, packet, ctx):
        return packet


HERE = f"{Gain.__module__}:Gain"


class Older:
    """A class of another kind, which names the operator that stands for it."""


setattr(Older, STANDS_FOR, Gain)


class OlderStill(Older):
    pass


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


class TestClaims:
    """Names that are brought together by people who do not know of each other."""

    def test_a_free_name_is_had(self, registry):
        registry.claim(Declaration("GainNode", HERE, origin="acme 1.0"))
        assert registry.get("GainNode").cls is Gain
        (declared,) = registry.declarations()
        assert str(declared) == f"{HERE} of acme 1.0"

    def test_a_name_that_another_class_has_is_refused_naming_both(self, registry):
        registry.declare("GainNode", "operators.audio.gain:Gain", origin="remotemedia")
        with pytest.raises(UsageError) as caught:
            registry.claim(Declaration("GainNode", f"{HERE}.Inner", origin="acme 1.0"))
        assert "'GainNode' is the node type of operators.audio.gain:Gain of remotemedia" in str(
            caught.value
        )
        assert f"{HERE}.Inner of acme 1.0 cannot have it too" in str(caught.value)
        (declared,) = registry.declarations()
        assert declared.target == "operators.audio.gain:Gain"

    def test_a_class_may_claim_its_own_name_again(self, registry):
        registry.claim(Declaration("GainNode", "acme:Gain", origin="acme 1.0"))
        # The package says again what one of its modules has.
        registry.claim(Declaration("GainNode", "acme.nodes:Gain"), Gain)
        assert registry.get("GainNode").cls is Gain
        with pytest.raises(UsageError):
            registry.claim(Declaration("GainNode", "acme.nodes:Other"))
        with pytest.raises(UsageError):
            registry.claim(Declaration("GainNode", "acme2.nodes:Gain"))

    def test_a_clash_makes_the_name_unusable_and_no_other(self, registry):
        registry.declare("GainNode", "operators.audio.gain:Gain", origin="remotemedia")
        brought = Registry()
        brought.register(Gain, "GainNode")
        brought.register(Gain, "AcmeGain")
        (clash,) = registry.take(brought, origin="acme 1.0")
        assert "operators.audio.gain:Gain of remotemedia" in clash.message
        assert "GainNode" in registry
        with pytest.raises(
            UsageError, match=r"operators\.audio\.gain:Gain of remotemedia.*of acme 1.0"
        ):
            registry.get("GainNode")
        assert registry.get("AcmeGain").cls is Gain
        # A third one is told of the first two.
        with pytest.raises(UsageError, match=r"of remotemedia.*of acme 1.0.*x:Third cannot"):
            registry.claim(Declaration("GainNode", "x:Third"))


def test_what_cannot_be_had_says_why_and_is_listed(registry):
    registry.declare("GainNode", HERE)
    assert registry.get("GainNode")
    registry.refuse("GainNode", "it is broken", origin="acme 1.0")
    assert list(registry) == ["GainNode"]
    assert registry.declarations()[0].fault == "it is broken"
    with pytest.raises(UsageError, match="it is broken"):
        registry.get("GainNode")
    registry.register(Gain, "GainNode")
    assert registry.get("GainNode").cls is Gain


def test_a_class_that_cannot_be_imported_names_who_brought_it(registry):
    registry.declare("X", "no_such_module_at_all:X", origin="acme 1.0")
    with pytest.raises(
        UsageError, match=r"cannot import .*\(X was brought by acme 1.0\)"
    ) as caught:
        registry.get("X")
    assert caught.value.context == {"target": "no_such_module_at_all:X"}


def test_a_class_of_another_kind_is_found_by_the_operator_that_stands_for_it():
    assert resolve(f"{Gain.__module__}:Older") is Gain
    with pytest.raises(UsageError, match="is not an Operator class"):
        resolve(f"{Gain.__module__}:OlderStill")
