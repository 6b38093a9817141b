"""Fields that a document has in both spellings, with different values: nobody knows which is meant.

Pure: no I/O, no clock. Source: FR-006.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import AliasChoices

from engine.errors import Problem
from engine.manifest.model import Connection, Metadata, Node
from engine.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel


def said_twice(document: Mapping[str, Any]) -> list[Problem]:
    """One problem for each field of a manifest that says two things.

    Args:
        document: may be faulty in any other way.
    """
    problems = []
    for path, part, model in _parts(document):
        for name, other in _spellings(model):
            if name in part and other in part and part[name] != part[other]:
                text = f"says {quoted(part[other])}, and {name!r} says {quoted(part[name])}"
                node = part.get("id") if model is Node else None
                node_id = node if isinstance(node, str) else None
                problems.append(Problem(f"{path}.{other}", f"{text}; keep one", node_id=node_id))
    return problems


def _parts(
    document: Mapping[str, Any],
) -> Iterator[tuple[str, Mapping[str, Any], type[BaseModel]]]:
    """The objects of a manifest, each with its path and its model."""
    metadata = document.get("metadata")
    if isinstance(metadata, Mapping):
        yield "metadata", metadata, Metadata
    for name, model in (("nodes", Node), ("connections", Connection)):
        items = document.get(name)
        if not isinstance(items, list | tuple):
            continue
        for index, item in enumerate(items):
            if isinstance(item, Mapping):
                yield f"{name}[{index}]", item, model


@functools.cache
def _spellings(model: type[BaseModel]) -> tuple[tuple[str, str], ...]:
    """The spelling that counts, and the other one, of each field that has two."""
    pairs = []
    for field in model.model_fields.values():
        alias = field.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else []
        names = [choice for choice in choices if isinstance(choice, str)]
        pairs += [(names[0], other) for other in names[1:] if other != names[0]]
    return tuple(pairs)
