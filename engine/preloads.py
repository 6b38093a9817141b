"""Modules that workers find loaded when they start, besides what the engine itself needs.

Pure. Whoever composes the engine adds what its users' operators are likely to import. A zygote
loads them once, when it starts; each worker it forks shares them.
"""

from __future__ import annotations

_MODULES: dict[str, None] = {}


def add(module: str) -> None:
    """Load a module in the zygotes that start from now on, where it is installed."""
    _MODULES[module] = None


def modules() -> tuple[str, ...]:
    """The modules, in the order in which they were added."""
    return tuple(_MODULES)
