"""Operators of other distributions: found, broken, and in each other's way."""

import sys
from importlib import metadata

import pytest

from engine.errors import UsageError
from engine.registry import Registry
from remotemedia.entry_points import GROUP, declare_installed

MODULE = """
from engine.operator import Operator

class Gain(Operator):
    node_type = "AcmeGain"

class lower(Operator):
    pass

def declare_operators(registry):
    registry.declare("AcmeOne", "{name}:Gain")
    registry.register(Gain, "AcmeTwo")

def clashing(registry):
    registry.declare("PassThrough", "{name}:Gain")
    registry.declare("AcmeThree", "{name}:Gain")

def raising(registry):
    raise RuntimeError("no licence")
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a distribution on the path, with a module and entry points."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name, entries, module=MODULE):
        (tmp_path / f"{name}.py").write_text(module.replace("{name}", name))
        info = tmp_path / f"{name}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        lines = [f"{key} = {value}" for key, value in entries.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines]))
        monkeypatch.delitem(sys.modules, name, raising=False)

    return install


@pytest.fixture
def registry():
    registry = Registry()
    registry.declare("PassThrough", "operators.flow.pass_through:PassThrough", origin="remotemedia")
    return registry


def declare(registry, caplog):
    declare_installed(registry)
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_a_class_is_imported_on_first_use(install, registry, caplog):
    install("acme_lazy", {"AcmeGain": "acme_lazy:Gain"})
    assert declare(registry, caplog) == []
    assert "acme_lazy" not in sys.modules
    spec = registry.get("AcmeGain")
    assert (spec.cls.__name__, spec.target) == ("Gain", "acme_lazy:Gain")
    (declared,) = [item for item in registry.declarations() if item.node_type == "AcmeGain"]
    assert declared.origin == "acme_lazy 1.2"


def test_a_function_declares_what_it_likes(install, registry, caplog):
    install("acme_many", {"acme": "acme_many:declare_operators"})
    assert declare(registry, caplog) == []
    assert registry.get("AcmeOne").cls is registry.get("AcmeTwo").cls
    assert "acme" not in registry


def test_a_class_with_a_small_letter_is_a_class(install, registry, caplog):
    install("acme_small", {"Small": "acme_small:lower"})
    assert declare(registry, caplog) == []
    assert registry.get("Small").cls.__name__ == "lower"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("no_such_module_here:Gain", "names a module that is not installed"),
        ("acme_broken", "is not module:name"),
        ("acme_broken:raising", "raised RuntimeError: no licence"),
        ("acme_broken:missing_function", "raised AttributeError"),
    ],
)
def test_a_broken_entry_is_a_warning_and_a_problem_when_used(
    install, registry, caplog, value, words
):
    install("acme_broken", {"AcmeBroken": value, "AcmeGain": "acme_broken:Gain"})
    (warning,) = declare(registry, caplog)
    assert warning.startswith("operators of acme_broken 1.2: ")
    assert words in warning
    with pytest.raises(UsageError, match=r"'AcmeBroken' of acme_broken 1.2: ") as caught:
        registry.get("AcmeBroken")
    assert words in str(caught.value)
    assert registry.get("AcmeGain")


def test_what_only_importing_tells_is_a_problem_when_used(install, registry, caplog):
    install("acme_raises", {"AcmeGain": "acme_raises:Gain"}, "import no_such_dependency")
    assert declare(registry, caplog) == []
    with pytest.raises(UsageError, match=r"no_such_dependency.*brought by acme_raises 1.2"):
        registry.get("AcmeGain")


def test_several_faults_of_a_distribution_are_one_warning(install, registry, caplog):
    install("acme_faulty", {"A": "nowhere_at_all:A", "B": "nowhere_at_all:B"})
    (warning,) = declare(registry, caplog)
    assert warning.count("is not installed") == 2


@pytest.mark.parametrize(
    "entries", [{"PassThrough": "acme_clash:Gain"}, {"acme": "acme_clash:clashing"}]
)
def test_a_name_of_ours_is_an_error_naming_both(install, registry, caplog, entries):
    install("acme_clash", entries)
    (warning,) = declare(registry, caplog)
    for text in (warning, _said_of("PassThrough", registry)):
        assert "operators.flow.pass_through:PassThrough of remotemedia" in text
        assert "acme_clash:Gain of acme_clash 1.2 cannot have it too" in text
    if "acme" in entries:
        assert registry.get("AcmeThree")


def _said_of(node_type, registry):
    with pytest.raises(UsageError) as caught:
        registry.get(node_type)
    return str(caught.value)


def test_two_distributions_with_one_name_are_both_named(install, registry, caplog):
    install("acme_first", {"Shared": "acme_first:Gain"})
    install("acme_second", {"Shared": "acme_second:Gain"})
    assert len(declare(registry, caplog)) == 1
    said = _said_of("Shared", registry)
    assert "of acme_first 1.2" in said
    assert "of acme_second 1.2" in said


def test_a_broken_entry_takes_no_name_from_others(install, registry, caplog):
    install("acme_thief", {"PassThrough": "nowhere_at_all:X"})
    assert len(declare(registry, caplog)) == 1
    assert registry.get("PassThrough")


def test_an_entry_without_a_distribution(registry, caplog):
    entry = metadata.EntryPoint("X", "nowhere_at_all:X", GROUP)
    declare_installed(registry, [entry])
    assert "operators of an installed package: " in caplog.text
