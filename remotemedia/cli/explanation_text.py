"""An explanation for people: lines of text. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from engine.drawing.wording import counted
from remotemedia.cli.param_schema import cut, default_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: Params shown of one node.
_PARAMS_MAX: Final = 8
_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")


def lines_of(explanation: dict[str, Any]) -> list[str]:
    """The lines of what `explanation_of` gives."""
    sections = (
        _head(explanation),
        *(_stage(stage) for stage in explanation["stages"]),
        _table(
            "where stages are cut", [(cut["edge"], cut["reason"]) for cut in explanation["cuts"]]
        ),
        _table("edges", [(edge["id"], _edge(edge)) for edge in explanation["edges"]]),
        _table("what it takes", list(_resources(explanation["resources"]))),
        _table("warnings", [(item["path"], item["message"]) for item in explanation["warnings"]]),
    )
    lines: list[str] = []
    for section in sections:
        found = list(section)
        if found:
            lines += ["", *found] if lines else found
    return lines


def _head(explanation: dict[str, Any]) -> Iterator[str]:
    nodes = sum(len(stage["nodes"]) for stage in explanation["stages"])
    stages, processes = len(explanation["stages"]), explanation["resources"]["processes"]
    yield (
        f"{explanation['name']}: {counted(nodes, 'node')} in {counted(stages, 'stage')},"
        f" {counted(processes, 'process')}"
    )
    yield f"  packets enter at {_listed(explanation['ingress'])}"
    sinks = explanation["sinks"]
    yield f"  and leave from {_listed(sinks)}" if sinks else "  and none leave it"


def _stage(stage: dict[str, Any]) -> Iterator[str]:
    where = "in the session's own loop" if stage["executor"] == "local" else "in its own process"
    if stage["group"] is not None:
        where = f"in the process {stage['group']}"
    yield f"stage {stage['id']}, {where}"
    width = max(len(node["id"]) for node in stage["nodes"])
    for node in stage["nodes"]:
        waits = "; begins a stage: it waits or chooses" if node["begins_stage"] else ""
        timeout = node["process_timeout_ms"]
        bound = f"; a turn takes {timeout} ms at most" if timeout else ""
        rule = node["restart"]
        again = f"; started again at most {counted(rule['max'], 'time')}" if rule else ""
        place = f"{node['executor']}, {node['reason']}{waits}{bound}{again}"
        yield f"  {node['id']:<{width}}  {node['node_type']}: {place}"
        if node["params"]:
            yield f"  {'':<{width}}  {_params(node['params'])}"
    yield from (f"  {link}" for link in stage["links"])


def _params(params: dict[str, Any]) -> str:
    shown = [f"{name} {default_text(value)}" for name, value in list(params.items())[:_PARAMS_MAX]]
    return ", ".join([*shown, "…"] if len(params) > _PARAMS_MAX else shown)


def _edge(edge: dict[str, Any]) -> str:
    words = [
        edge["kind"].replace("_", " "),
        f"{counted(edge['capacity'], 'packet')} and as many credits",
        f"when full: {edge['overflow'].replace('_', ' ')}",
    ]
    if edge["arena"] is not None:
        words.append(
            f"{edge['in_flight_max']} under way at once in the arena of {edge['arena']}"
            f" ({size_text(edge['arena_bytes'])})"
        )
    return ", ".join(words)


def _resources(resources: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "processes", f"{resources['processes']} of at most {resources['processes_max']}"
    arenas = counted(resources["arenas"], "arena")
    memory = (
        f"{arenas} of {size_text(resources['arena_bytes'])}, at most"
        f" {size_text(resources['arenas_bytes'])}; only what is used is taken"
    )
    yield "shared memory", memory if resources["arenas"] else "none"
    limit = resources["session_memory_mb_max"]
    yield "memory limit", f"{limit} MiB for the session" if limit else "none for the session"
    yield "packets", f"{resources['packets_max']} at most on all edges together"
    yield (
        "times",
        (
            f"{resources['init_timeout_s']:g} s for the start of a node,"
            f" {resources['hang_timeout_s']:g} s of silence from a process,"
            f" {resources['cleanup_grace_s']:g} s for the end"
        ),
    )


def _table(title: str, rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    if not rows:
        return
    yield title
    width = max(len(name) for name, _ in rows)
    yield from (f"  {name:<{width}}  {text}" for name, text in rows)


def size_text(size_bytes: int) -> str:
    """A size in the unit that fits it."""
    size, unit = float(size_bytes), 0
    while size >= 1024 and unit < len(_UNITS) - 1:  # noqa: PLR2004 - binary units
        size, unit = size / 1024, unit + 1
    return f"{size:.4g} {_UNITS[unit]}"


def _listed(names: Iterable[str]) -> str:
    return cut(", ".join(names)) or "no node"
