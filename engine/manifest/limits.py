"""Sanity bounds on a document, looked at before anything is made of it.

Pure: no I/O, no clock. Source: FR-006, FR-010, NFR-001.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import Problem

#: Path of a problem that concerns the document as a whole.
DOCUMENT = "manifest"


@dataclass(frozen=True, slots=True)
class ManifestLimits:
    """What a manifest may measure.

    Attributes:
        document_bytes_max: size of its text.
        nodes_max: nodes in it.
        connections_max: connections in it.
        depth_max: objects and lists inside one another.
        values_max: values in all; bounds what a small text of references can unfold to.
    """

    document_bytes_max: int = 4 * 1024**2
    nodes_max: int = 1_000
    connections_max: int = 10_000
    depth_max: int = 64
    values_max: int = 500_000

    def problem_of_size(self, size_bytes: int) -> Problem | None:
        """What is wrong with a text of this size, if anything."""
        if size_bytes <= self.document_bytes_max:
            return None
        return Problem(
            DOCUMENT,
            f"has more than {self.document_bytes_max:,} bytes, the most a manifest may have;"
            " keep large data in files and name them in params",
        )

    def problem_of_shape(self, document: Any) -> Problem | None:
        """What is wrong with the nesting and number of values, if anything.

        Looks at no more than `values_max` values, also where the document contains itself.
        """
        pending: list[tuple[Any, int]] = [(document, 1)]
        values = 0
        while pending:
            value, depth = pending.pop()
            children = value.values() if isinstance(value, Mapping) else value
            if depth > self.depth_max:
                return self.problem_of_depth()
            values += len(children)
            if values > self.values_max:
                return Problem(
                    DOCUMENT,
                    f"has more than {self.values_max:,} values, the most a manifest may have",
                )
            pending += [
                (child, depth + 1) for child in children if isinstance(child, dict | list | tuple)
            ]
        return None

    def problem_of_depth(self) -> Problem:
        """The problem of a document that is nested too deep."""
        return Problem(
            DOCUMENT,
            f"is nested more than {self.depth_max} levels deep, the most a manifest may be",
        )

    def problems_of_length(self, document: Mapping[str, Any]) -> list[Problem]:
        """What is wrong with the number of nodes and connections."""
        problems = []
        for name, limit in (("nodes", self.nodes_max), ("connections", self.connections_max)):
            items = document.get(name)
            if isinstance(items, list | tuple) and len(items) > limit:
                problems.append(
                    Problem(name, f"there are {len(items):,}, and a manifest may have {limit:,}")
                )
        return problems


#: The limits where none are given.
DEFAULT_LIMITS = ManifestLimits()
