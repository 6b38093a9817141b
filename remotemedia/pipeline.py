"""The public pipeline: the engine's, with every operator of this project at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import engine.pipeline
from remotemedia.registration import builtin_registry

if TYPE_CHECKING:
    from engine.registry import Registry

__all__ = ["Pipeline", "builtin_registry"]


class Pipeline(engine.pipeline.Pipeline):
    __doc__ = engine.pipeline.Pipeline.__doc__

    @classmethod
    def default_registry(cls) -> Registry:
        return builtin_registry()
