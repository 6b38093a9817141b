"""The ids of a flow's nodes: those they were given, else their types in snake case, numbered.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from engine.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.composition.flow import FlowNode


class Scope:
    """One use of a pipeline inside another; told apart by identity, not by name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


def node_ids(nodes: Sequence[FlowNode]) -> tuple[str, ...]:
    """The ids of nodes, in their order.

    An embedded pipeline's nodes have its name before their own ids: `voice-resample`; the second
    use of it is `voice_2-resample`.

    Raises:
        UsageError: two nodes were given the same id.
    """
    prefixes: dict[Scope, str] = {}
    for node in nodes:
        if node.scope is not None and node.scope not in prefixes:
            prefixes[node.scope] = unique(_slug(node.scope.name), set(prefixes.values()), {})
    given = [_given_id(node, prefixes) for node in nodes]
    _refuse_repeated([node_id for node_id in given if node_id is not None])
    taken = {node_id for node_id in given if node_id is not None}
    numbers: dict[str, int] = {}
    ids = []
    for node, node_id in zip(nodes, given, strict=True):
        ids.append(node_id or unique(_stem(node), taken, numbers))
        taken.add(ids[-1])
    return tuple(ids)


def unique(stem: str, taken: set[str], numbers: dict[str, int]) -> str:
    """The stem, or the stem with the first number from 2 that is free.

    Args:
        stem: what it begins with.
        taken: what is no longer free.
        numbers: stem → the number it was given last, where the search goes on.
    """
    if stem not in taken:
        return stem
    number = numbers.get(stem, 1) + 1
    while f"{stem}_{number}" in taken:
        number += 1
    numbers[stem] = number
    return f"{stem}_{number}"


def _given_id(node: FlowNode, prefixes: dict[Scope, str]) -> str | None:
    if node.scope is None or node.id is None:
        return node.id
    return f"{prefixes[node.scope]}-{node.id}"


def _refuse_repeated(ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for node_id in ids:
        if node_id in seen:
            raise UsageError(
                f"two nodes are named {node_id!r}; give one of them another id by .named()"
            )
        seen.add(node_id)


def _stem(node: FlowNode) -> str:
    """Of the class, or of the type where there is no class."""
    return _snake(node.node_type if node.operator is None else type(node.operator).__name__)


@functools.lru_cache(maxsize=1024)  # a graph of many nodes has few types, and is named often
def _snake(name: str) -> str:
    """`FastResample` → `fast_resample`."""
    stem = name.removesuffix("Node") or name
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", stem).lower()
    return _slug(snake)


def _slug(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_-]+", "_", name).strip("_") or "node"
