"""Operators that other distributions bring, by the entry points `remotemedia.operators`.

Source: FR-002.

    [project.entry-points."remotemedia.operators"]
    AcmeGainNode = "acme.nodes:Gain"         a node type and its class, imported on first use
    acme = "acme.nodes:declare_operators"    a function that is given a registry, called at once

Which of the two it is, the object's name says: functions begin with a small letter, classes do not.
What is broken in one distribution is one warning that names it, and hides nothing of the others.
"""

from __future__ import annotations

import importlib.util
import logging
from importlib import metadata
from typing import TYPE_CHECKING, Final

from engine.errors import UsageError
from engine.operator import Operator
from engine.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterable

_log = logging.getLogger(__name__)

GROUP: Final = "remotemedia.operators"


def declare_installed(
    registry: Registry, entries: Iterable[metadata.EntryPoint] | None = None
) -> None:
    """Declare what installed distributions bring.

    Names that another has cannot be had from then on; using one is an error that names both.

    Args:
        registry: is added to.
        entries: by default those of the environment.
    """
    faults: dict[str, list[str]] = {}
    for entry in metadata.entry_points(group=GROUP) if entries is None else entries:
        origin = _origin(entry)
        messages = faults.setdefault(origin, [])
        try:
            clashes = registry.take(_brought_by(entry), origin=origin)
            messages += [clash.message for clash in clashes]
        except UsageError as error:
            messages.append(error.message)
            if entry.name not in registry:
                registry.refuse(entry.name, f"{entry.name!r} of {origin}: {error.message}")
    for origin, messages in faults.items():
        if messages:
            text = "; ".join(messages)
            _log.warning("operators of %s: %s", origin, text, extra={"origin": origin})


def _origin(entry: metadata.EntryPoint) -> str:
    dist = entry.dist
    return f"{dist.name} {dist.version}" if dist is not None else "an installed package"


def _brought_by(entry: metadata.EntryPoint) -> Registry:
    """What one entry declares.

    Raises:
        UsageError: it is broken.
    """
    module, _, qualname = (part.strip() for part in entry.value.partition(":"))
    if not module or not qualname or "[" in qualname:
        raise UsageError(f"the entry {entry.value!r} is not module:name")
    if not _is_installed(module):
        raise UsageError(f"the entry {entry.value!r} names a module that is not installed")
    brought = Registry()
    if qualname.rpartition(".")[2][:1].islower():
        _call(entry, brought)
    else:
        brought.declare(entry.name, f"{module}:{qualname}")
    return brought


def _is_installed(module: str) -> bool:
    """Whether a module's outermost package can be found; what is inside, only importing tells."""
    try:
        return importlib.util.find_spec(module.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return False


def _call(entry: metadata.EntryPoint, brought: Registry) -> None:
    try:
        found = entry.load()
        if isinstance(found, type) and issubclass(found, Operator):
            brought.register(found, entry.name)  # a class after all
        else:
            found(brought)
    except Exception as error:
        raise UsageError(
            f"the entry {entry.value!r} raised {type(error).__name__}: {error}"
        ) from error
