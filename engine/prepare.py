"""From a document to a plan in one call, with all problems at once.

Pure but for what it is given: a file to read, operator modules to import.
Source: FR-001, FR-005, FR-006, SC-005, NFR-001.

    document ─examine─▶ Manifest ─build_graph─▶ Graph ─make_plan─▶ Plan
                           └─ metadata.multiprocess ─for_session─▶ Settings ─┘
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.errors import ManifestError, Problem
from engine.graph import build_graph
from engine.manifest.limits import DEFAULT_LIMITS
from engine.manifest.load import examine
from engine.plan import make_plan

if TYPE_CHECKING:
    from engine.config import Settings
    from engine.manifest.limits import ManifestLimits
    from engine.manifest.load import Source
    from engine.plan import Plan
    from engine.registry import Registry

_SECTIONS = ("manifest", "version", "metadata", "nodes", "connections")
_PLACE = re.compile(r"(\w+)(?:\[(\d+)\])?")


def prepare(
    source: Source, registry: Registry, settings: Settings, limits: ManifestLimits = DEFAULT_LIMITS
) -> Plan:
    """Make a plan of a document.

    Args:
        source: JSON text, its bytes, a mapping, a file's path, or a manifest.
        registry: the operators there are.
        settings: the service's settings, which the manifest may change within limits.
        limits: what the document may measure.

    Raises:
        ManifestError: the manifest cannot run; has every problem, in the document's order.
        ResourceLimitError: the manifest is right and asks for more processes than it may have.
        UsageError: there is no such file, or it cannot be read.
    """
    plan, problems = check(source, registry, settings, limits)
    if plan is None:
        raise ManifestError(problems)
    return plan


def check(
    source: Source, registry: Registry, settings: Settings, limits: ManifestLimits = DEFAULT_LIMITS
) -> tuple[Plan | None, tuple[Problem, ...]]:
    """Look a document over; what is wrong with one part of it hides nothing about the others.

    Args:
        source: see `prepare`.
        registry: the operators there are.
        settings: the service's settings.
        limits: what the document may measure.

    Returns:
        The plan, or None where a problem is an error; and all problems, warnings too, in the
        document's order.

    Raises:
        ResourceLimitError: nothing is wrong but that there are more process nodes than may be.
        UsageError: there is no such file, or it cannot be read.
    """
    manifest, structural = examine(source, limits)
    if manifest is None:
        return None, structural
    session, unsettled = settings.for_session(manifest.metadata.multiprocess)
    graph, unsound = build_graph(manifest, registry, structural)
    known = sorted((*structural, *unsettled, *unsound), key=_place_in_document)
    plan, problems = make_plan(graph, session, manifest.metadata.name, known)
    return plan, tuple(sorted(problems, key=_place_in_document))


def _place_in_document(problem: Problem) -> tuple[int, int]:
    match = _PLACE.match(problem.path)
    section, index = match.groups() if match else ("", None)
    rank = _SECTIONS.index(section) if section in _SECTIONS else len(_SECTIONS)
    return rank, int(index or -1)
