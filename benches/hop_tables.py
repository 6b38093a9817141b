"""The hop bench's results for docs/performance.md: one table a mode, subjects side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benches.hop_subjects import NAMES, OURS
from benches.report import machine_line, to_markdown
from benches.scripts.hop_work import PACED, PING_PONG, SATURATED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benches.report import Result

LATENCIES = ("p50", "p99", "p99.9")
COSTS = ("cpu_producer", "cpu_consumer")
#: Of a reason, in characters.
WHY_MAX = 120
_UNITS = ((1024**2, "MiB"), (1024, "KiB"), (1, "B"))

Found = dict[tuple[str, str, str, str], float]


def tables(facts: dict[str, Any], results: Sequence[Result]) -> str:
    """All tables, as Markdown.

    Args:
        facts: of the machine.
        results: of `benches.bench_hop`.
    """
    found: Found = {}
    for each in results:
        _, size, mode, subject = each.case.split("/")
        if each.value is not None:
            found[size, mode, subject, each.metric] = each.value
    held = [each for each in results if each.budget is not None]
    missing = sorted({f"- {each.case}: {_cut(each.why)}" for each in results if each.why})
    parts = [
        machine_line(facts),
        *_pivot("Ping-pong, µs: p50 · p99 · p99.9", found, PING_PONG, LATENCIES),
        *_pivot("A message every 5 ms, µs: p50 · p99 · p99.9", found, PACED, LATENCIES),
        *_pivot("Saturated, messages a second", found, SATURATED, ("throughput",)),
        *_pivot("Ping-pong, processor time of producer + consumer, µs", found, PING_PONG, COSTS),
        *_pivot("Saturated, processor time of producer + consumer, µs", found, SATURATED, COSTS),
        "Against the budgets:",
        to_markdown(facts, held).partition("\n\n")[2],
    ]
    return "\n\n".join(parts + (["\n".join(missing)] if missing else []))


def _pivot(title: str, found: Found, mode: str, metrics: Sequence[str]) -> list[str]:
    """One table: a row for each size, a column for each subject; nothing where nothing was run."""
    sizes = list(dict.fromkeys(size for size, of, _, _ in found if of == mode))
    present = {subject for _, of, subject, _ in found if of == mode}
    subjects = [name for name in NAMES if name in present]
    if not sizes:
        return []
    lines = [
        f"| size | {' | '.join(subjects)} |",
        f"|---|{'--:|' * len(subjects)}",
    ]
    separator = " + " if metrics is COSTS else " · "
    for size in sizes:
        cells = []
        for subject in subjects:
            values = [found.get((size, mode, subject, metric)) for metric in metrics]
            known = [_short(value) for value in values if value is not None]
            cell = separator.join(known) or "–"
            cells.append(f"**{cell}**" if subject == OURS else cell)
        lines.append(f"| {_size(size)} | {' | '.join(cells)} |")
    return [f"{title}:", "\n".join(lines)]


def _size(name: str) -> str:
    words, _, place = name.partition("-")
    size_bytes = int(words)
    factor, unit = next(each for each in _UNITS if size_bytes % each[0] == 0)
    return f"{size_bytes // factor} {unit}{', in place' if place else ''}"


def _cut(why: str) -> str:
    return why if len(why) <= WHY_MAX else f"{why[:WHY_MAX]}…"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
