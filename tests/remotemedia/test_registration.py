"""register_node, and the one registry of the process."""

import json
import subprocess
import sys

import pytest

import remotemedia.registration
from engine.errors import UsageError
from engine.operator import Operator
from remotemedia import Pipeline, Registry, builtin_registry, register_node
from remotemedia.registration import _Process, add_operator

MODULE = """
from remotemedia import Json, Operator, register_node

@register_node("DoublerNode")
class Doubler(Operator):
    def process(self, packet, ctx):
        import os
        return Json({"value": packet.payload.value * 2, "pid": os.getpid()})
"""


@pytest.fixture(autouse=True)
def a_process_of_its_own(monkeypatch):
    """Nothing that a test registers is left for others."""
    process = _Process()
    monkeypatch.setattr(remotemedia.registration, "_PROCESS", process)
    return process


def test_a_class_is_known_to_manifests_from_then_on():
    @register_node("SomeGainNode")
    class SomeGain(Operator):
        def process(self, packet, ctx):
            return packet

    assert SomeGain.node_type == "SomeGainNode"
    assert builtin_registry().get("SomeGainNode").cls is SomeGain
    pipeline = Pipeline.from_manifest(
        {
            "version": "v1",
            "metadata": {"name": "x"},
            "nodes": [{"id": "a", "node_type": "SomeGainNode"}],
            "connections": [],
        }
    )
    assert "SomeGain" in pipeline.plan().stages[0].nodes[0].target


def test_the_ways_to_write_it():
    @register_node
    class Bare(Operator):
        pass

    @register_node()
    class Called(Operator):
        node_type = "CalledNode"

    @register_node("Alias")
    class Named(Operator):
        node_type = "NamedNode"

    registry = builtin_registry()
    assert registry.get("Bare").cls is Bare
    assert registry.get("CalledNode").cls is Called
    # A name of its own stays its own: a pipeline of it writes that into its manifest.
    assert Named.node_type == "NamedNode"
    assert registry.get("Alias").cls is registry.get("NamedNode").cls is Named


def test_a_name_that_is_taken_is_an_error_naming_both():
    with pytest.raises(UsageError) as caught:

        @register_node("PassThrough")
        class Mine(Operator):
            pass

    message = str(caught.value)
    assert "operators.flow.pass_through:PassThrough of remotemedia" in message
    assert "Mine" in message
    assert "cannot have it too" in message
    assert "replace=True" in message
    assert builtin_registry().get("PassThrough").cls.__name__ == "PassThrough"


def test_one_may_take_anothers_place_on_purpose():
    @register_node("PassThrough", replace=True)
    class Mine(Operator):
        pass

    assert builtin_registry().get("PassThrough").cls is Mine


def test_a_class_that_is_made_anew_takes_its_own_place():
    def make():
        @register_node("AnewNode")
        class Anew(Operator):
            pass

        return Anew

    make()
    last = make()
    assert builtin_registry().get("AnewNode").cls is last


@pytest.mark.parametrize(
    ("misuse", "words"),
    [
        (lambda: register_node("X")(dict), "takes a subclass of Operator, got <class 'dict'>"),
        (lambda: register_node("X")(dict), "imported from remotemedia.core.node"),
        (lambda: register_node(dict), "takes a subclass of Operator"),
        (lambda: register_node("X")(3), "takes a subclass of Operator, got 3"),
        (lambda: register_node(""), "takes a node type"),
        (lambda: register_node(3), 'takes a node type, @register_node("X"), got 3'),
    ],
)
def test_what_it_does_not_take(misuse, words):
    with pytest.raises(UsageError) as caught:
        misuse()
    assert words in str(caught.value)


def test_the_pattern_rule_holds_for_what_is_registered_with_it():
    class OldNode(Operator):
        pass

    add_operator(OldNode, "OldNode", pattern=True)
    assert builtin_registry().get("OldNode").pattern


def test_a_copy_does_not_change_the_process():
    class Local(Operator):
        pass

    copy = builtin_registry().copy()
    copy.register(Local)
    assert "Local" not in builtin_registry()
    assert isinstance(copy, Registry)


def test_installed_packages_are_asked_once_and_may_register(monkeypatch, a_process_of_its_own):
    asked = []

    def declare_installed(registry):
        asked.append(registry)
        assert builtin_registry() is registry  # a package's function may make pipelines

        @register_node("FromAPackage")
        class FromAPackage(Operator):
            pass

    monkeypatch.setattr("remotemedia.entry_points.declare_installed", declare_installed)

    @register_node("BeforeNode")
    class Before(Operator):
        pass

    assert asked == []
    assert "FromAPackage" in builtin_registry()
    assert "BeforeNode" in builtin_registry()
    assert len(asked) == 1


@pytest.mark.process
def test_workers_find_what_is_registered(tmp_path):
    (tmp_path / "doubler_module.py").write_text(MODULE)
    manifest = {
        "version": "v1",
        "metadata": {"name": "x"},
        "nodes": [{"id": "a", "node_type": "DoublerNode", "executor": "process"}],
        "connections": [],
    }
    code = (
        "import os, doubler_module, remotemedia as r\n"
        f"pipeline = r.Pipeline.from_manifest({json.dumps(manifest)!r})\n"
        "value = pipeline.run([r.Json(21)])[0].payload.value\n"
        "print(value['value'], value['pid'] != os.getpid())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stdout == "42 True\n", result.stderr
