"""What a bench reports: one result per case and metric, as a table and as one JSON object."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benches import peers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Whose versions a result depends on.
_DISTRIBUTIONS = ("reactivex", "pyarrow", "numpy", "uvloop")
_DIGITS = 4
_TABLE_WIDTH = 120


@dataclass(frozen=True, slots=True)
class Result:
    """One measured value.

    Attributes:
        case: what was measured, in which circumstances, whose: `worker/one/ours`.
        metric: which of its properties.
        unit: of the value.
        value: the value, usually a median; None if it could not be measured.
        budget: what it may be, or None.
        ok: whether it is within the budget, or None without one.
        why: what kept it from being measured, and what to do about it.
        spread: lowest and highest of what `value` is the median of.
    """

    case: str
    metric: str
    unit: str
    value: float | None
    budget: float | None = None
    ok: bool | None = None
    why: str = ""
    spread: tuple[float, float] | None = None

    def rows(self) -> list[dict[str, Any]]:
        """As JSON: the result, and its spread as two metrics of their own."""
        row: dict[str, Any] = {
            "case": self.case,
            "metric": self.metric,
            "value": _rounded(self.value),
            "unit": self.unit,
            "budget": self.budget,
            "ok": self.ok,
        }
        if self.value is None:
            row["why"] = self.why
        if self.spread is None:
            return [row]
        ends = zip(("min", "max"), self.spread, strict=True)
        return [row] + [
            {
                **row,
                "metric": f"{self.metric}_{end}",
                "value": _rounded(value),
                "budget": None,
                "ok": None,
            }
            for end, value in ends
        ]


def result(
    case: str,
    metric: str,
    unit: str,
    values: Sequence[float],
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    why: str = "",
) -> Result:
    """The median of some values, held against a budget.

    Args:
        case: see `Result`.
        metric: see `Result`.
        unit: see `Result`.
        values: of several the spread is reported, too; none: it could not be measured.
        at_most: budget from above.
        at_least: budget from below.
        why: why there are no values.
    """
    budget = at_least if at_most is None else at_most
    if not values:
        return Result(case, metric, unit, None, budget, why=why)
    value = statistics.median(values)
    spread = (min(values), max(values)) if len(values) > 1 else None
    ok = None
    if at_most is not None:
        ok = value <= at_most
    elif at_least is not None:
        ok = value >= at_least
    return Result(case, metric, unit, value, budget, ok, spread=spread)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the values that at least `percent` of 100 do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def machine() -> dict[str, Any]:
    """What the results were measured on."""
    versions = {name: _version(name) for name in _DISTRIBUTIONS} | peers.versions()
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": versions,
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def machine_line(facts: dict[str, Any]) -> str:
    """The machine in one line."""
    versions = " · ".join(
        f"{name} {version}" for name, version in facts["versions"].items() if version
    )
    load = " ".join(str(value) for value in facts["load_average"])
    return (
        f"{facts['cores']} × {facts['cpu']} · Linux {facts['kernel']} · Python {facts['python']}"
        f" · {versions} · load {load}"
    )


def print_table(bench: str, facts: dict[str, Any], results: Iterable[Result]) -> None:
    """Print results for people."""
    table = Table(title=f"{bench}\n{machine_line(facts)}", title_justify="left")
    for column in ("case", "metric"):
        table.add_column(column, no_wrap=True)
    for column in ("value", "min … max", "budget"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("")
    style = {"ok": "[green]ok[/]", "missed": "[red]missed[/]"}
    for each in results:
        *cells, note = _cells(each)
        table.add_row(*cells, style.get(note, escape(note)))
    console = Console()
    if not console.is_terminal:
        console = Console(width=_TABLE_WIDTH)
    console.print(table)


def to_markdown(facts: dict[str, Any], results: Iterable[Result]) -> str:
    """The same for docs/performance.md."""
    head = ["| case | metric | value | min … max | budget | |", "|---|---|--:|--:|--:|---|"]
    rows = [f"| {' | '.join(_cells(each))} |" for each in results]
    return "\n".join([f"{machine_line(facts)}\n", *head, *rows])


def _cells(each: Result) -> tuple[str, str, str, str, str, str]:
    spread = "" if each.spread is None else " … ".join(_text(end) for end in each.spread)
    value = "–" if each.value is None else f"{_text(each.value)} {each.unit}"
    budget = "" if each.budget is None else _text(each.budget)
    mark = {True: "ok", False: "missed", None: ""}[each.ok]
    return each.case, each.metric, value, spread, budget, each.why or mark


def to_json(bench: str, facts: dict[str, Any], results: Iterable[Result]) -> str:
    """All of it on one line."""
    rows = [row for each in results for row in each.rows()]
    return json.dumps({"bench": bench, "machine": facts, "results": rows}, ensure_ascii=False)


def _text(value: float) -> str:
    rounded = _rounded(value)
    return f"{rounded:,.0f}" if abs(value) >= 1000 else f"{rounded:g}"


def _rounded(value: float | None) -> float | None:
    """To significant digits: more would claim what no bench can know."""
    if value is None or value == 0 or not math.isfinite(value):
        return value
    return round(value, _DIGITS - 1 - math.floor(math.log10(abs(value))))


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
