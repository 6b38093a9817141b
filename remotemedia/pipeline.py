"""The public pipeline: the engine's, with every operator of this project at hand."""

from __future__ import annotations

import functools

import engine.pipeline
from engine.registry import Registry
from operators.catalog import declare_all


@functools.cache
def builtin_registry() -> Registry:
    """All operators of this project, imported when asked for; copy it to add to it."""
    registry = Registry()
    declare_all(registry)
    return registry


class Pipeline(engine.pipeline.Pipeline):
    __doc__ = engine.pipeline.Pipeline.__doc__

    @classmethod
    def default_registry(cls) -> Registry:
        return builtin_registry()
