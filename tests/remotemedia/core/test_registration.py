"""Old node classes by name."""

import functools
import json
import logging
import subprocess
import sys
from importlib import import_module

import pytest

from engine.errors import ManifestError, UsageError
from engine.operator import Operator, process_kind
from engine.payloads import Json
from engine.pipeline import Pipeline
from engine.registry import Registry, resolve, target_of
from remotemedia import builtin_registry
from remotemedia.core._compat.operators import waits
from remotemedia.core._compat.registration import adopt, adopt_module
from remotemedia.core.multiprocess import MultiprocessNode
from remotemedia.core.multiprocessing import (
    get_node_class,
    get_node_requirements,
    list_registered_nodes,
    python_requires,
    register_node,
)
from remotemedia.core.node import Node
from tests.remotemedia.core.field import bare_nodes, speech_nodes, value_nodes

SPEECH = speech_nodes.__name__


def operator(cls):
    return vars(cls)["__operator__"]


def test_a_decorated_class_is_known_and_stays_as_it_is():
    spec = builtin_registry().get("ToneTTSNode")
    assert spec.target == f"{SPEECH}:ToneTTSNode"
    assert spec.pattern
    assert issubclass(spec.cls, Operator)
    assert resolve(spec.target) is spec.cls
    assert spec.cls.__doc__ == "Says each word as a tone."
    assert get_node_class("ToneTTSNode") is speech_nodes.ToneTTSNode
    assert get_node_requirements("ToneTTSNode") == ["soundfile"]
    assert "ToneTTSNode" in list_registered_nodes()


def test_it_may_be_bare_or_take_what_other_versions_took(caplog):
    caplog.set_level(logging.DEBUG, "remotemedia.compat")

    @register_node
    class BareDecorated:
        async def process(self, data):
            yield data

    @register_node("OtherName", python_requires=["torch"], category="x")
    @python_requires(["numpy"])
    class Decorated:
        def process(self, data):
            return data

    assert get_node_class("BareDecorated") is BareDecorated
    assert get_node_class("OtherName") is Decorated
    assert "category, python_requires" in caplog.text
    assert get_node_requirements("OtherName") == ["numpy"]


def test_subclasses_are_known_by_their_own_names():
    assert builtin_registry().get("EnvelopeNode").cls is operator(value_nodes.EnvelopeNode)
    assert builtin_registry().get("BlobSplitterNode").cls is operator(speech_nodes.BlobSplitterNode)


def test_a_subclass_does_not_take_a_name_from_our_own_operators():
    before = builtin_registry().get("CalculatorNode").cls
    calculator = type("CalculatorNode", (Node,), {"process": lambda self, data: data})
    assert builtin_registry().get("CalculatorNode").cls is before
    assert operator(calculator).node_type == "CalculatorNode"


def test_a_decorated_class_takes_a_name_from_whoever_had_it():
    for version in range(2):

        @register_node("TakenTwice")
        class Taken:
            number = version

            def process(self, data):
                return data

    assert get_node_class("TakenTwice").number == 1


def test_a_base_class_without_process_is_no_node():
    class MyBase(MultiprocessNode):
        pass

    class MyNode(MyBase):
        async def process(self, data):
            return data

    assert "MyBase" not in builtin_registry()
    assert get_node_class("MyNode") is MyNode
    assert operator(MyNode).old_class is MyNode


def test_whether_process_waits_is_told_from_the_class():
    kinds = {
        value_nodes.AddNode: "sync",
        value_nodes.SentenceSplitNode: "sync",
        value_nodes.ShoutNode: "async_generator",
        value_nodes.EnvelopeNode: "async_generator",
        speech_nodes.TokenStreamNode: "async_generator",
    }
    assert {cls: process_kind(operator(cls)) for cls in kinds} == kinds


def test_decorators_that_keep_what_they_wrap_are_looked_through():
    async def waiting(self, data): ...

    @functools.wraps(waiting)
    def wrapped(*args):
        return waiting(*args)

    assert waits(wrapped)
    assert waits(functools.partial(wrapped, 1))
    assert not waits(len)


def test_plain_classes_of_a_module_are_found_by_their_look():
    found = {cls.node_type for cls in adopt_module(bare_nodes)}
    assert found == {
        "RepeaterNode",
        "ThresholdNode",
        "CounterNode",
        "WindowNode",
        "GainNode",
        "ForgetfulNode",
        "OddNode",
        "TraceNode",
    }
    for cls in adopt_module(bare_nodes):
        assert resolve(target_of(cls)).old_class is cls.old_class


def test_an_undecorated_class_is_found_by_a_process_that_has_not_seen_it():
    target = target_of(adopt(bare_nodes.WindowNode))
    code = (
        "import json, engine.registry as r\n"
        f"cls = r.resolve({target!r})\n"
        "print(json.dumps([cls.old_class.__qualname__, cls.node_type]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(result.stdout) == ["WindowNode", "WindowNode"]


@pytest.mark.parametrize("name", ["nothing", "no/module:X", f"{SPEECH.replace('.', '/')}:Nothing"])
def test_what_is_not_there_cannot_be_found(name):
    with pytest.raises(UsageError, match="cannot"):
        resolve(f"remotemedia.core._compat.undecorated:{name}")


def test_a_class_within_a_function_runs_local_and_says_why_not_in_a_process():
    @register_node("InnerThing")
    class InnerThing(Node):
        def process(self, data):
            return data + 1

    def pipeline(executor):
        node = {"id": "n", "node_type": "InnerThing", "params": {}, "executor": executor}
        manifest = {"version": "v1", "metadata": {"name": "x"}, "nodes": [node], "connections": []}
        return Pipeline.from_manifest(manifest, registry=builtin_registry())

    assert [packet.payload for packet in pipeline("local").run([Json(1)])] == [Json(2)]
    with pytest.raises(ManifestError, match=r"inside a function.*move the class to a module"):
        pipeline("process").plan()


def test_what_is_no_node_is_refused():
    with pytest.raises(UsageError, match="a class with a process method"):

        @register_node("Nothing")
        class Nothing:
            pass

    with pytest.raises(KeyError, match="NoSuchNode"):
        get_node_class("NoSuchNode")
    with pytest.raises(KeyError, match="PassThrough"):
        get_node_class("PassThrough")


def test_the_layer_is_not_loaded_by_the_package():
    code = "import sys, remotemedia; print([m for m in sys.modules if 'remotemedia.core' in m])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout.strip() == "[]"


def test_every_name_is_at_every_address():
    names = import_module("remotemedia.core.node").__all__
    for package in ("multiprocess", "multiprocessing"):
        for module in ("", ".data", ".node", ".pipeline", ".session"):
            found = import_module(f"remotemedia.core.{package}{module}")
            assert [name for name in names if not hasattr(found, name)] == []
    core = import_module("remotemedia.core")
    assert core.Node is Node
    assert import_module("remotemedia.core.pipeline").Pipeline is core.Pipeline
    assert issubclass(import_module("remotemedia.core.exceptions").PipelineError, UsageError)
    assert isinstance(builtin_registry(), Registry)
